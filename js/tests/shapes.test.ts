// What is drawn is what is sent: runs of brushed cells, closed lines, and shapes that stay inside.
import { describe, expect, it } from "vitest";
import type { Point } from "../src/geometry";
import { boundsOf, brush, closed, crosses, fromRoi, moveShape, pathOf, rasterise, runs, toRoi, type Mask } from "../src/shapes";

const empty = (width: number, height: number): Mask => ({ form: "mask", width, height, cells: new Uint8Array(width * height) });
const triangle: Point[] = [{ x: 0.1, y: 0.1 }, { x: 0.9, y: 0.1 }, { x: 0.5, y: 0.8 }];

describe("masks", () => {
  it("are runs that begin outside, and come back the same", () => {
    const mask = brush(empty(8, 4), { x: 0.1, y: 0.1 }, { x: 0.7, y: 0.6 }, 0.1, 1);
    const lengths = runs(mask.cells);
    expect(lengths.reduce((sum, one) => sum + one, 0)).toBe(32);
    expect(runs(Uint8Array.from([1, 1, 0]))).toEqual([0, 2, 1]);
    expect(runs(Uint8Array.from([0, 1]))).toEqual([1, 1]);
    const back = fromRoi(toRoi(mask) as Record<string, unknown>);
    expect(back).toEqual(mask);
  });

  it("are painted without gaps by a fast pointer, and erased again", () => {
    const painted = brush(empty(32, 32), { x: 0.05, y: 0.5 }, { x: 0.95, y: 0.5 }, 0.04, 1);
    for (let x = 2; x < 30; x++) expect(painted.cells[16 * 32 + x]).toBe(1);
    const erased = brush(painted, { x: 0, y: 0.5 }, { x: 1, y: 0.5 }, 0.2, 0);
    expect(erased.cells.includes(1)).toBe(false);
    expect(painted.cells.includes(1)).toBe(true);
  });

  it("are not made of what no session records", () => {
    const bad = [
      {}, { box: [0, 0, 1] }, { box: [0, 0, "1", 1] }, { polygon: [null, 1] }, { polygon: [[0, 1], [0.5]] }, { mask: null },
      { mask: { height: -1, width: 5, rle: [1] } }, { mask: { height: 2, width: 2, rle: [null] } }, { mask: { height: 1e5, width: 1e5, rle: [] } },
    ];
    expect(bad.map(fromRoi)).toEqual(bad.map(() => null));
    expect(fromRoi({ box: [0, 0, 1, 1] })).not.toBeNull();
  });

  it("move by whole cells up to the edge", () => {
    const mask = brush(empty(10, 10), { x: 0.05, y: 0.05 }, { x: 0.05, y: 0.05 }, 0.01, 1);
    const moved = moveShape(mask, 5, 0.5);
    expect(boundsOf(moved)).toEqual([0.9, 0.5, 1, 0.6]);
  });

  it("have a rim round every cell", () => {
    const mask = brush(empty(2, 2), { x: 0.2, y: 0.2 }, { x: 0.2, y: 0.2 }, 0.01, 1);
    expect(pathOf(mask).area).toBe("M0 0H0.5V0.5H0Z");
    expect(pathOf(mask).rim.match(/M/g)).toHaveLength(4);
  });
});

describe("closed lines", () => {
  it("become polygons", () => {
    expect(closed(triangle, 32, 32)).toEqual({ form: "polygon", points: triangle });
    expect(toRoi({ form: "polygon", points: triangle })).toEqual({ polygon: [[0.1, 0.1], [0.9, 0.1], [0.5, 0.8]] });
  });

  it("that cross themselves become brushed cells, which the kernel takes", () => {
    const bow = [{ x: 0.1, y: 0.1 }, { x: 0.9, y: 0.9 }, { x: 0.9, y: 0.1 }, { x: 0.1, y: 0.9 }];
    expect(crosses(bow)).toBe(true);
    expect(crosses(triangle)).toBe(false);
    expect(closed(bow, 32, 32)?.form).toBe("mask");
  });

  it("of two points, or too small, are none", () => {
    expect(closed(triangle.slice(0, 2), 32, 32)).toBeNull();
    expect(closed(triangle.map(({ x, y }) => ({ x: x / 100, y: y / 100 })), 32, 32)).toBeNull();
  });
});

describe("rasterise", () => {
  it("takes the cells whose centre is inside, as the kernel does", () => {
    const mask = rasterise({ form: "box", box: [0.25, 0, 0.75, 0.5] }, 4, 4);
    expect([...mask.cells]).toEqual([0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  });
});
