// A sample with several inputs: the parts side by side with their shares, each marked as its kind is.
import { beforeEach, describe, expect, it } from "vitest";
import { showContent, tellOf } from "./kinds";
import { frame, get, lastOf, mountEach, press } from "./mounted";

const mounted = mountEach();
const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
const words = ["is", "<b>red</b>", "now"].map((text, i) => ({ text, units: [i] }));
const part = (name: string, units: [number, number], extent: number[], content: Record<string, unknown> | null): Record<string, unknown> =>
  ({ name, kind: content?.["kind"] ?? "image", units, extent, content, picture: content === null ? PNG : null, shown: content === null });
const CONTENT = {
  kind: "parts",
  parts: [
    part("image", [0, 4], [2, 2], null),
    part("question", [4, 7], [3], { kind: "text", words, length: 3 }),
    part("<i>age</i>", [7, 9], [2], { kind: "table", rows: [{ name: "age", text: "3", at: 0.5, units: [0] }, { name: "sex", text: "f", at: null, units: [1] }] }),
  ],
};
const CELLS = [0, 60, 0, 0, 10, 255, 20, 30, 5];
const SHARES = [{ name: "image", share: 0.2 }, { name: "question", share: 0.7 }];
const of = (name: string): HTMLElement => {
  const found = [...get("cw-parts-stage").querySelectorAll<HTMLElement>("[data-part]")].find((one) => one.dataset["part"] === name);
  if (!found) throw new Error(`no ${name}`);
  return found;
};
const word = (text: string): HTMLElement => {
  const found = [...of("question").querySelectorAll<HTMLElement>(".cw-token")].find((one) => one.textContent === text);
  if (!found) throw new Error(`no ${text}`);
  return found;
};

describe("a sample with several inputs", () => {
  beforeEach(async () => {
    await showContent(mounted, CONTENT, CELLS, { shares: SHARES });
  });

  it("shows each part as its kind is drawn, under its places of the map, with its share", () => {
    expect(of("question").getAttribute("aria-label")).toBe("question: 0.70 of the answer");
    expect(of("question").querySelector<HTMLElement>(".cw-share-bar")?.style.getPropertyValue("--cw-share")).toBe("0.700");
    expect(of("<i>age</i>").querySelector(".cw-share-figure")?.textContent).toBe("share not defined");
    expect(get("cw-parts-stage").querySelector("b, i")).toBeNull();
    expect(Number(word("<b>red</b>").style.getPropertyValue("--cw-heat"))).toBeCloseTo(0.7, 2);
    expect(of("image").querySelector("canvas")).not.toBeNull();
    expect(of("<i>age</i>").querySelectorAll("[data-feature]")).toHaveLength(2);
  });

  it("marks on each part, and sends which one is meant", async () => {
    const list = of("question").querySelector<HTMLElement>("[role=listbox]");
    list?.focus();
    press(list as Element, "Home");
    press(list as Element, " ");
    of("<i>age</i>").querySelector<HTMLElement>("[data-feature=sex]")?.click();
    const picture = of("image").querySelector("svg[role=application]") as Element;
    press(picture, " ");
    press(picture, "ArrowRight", { shiftKey: true });
    press(picture, "ArrowDown", { shiftKey: true });
    press(picture, " ");
    await frame();
    expect(word("is").getAttribute("aria-selected")).toBe("true");
    expect(of("<i>age</i>").querySelector("[data-feature=sex]")?.getAttribute("aria-selected")).toBe("true");
    expect(of("<i>age</i>").querySelectorAll(".cw-mark")).toHaveLength(1);
    get("cw-submit").click();
    const strokes = lastOf(mounted)["strokes"] as { kind: string; roi: Record<string, unknown> }[];
    expect(strokes[0]).toEqual({ kind: "ignore", roi: { words: [0, 1], part: "question" } });
    expect(strokes[1]).toEqual({ kind: "ignore", roi: { features: ["sex"], part: "<i>age</i>" } });
    expect(strokes[2]?.roi["part"]).toBe("image");
    expect(strokes[2]?.roi["box"]).toHaveLength(4);
  });

  it("shows what the ledger holds on the part that it is about, on the stage and in the list", async () => {
    await tellOf(mounted, { words: [1, 2], part: "question" });
    expect(word("<b>red</b>").getAttribute("data-given")).toBe("ignore");
    expect(of("<i>age</i>").querySelector("[data-given]")).toBeNull();
    const glance = get("cw-ledger").querySelector(".cw-glance[data-kind=parts]");
    expect(glance?.querySelector("img")?.getAttribute("src")).toBe(`data:image/png;base64,${PNG}`);
    expect(glance?.querySelector(".cw-token[data-kind=ignore]")?.textContent).toBe("<b>red</b>");
  });

  it("is drawn as a picture where the parts are none", async () => {
    await showContent(mounted, { kind: "parts", parts: [{ name: 3 }] }, CELLS);
    expect(get("cw-parts-stage").hidden).toBe(true);
  });
});
