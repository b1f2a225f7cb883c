// The sample's picture with its map, enlarged without blur and coloured here.

import { colourMap, opaque } from "./colormap";
import { h } from "./dom";
import type { Explanation } from "./protocol";
import type { MapName } from "./state";

function bitmap(pixels: Uint8ClampedArray<ArrayBuffer>, width: number, height: number): HTMLCanvasElement {
  const canvas = h("canvas", { width, height });
  canvas.getContext("2d")?.putImageData(new ImageData(pixels, width, height), 0, 0);
  return canvas;
}

/** How a map is laid over the picture. */
export interface Look {
  opacity: number;
  threshold: number;
  palette: string;
}

/** Paints on one canvas; what has not changed since the last time is kept. */
export class Picture {
  readonly canvas = h("canvas", { class: "cw-canvas", role: "img" });
  #picture: { of: Uint8Array; bitmap: HTMLCanvasElement } | null = null;
  #map: { of: Uint8Array; look: string; bitmap: HTMLCanvasElement } | null = null;

  paint(explanation: Explanation, map: MapName | "off", { opacity, threshold, palette }: Look): void {
    const { picture, width, height } = explanation;
    const context = this.canvas.getContext("2d");
    if (context === null || picture === null) return;
    if (this.#picture?.of !== picture) this.#picture = { of: picture, bitmap: bitmap(opaque(picture), width, height) };
    // A whole number of device pixels a picture pixel would leave a border; so many that nobody sees it will do.
    const scale = Math.max(1, Math.round(1024 / Math.max(width, height)));
    if (this.canvas.width !== width * scale || this.canvas.height !== height * scale) {
      this.canvas.width = width * scale;
      this.canvas.height = height * scale;
    }
    context.imageSmoothingEnabled = false;
    context.drawImage(this.#picture.bitmap, 0, 0, this.canvas.width, this.canvas.height);
    const values = map === "off" ? null : explanation.maps[map];
    if (values === null) return;
    const look = `${opacity} ${threshold} ${palette}`;
    if (this.#map?.of !== values || this.#map.look !== look) {
      const pixels = colourMap(values, opacity, threshold, palette);
      this.#map = { of: values, look, bitmap: bitmap(pixels, explanation.map_width, explanation.map_height) };
    }
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#map.bitmap, 0, 0, this.canvas.width, this.canvas.height);
  }
}
