// The samples behind an alarm, as small pictures with each one's own loss.

import { button, h, setAttr, setHidden, syncChildren } from "./dom";
import { value } from "./format";
import type { AlarmSample } from "./protocol";
import { showThumbnail } from "./thumbnails";

const SHOWN = 4; // the line has no room for more; its text and its button's title name the others

export interface Blamed {
  el: HTMLElement;
  update: (samples: readonly AlarmSample[], reachable: boolean) => void;
}

/** `explain` opens one of the samples. */
export function createBlamed(explain: (index: number) => void): Blamed {
  const el = h("ul", { class: "cw-blamed", testid: "cw-blamed", "aria-label": "Samples behind it" });
  el.addEventListener("click", (event) => {
    const index = (event.target as Element).closest<HTMLElement>("[data-index]")?.dataset["index"];
    if (index !== undefined) explain(Number(index));
  });
  return {
    el,
    update(samples, reachable) {
      setHidden(el, samples.length === 0);
      syncChildren(el, samples.slice(0, SHOWN), () => h("li", {}, button("", { class: "cw-blamed-one" }, h("img", { class: "cw-thumb", alt: "" }))), (row, one) => {
        const item = row.firstElementChild as HTMLButtonElement;
        const name = `Sample ${one.index}${one.value === null ? "" : `, loss ${value(one.value)}`}`;
        showThumbnail(item.firstElementChild as HTMLImageElement, one.thumbnail);
        setAttr(item, "data-index", one.index);
        setAttr(item, "title", `${name}. Open.`);
        setAttr(item, "aria-label", name);
        item.disabled = !reachable;
      });
    },
  };
}
