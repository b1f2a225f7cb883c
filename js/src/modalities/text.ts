// A text on the stage: its words coloured by the map; a click or a drag marks some, here or wherever
// the word stands. A cursor goes through them by keyboard. A long text is folded to where the map is.

import { button, h, setAttr, setHidden, setText, setVar, syncChildren } from "../dom";
import { isReachable, shownExplanation, type State } from "../state";
import type { Context, Part } from "../view";
import { foldsOf } from "./folds";
import { heatOf, legend, shade, shownHeat, strongest } from "./heat";
import type { Kind, Marked } from "./kind";
import { createChips, givenOf, marksOf, toggle } from "./marks";

interface Word {
  text: string;
  units: number[];
}

const WINDOW = 28; // words of a text in a list
const BEFORE = 5; // of them before the strongest
let views = 0; // each has names of its own for its words

const isNumbers = (value: unknown): value is number[] => Array.isArray(value) && value.every((one) => typeof one === "number");

function isWord(value: unknown): value is Word {
  const { text, units } = (value ?? {}) as Partial<Word>;
  return typeof text === "string" && isNumbers(units) && units.length > 0;
}

function wordsOf(content: Record<string, unknown> | null | undefined): readonly Word[] {
  return (content?.["words"] ?? []) as Word[];
}

const plain = (text: string): string => text.trim().toLowerCase();

/** Which words a region marks: a stretch of token places, or a word wherever it stands. */
export function covers({ roi }: Marked, word: Word): boolean {
  const { words, word: everywhere } = roi;
  if (typeof everywhere === "string") return plain(everywhere) === plain(word.text);
  if (!isNumbers(words)) return false;
  const [from = 0, to = 0] = words;
  return word.units.some((unit) => unit >= from && unit < to);
}

/** A stretch of words as a region: token places, half open. */
export function stretch(words: readonly Word[], one: number, other: number): Record<string, unknown> {
  const units = words.slice(Math.min(one, other), Math.max(one, other) + 1).flatMap((word) => word.units);
  return { words: [Math.min(...units), Math.max(...units) + 1] };
}

function say(words: readonly Word[], { roi }: Marked): string {
  if (typeof roi["word"] === "string") return `“${roi["word"]}” wherever it stands`;
  const text = words.filter((word) => covers({ kind: "look", roi }, word)).map((word) => word.text).join(" ");
  return `“${text.length > 40 ? `${text.slice(0, 38)}…` : text}”`;
}

