// A series on the stage, in lists and in the ledger.
import { describe, expect, it } from "vitest";
import "../src/kinds.css";
import { bands, curve, rangeOf } from "../src/modalities/curves";
import { intervalOf, regionOf } from "../src/modalities/series";
import { placeOf, pointer, showContent, tellOf } from "./kinds";
import { frame, get, lastOf, mountEach, press } from "./mounted";

const mounted = mountEach();
const LENGTH = 20;
const wave = (k: number): number[] => Array.from({ length: LENGTH }, (_, i) => Math.sin(i / k));
const one = { kind: "series", channels: [{ name: "", values: wave(2) }], length: LENGTH };
const two = { kind: "series", channels: [{ name: "<u>east</u>", values: wave(2) }, { name: "west", values: wave(3) }], length: LENGTH };
const hot = (count: number, at: number): number[] => Array.from({ length: count }, (_, i) => (i === at ? 255 : 0));
const plot = (i: number): Element => get("cw-curves").querySelectorAll(".cw-curve-plot")[i] as Element;
const drag = (i: number, from: number, to: number): void => {
  pointer(plot(i), "pointerdown", ...placeOf(plot(i), from));
  pointer(get("cw-curves"), "pointermove", ...placeOf(plot(i), to));
  pointer(get("cw-curves"), "pointerup", ...placeOf(plot(i), to));
};
const submitted = async (): Promise<unknown> => {
  await frame();
  get("cw-submit").click();
  return (lastOf(mounted)["strokes"] as { roi: unknown }[]).map((stroke) => stroke.roi);
};

describe("a series", () => {
  it("is drawn with its map as coloured intervals, and marked by a drag", async () => {
    await showContent(mounted, one, hot(LENGTH, 5), { bbox: [0.25, 0, 0.3, 1] });
    expect(document.querySelector(".cw-curve-line")?.getAttribute("d")).toMatch(/^M0.025 /);
    expect([...document.querySelectorAll("[data-testid='cw-curves'] .cw-band")].map((band) => band.getAttribute("d"))).toEqual(["M0.25 0H0.3V1H0.25Z"]);
    expect(document.querySelector(".cw-curve-frame")?.getAttribute("d")).toBe("M0.25 0H0.3V1H0.25Z");
    expect(get("cw-one-channel").offsetParent).toBeNull();
    drag(0, 0.26, 0.62);
    await frame();
    expect(get("cw-marks").textContent).toContain("ignore steps 5 to 12");
    expect(await submitted()).toEqual([{ interval: [0.25, 0.65] }]);
    get("cw-wrong-reason").click();
    expect(lastOf(mounted)["strokes"]).toEqual([{ kind: "ignore", roi: { interval: [0.25, 0.3] } }]);
  });

  it("is led by keyboard: arrows move, Space sets down and lifts, Shift chooses, Delete takes away", async () => {
    await showContent(mounted, one, hot(LENGTH, 5));
    const list = get("cw-curves");
    press(list, "Home");
    expect(get("cw-readout").textContent).toBe("step 0: 0.000");
    press(list, " ");
    press(list, "ArrowRight");
    press(list, "ArrowRight");
    expect(get("cw-readout").textContent).toBe("steps 0 to 2");
    press(list, " ");
    press(list, "End");
    press(list, "ArrowLeft", { shiftKey: true });
    press(list, " ");
    await frame();
    expect(get("cw-marks").children).toHaveLength(2);
    press(list, "Delete");
    expect(await submitted()).toEqual([{ interval: [0, 0.15] }]);
  });

  it("marks one channel where the map knows channels, or all of them", async () => {
    await showContent(mounted, two, hot(2 * LENGTH, LENGTH + 3), { bbox: [0.15, 0.5, 0.2, 1] }, 2);
    expect(get("cw-curves").querySelector("u")).toBeNull();
    const bandsOf = (i: number): number => plot(i).querySelectorAll(".cw-band").length;
    expect([bandsOf(0), bandsOf(1)]).toEqual([0, 1]);
    drag(1, 0.02, 0.08);
    get("cw-all-channels").click();
    drag(1, 0.52, 0.58);
    await frame();
    expect([...plot(0).querySelectorAll(".cw-intervals .cw-interval:not([data-given])")]).toHaveLength(1);
    expect([...plot(1).querySelectorAll(".cw-intervals .cw-interval:not([data-given])")]).toHaveLength(2);
    expect(await submitted()).toEqual([{ interval: [0, 0.1], channel: 1 }, { interval: [0.5, 0.6] }]);
    get("cw-right-reason").click();
    expect(lastOf(mounted)["strokes"]).toEqual([{ kind: "look", roi: { interval: [0.15, 0.2], channel: 1 } }]);
  });

  it("stands in the list and the ledger as a small curve", async () => {
    await showContent(mounted, one, hot(LENGTH, 5));
    await tellOf(mounted, { interval: [0.1, 0.2] });
    const card = get("cw-queue").querySelector("[data-index='4187'] .cw-glance");
    expect(card?.querySelector(".cw-curve-line")?.getAttribute("d")).toContain("L");
    expect(card?.querySelectorAll(".cw-band")).toHaveLength(1);
    expect(get("cw-ledger").querySelector(".cw-glance .cw-interval[data-kind='ignore']")?.getAttribute("d")).toBe("M0.1 0H0.2V1H0.1Z");
    expect(document.querySelector("[data-testid='cw-curves'] .cw-interval[data-given]")).not.toBeNull();
  });
});

it("breaks a curve where values are unknown, and shows a single one", () => {
  expect(curve([0, null, 1, 1])).toBe("M0.125 0.95h0M0.625 0.05L0.875 0.05");
  expect(rangeOf([2, 2, null])).toEqual([1, 3]);
  expect(rangeOf([null])).toEqual([0, 1]);
  expect(curve([null, null])).toBe("");
});

it("gathers equal neighbours of a map, and keeps peaks between bins", () => {
  expect(bands(Float32Array.of(1, 1, 0, 0.01))).toEqual([{ level: 1, path: "M0 0H0.5V1H0Z" }]);
  const long = new Float32Array(5000);
  long[4321] = 1;
  expect(bands(long)).toHaveLength(1);
  expect(bands(Float32Array.of(0.4, 1), 0.5)).toHaveLength(1);
});

it("counts whole steps, the last one included", () => {
  expect(regionOf(9, 5, 20, 2)).toEqual({ interval: [0.25, 0.5], channel: 2 });
  const shown = { channels: [{ name: "east", values: [] }, { name: "west", values: [] }], length: 20 };
  const of = (roi: Record<string, unknown>): unknown => intervalOf({ kind: "look", roi }, shown);
  expect(of({ interval: [0.2] })).toBeNull();
  expect(of({ interval: [0.2, 0.4] })).toEqual({ from: 0.2, to: 0.4, channels: null });
  expect(of({ steps: [5, 10], channel: 1 })).toEqual({ from: 0.25, to: 0.5, channels: [1, 2] });
  expect(of({ channel: 0 })).toEqual({ from: 0, to: 1, channels: [0, 1] });
  expect(of({ box: [0.1, 0.5, 0.2, 1] })).toEqual({ from: 0.1, to: 0.2, channels: [1, 2] });
});
