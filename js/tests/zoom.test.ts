// Looking closer at a long series, and a long text that is folded to where its map is.
import { describe, expect, it } from "vitest";
import "../src/kinds.css";
import { foldsOf } from "../src/modalities/folds";
import { holding, moved, WHOLE, zoomed } from "../src/modalities/zoom";
import { placeOf, pointer, showContent } from "./kinds";
import { frame, get, lastOf, mountEach, press } from "./mounted";

const mounted = mountEach();
const LENGTH = 400;
const series = { kind: "series", channels: [{ name: "", values: Array.from({ length: LENGTH }, (_, i) => Math.sin(i / 9)) }], length: LENGTH };
const hot = (count: number, ...at: number[]): number[] => Array.from({ length: count }, (_, i) => (at.includes(i) ? 255 : 0));
const plot = (): Element => get("cw-curves").querySelector(".cw-curve-plot") as Element;
const seen = (): number[] => (plot().querySelector("svg")?.getAttribute("viewBox") ?? "").split(" ").map(Number);
const wheel = (share: number, more: WheelEventInit): WheelEvent => {
  const [clientX, clientY] = placeOf(plot(), share);
  const event = new WheelEvent("wheel", { bubbles: true, cancelable: true, clientX, clientY, ...more });
  plot().dispatchEvent(event);
  return event;
};

describe("a stretch of a series", () => {
  it("keeps the place where it is, and never leaves the series", () => {
    expect(zoomed(WHOLE, 0.5, 0.25, 1000)).toEqual([0.125, 0.625]);
    expect(zoomed([0.125, 0.625], 2, 0.25, 1000)).toEqual(WHOLE);
    const closest = zoomed(WHOLE, 0.001, 1, 100);
    expect(closest[1]).toBe(1);
    expect(closest[1] - closest[0]).toBeCloseTo(0.08);
    expect(zoomed(WHOLE, 0.5, 0.5, 6)).toEqual(WHOLE); // all eight steps and fewer are always seen
    expect(moved([0.5, 0.75], 1)).toEqual([0.75, 1]);
    expect(moved([0.5, 0.75], -1)).toEqual([0, 0.25]);
    expect(holding([0.25, 0.5], 0.75)).toEqual([0.5, 0.75]);
    expect(holding([0.25, 0.5], 0.3)).toEqual([0.25, 0.5]);
  });

  it("is seen closer by Ctrl and the wheel at the place that is pointed at; a bare wheel is the page's", async () => {
    await showContent(mounted, series, hot(LENGTH, 5));
    expect(wheel(0.75, { deltaY: -100 }).defaultPrevented).toBe(false);
    expect(seen()).toEqual([0, 0, 1, 1]);
    const box = plot().getBoundingClientRect();
    const turned = wheel(0.75, { deltaY: -100, ctrlKey: true });
    const share = (turned.clientX - box.left) / box.width; // a wheel is at a whole pixel
    expect(turned.defaultPrevented).toBe(true);
    const [from = 0, , width = 1] = seen();
    expect(width).toBeCloseTo(Math.exp(-0.4), 5);
    expect(from + share * width).toBeCloseTo(share, 2);
    wheel(0.5, { deltaX: -500 });
    expect(seen()[0]).toBeLessThan(from);
    get("cw-zoom-all").click();
    expect(seen()).toEqual([0, 0, 1, 1]);
  });

  it("is marked by the steps that are seen there, and moved by a drag with Shift", async () => {
    await showContent(mounted, series, hot(LENGTH, 5));
    const list = get("cw-curves");
    press(list, "Home");
    press(list, "+");
    press(list, "+");
    press(list, "Home");
    expect(seen()[0]).toBeCloseTo(0, 2);
    expect(seen()[2]).toBeCloseTo(0.25, 5);
    expect([...document.querySelectorAll(".cw-axis > span")].map((one) => one.textContent)).toEqual(["0", "50", "100"]);
    const [x, y] = placeOf(plot(), 0.9);
    list.firstElementChild?.dispatchEvent(new PointerEvent("pointerdown", { bubbles: true, cancelable: true, isPrimary: true, button: 0, pointerId: 1, shiftKey: true, clientX: x, clientY: y }));
    pointer(list, "pointermove", placeOf(plot(), 0.1)[0], y);
    pointer(list, "pointerup", placeOf(plot(), 0.1)[0], y);
    expect(seen()[0]).toBeCloseTo(0.2, 2);
    press(list, "Home");
    expect(seen()[0]).toBeCloseTo(0, 2);
    pointer(plot(), "pointerdown", ...placeOf(plot(), 0.405));
    pointer(list, "pointermove", ...placeOf(plot(), 0.795));
    pointer(list, "pointerup", ...placeOf(plot(), 0.795));
    await frame();
    get("cw-submit").click();
    expect((lastOf(mounted)["strokes"] as { roi: unknown }[]).map((one) => one.roi)).toEqual([{ interval: [0.1, 0.2] }]);
    press(list, "0");
    expect(seen()).toEqual([0, 0, 1, 1]);
  });
});

describe("a long text", () => {
  const words = Array.from({ length: 300 }, (_, i) => ({ text: `w${i}`, units: [i] }));
  const text = { kind: "text", words, length: 300 };
  const token = (i: number): HTMLElement => get("cw-words").children[i] as HTMLElement;
  const shown = (): number => [...get("cw-words").children].filter((one) => !(one as HTMLElement).hidden).length;

  it("is folded only where it is long, far from what tells, and worth it", () => {
    const values = hot(300, 150);
    expect(foldsOf(values, [])).toEqual([[0, 140], [161, 300]]);
    expect(foldsOf(values, values.map((_, i) => i === 8))).toEqual([[19, 140], [161, 300]]);
    expect(foldsOf(hot(300, 20), [])).toEqual([[31, 300]]); // ten words at its start are not worth it
    expect(foldsOf(hot(60, 5), [])).toEqual([]);
    expect(foldsOf(hot(300), [])).toEqual([]);
  });

  it("opens where the map is; a click, a key or a button unfolds, and no word is marked by that", async () => {
    await showContent(mounted, text, hot(300, 150));
    expect(shown()).toBe(23);
    expect(token(0).textContent).toBe("… 140 words …");
    const list = get("cw-words");
    press(list, "Home");
    expect(list.getAttribute("aria-activedescendant")).toBe(token(0).id);
    press(list, "ArrowRight"); // over the fold
    expect(list.getAttribute("aria-activedescendant")).toBe(token(140).id);
    press(list, "ArrowLeft");
    press(list, " ");
    expect(shown()).toBe(162);
    token(161).scrollIntoView({ block: "nearest" });
    pointer(token(161), "pointerdown", ...placeOf(token(161)));
    pointer(list, "pointerup", ...placeOf(token(161)));
    expect(shown()).toBe(300);
    await frame();
    expect(get("cw-marks").children).toHaveLength(0);
    get("cw-fold").click();
    expect(shown()).toBe(23);
  });
});
