// Inferno, from control points: perceptually even and safe for colour-blind readers.

const POINTS: readonly (readonly [number, number, number])[] = [
  [0, 0, 4], [22, 11, 57], [66, 10, 104], [106, 23, 110], [147, 38, 103], [188, 55, 84],
  [221, 81, 58], [243, 120, 25], [252, 165, 10], [246, 215, 70], [252, 255, 164],
];

/** 256 colours, three bytes each. */
export const INFERNO: Uint8Array = (() => {
  const table = new Uint8Array(256 * 3);
  const spans = POINTS.length - 1;
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * spans;
    const left = Math.min(Math.floor(at), spans - 1);
    const share = at - left;
    for (let c = 0; c < 3; c++) {
      const from = POINTS[left]?.[c] ?? 0;
      const to = POINTS[left + 1]?.[c] ?? 0;
      table[i * 3 + c] = Math.round(from + (to - from) * share);
    }
  }
  return table;
})();

/**
 * Colour a map of bytes. Cold places are transparent, so that the picture stays visible where
 * the model does not look; `opacity` (0 to 1) is that of the hottest.
 */
export function colourMap(map: Uint8Array, opacity: number): Uint8ClampedArray<ArrayBuffer> {
  const pixels = new Uint8ClampedArray(map.length * 4);
  const strongest = clampByte(opacity * 255);
  for (let i = 0; i < map.length; i++) {
    const value = map[i] ?? 0;
    pixels[i * 4] = INFERNO[value * 3] ?? 0;
    pixels[i * 4 + 1] = INFERNO[value * 3 + 1] ?? 0;
    pixels[i * 4 + 2] = INFERNO[value * 3 + 2] ?? 0;
    pixels[i * 4 + 3] = strongest * Math.sqrt(value / 255);
  }
  return pixels;
}

/** RGB bytes with an opaque fourth channel. */
export function opaque(rgb: Uint8Array): Uint8ClampedArray<ArrayBuffer> {
  const count = Math.floor(rgb.length / 3);
  const pixels = new Uint8ClampedArray(count * 4);
  for (let i = 0; i < count; i++) {
    pixels[i * 4] = rgb[i * 3] ?? 0;
    pixels[i * 4 + 1] = rgb[i * 3 + 1] ?? 0;
    pixels[i * 4 + 2] = rgb[i * 3 + 2] ?? 0;
    pixels[i * 4 + 3] = 255;
  }
  return pixels;
}

function clampByte(value: number): number {
  return Math.min(255, Math.max(0, Math.round(value)));
}
