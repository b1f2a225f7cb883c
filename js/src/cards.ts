// A grid of small pictures to choose from: arrow keys step, and under the pointer a picture shows
// where the model looks.

import { button, focusedBeside, h, isolated, setAttr, setHidden, setText, setVar, syncChildren } from "./dom";
import type { Card } from "./lists";
import { showGlance } from "./modalities/kinds";
import { keptStill } from "./still";
import { showThumbnail } from "./thumbnails";

const GLYPH = 6.4; // pixels of a letter of the caption, about
const WIDEST = 100; // pixels: two columns of the narrowest list

export interface Cards {
  el: HTMLElement;
  /** Bring the grid up to date; `anew` also while somebody points at it. */
  show(items: readonly Card[], chosen: number | null, busy: number | null, anew: boolean): void;
}

/** `choose` is told of a sample that is clicked, or stepped onto by an arrow key (`stepped`). */
export function createCards(label: string, testid: string, signal: AbortSignal, choose: (index: number, stepped: boolean) => void): Cards {
  const el = h("ol", { class: "cw-cards", testid, "aria-label": label });
  let wanted: readonly Card[] = [];
  let shown: readonly Card[] = [];
  let chosen: number | null = null;
  let busy: number | null = null;
  const held = keptStill(el, signal, () => {
    draw(true);
  });

  const cardOf = (target: EventTarget | null): HTMLElement | null => (target as Element).closest<HTMLElement>("[data-index]");
  el.addEventListener("click", (event) => {
    const card = cardOf(event.target);
    if (card) choose(Number(card.dataset["index"]), false);
  }, { signal });
  el.addEventListener("keydown", (event) => {
    const here = cardOf(event.target);
    if (here === null || event.ctrlKey || event.metaKey || event.altKey) return;
    const all = [...el.querySelectorAll<HTMLElement>("[data-index]")];
    const at = all.indexOf(here);
    const columns = Math.max(1, all.filter((one) => one.offsetTop === all[0]?.offsetTop).length);
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    const to = event.key === "Home" ? 0 : event.key === "End" ? all.length - 1 : by === undefined ? NaN : at + by;
    if (Number.isNaN(to)) return;
    event.preventDefault();
    event.stopPropagation();
    const next = all[Math.min(Math.max(to, 0), all.length - 1)];
    if (next === undefined || next === here) return;
    next.focus();
    choose(Number(next.dataset["index"]), true);
  }, { signal });

  function make(): HTMLLIElement {
    return h("li", {}, button("", { class: "cw-card", testid: "cw-queue-item" },
      h("span", { class: "cw-card-picture" },
        h("img", { class: "cw-thumb", alt: "", draggable: "false" }), h("img", { class: "cw-thumb cw-thumb-map", alt: "", draggable: "false" }), h("span", { class: "cw-glance" }), h("span", { class: "cw-chip" })),
      h("span", { class: "cw-card-line", "aria-hidden": "true" },
        h("span", { class: "cw-card-classes" }, isolated("cw-class cw-strong"), h("span", { class: "cw-muted" }), isolated("cw-class")), h("span", { class: "cw-card-figure" })), h("span", { class: "cw-sr" })));
  }

  function showCard(row: HTMLLIElement, item: Card): void {
    const card = row.firstElementChild as HTMLElement;
    const [picture, line, spoken] = card.children as unknown as [HTMLElement, HTMLElement, HTMLElement];
    const [image, map, glance, chip] = picture.children as unknown as [HTMLImageElement, HTMLImageElement, HTMLElement, HTMLElement];
    const [classes, figure] = line.children as unknown as [HTMLElement, HTMLElement];
    const instead = showGlance(glance, item.glance);
    showThumbnail(image, instead ? null : item.thumbnail);
    showThumbnail(map, instead ? null : item.map);
    setAttr(row, "data-kind", instead ? glance.getAttribute("data-kind") : null);
    setText(chip, item.chip);
    setHidden(chip, item.chip === "");
    [item.first, item.middle, item.last].forEach((text, i) => {
      setText(classes.children[i] as HTMLElement, text);
    });
    setText(figure, item.figure);
    setAttr(card, "data-index", item.index);
    setAttr(card, "aria-current", item.index === chosen ? "true" : null);
    setAttr(card, "aria-busy", item.index === busy ? "true" : null);
    setText(spoken, item.sentence);
    setAttr(card, "title", item.sentence);
  }

  /** Tab goes to one card of the grid: the one that has the focus, else the chosen one, else the first. */
  function rove(): void {
    const all = [...el.querySelectorAll<HTMLElement>("[data-index]")];
    const inside = all.find((one) => one === focusedBeside(el));
    const stop = inside ?? all.find((one) => one.hasAttribute("aria-current")) ?? all[0];
    for (const one of all) setAttr(one, "tabindex", one === stop ? null : -1);
  }
  el.addEventListener("focusin", rove, { signal });

  // Captions that are wider than a small picture get fewer columns; the columns do not come back,
  // so that the grid stays where it is when another sample enters the list.
  let widest = 0;
  function makeRoom(): void {
    const needed = Math.max(...shown.map(({ first, middle, last }) => first.length + middle.length + last.length), 0);
    if (needed <= widest) return;
    widest = needed;
    setVar(el, "--cw-caption", `${Math.min(widest * GLYPH + 8, WIDEST)}px`);
  }

  function draw(anew: boolean): void {
    // In a list that keeps still only what was said of a sample is new.
    shown = held() && !anew && shown.length > 0
      ? shown.map((old) => ({ ...old, chip: wanted.find((one) => one.index === old.index)?.chip ?? old.chip }))
      : wanted;
    makeRoom();
    syncChildren(el, shown, make, showCard);
    rove();
  }

  return {
    el,
    show(items, nowChosen, nowBusy, anew) {
      wanted = items;
      chosen = nowChosen;
      busy = nowBusy;
      draw(anew);
    },
  };
}
