// Hello, gaps, requests and what the connection says, against a kernel made of plain objects.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Store } from "../src/store";
import { NoAnswer, PATIENCE, Transport } from "../src/transport";
import gone from "../../tests/protocol/gone.json";
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
    await settle(900);
    expect(test.kinds()).toEqual(["hello"]);
  });

  it("says hello again, quickly and then slower, while nobody answers, and never calls that saved", async () => {
    test.state["_snapshot"] = { update: raw.updateFull.message, buffers: buffers(raw.updateFull) };
    transport.start();
    expect(store.state.status?.step).toBe(874);
    await settle(600);
    expect(test.kinds()).toEqual(["hello", "hello", "hello"]);
    expect(store.state.connection).toBe("connecting");
    await settle(2500);
    expect(test.kinds()).toHaveLength(6);
    expect(store.state.connection).toBe("busy");
    await settle(600_000);
    expect(store.state.connection).toBe("busy");
    expect(test.kinds().length).toBeGreaterThan(25); // one in 30 s
    expect(test.kinds().length).toBeLessThan(40);
    full(); // the kernel was only busy
    expect(store.state.connection).toBe("live");
    const said = test.kinds().filter((kind) => kind === "hello").length;
    await settle(120_000);
    expect(test.kinds().filter((kind) => kind === "hello")).toHaveLength(said);
  });

  it("takes a changed snapshot as a sign of life: paints it and asks at once", async () => {
    transport.start();
    await settle(300_000);
    const said = test.kinds().length;
    test.state["_snapshot"] = { update: raw.updateFull.message, buffers: buffers(raw.updateFull) };
    test.fire(test.handlers, "change:_snapshot");
    expect(store.state.status?.step).toBe(874);
    expect(test.kinds()).toHaveLength(said + 1);
    test.fire(test.handlers, "change:_snapshot"); // one is on its way
    expect(test.kinds()).toHaveLength(said + 1);
    await settle(300);
    expect(test.kinds()).toHaveLength(said + 2);
    expect(store.state.connection).toBe("busy");
  });

  it("asks again when another page's updates show that the kernel is there", async () => {
    transport.start();
    await settle(300_000);
    const said = test.kinds().length;
    metrics(5);
    metrics(6);
    expect(test.kinds()).toHaveLength(said + 1);
    expect(store.state.connection).toBe("behind");
    full();
    expect(store.state.connection).toBe("live");
  });

  it("is a saved view where there is no comm, and where a notebook does not tell and nobody answers", async () => {
    (test.controls as { comm_live: boolean }).comm_live = false;
    transport.start();
    await settle(10_000);
    expect(store.state.connection).toBe("saved");
    expect(test.sent).toEqual([]);

    transport.stop();
    delete (test.controls as { comm_live?: boolean }).comm_live;
    transport = new Transport(test.model, (store = new Store()));
    transport.start();
    await settle(5000);
    expect(store.state.connection).toBe("busy");
    await settle(30_000);
    expect(store.state.connection).toBe("saved");
    test.fire(test.handlers, "change:_snapshot");
    expect(store.state.connection).toBe("connecting");
  });

  it("shows a run read from disk whether or not anybody answers", async () => {
    const { status } = raw.updateFull.message;
    test.state["_snapshot"] = { update: { ...raw.updateFull.message, status: { ...status, mode: "replay" } }, buffers: buffers(raw.updateFull) };
    transport.start();
    await settle(5000);
    expect(store.state.connection).toBe("replay");
  });

  it("hands marimo nothing that it would call, and survives its refusal", async () => {
    const called = vi.fn();
    (test.controls as { send: unknown }).send = (content: Record<string, unknown>, callback?: () => void): Promise<void> => {
      called(content["kind"]);
      callback?.();
      return Promise.reject(new Error("the server is away"));
    };
    transport.start();
    await settle();
    expect(called).toHaveBeenCalledWith("hello");
    const paused = transport.request({ kind: "pause" });
    await settle();
    expect(called).toHaveBeenLastCalledWith("pause");
    transport.stop();
    void paused;
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

  it("takes no kernel for silent that was not asked while nobody looked", async () => {
    const view = {};
    transport.start();
    await settle();
    transport.seen(view, true);
    full();
    for (let round = 0; round < 3; round++) {
      transport.seen(view, false);
      await settle(600_000);
      transport.seen(view, true);
      expect(store.state.connection).toBe("live");
      await settle(300);
      test.reply(true, "", "beat");
    }
    await settle(12_000);
    expect(store.state.connection).toBe("live");
    await settle(15_000); // now it was asked, again and again
    expect(store.state.connection).toBe("silent");
    test.fire(test.handlers, "change:_snapshot");
    expect(store.state.connection).toBe("live");
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

  it("tells that what trains elsewhere is lost, and that it is back", async () => {
    transport.start();
    await settle();
    full();
    const asked = transport.request({ kind: "pause" }).catch((error: unknown) => error);
    test.receive(gone.message);
    expect(store.state).toMatchObject({ connection: "gone", problem: gone.message.text });
    expect(await asked).toBeInstanceOf(NoAnswer);
    full();
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
