// Two places never say different things, and no number reads like another one.
import { describe, expect, it } from "vitest";
import { axisLabels, distance, probability, value } from "../src/format";
import { buffers, raw } from "./fixtures";
import { coach, frame, get, lastOf, mountEach, press } from "./mounted";
import { settle } from "./model";

const full = raw.updateFull.message;
const number = (label: string): number => Number(label.replace(/,/g, "").replace(/−/g, "-"));

describe("numbers", () => {
  it.each([
    [[1.384, 1.3845, 1.385, 1.3855]],
    [[0, 1e-5, 2e-5]],
    [[0, 2e-7, 4e-7]],
    [[12_340, 12_345, 12_350]],
    [[-1.5, -1, -0.5, 0, 0.5]],
    [[-12_000, -11_000]],
    [[1_234_510, 1_234_520, 1_234_530]],
    [[1e9, 2e9]],
    [[0.1, 0.2, 0.30000000000000004]],
    [[3]],
  ])("of an axis are as they are: %j", (ticks) => {
    const labels = axisLabels(ticks);
    labels.forEach((label, i) => {
      expect(number(label)).toBeCloseTo(ticks[i] ?? NaN, 9);
    });
    expect(new Set(labels).size).toBe(ticks.length);
    expect(labels.every((one) => one.length <= 12)).toBe(true);
  });

  it("of a logarithmic axis each have the places that they need", () => {
    expect(axisLabels([1e-5, null, 0.01, 0.1, 1, 100, 1e6], false)).toEqual(["1e−5", "", "0.01", "0.1", "1", "100", "1e6"]);
  });

  it("of a risk are never 0.00, nor 1.00 for what is not sure", () => {
    expect([0, 0.00004, 0.0049, 0.006, 0.5, 0.9949, 0.998, 1, null].map(probability)).toEqual(["<0.01", "<0.01", "<0.01", "0.01", "0.50", "0.99", ">0.99", "1.00", "–"]);
  });

  it("beside each other show what is between them", () => {
    expect([distance(0.41, 1.89), distance(2.3, 1.89), distance(1.89, 1.89)]).toEqual(["0.41", "2.30", "1.89"]);
    expect([distance(1987, 3.4), distance(1990.4, 3.4)]).toEqual(["1,987.00", "1,990.40"]);
    expect([distance(0.5, 0.00012), distance(0.50012, 0.00012)]).toEqual(["0.500000", "0.500120"]);
    expect([value(0.0012), value(0.0138), value(0.4123)]).toEqual(["0.00120", "0.0138", "0.412"]);
    expect([value(0.99996), value(0.9995), value(0.9994), value(1), value(-0.9999)]).toEqual(["0.9999", "0.9995", "0.999", "1.000", "-0.9999"]);
  });
});

const mounted = mountEach();
let seq = 2;

async function show(sections: Record<string, unknown>, more = buffers(raw.updateFull), whole = false): Promise<void> {
  mounted.test.receive({ kind: "update", seq: seq++, full: whole, ...sections }, more);
  await frame();
}

describe("labels of the values", () => {
  it.each([
    ["near each other", (i: number) => 1.3885 + i * 1e-4],
    ["tiny", (i: number) => 1e-5 * (1 + i)],
    ["large", (i: number) => 12_345 + i * 100],
    ["negative", (i: number) => -1234.5 - i * 50],
    ["very large", (i: number) => 3.21e8 + i * 1000],
    ["negative and tiny", (i: number) => -1.25e-7 * (1 + i)],
  ])("are whole where they are %s", async (_, curve) => {
    seq = 2;
    for (const dark of [false, true]) {
      document.body.setAttribute("data-jp-theme-light", String(!dark));
      const points = Array.from({ length: 20 }, (__, i) => [i + 1, curve(i)]).flat();
      await show({ metrics: [{ name: "test/loss", points_buffer: 0 }] }, [new DataView(new Float64Array(points).buffer)], true);
      await settle(400);
      const canvas = document.querySelector<HTMLCanvasElement>(".cw-chart canvas");
      const { width = 0, height = 0 } = canvas ?? {};
      const { data } = canvas?.getContext("2d")?.getImageData(0, 0, width, height) ?? { data: new Uint8ClampedArray() };
      const inked = (x: number): number => Array.from({ length: height }, (__, y) => data[(y * width + x) * 4 + 3] ?? 0).filter((alpha) => alpha > 40).length;
      expect(inked(0)).toBe(0); // nothing runs into the edge ...
      const first = Array.from({ length: width }, (__, x) => x).find((x) => inked(x) > 0) ?? -1;
      expect(first).toBeGreaterThan(0); // ... and yet there is something
      expect(first).toBeLessThan(40 * devicePixelRatio);
    }
    document.body.removeAttribute("data-jp-theme-light");
  });
});

