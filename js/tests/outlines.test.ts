// A picture whose pixels have a class each, in a mounted dashboard: outlines, and a region chosen.
import { describe, expect, it } from "vitest";
import { borders } from "../src/outlines";
import { buffers, raw } from "./fixtures";
import { frame, get, lastOf, mountEach, press } from "./mounted";

const mounted = mountEach();
const bytes = (...values: number[]): DataView => new DataView(Uint8Array.from(values).buffer);
// Left and right halves; the model has the border one column too far to the right.
const TRUTH = [0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 255, 0, 1, 1];
const SAID = [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1];
const REGION = SAID;

async function segmented(): Promise<void> {
  const known = buffers(raw.updateFull);
  const explanation = { ...raw.updateFull.message.explanation, truth_buffer: known.length, said_buffer: known.length + 1, region_buffer: known.length + 2 };
  mounted.test.receive({ kind: "update", seq: 2, full: false, explanation }, [...known, bytes(...TRUTH), bytes(...SAID), bytes(...REGION)]);
  await frame();
}

/** A press and a release on the picture, in fractions of it. */
function click(from: readonly [number, number], to: readonly [number, number] = from): void {
  const picture = get("cw-picture");
  picture.setPointerCapture = () => undefined;
  picture.getBoundingClientRect = () => new DOMRect(0, 0, 100, 100);
  const at = (type: string, [x, y]: readonly [number, number]): void => {
    picture.dispatchEvent(new PointerEvent(type, { bubbles: true, cancelable: true, isPrimary: true, button: 0, pointerId: 1, clientX: 100 * x, clientY: 100 * y }));
  };
  at("pointerdown", from);
  at("pointermove", to);
  at("pointerup", to);
}

describe("outlines", () => {
  it("are the borders between cells of different values", () => {
    expect(borders(Uint8Array.from(SAID), 4, 4)).toBe("M0.75 0V1");
    expect(borders(Uint8Array.from([0, 1, 0, 0]), 2, 2)).toBe("M0.5 0V0.5M0.5 0.5H1");
    expect(borders(new Uint8Array(16), 4, 4)).toBe("");
  });

  it("are drawn where each pixel has a class, and taken away by a key", async () => {
    const drawing = get("cw-outlines");
    expect(drawing.getAttribute("visibility")).toBe("hidden");
    await segmented();
    expect(drawing.getAttribute("visibility")).toBe(null);
    expect(drawing.querySelector(".cw-said")?.getAttribute("d")).toBe("M0.75 0V1");
    expect(drawing.querySelector(".cw-truth")?.getAttribute("d")).toContain("M0.5 0V1");
    press(get("cw-root"), "v");
    await frame();
    expect(drawing.getAttribute("visibility")).toBe("hidden");
    expect(get("cw-outlines-toggle").getAttribute("aria-pressed")).toBe("false");
  });

  it("choose the region under a click, and leave a drag to the box", async () => {
    await segmented();
    click([0.6, 0.2]);
    const { index } = raw.updateFull.message.explanation;
    expect(lastOf(mounted)).toMatchObject({ kind: "explain", index, at: [0.6, 0.2] });
    expect(get("cw-place-words").textContent).toContain("seen as cat");
    const sent = mounted.test.sent.length;
    click([0.1, 0.1], [0.5, 0.5]);
    await frame();
    expect(mounted.test.sent).toHaveLength(sent);
    expect(document.querySelectorAll(".cw-stroke")).toHaveLength(1);
  });

  it("choose the region under the cross by Enter, and say what is there", async () => {
    await segmented();
    const picture = get("cw-picture");
    press(picture, "ArrowRight");
    press(picture, "ArrowRight", { shiftKey: true });
    await frame();
    expect(get("cw-place-words").textContent).toContain("seen as cat");
    press(picture, "Enter");
    expect(lastOf(mounted)).toMatchObject({ kind: "explain", at: [0.58, 0.5] });
  });

  it("leave a click on other samples without an answer", () => {
    const sent = mounted.test.sent.length;
    click([0.6, 0.2]);
    expect(mounted.test.sent).toHaveLength(sent);
  });
});
