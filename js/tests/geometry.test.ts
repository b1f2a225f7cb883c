// Boxes stay inside the picture, keep their order and their smallest size, whatever is done to them.
import { describe, expect, it } from "vitest";
import { boxBetween, centredBox, handleAt, HANDLES, MIN_SIDE, moveBox, placeName, resizeBox } from "../src/geometry";
import type { Box } from "../src/protocol";

/** Repeatable numbers in [-1, 2), so that many leave the picture. */
function* numbers(seed: number): Generator<number, never> {
  let x = seed;
  for (;;) {
    x = (x * 1103515245 + 12345) % 2147483648;
    yield (x / 2147483648) * 3 - 1;
  }
}

function expectInside([x0, y0, x1, y1]: Box): void {
  expect(Math.min(x0, y0)).toBeGreaterThanOrEqual(0);
  expect(Math.max(x1, y1)).toBeLessThanOrEqual(1);
  expect(x1 - x0).toBeGreaterThanOrEqual(MIN_SIDE - 1e-4);
  expect(y1 - y0).toBeGreaterThanOrEqual(MIN_SIDE - 1e-4);
}

describe("boxes", () => {
  it("orders the corners of a drag in any direction", () => {
    expect(boxBetween({ x: 0.6, y: 0.7 }, { x: 0.2, y: 0.1 })).toEqual([0.2, 0.1, 0.6, 0.7]);
  });

  it("takes a click for no box", () => {
    expect(boxBetween({ x: 0.5, y: 0.5 }, { x: 0.505, y: 0.9 })).toBeNull();
  });

  it("moves without changing size, up to the edge", () => {
    expect(moveBox([0.2, 0.2, 0.4, 0.5], 5, -5)).toEqual([0.8, 0, 1, 0.3]);
  });

  it("pulls one corner and leaves the other", () => {
    expect(resizeBox([0.2, 0.2, 0.4, 0.4], "se", 0.1, 0.2)).toEqual([0.2, 0.2, 0.5, 0.6]);
    expect(resizeBox([0.2, 0.2, 0.4, 0.4], "w", 0.9, 0.9)).toEqual([0.38, 0.2, 0.4, 0.4]);
  });

  it("stays inside for a thousand random pulls", () => {
    const next = numbers(7);
    let box: Box = centredBox(0);
    for (let i = 0; i < 1000; i++) {
      const dx = next.next().value;
      const dy = next.next().value;
      box = i % 3 === 0 ? moveBox(box, dx, dy) : resizeBox(box, HANDLES[i % 8] ?? "se", dx, dy);
      expectInside(box);
    }
  });

  it("puts handles on the border", () => {
    expect(handleAt([0, 0, 1, 0.5], "n")).toEqual({ x: 0.5, y: 0 });
    expect(handleAt([0, 0, 1, 0.5], "se")).toEqual({ x: 1, y: 0.5 });
  });

  it("names places", () => {
    expect(placeName([0, 0, 0.2, 0.2])).toBe("upper left");
    expect(placeName([0.4, 0.4, 0.6, 0.6])).toBe("centre");
    expect(placeName([0.8, 0.4, 1, 0.6])).toBe("right");
    expect(placeName([0.4, 0.8, 0.6, 1])).toBe("bottom");
  });
});