describe("a map's quality", () => {
  const doubtful = { ...full.explanation, quality: "not reliable", quality_reason: "It marks nothing." };
  const chip = (): string => document.querySelector(".cw-quality")?.textContent ?? "";

  it.each([
    [doubtful, { ...full.explanation, model_step: 400 }, "reliable"],
    [full.explanation, { ...doubtful, model_step: 400 }, "not reliable"],
    [doubtful, { ...doubtful, quality_reason: "Random weights give it.", model_step: 400 }, "not reliable"],
  ])("is that of the map on the screen, in both places", async (newest, earlier, expected) => {
    seq = 2;
    await show({ explanation: newest });
    expect(get("cw-caution").hidden).toBe(newest.quality === "reliable");
    press(get("cw-root"), ",");
    await show({ shelf: [earlier] });
    expect(get("cw-model-step").textContent).toBe("model of step 400");
    expect(chip()).toBe(expected);
    expect(get("cw-caution").hidden).toBe(expected === "reliable");
    if (expected !== "reliable") expect(get("cw-caution").textContent).toContain(earlier.quality_reason);
    press(get("cw-root"), ".");
    await frame();
    expect(chip()).toBe(newest.quality);
    expect(get("cw-caution").hidden).toBe(newest.quality === "reliable");
  });
});

describe("rows of a regression", () => {
  const row = (more: Record<string, unknown>): Record<string, unknown> => ({ ...full.queue, items: [{ ...full.queue.items[0], target: -1, predicted: 1, reason: "far above usual", ...more }] });
  const text = (): string => get("cw-queue-item").textContent;

  it("say target, prediction and error", async () => {
    seq = 2;
    await show({ queue: row({ target_value: 0.41, predicted_value: 2.3, error: 1.89, risk: 0 }) });
    get("cw-page-wrong").click();
    await frame();
    expect(text()).toContain("0.41 → 2.30");
    expect(get("cw-queue-item").title).toContain("off by 1.89 · far above usual");
    expect(text()).toContain("<0.01");
    expect(get("cw-queue-item").title).toContain("target 0.41, predicted 2.30, off by 1.89");
  });

  it("say the error alone where a sample has several values, and the old words for an old run", async () => {
    seq = 2;
    get("cw-page-wrong").click();
    await show({ queue: row({ target_value: null, predicted_value: null, error: 0.5 }) });
    expect(text()).toContain("off by 0.500");
    expect(text()).not.toContain("→");
    await show({ queue: row({}), status: { ...full.status, classes: ["usual error", "large error"] } });
    expect(text()).toContain("large error");
  });
});

describe("without a kernel", () => {
  it("a sample without a kept map says quietly what is kept, and a kept one is shown", async () => {
    mounted.test.controls.comm_live = false;
    mounted.test.fire(mounted.test.controlHandlers, "comm_live_update");
    await frame();
    expect(["saved", "gone"]).toContain(get("cw-root").getAttribute("data-connection"));
    get("cw-page-wrong").click();
    await frame();
    expect(get("cw-queue-item").title).not.toContain("No map of it was kept.");
    get("cw-page-risk").click();
    await frame();
    expect(get("cw-queue-item").title).toContain("No map of it was kept.");
    get("cw-queue-item").click();
    await frame();
    expect(document.querySelector("[data-level='error']")).toBeNull();
    expect(get("cw-placeholder").textContent).toContain("No map of sample 12 was kept");
    expect(get("cw-placeholder").textContent).toContain("its small picture"); // it is among the doubtful labels
    expect(get("cw-placeholder").querySelector("img")?.hidden).toBe(false);
    expect(document.querySelector(".cw-busy")?.textContent).toBe("no map");
    expect(document.querySelector(".cw-seen")?.textContent).toContain("قطة");
  });
});

describe("alarms", () => {
  it("stand in words with Undo beside them until they are over", async () => {
    seq = 2;
    await show({ advice: null });
    expect(get("cw-coach").getAttribute("role")).toBe("alert");
    expect(coach()).toContain("0.81 before, 0.40 now");
    expect(get("cw-ledger-item").textContent).toContain("a1"); // what it names is found in the list
    get("cw-coach").dispatchEvent(new PointerEvent("pointerenter"));
    await frame();
    expect(get("cw-ledger-item").hasAttribute("data-pointed")).toBe(true);
    const undo = get("cw-coach-act") as HTMLButtonElement;
    expect(undo.textContent).toBe("Undo a1");
    undo.click();
    expect(lastOf(mounted)).toMatchObject({ kind: "undo", intervention: "a1" });
    await frame();
    expect(undo.disabled).toBe(true);
    await show({ alarms: [] });
    expect(coach()).not.toContain("0.81 before");
  });

  it("can be put away, and one of the same kind that comes later is shown", async () => {
    seq = 2;
    await show({ advice: null, notices: [] });
    get("cw-coach-dismiss").click();
    await frame();
    expect(coach()).toBe("");
    await show({ alarms: [{ ...full.alarms[0], step: 900, intervention: null }] });
    expect(coach()).toContain("0.81 before");
    expect(get("cw-coach-act").hidden).toBe(true);
  });
});
