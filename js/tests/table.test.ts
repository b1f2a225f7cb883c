// A row of a table on the stage, in lists and in the ledger.
import { beforeEach, describe, expect, it } from "vitest";
import { standing, weighed } from "../src/modalities/table";
import { showContent, tellOf } from "./kinds";
import { frame, get, lastOf, mountEach, press } from "./mounted";

const mounted = mountEach();
const row = (name: string, units: number[], at: number | null = null): Record<string, unknown> => ({ name, text: `${name}!`, at, units });
const CONTENT = {
  kind: "table",
  rows: [row("age", [0], 0.25), row("<i>region</i>", [1, 2]), row("leak", [3], 1), ...Array.from({ length: 6 }, (_, i) => row(`small ${i}`, [4 + i]))],
};
const CELLS = [40, 60, 60, 255, 1, 2, 3, 4, 5, 6];
const shown = (): (string | undefined)[] => [...get("cw-features").querySelectorAll<HTMLElement>("[data-feature]")].map((one) => one.dataset["feature"]);
const feature = (name: string): HTMLElement => {
  const found = [...get("cw-features").querySelectorAll<HTMLElement>("[data-feature]")].find((one) => one.dataset["feature"] === name);
  if (!found) throw new Error(`no ${name}`);
  return found;
};

describe("a row of a table", () => {
  beforeEach(async () => {
    await showContent(mounted, CONTENT, CELLS, { bbox: [0.3, 0, 0.4, 1] });
  });

  it("is shown with the weightiest first, places of a group together, small ones gathered", async () => {
    expect(shown()).toEqual(["leak", "<i>region</i>", "age"]);
    expect(get("cw-features").querySelector("i")).toBeNull();
    const bar = feature("<i>region</i>").querySelector<HTMLElement>(".cw-feature-bar");
    expect(Number(bar?.style.getPropertyValue("--cw-share"))).toBeCloseTo(120 / 255, 2);
    expect(feature("age").textContent).toBe("ageage!, weight 16 %, 25 % of the way from the least to the most");
    expect(feature("leak").hasAttribute("data-framed")).toBe(true);
    expect(get("cw-others").textContent).toBe("6 others, 0.05 of the weight together");
    get("cw-others").click();
    expect(shown()).toHaveLength(9);
    get("cw-others").click();
    expect(shown()).toHaveLength(3);
    get("cw-view-off").click();
    await frame();
    expect(shown().slice(0, 3)).toEqual(["age", "<i>region</i>", "leak"]);
  });

  it("marks by click and by keyboard, and stands beside what the ledger holds", async () => {
    feature("leak").click();
    await frame();
    expect(feature("leak").getAttribute("aria-selected")).toBe("true");
    feature("leak").focus();
    press(feature("leak"), "ArrowDown");
    expect(document.activeElement).toBe(feature("<i>region</i>"));
    get("cw-tool-look").click();
    press(feature("<i>region</i>"), " ");
    press(feature("<i>region</i>"), "End");
    expect(document.activeElement).toBe(feature("age"));
    press(feature("age"), " ");
    press(feature("age"), "Delete");
    await frame();
    expect(get("cw-marks").textContent).toContain("look at <i>region</i>");
    get("cw-submit").click();
    expect(lastOf(mounted)["strokes"]).toEqual([{ kind: "ignore", roi: { features: ["leak"] } }, { kind: "look", roi: { features: ["<i>region</i>"] } }]);
    await tellOf(mounted, { features: ["small 3"] });
    expect(feature("small 3").getAttribute("data-given")).toBe("ignore"); // no longer one of the others
    expect(get("cw-ledger").querySelector(".cw-glance .cw-feature[data-kind='ignore'] .cw-feature-name")?.textContent).toBe("small 3");
  });

  it("tells by one press whether the framed feature is the reason", () => {
    get("cw-right-reason").click();
    expect(lastOf(mounted)["strokes"]).toEqual([{ kind: "look", roi: { features: ["leak"] } }]);
  });

  it("stands in the list as the three most telling features", () => {
    const names = [...get("cw-queue").querySelectorAll("[data-index='4187'] .cw-feature-name")].map((one) => one.textContent);
    expect(names).toEqual(["leak", "<i>region</i>", "age"]);
  });
});

it("never gathers a single feature, and at least three stand by themselves", () => {
  const rows = (count: number): Parameters<typeof weighed>[0] => Array.from({ length: count }, (_, i) => ({ name: `f${i}`, text: "", at: null, units: [i] }));
  expect(standing(weighed(rows(4), Float32Array.of(1, 0, 0, 0)), true)).toBe(4);
  expect(standing(weighed(rows(8), Float32Array.of(1, 0, 0, 0, 0, 0, 0, 0)), true)).toBe(3);
  expect(standing(weighed(rows(40), new Float32Array(40).fill(1)), true)).toBe(12);
  expect(weighed(rows(2), Float32Array.of(0, 0)).map((one) => one.share)).toEqual([0, 0]);
});
