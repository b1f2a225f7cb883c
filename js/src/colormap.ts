// Colour maps from control points: perceptually even and safe for colour-blind readers.

const POINTS = {
  inferno: "000004160b39420a686a176e932667bc3754dd513af37819fca50af6d746fcffa4",
  viridis: "440154482475414487355f8d2a788e21918c22a88444bf707ad151bddf26fde725",
  cividis: "00224e1235703b496c575d6d7071738a8678a59c74c3b369e1cc55fee838",
};

export const PALETTES: readonly string[] = Object.keys(POINTS);

/** 256 colours, three bytes each. */
function table256(points: string): Uint8Array {
  const colours = (points.match(/.{6}/g) ?? []).map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  const table = new Uint8Array(256 * 3);
  const spans = colours.length - 1;
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * spans;
    const left = Math.min(Math.floor(at), spans - 1);
    const share = at - left;
    for (let c = 0; c < 3; c++) {
      const from = colours[left]?.[c] ?? 0;
      const to = colours[left + 1]?.[c] ?? 0;
      table[i * 3 + c] = Math.round(from + (to - from) * share);
    }
  }
  return table;
}

const TABLES = new Map(Object.entries(POINTS).map(([name, points]) => [name, table256(points)]));
export const INFERNO: Uint8Array = TABLES.get("inferno") ?? new Uint8Array(768);

/**
 * Colour a map of bytes. Cold places are transparent, so that the picture stays visible where
 * the model does not look, and so are those below `threshold` (0 to 1); `opacity` (0 to 1) is
 * that of the hottest.
 */
export function colourMap(map: Uint8Array, opacity: number, threshold = 0, palette = "inferno"): Uint8ClampedArray<ArrayBuffer> {
  const table = TABLES.get(palette) ?? INFERNO;
  const least = threshold * 255;
  const pixels = new Uint8ClampedArray(map.length * 4);
  const strongest = clampByte(opacity * 255);
  for (let i = 0; i < map.length; i++) {
    const value = map[i] ?? 0;
    if (value < least) continue;
    pixels[i * 4] = table[value * 3] ?? 0;
    pixels[i * 4 + 1] = table[value * 3 + 1] ?? 0;
    pixels[i * 4 + 2] = table[value * 3 + 2] ?? 0;
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
