// PNG bytes shown in images.

import { setAttr } from "./dom";

/** Show PNG bytes in an image; null for none. By a data URL: a Blob's goes through a second process. */
export function showThumbnail(image: HTMLImageElement, png: Uint8Array | null): void {
  setAttr(image, "data-empty", png === null);
  setAttr(image, "src", png && `data:image/png;base64,${btoa(String.fromCharCode(...png))}`);
}
