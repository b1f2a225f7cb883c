// Chart data: appending, thinning without losing extremes, one axis for all lines of a chart.
import { describe, expect, it } from "vitest";
import { gathered, robust } from "../src/ranges";
import { openSpans } from "../src/marks";
import { align, chartsOf, Series, smoothed, splitName, stretch, thin } from "../src/series";

function series(name: string, ...pairs: number[]): Series {
  const one = new Series(name);
  one.append(new Float64Array(pairs));
  return one;
}

describe("Series", () => {
  it("grows past its first room and keeps order", () => {
    const one = new Series("train/loss");
    for (let step = 1; step <= 1000; step++) one.append(new Float64Array([step, 1 / step]));
    expect(one.length).toBe(1000);
    expect(one.steps[999]).toBe(1000);
    expect(one.last()).toBeCloseTo(0.001);
  });

  it("replaces the same step and drops older ones", () => {
    const one = series("a", 1, 10, 2, 20, 2, 21, 1, 99);
    expect(one.length).toBe(2);
    expect(one.last()).toBe(21);
  });

  it("passes over undefined values when asked for the newest", () => {
    expect(series("a", 1, 0.5, 2, NaN).last()).toBe(0.5);
    expect(series("a", 1, NaN).last()).toBeNull();
  });

  it("finds the value at a step", () => {
    const one = series("a", 10, 1, 20, 2, 30, 3);
    expect([5, 10, 25, 99].map((step) => one.at(step))).toEqual([null, 1, 2, 3]);
  });
});

describe("thin", () => {
  it("keeps few points, in order, with the extremes", () => {
    const values = Float64Array.from({ length: 100_000 }, (_, i) => Math.sin(i / 50));
    values[43_210] = 9;
    values[77_777] = -9;
    const kept = thin(values, 0, values.length, 4000);
    expect(kept.length).toBeLessThanOrEqual(4000);
    expect(kept).toContain(43_210);
    expect(kept).toContain(77_777);
    expect(kept[0]).toBe(0);
    expect(kept[kept.length - 1]).toBe(99_999);
    expect(kept.every((at, i) => i === 0 || at > (kept[i - 1] ?? 0))).toBe(true);
  });

  it("leaves short series alone", () => {
    expect(thin(new Float64Array(3), 0, 3, 10)).toEqual([0, 1, 2]);
  });
});

