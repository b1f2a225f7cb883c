// Hello, gaps, requests and what the connection says, against a kernel made of plain objects.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Store } from "../src/store";
import { HELLO_TIMEOUT, NoAnswer, PATIENCE, Transport } from "../src/transport";
import { buffers, raw } from "./fixtures";
import { settle, TestModel } from "./model";

let test: TestModel;
let store: Store;
let transport: Transport;

beforeEach(() => {
  vi.useFakeTimers();
  test = new TestModel();
  store = new Store();
  transport = new Transport(test.model, store);
});

afterEach(() => {
  transport.stop();
  vi.useRealTimers();
});

const full = (): void => {
  test.receive(raw.updateFull.message, buffers(raw.updateFull));
};
const metrics = (seq: number): void => {
  test.receive({ ...raw.updateMetrics.message, seq }, buffers(raw.updateMetrics));
};

describe("start", () => {
  it("says hello and is live after the answer", async () => {
    transport.start();
    await settle();
    expect(test.kinds()).toEqual(["hello"]);
    expect(store.state.connection).toBe("connecting");
    full();
    expect(store.state.connection).toBe("live");
    expect(store.state.status?.step).toBe(874);
  });

  it("waits for controls that are made later, as after a page reload", async () => {
    test.missing = 3;
    transport.start();
    await settle(1000);
    expect(test.kinds()).toEqual(["hello"]);
  });

  it("paints what the notebook saved, and says so when nobody answers", async () => {
    test.state["_snapshot"] = { update: raw.updateFull.message, buffers: buffers(raw.updateFull) };
    transport.start();
    expect(store.state.status?.step).toBe(874);
    await settle(HELLO_TIMEOUT + 1);
    expect(store.state.connection).toBe("saved");
    full(); // the kernel was only busy
    expect(store.state.connection).toBe("live");
  });

  it("is a replay or a saved view where there are no controls", () => {
    test.state["_controls"] = "";
    const { status } = raw.updateFull.message;
    test.state["_snapshot"] = { update: { ...raw.updateFull.message, status: { ...status, mode: "replay" } }, buffers: buffers(raw.updateFull) };
    transport.start();
    expect(store.state.connection).toBe("replay");
    expect(test.sent).toEqual([]);
  });
});

describe("updates", () => {
  it("asks for everything again after a gap, once", async () => {
    transport.start();
    await settle();
    full();
    metrics(2);
    expect(test.kinds()).toEqual(["hello"]);
    metrics(4);
    metrics(6);
    expect(test.kinds()).toEqual(["hello", "hello"]);
    test.receive({ ...raw.updateFull.message, seq: 7 }, buffers(raw.updateFull));
    metrics(8);
    expect(test.kinds()).toEqual(["hello", "hello"]);
    expect(store.state.metrics.get("train/loss")?.length).toBe(4);
  });

  it("tells whether a hand is on the view, and at once when it is back", async () => {
    const acks = (): unknown[] => test.sent.filter((one) => one["kind"] === "ack");
    transport.start();
    await settle();
    full();
    await settle(8000);
    expect(acks()).toMatchObject([{ attended: true }]);
    transport.touched();
    await settle(9000); // a beat
    expect(acks()).toMatchObject([{ attended: true }, { attended: true }]);
    await settle(5000);
    expect(acks().at(-1)).toMatchObject({ attended: false });
    const before = acks().length;
    transport.touched();
    transport.touched();
    expect(acks()).toHaveLength(before + 1);
    expect(acks().at(-1)).toMatchObject({ attended: true });
  });

  it("survives a message that breaks the protocol", async () => {
    transport.start();
    await settle();
    test.receive({ kind: "update", seq: 1, full: true, status: { step: "x" } });
    expect(store.state.problem).toContain("could not be read");
  });
});

describe("requests", () => {
  it("resolves with the reply of the same id", async () => {
    transport.start();
    await settle();
    const first = transport.request({ kind: "pause" });
    const second = transport.request({ kind: "undo", intervention: "a1" });
    const [, pause, undo] = test.sent;
    expect(pause?.["id"]).not.toBe(undo?.["id"]);
    test.reply(true, "second", undo?.["id"]);
    test.reply(false, "first", pause?.["id"]);
    expect((await first).text).toBe("first");
    expect((await second).ok).toBe(true);
  });

  it("says that a kernel is slow, and takes its answer however late", async () => {
    transport.start();
    await settle();
    full();
    const slow = vi.fn();
    const request = transport.request({ kind: "pause" }, slow);
    await settle(PATIENCE + 1);
    expect(slow).toHaveBeenCalledOnce();
    expect(store.state.connection).toBe("silent");
    await settle(PATIENCE);
    test.reply(true, "done after all");
    expect((await request).text).toBe("done after all");
    expect(store.state.connection).toBe("live");
  });

  it("waits for no kernel that is gone", async () => {
    transport.start();
    await settle();
    full();
    const request = transport.request({ kind: "stop" });
    (test.controls as { comm_live: boolean }).comm_live = false;
    test.fire(test.controlHandlers, "comm_live_update");
    await expect(request).rejects.toBeInstanceOf(NoAnswer);
  });

  it("refuses at once when the kernel is gone", async () => {
    transport.start();
    await settle();
    full();
    (test.controls as { comm_live: boolean }).comm_live = false;
    test.fire(test.controlHandlers, "comm_live_update");
    expect(store.state.connection).toBe("gone");
    await expect(transport.request({ kind: "stop" })).rejects.toBeInstanceOf(NoAnswer);
  });

  it("listens to nothing after stop", async () => {
    transport.start();
    await settle();
    transport.stop();
    expect([...test.handlers.values(), ...test.controlHandlers.values()].every((set) => set.size === 0)).toBe(true);
  });
});