function createText(context: Context): Part {
  const { store, signal, announce } = context;
  const name = `cw-text-${++views}`;
  const list = h("div", { class: "cw-words", testid: "cw-words", role: "listbox", tabindex: 0, "aria-multiselectable": "true", dir: "auto" });
  const here = button("this place", { class: "cw-segment", testid: "cw-here" });
  const everywhere = button("", { class: "cw-segment cw-wherever", testid: "cw-wherever" });
  const reach = h("div", { class: "cw-segments cw-reach", role: "group", "aria-label": "What a marked word means" }, here, everywhere);
  const fold = button("", { class: "cw-segment", testid: "cw-fold" });
  const folding = h("div", { class: "cw-segments" }, fold);
  const key = legend();
  let folds: [number, number][] | null = null; // null: not worked out yet
  let all: [number, number][] = []; // of them before any was unfolded
  let words: readonly Word[] = [];
  let shown: number | null = null; // sample
  let cursor = 0;
  let anchor: number | null = null; // where a drag, or Shift with the arrows, began
  let wide = false; // a word is marked wherever it stands
  const chips = createChips(context, (mark) => say(words, mark));
  const el = h("div", { class: "cw-place cw-wide", testid: "cw-text" }, list, h("div", { class: "cw-foot" }, reach, folding, key), chips.el);

  /** The fold that hides a word, or stands for it. */
  const foldAt = (i: number): [number, number] | undefined => folds?.find(([from, to]) => i >= from && i < to);
  const isHidden = (i: number): boolean => (foldAt(i)?.[0] ?? i) !== i;
  function unfold(at: [number, number]): void {
    folds = (folds ?? []).filter((one) => one !== at);
    announce(`${at[1] - at[0]} words unfolded`);
    redraw();
  }
  fold.addEventListener("click", () => {
    folds = folds?.length === 0 ? all : [];
    cursor = foldAt(cursor)?.[0] ?? cursor;
    redraw();
    list.children[cursor]?.scrollIntoView({ block: "nearest" });
  }, { signal });

  const redraw = (): void => {
    drawWords(store.state);
  };
  function mark(from: number, to: number): void {
    const one = words[from];
    if (one === undefined) return;
    toggle(context, wide && from === to ? { word: one.text.trim() } : stretch(words, from, to));
  }
  /** What is chosen of the reach holds for the word that was marked last, too. */
  function reaches(now: boolean): void {
    wide = now;
    const word = words[cursor];
    const last = marksOf(store.state).find((one) => one.id === store.state.selected);
    if (last !== undefined && word !== undefined && covers(last, word)) {
      const single = words.filter((one) => covers({ ...last, roi: stretch(words, cursor, cursor) }, one)).length === 1;
      const roi = now ? { word: word.text.trim() } : stretch(words, cursor, cursor);
      if (single) context.actions.changeStroke(last.id, { shape: { form: "mark", roi } });
    }
    redraw();
  }
  here.addEventListener("click", () => {
    reaches(false);
  }, { signal });
  everywhere.addEventListener("click", () => {
    reaches(true);
  }, { signal });

  const wordAt = (event: PointerEvent): number | null => {
    const tree = list.getRootNode() as Document | ShadowRoot;
    const found = tree.elementFromPoint(event.clientX, event.clientY)?.closest("[data-word]");
    return found && list.contains(found) ? Number(found.getAttribute("data-word")) : null;
  };
  let pressed = false;
  list.addEventListener("pointerdown", (event) => {
    const at = wordAt(event);
    if (event.button !== 0 || !event.isPrimary || at === null) return;
    event.preventDefault();
    list.focus({ preventScroll: true });
    const folded = foldAt(at);
    if (folded !== undefined) {
      cursor = at;
      unfold(folded);
      return;
    }
    list.setPointerCapture(event.pointerId);
    pressed = true;
    anchor = cursor = at;
    redraw();
  }, { signal });
  list.addEventListener("pointermove", (event) => {
    const at = pressed ? wordAt(event) : null;
    if (at === null || at === cursor) return;
    cursor = at;
    redraw();
  }, { signal });
  const end = (event: PointerEvent): void => {
    if (!pressed || !event.isPrimary) return;
    pressed = false;
    const from = anchor ?? cursor;
    anchor = null;
    if (event.type === "pointerup") mark(from, cursor);
    redraw();
  };
  list.addEventListener("pointerup", end, { signal });
  list.addEventListener("pointercancel", end, { signal });

  list.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || words.length === 0) return;
    const forward = getComputedStyle(list).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
    const to = event.key === "Home" ? 0 : event.key === "End" ? words.length - 1
      : event.key === "ArrowUp" || event.key === "ArrowDown" ? lineAway(event.key === "ArrowUp" ? -1 : 1)
        : event.key === "ArrowLeft" || event.key === "ArrowRight" ? cursor + (event.key === forward ? 1 : -1) : null;
    if (to !== null) {
      if (event.shiftKey) anchor ??= cursor;
      else anchor = null;
      const next = Math.min(Math.max(to, 0), words.length - 1);
      const over = foldAt(next); // one step goes over a fold from where it stands
      cursor = over === undefined || next === over[0] ? next : over === foldAt(cursor) && to > cursor ? Math.min(over[1], words.length - 1) : over[0];
      cursor = foldAt(cursor)?.[0] ?? cursor;
      redraw();
      list.children[cursor]?.scrollIntoView({ block: "nearest" });
    } else if (event.key === " " && anchor === null && foldAt(cursor) !== undefined) {
      unfold(foldAt(cursor) ?? [0, 0]);
    } else if (event.key === " ") {
      mark(anchor ?? cursor, cursor);
      anchor = null;
      redraw();
    } else if (event.key === "Delete" || event.key === "Backspace") {
      const under = words[cursor];
      const found = marksOf(store.state).filter((one) => under !== undefined && covers(one, under)).at(-1);
      if (found === undefined) return;
      context.actions.removeStroke(found.id);
      announce("Mark deleted");
    } else if (event.key === "Escape" && anchor !== null) {
      anchor = null;
      redraw();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }, { signal });

  /** The word nearest to the cursor in the line above or below. */
  function lineAway(by: number): number {
    const boxes = [...list.children].map((one) => one.getBoundingClientRect());
    const from = boxes[cursor];
    if (from === undefined) return cursor;
    const lines = boxes.map((box, i) => ({ i, top: box.top, away: Math.abs(box.left + box.width / 2 - from.left - from.width / 2) })).filter(({ i, top }) => !isHidden(i) && (top - from.top) * by > from.height / 2);
    const next = lines.reduce<number | null>((near, { top }) => (near === null || (top - near) * by < 0 ? top : near), null);
    return lines.filter(({ top }) => next !== null && Math.abs(top - next) < from.height / 2).reduce((a, b) => (b.away < a.away ? b : a), { i: cursor, top: 0, away: Infinity }).i;
  }

  function drawWords(state: State): void {
    const explanation = shownExplanation(state);
    const heat = shownHeat(state);
    const [drafts, given] = [marksOf(state), givenOf(state)];
    const [x0, , x1] = explanation?.bbox ?? [1, 0, 0];
    const count = explanation?.map_width ?? 0;
    const [from, to] = [Math.min(anchor ?? cursor, cursor), Math.max(anchor ?? cursor, cursor)];
    syncChildren(list, words, () => h("span", { class: "cw-token", role: "option" }), (one, word, i) => {
      const value = strongest(heat, word.units);
      const draft = drafts.filter((mark) => covers(mark, word)).at(-1);
      const told = given.filter((mark) => covers(mark, word)).at(-1);
      const folded = foldAt(i);
      const stands = folded?.[0] === i ? folded : null;
      setText(one, stands === null ? word.text : `… ${stands[1] - stands[0]} words …`);
      setHidden(one, folded !== undefined && stands === null);
      setAttr(one, "data-folded", stands !== null);
      setAttr(one, "id", `${name}-${i}`);
      setAttr(one, "data-word", i);
      setVar(one, "--cw-heat", shade(value, state).toFixed(3));
      setAttr(one, "data-kind", draft?.kind ?? null);
      setAttr(one, "data-given", told?.kind ?? null);
      setAttr(one, "data-pointed", given.some((mark) => mark.pointed && covers(mark, word)));
      setAttr(one, "data-framed", state.map !== "off" && word.units.some((unit) => unit >= Math.round(x0 * count) && unit < Math.round(x1 * count)));
      setAttr(one, "data-at", i === cursor);
      setAttr(one, "data-chosen", anchor !== null && i >= from && i <= to);
      setAttr(one, "aria-selected", String(draft !== undefined));
      const said = [heat === null ? "" : `weight ${Math.round(value * 100)} %`, draft === undefined ? "" : draft.kind, told === undefined ? "" : `told: ${told.kind}`].filter((part) => part !== "");
      setAttr(one, "aria-label", stands === null ? [word.text, ...said].join(", ") : `${stands[1] - stands[0]} words are folded; Space unfolds them`);
      setAttr(one, "title", stands !== null ? "Unfold" : heat === null ? null : `${Math.round(value * 100)} % of the strongest`);
    });
    setAttr(list, "aria-activedescendant", words.length === 0 ? null : `${name}-${cursor}`);
    setHidden(key, heat === null);
    setHidden(folding, all.length === 0);
    setText(fold, folds?.length === 0 ? "fold" : "whole text");
    setHidden(reach, !isReachable(state) || words.length === 0 || state.status?.guidance === false);
    setText(everywhere, `“${words[cursor]?.text.trim() ?? ""}” wherever it stands`);
    setAttr(here, "aria-pressed", String(!wide));
    setAttr(everywhere, "aria-pressed", String(wide));
  }

  return {
    el,
    keys: ["explanation", "map", "opacity", "threshold", "at", "shelf", "connection", "status", "drafts", "selected", "ledger", "entry"],
    update(state) {
      const explanation = shownExplanation(state);
      words = wordsOf(explanation?.content);
      const fresh = explanation?.index !== shown;
      if (fresh) {
        shown = explanation?.index ?? null;
        anchor = null;
        const heat = shownHeat(state);
        const values = words.map((word) => strongest(heat, word.units));
        cursor = Math.max(0, values.indexOf(Math.max(...values)));
        folds = null;
        all = [];
      }
      const heat = shownHeat(state);
      if (folds === null && heat !== null) {
        const told = [...marksOf(state), ...givenOf(state)];
        folds = all = foldsOf(words.map((word) => strongest(heat, word.units)), words.map((word) => told.some((one) => covers(one, word))));
        cursor = foldAt(cursor)?.[0] ?? cursor;
      }
      setAttr(list, "aria-label", `Words of sample ${explanation?.index ?? ""}. Arrows move, Shift and arrows choose several, Space marks, Delete takes a mark away.`);
      drawWords(state);
      chips.update(state);
      const at = list.children[cursor];
      if (fresh && at instanceof HTMLElement) list.scrollTop = Math.max(0, at.offsetTop - list.clientHeight / 2); // a long text opens where the map is
    },
  };
}