describe("charts", () => {
  it("brings lines onto one axis of steps", () => {
    const lines = [series("train/loss", 1, 0.9, 2, 0.8, 3, NaN), series("val/loss", 2, 0.85, 4, 0.7)];
    expect(align(lines, 10, [1, 4])).toEqual([[1, 2, 3, 4], [0.9, 0.8, null, null], [undefined, 0.85, undefined, 0.7]]);
  });

  it("interrupts a line from the points beside one that is no number, also where others have points", () => {
    const val = series("val/loss", 10, 0.9, 20, NaN, 30, 0.7, 40, 0.6);
    const train = series("train/loss", 5, 1, 15, 1, 25, 1, 35, 1);
    expect(align([train, val], 100, [5, 40])[2]).toEqual([undefined, 0.9, null, null, null, 0.7, undefined, 0.6]);
    const below = series("val/loss", 10, 0.9, 20, 0, 30, 0.7, 40, 0.6);
    expect(align([train, below], 100, [5, 40], 0, 0)[2]).toEqual([undefined, 0.9, null, null, null, 0.7, undefined, 0.6]);
  });

  it("keeps a gap in a long line", () => {
    const one = new Series("train/loss");
    const at = (step: number): number => (step >= 10_000 && step < 10_020 ? NaN : 1 + Math.sin(step));
    one.append(Float64Array.from({ length: 60_000 }, (_, i) => (i % 2 === 0 ? i / 2 : at((i - 1) / 2))));
    for (const keep of [0, 0.9]) {
      const [steps, column = []] = align([one], 600, [0, 30_000], keep);
      const gap = steps.filter((_, i) => column[i] === null);
      expect(gap.length).toBeGreaterThan(0);
      expect(gap.every((step) => Number.isNaN(at(step)))).toBe(true);
      expect(steps.length).toBeLessThanOrEqual(600);
    }
  });

  it("smooths all points, so that rare spikes weigh as much as they are", () => {
    const one = new Series("train/loss");
    let seed = 12345;
    const random = (): number => (seed = (seed * 1103515245 + 12345) % 2147483648) / 2147483648;
    const values = Float64Array.from({ length: 100_000 }, () => 0.5 + 0.05 * (random() - 0.5) + (random() < 0.02 ? 3 : 0));
    const mean = values.reduce((sum, y) => sum + y, 0) / values.length;
    one.append(Float64Array.from({ length: 200_000 }, (_, i) => (i % 2 === 0 ? i / 2 : (values[(i - 1) / 2] ?? 0))));
    const [, column = []] = align([one], 1200, [0, 100_000], 0.9);
    const height = column.reduce<number>((sum, y) => sum + (y ?? 0), 0) / column.length;
    expect(Math.abs(height - mean)).toBeLessThan(0.02);
  });

  it("smooths a line of many points only, and no NaN", () => {
    const few = new Float64Array([1, 2, 3]);
    expect(smoothed(few, 0.9)).toBe(few);
    const many = smoothed(Float64Array.from({ length: 60 }, (_, i) => (i === 30 ? NaN : i < 30 ? 0 : 1)), 0.5);
    expect([many[29], many[30], many[31]]).toEqual([0, NaN, expect.closeTo(0.5, 6)]);
  });

  it("draws every point of a short stretch of a long run, and one beyond each side", () => {
    const one = new Series("train/loss");
    one.append(Float64Array.from({ length: 200_000 }, (_, i) => (i % 2 === 0 ? i / 2 : Math.sin(i))));
    expect(align([one], 600, [500, 509])[0]).toEqual(Array.from({ length: 12 }, (_, i) => 499 + i));
    expect(align([one], 600, [0, 99_999])[0].length).toBeLessThanOrEqual(600);
  });

  it("keeps extremes beside undefined values", () => {
    const values = Float64Array.from({ length: 1000 }, (_, i) => (i % 10 === 7 ? i : NaN));
    const kept = thin(values, 0, 1000, 100);
    expect(kept.length).toBeLessThanOrEqual(100);
    expect(kept).toContain(997);
    expect(kept.filter((i) => i % 10 === 7).length).toBeGreaterThan(40);
  });

  it("orders charts and their lines", () => {
    const charts = chartsOf(["val/accuracy", "train/zeta", "val/loss", "train/loss", "alpha"].map((name) => new Series(name)));
    expect(charts.map((one) => one.metric)).toEqual(["loss", "accuracy", "alpha", "zeta"]);
    expect(charts[0]?.lines.map((line) => line.name)).toEqual(["train/loss", "val/loss"]);
  });

  it("gives every chart the same stretch of the run", () => {
    expect(stretch([series("train/loss", 10, 1, 90, 2), series("train/guidance_loss", 60, 1, 80, 2)])).toEqual([10, 90]);
    expect(stretch([series("a", 5, 1), new Series("b")])).toEqual([0, 5]);
    expect(stretch([])).toEqual([0, 1]);
  });

  it("splits names at the first slash", () => {
    expect(splitName("train/guidance/loss")).toEqual({ split: "train", metric: "guidance/loss" });
    expect(splitName("loss")).toEqual({ split: "", metric: "loss" });
  });

  it("knows when the review window was open", () => {
    const at = (step: number, kind: "window_open" | "window_shut") => ({ step, kind, text: "", id: null });
    expect(openSpans([at(5, "window_open"), at(9, "window_shut"), at(12, "window_open")], 20)).toEqual([[5, 9], [12, 20]]);
    expect(openSpans([at(9, "window_shut")], 20)).toEqual([]);
  });
});

describe("a chart's range", () => {
  const steady = Array.from({ length: 100 }, (_, i) => 1 + (i % 10) / 10);

  it("leaves out a few values that are far from all others, and nothing else", () => {
    expect(robust([...steady, 80])).toEqual([1, 1.9]);
    expect(robust([...steady, 80, -70])).toEqual([1, 1.9]);
    expect(robust(steady)).toBeNull();
    expect(robust([1, 2, 90])).toBeNull(); // too few to tell
    expect(robust(Array.from({ length: 100 }, (_, i) => 2.3 * Math.exp(-i / 20)))).toBeNull(); // a loss that falls
    expect(robust(Array.from({ length: 100 }, () => 5))).toBeNull();
  });

  it("gathers marks that would stand on one another", () => {
    expect(gathered([10, 12, 19, 30], 10)).toEqual([{ at: 10, from: 0, to: 3 }, { at: 30, from: 3, to: 4 }]);
    expect(gathered([], 10)).toEqual([]);
  });
});
