// The samples behind an alarm, each with its own loss, and one button that leaves them out.

import { button, h, setAttr, setHidden, setText, syncChildren } from "./dom";
import { value } from "./format";
import type { AlarmSample, Command } from "./protocol";
import { showThumbnail } from "./thumbnails";

const SHOWN = 12;

export interface Behind {
  el: HTMLElement;
  update: (samples: readonly AlarmSample[], reachable: boolean) => void;
}

/** `send` takes the command; `explain` shows one of the samples. */
export function createBehind(send: (command: Command) => void, explain: (index: number) => void): Behind {
  const list = h("ul", { class: "cw-behind-list" });
  const more = h("span", { class: "cw-note" });
  const leave = button("Leave them out", { class: "cw-button cw-small", testid: "cw-leave-out" });
  const el = h("div", { class: "cw-behind", testid: "cw-behind" }, list, more, leave);
  let known: readonly AlarmSample[] = [];

  leave.addEventListener("click", () => {
    send({ kind: "leave_out", index: known.map(({ index }) => index) });
  });
  list.addEventListener("click", (event) => {
    const index = (event.target as Element).closest<HTMLElement>("[data-index]")?.dataset["index"];
    if (index !== undefined) explain(Number(index));
  });

  return {
    el,
    update(samples, reachable) {
      known = samples;
      setHidden(el, samples.length === 0);
      syncChildren(list, samples.slice(0, SHOWN), () => h("li", {}, button("", { class: "cw-behind-one" }, h("img", { class: "cw-thumb", alt: "" }), h("span"))), (row, one) => {
        const item = row.firstElementChild as HTMLButtonElement;
        const [image, text] = item.children as unknown as [HTMLImageElement, HTMLElement];
        showThumbnail(image, one.thumbnail);
        setAttr(item, "data-index", one.index);
        setAttr(item, "title", `Explain sample ${one.index}`);
        setText(text, one.value === null ? `#${one.index}` : `#${one.index} · loss ${value(one.value)}`);
        item.disabled = !reachable;
      });
      const rest = samples.length - SHOWN;
      setHidden(more, rest <= 0);
      setText(more, `and ${rest} more`);
      setText(leave, samples.length === 1 ? "Leave it out" : `Leave these ${samples.length} out`);
      leave.disabled = !reachable;
    },
  };
}
