// How updates change the state: what replaces, what appends, what a person's work holds back.
import { describe, expect, it } from "vitest";
import { colourMap, INFERNO } from "../src/colormap";
import { duration, rate, speed, value } from "../src/format";
import { ordered } from "../src/gates";
import type { Explanation } from "../src/protocol";
import { initialState, reduce, shownMap, strengthOf, type State } from "../src/state";
import { fullUpdate, metricsUpdate } from "./fixtures";

function after(...patches: Partial<State>[]): State {
  return Object.assign(initialState(), ...patches) as State;
}

const loaded = (): State => after(reduce(initialState(), fullUpdate()));

function explanationOf(index: number, purpose: string): Explanation {
  const { explanation } = fullUpdate();
  if (explanation === undefined) throw new Error("the fixture has an explanation");
  return { ...explanation, index, purpose };
}

describe("reduce", () => {
  it("appends metrics, and replaces them with a full update", () => {
    let state = loaded();
    state = after(state, reduce(state, metricsUpdate()));
    expect(state.metrics.get("train/loss")?.length).toBe(4);
    expect(state.metrics.get("val/loss")?.length).toBe(1);
    state = after(state, reduce(state, fullUpdate()));
    expect(state.metrics.get("train/loss")?.length).toBe(3);
  });

  it("draws what holds where a run went back: older steps again, with other values", () => {
    let state = loaded();
    const told = (full: boolean, pairs: number[]): void => {
      state = after(state, reduce(state, { kind: "update", seq: 3, full, metrics: [{ name: "train/loss", points: new Float64Array(pairs) }] }));
    };
    told(true, [10, 0.9, 20, 0.8, 30, 0.7]);
    told(true, [10, 0.9, 20, 0.5]); // kept: the other branch, from step 10 on
    told(false, [30, 0.4]);
    const line = state.metrics.get("train/loss");
    expect([...(line?.steps.subarray(0, line.length) ?? [])]).toEqual([10, 20, 30]);
    expect([line?.at(20), line?.last()]).toEqual([0.5, 0.4]);
  });

  it("keeps sections that an update does not hold", () => {
    const state = loaded();
    expect(reduce(state, metricsUpdate())).not.toHaveProperty("queue");
  });

  it("ends the waiting for pause when the state has changed", () => {
    const state = after(loaded(), { asked: "pause" });
    expect(reduce(state, metricsUpdate())).not.toHaveProperty("asked");
    const update = metricsUpdate();
    if (update.status) update.status.state = "paused";
    expect(reduce(state, update).asked).toBeNull();
  });

  it("does not take the picture away while a person draws on it", () => {
    const drawing = after(loaded(), { drafts: { 4187: [{ id: 1, kind: "look", shape: { form: "box", box: [0, 0, 1, 1] } }] } });
    const next = (purpose: string, index = 9) => reduce(drawing, { kind: "update", seq: 3, full: false, explanation: explanationOf(index, purpose) });
    expect(next("periodic")).not.toHaveProperty("explanation");
    expect(next("periodic", 4187).explanation?.index).toBe(4187);
    expect(next("person").explanation?.index).toBe(9);
  });

  it("is busy until the maps or the failure of that sample arrive", () => {
    const state = after(loaded(), { explaining: 9 });
    const pending = { ...explanationOf(9, "person"), maps: { livecam: null, smoothgrad: null, consensus: null } };
    expect(reduce(state, { kind: "update", seq: 3, full: false, explanation: pending })).not.toHaveProperty("explaining");
    expect(reduce(state, { kind: "update", seq: 3, full: false, explanation: explanationOf(9, "person") }).explaining).toBeNull();
    expect(reduce(state, { kind: "update", seq: 3, full: false, explanation: { ...pending, failed: "no" } }).explaining).toBeNull();
  });

  it("lets the strength follow the kernel's when that changes", () => {
    const state = after(loaded(), { strength: 0.9 });
    expect(strengthOf(state)).toBe(0.9);
    const update = metricsUpdate();
    if (update.status) update.status.focus = 0.5;
    expect(strengthOf(after(state, reduce(state, update)))).toBe(0.5);
  });
});

describe("what is shown", () => {
  it("falls back to a map that exists", () => {
    const state = loaded();
    expect(shownMap(state)).toBe("consensus");
    expect(shownMap(after(state, { map: "smoothgrad" }))).toBe("consensus");
    expect(shownMap(after(state, { map: "livecam" }))).toBe("livecam");
    expect(shownMap(after(state, { map: "off" }))).toBe("off");
  });

  it("puts failing gates first", () => {
    expect(ordered(loaded().window?.gates ?? []).map((gate) => gate.name)).toEqual(["stability", "coverage"]);
  });

  it("formats numbers", () => {
    expect([value(0.4123), value(null), value(12.3456), value(1e-5)]).toEqual(["0.412", "–", "12.35", "1.00e-5"]);
    expect([duration(45), duration(130), duration(3900), duration(null)]).toEqual(["45 s", "2 min 10 s", "1 h 05 min", "–"]);
    expect([speed(34.2), speed(0.25), speed(null)]).toEqual(["34.2 steps/s", "4.0 s/step", "–"]);
    expect([rate(0.001), rate(0.0003), rate(0.00025), rate(0)]).toEqual(["0.001", "3e-4", "2.5e-4", "0"]);
    expect([rate(-5), rate(-0.25), rate(-0.0003), rate(-0.00025)]).toEqual(["-5", "-0.25", "-3e-4", "-2.5e-4"]);
  });

  it("colours a map from dark to bright, and cold places not at all", () => {
    const brightness = Array.from({ length: 256 }, (_, i) => 0.2126 * (INFERNO[i * 3] ?? 0) + 0.7152 * (INFERNO[i * 3 + 1] ?? 0) + 0.0722 * (INFERNO[i * 3 + 2] ?? 0));
    expect(brightness.every((one, i) => i === 0 || one >= (brightness[i - 1] ?? 0) - 0.5)).toBe(true);
    const pixels = colourMap(new Uint8Array([0, 255]), 0.5);
    expect(pixels[3]).toBe(0);
    expect(pixels[7]).toBe(128);
  });
});
