// Messages are decoded as the examples say, and refused where they break the protocol.
import { describe, expect, it } from "vitest";
import { decode, ProtocolError } from "../src/decode";
import { aReply, buffers, fullUpdate, metricsUpdate, raw } from "./fixtures";

describe("decode", () => {
  it("reads a full update with its binary parts", () => {
    const update = fullUpdate();
    expect(update.full).toBe(true);
    expect(update.status?.step).toBe(874);
    expect([...(update.metrics?.[0]?.points ?? [])]).toEqual([10, 0.9, 20, 0.7, 30, NaN]);
    expect(update.explanation?.picture?.length).toBe(4 * 2 * 3);
    expect(update.explanation?.maps.livecam?.[15]).toBe(255);
    expect(update.explanation?.maps.smoothgrad).toBeNull();
    expect([...(update.queue?.items[0]?.thumbnail ?? [])].slice(1, 4)).toEqual([80, 78, 71]); // "PNG"
    expect(update.queue?.items[1]?.thumbnail).toBeNull();
    expect(update.ledger?.[0]?.undone).toBe(false);
  });

  it("leaves out sections that a message does not have", () => {
    const update = metricsUpdate();
    expect(update.queue).toBeUndefined();
    expect(update.explanation).toBeUndefined();
    expect(update.metrics).toHaveLength(1);
  });

  it("reads a reply", () => {
    expect(aReply()).toEqual({ kind: "reply", id: "7f9c", ok: true, text: "Applied at step 540: ignore lower right", step: 540 });
  });

  it("passes over kinds that it does not know", () => {
    expect(decode({ kind: "from the future" }, [])).toBeNull();
  });

  it("refuses messages without their shape", () => {
    expect(() => decode("text", [])).toThrow(ProtocolError);
    expect(() => decode({ kind: "update", seq: "1", full: true }, [])).toThrow(ProtocolError);
    expect(() => decode(raw.updateFull.message, [])).toThrow(/buffer 0 is missing/);
    const { message } = raw.updateFull;
    const wrong = { ...message, explanation: { ...message.explanation, width: 5 } };
    expect(() => decode(wrong, buffers(raw.updateFull))).toThrow(/instead of 30/);
  });

  it("reads an explanation that failed", () => {
    const update = decode({
      kind: "update", seq: 3, full: false,
      explanation: { index: 5, failed: "no such sample", target: null, predicted: null, top: [], method: "consensus", purpose: "person", width: 0, height: 0, picture_buffer: null, map_width: 0, map_height: 0, livecam_buffer: null, smoothgrad_buffer: null, consensus_buffer: null, agreement: null, quality: null, bbox: null, model_step: null, seconds: null },
    }, []);
    expect(update).toMatchObject({ explanation: { index: 5, failed: "no such sample", picture: null } });
  });
});
