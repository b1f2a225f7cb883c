// PNG bytes shown in images.

import { setAttr } from "./dom";

/** Shows PNG bytes in an image by a Blob URL, and gives the URL back when the bytes change. */
export class Thumbnails {
  #urls = new Map<HTMLImageElement, { bytes: Uint8Array; url: string }>();

  show(image: HTMLImageElement, png: Uint8Array | null): void {
    const old = this.#urls.get(image);
    if (old && png && same(old.bytes, png)) return;
    if (old) URL.revokeObjectURL(old.url);
    this.#urls.delete(image);
    setAttr(image, "data-empty", png === null);
    if (png === null) {
      image.removeAttribute("src");
      return;
    }
    const url = URL.createObjectURL(new Blob([png as Uint8Array<ArrayBuffer>], { type: "image/png" }));
    this.#urls.set(image, { bytes: png, url });
    image.src = url;
  }

  clear(): void {
    for (const { url } of this.#urls.values()) URL.revokeObjectURL(url);
    this.#urls.clear();
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || (a.length === b.length && a.every((byte, i) => byte === b[i]));
}
