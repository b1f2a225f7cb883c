// PNG bytes shown in images.

import { setAttr } from "./dom";

/** Show PNG bytes in an image; null for none. By a data URL: a Blob's goes through a second process. */
export function showThumbnail(image: HTMLImageElement, png: Uint8Array | null): void {
  let bytes = "";
  for (const byte of png ?? []) bytes += String.fromCharCode(byte); // as arguments of one call, many would be too many
  setAttr(image, "data-empty", png === null);
  setAttr(image, "src", png && `data:image/png;base64,${btoa(bytes)}`);
}
