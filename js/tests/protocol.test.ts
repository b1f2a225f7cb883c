// Messages are decoded as the examples say, and refused where they break the protocol.
import { describe, expect, it } from "vitest";
import { decode, ProtocolError } from "../src/decode";
import { aReply, buffers, fullUpdate, metricsUpdate, raw } from "./fixtures";

type Full = typeof raw.updateFull.message;

function without(fields: object | undefined, ...names: string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields ?? {}).filter(([name]) => !names.includes(name)));
}

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

  it("tells an advice, that there is none any more, and that nothing is said of it", () => {
    expect(fullUpdate().advice).toMatchObject({ key: "collapse:a1", does: "undo", sample: 4187 });
    expect(metricsUpdate().advice).toBeNull();
    const silent = decode({ kind: "update", seq: 4, full: false }, []);
    expect(silent).not.toHaveProperty("advice");
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

  it.each([
    ["update_full.status.step", (m: Full) => ({ ...m, status: { ...m.status, step: "7" } }), "step is not a number"],
    ["a gate's verdict", (m: Full) => ({ ...m, window: { ...m.window, gates: [{ ...m.window.gates[0], passed: 1 }] } }), "passed is not true or false"],
    ["a row", (m: Full) => ({ ...m, queue: { ...m.queue, items: ["4187"] } }), "an item of items is not an object"],
    ["a list", (m: Full) => ({ ...m, ledger: {} }), "ledger is not a list"],
    ["a box", (m: Full) => ({ ...m, explanation: { ...m.explanation, bbox: [0, 0, 1] } }), "bbox does not have four numbers"],
    ["a class's name", (m: Full) => ({ ...m, status: { ...m.status, classes: ["cat", 3] } }), "an item of classes is not a string"],
    ["a region", (m: Full) => ({ ...m, ledger: [{ ...m.ledger[0], strokes: [{ kind: "look", roi: [0, 0, 1, 1], sample: 1 }] }] }), "roi is not an object"],
  ])("says which field is wrong: %s", (_, broken, told) => {
    expect(() => decode(broken(raw.updateFull.message), buffers(raw.updateFull))).toThrow(told);
  });

  it("takes what an older kernel does not send for what it was then", () => {
    const { status, window, queue, explanation, ledger, hits } = raw.updateFull.message;
    const [item, gate, candidate, hit] = [ledger[0], window.gates[1], queue.items[0], hits.items[0]];
    const old = decode({
      ...raw.updateFull.message,
      status: without(status, "mode", "classes", "rest_seconds", "guidance", "cost_percent", "error"),
      window: { ...without(window, "by_hand", "score"), gates: [without(gate, "value")] },
      queue: { ...without(queue, "onset", "parted"), items: [without(candidate, "wrong_now", "doubtful", "target_value", "error", "thumbnail_buffer")] },
      explanation: without(explanation, "top", "bbox", "quality_reason", "method", "purpose", "seconds", "smoothgrad_buffer"),
      hits: { ...hits, items: [without(hit, "box")] },
      ledger: [{
        ...item,
        strokes: [without(item?.strokes[0], "label", "spreads", "sample")],
        effect: { verdict: "helped", text: "helped", measures: [without(item?.effect.measures[0], "change")] },
      }],
    }, buffers(raw.updateFull));
    expect(old).toMatchObject({
      status: { mode: "live", classes: [], rest_seconds: 0, guidance: true, cost_percent: null, error: null },
      window: { by_hand: false, score: null, gates: [{ value: null }] },
      queue: { onset: false, parted: false, items: [{ wrong_now: true, doubtful: false, target_value: null, error: null, thumbnail: null }] },
      explanation: { top: [], bbox: null, quality_reason: null, method: "", purpose: "", seconds: null, maps: { smoothgrad: null } },
      ledger: [{ strokes: [{ sample: null, label: null, spreads: true }], effect: { verdict: "helped", explainer: "" } }],
    });
    expect(old).not.toHaveProperty("ledger.0.effect.measures.0.change");
    expect(old).not.toHaveProperty("hits.items.0.box");
  });

  it("passes over what only a newer kernel says", () => {
    const { message } = raw.updateFull;
    const newer = decode({
      ...message, hologram: { depth: 3 }, timeline: null,
      status: { ...message.status, state: "dreaming", mood: "good" },
      markers: [{ ...message.markers[0], kind: "eclipse" }],
      notices: [{ ...message.notices[0], offer: "tidy_up" }, { ...message.notices[0], offer: "close_others" }],
    }, buffers(raw.updateFull));
    expect(newer).toMatchObject({ status: { state: "dreaming" }, markers: [{ kind: "eclipse" }], notices: [{}, { offer: "close_others" }] });
    for (const unknown of ["hologram", "timeline", "status.mood", "notices.0.offer"]) expect(newer).not.toHaveProperty(unknown);
  });

  it("reads an explanation that failed", () => {
    const update = decode({
      kind: "update", seq: 3, full: false,
      explanation: { index: 5, failed: "no such sample", target: null, predicted: null, top: [], method: "consensus", purpose: "person", width: 0, height: 0, picture_buffer: null, map_width: 0, map_height: 0, livecam_buffer: null, smoothgrad_buffer: null, consensus_buffer: null, agreement: null, quality: null, bbox: null, model_step: null, seconds: null },
    }, []);
    expect(update).toMatchObject({ explanation: { index: 5, failed: "no such sample", picture: null } });
  });
});