export const TEXT: Kind = {
  name: "text",
  plain: "Words",
  first: "Integrated",
  about: "Integrated: the gradient summed up from no words to these. SmoothGrad: its mean over noisy copies. Consensus: what both mark.",
  hint: "Click a word, or drag over several; or say it. Enter submits.",
  example: "ignore \"great\"",
  question: "Are these words the right reason?",
  create: createText,
  draws: ({ words }) => Array.isArray(words) && words.every(isWord),
  focus: ({ map_width: count }, [x0, , x1]) => ({ words: [Math.round(x0 * count), Math.round(x1 * count)] }),
  glance(el, { content, cells }, marks) {
    const words = wordsOf(content);
    const heat = cells === null ? null : heatOf(cells);
    const values = words.map((word) => (marks.length > 0 ? Number(marks.some((mark) => covers(mark, word))) : strongest(heat, word.units)));
    const from = Math.max(0, Math.min(values.indexOf(Math.max(...values)) - BEFORE, words.length - WINDOW));
    el.dir = "auto";
    words.slice(from, from + WINDOW).forEach((word, i) => {
      const one = h("span", { class: "cw-token" }, word.text);
      setVar(one, "--cw-heat", shade(strongest(heat, word.units), { opacity: 0.7, threshold: 0 }).toFixed(3));
      setAttr(one, "data-kind", marks.find((mark) => covers(mark, word))?.kind ?? null);
      el.append(i === 0 && from > 0 ? "… " : " ", one);
    });
  },
};
