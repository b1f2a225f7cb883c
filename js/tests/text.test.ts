// A text on the stage, in lists and in the ledger.
import { beforeEach, describe, expect, it } from "vitest";
import "../src/kinds.css";
import { covers, stretch } from "../src/modalities/text";
import { frame, get, lastOf, mountEach, press } from "./mounted";
import { placeOf, pointer, showContent, tellOf } from "./kinds";

const mounted = mountEach();
const WORDS = [
  { text: "a", units: [1] }, { text: "<b>great</b>", units: [2, 3] }, { text: "film", units: [4] }, { text: "with", units: [5] }, { text: "a", units: [6] }, { text: "heart", units: [7] },
];
const CONTENT = { kind: "text", words: WORDS, length: 9 };
const CELLS = [0, 10, 90, 255, 20, 0, 0, 128, 0];
const tokens = (): HTMLElement[] => [...get("cw-words").querySelectorAll<HTMLElement>("[role='option']")];
const strokes = async (): Promise<unknown> => {
  await frame();
  get("cw-submit").click();
  return (lastOf(mounted)["strokes"] as { kind: string; roi: unknown }[]).map((one) => [one.kind, one.roi]);
};
const click = (i: number): void => {
  const at = placeOf(tokens()[i] as Element);
  pointer(tokens()[i] as Element, "pointerdown", ...at);
  pointer(get("cw-words"), "pointerup", ...at);
};

describe("a text", () => {
  beforeEach(async () => {
    await showContent(mounted, CONTENT, CELLS, { bbox: [2 / 9, 0, 4 / 9, 1] });
  });

  it("is shown as words that are text, coloured by the strongest of their places", () => {
    expect(tokens().map((one) => one.textContent)).toEqual(WORDS.map((one) => one.text));
    expect(get("cw-words").querySelector("b")).toBeNull();
    const heat = tokens().map((one) => Number(one.style.getPropertyValue("--cw-heat")));
    expect(heat[1]).toBeCloseTo(0.7, 2);
    expect(heat[5]).toBeCloseTo(0.35, 2);
    expect(heat[3]).toBe(0);
    expect(tokens()[1]?.getAttribute("aria-label")).toBe("<b>great</b>, weight 100 %");
    expect(tokens().map((one) => one.hasAttribute("data-framed"))).toEqual([false, true, false, false, false, false]);
    expect(document.querySelector<HTMLElement>(".cw-picture")?.offsetParent).toBeNull();
    expect(get("cw-shape-box").offsetParent).toBeNull();
    expect(get("cw-instruction").getAttribute("placeholder")).toContain("ignore \"great\"");
  });

  it("goes uncoloured without the map", async () => {
    get("cw-view-off").click();
    await frame();
    expect(get("cw-view-off").textContent).toBe("Words");
    expect(tokens().every((one) => Number(one.style.getPropertyValue("--cw-heat")) === 0)).toBe(true);
    expect(document.querySelector("[data-framed]")).toBeNull();
  });

  it("marks the word that is clicked, and takes the mark away by another click", async () => {
    click(1);
    await frame();
    expect(tokens()[1]?.getAttribute("data-kind")).toBe("ignore");
    expect(get("cw-marks").textContent).toContain("ignore “<b>great</b>”");
    click(1);
    await frame();
    expect(tokens()[1]?.hasAttribute("data-kind")).toBe(false);
    click(1);
    expect(await strokes()).toEqual([["ignore", { words: [2, 4] }]]);
  });

  it("marks the words of a drag, in token places", async () => {
    const last = tokens()[3] as Element;
    pointer(tokens()[1] as Element, "pointerdown", ...placeOf(tokens()[1] as Element));
    pointer(get("cw-words"), "pointermove", ...placeOf(last));
    pointer(get("cw-words"), "pointerup", ...placeOf(last));
    expect(await strokes()).toEqual([["ignore", { words: [2, 6] }]]);
  });

  it("marks a word wherever it stands, and says so for the one marked before", async () => {
    click(0);
    await frame();
    get("cw-wherever").click();
    await frame();
    expect(get("cw-wherever").textContent).toBe("“a” wherever it stands");
    expect(tokens().map((one) => one.getAttribute("data-kind"))).toEqual(["ignore", null, null, null, "ignore", null]);
    get("cw-tool-look").click();
    click(2);
    expect(await strokes()).toEqual([["ignore", { word: "a" }], ["look", { word: "film" }]]);
  });

  it("is led by keyboard: arrows move, Shift chooses several, Space marks, Delete takes away", async () => {
    const list = get("cw-words");
    const at = (): string | undefined => document.getElementById(list.getAttribute("aria-activedescendant") ?? "")?.dataset["word"];
    expect(at()).toBe("1"); // where the map is strongest
    press(list, "ArrowRight");
    press(list, "ArrowRight", { shiftKey: true });
    await frame();
    expect(at()).toBe("3");
    press(list, " ");
    press(list, "End");
    press(list, " ");
    await frame();
    expect(tokens()[5]?.getAttribute("aria-selected")).toBe("true");
    press(list, "Delete");
    expect(await strokes()).toEqual([["ignore", { words: [4, 6] }]]);
  });

  it("tells by one press that the framed words are the reason, or not", () => {
    get("cw-wrong-reason").click();
    expect(lastOf(mounted)["strokes"]).toEqual([{ kind: "ignore", roi: { words: [2, 4] } }]);
  });

  it("stands in the list and the ledger as its words", async () => {
    await tellOf(mounted, { word: "Film" });
    const card = get("cw-queue").querySelector("[data-index='4187'] .cw-glance");
    expect(card?.textContent.trim()).toBe(WORDS.map((one) => one.text).join(" "));
    expect(card?.querySelector("b")).toBeNull();
    const told = get("cw-ledger").querySelectorAll(".cw-glance .cw-token[data-kind='ignore']");
    expect([...told].map((one) => one.textContent)).toEqual(["film"]);
    expect(tokens()[2]?.getAttribute("data-given")).toBe("ignore");
  });

  it("is a picture all the same where its content is not what was promised", async () => {
    await showContent(mounted, { kind: "text", words: [{ text: 3, units: [] }], length: 1 }, [1, 2, 3, 4]);
    expect(document.querySelector<HTMLElement>(".cw-picture")?.offsetParent).not.toBeNull();
    expect(get("cw-text").offsetParent).toBeNull();
  });
});

it("covers token places, half open, and words in any case", () => {
  const word = { text: "Great", units: [3, 4] };
  const marks = (roi: Record<string, unknown>): boolean => covers({ kind: "ignore", roi }, word);
  expect([marks({ words: [4, 5] }), marks({ words: [0, 3] }), marks({ words: [5, 9] }), marks({ word: "great" }), marks({ word: "greater" }), marks({ box: [0, 0, 1, 1] })])
    .toEqual([true, false, false, true, false, false]);
  expect(stretch(WORDS, 3, 1)).toEqual({ words: [2, 6] });
});
