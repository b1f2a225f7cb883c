// PNG bytes shown in images.

import { setAttr } from "./dom";

const urls = new WeakMap<Uint8Array, string>();

/** By a data URL: a Blob's goes through a second process. */
function urlOf(png: Uint8Array): string {
  const known = urls.get(png);
  if (known !== undefined) return known;
  let bytes = "";
  for (const byte of png) bytes += String.fromCharCode(byte); // as arguments of one call, many would be too many
  const url = `data:image/png;base64,${btoa(bytes)}`;
  urls.set(png, url);
  return url;
}

/** Show PNG bytes in an image; null for none. */
export function showThumbnail(image: HTMLImageElement, png: Uint8Array | null): void {
  setAttr(image, "data-empty", png === null);
  setAttr(image, "src", png && urlOf(png));
}
