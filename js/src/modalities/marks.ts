// What is marked on a sample that is no picture: drafts and what the ledger holds for it, and the row
// that names the drafts.

import { button, h, setAttr, setText, syncChildren } from "../dom";
import type { StrokeKind } from "../protocol";
import { draftsOf, shownExplanation, type State } from "../state";
import type { Context } from "../view";
import type { Marked } from "./kind";

export interface Mark extends Marked {
  id: number; // of the draft
}

const WORDS: Record<StrokeKind, string> = { look: "look at", ignore: "ignore" };

/** The drafts of the sample that is shown. */
export function marksOf(state: State): Mark[] {
  return draftsOf(state).flatMap(({ id, kind, shape }) => (shape.form === "mark" ? [{ id, kind, roi: shape.roi }] : []));
}

/** What the ledger holds for the sample that is shown; `pointed` while its entry is. */
export function givenOf(state: State): (Marked & { pointed: boolean })[] {
  const sample = shownExplanation(state)?.index;
  return state.ledger.filter((item) => !item.undone).flatMap((item) =>
    item.strokes.filter((one) => one.sample === null || one.sample === sample)
      .map(({ kind, roi }) => ({ kind, roi, pointed: item.id === state.entry })));
}

const same = (a: Record<string, unknown>, b: Record<string, unknown>): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Mark a region; one that is marked with the same meaning is marked no more. */
export function toggle({ store, actions }: Context, roi: Record<string, unknown>): void {
  const { meaning } = store.state;
  const there = marksOf(store.state).find((one) => same(one.roi, roi));
  if (there === undefined) actions.addStroke({ kind: meaning, shape: { form: "mark", roi } });
  else if (there.kind === meaning) actions.removeStroke(there.id);
  else actions.changeStroke(there.id, { kind: meaning });
}

/** The row of drafts: each in words, with a button that takes it away. */
export function createChips({ store, actions, signal, announce }: Context, say: (mark: Marked) => string): { el: HTMLElement; update(state: State): void } {
  const el = h("ul", { class: "cw-marks", testid: "cw-marks", "aria-label": "Marked, not submitted yet" });
  el.addEventListener("click", (event) => {
    const id = (event.target as Element).closest("button")?.getAttribute("data-stroke");
    if (id === null || id === undefined) return;
    actions.removeStroke(Number(id));
    announce("Mark deleted");
  }, { signal });
  el.addEventListener("focusin", (event) => {
    const id = (event.target as Element).closest("button")?.getAttribute("data-stroke");
    if (id !== null && id !== undefined) store.patch({ selected: Number(id) });
  }, { signal });
  const make = (): HTMLLIElement => h("li", {}, button("", { class: "cw-mark" }, h("bdi", { dir: "auto" }), h("span", { "aria-hidden": "true" }, "×")));
  return {
    el,
    update(state) {
      syncChildren(el, marksOf(state), make, (item, mark) => {
        const one = item.firstElementChild as HTMLElement;
        const text = `${WORDS[mark.kind]} ${say(mark)}`;
        setText(one.firstElementChild as HTMLElement, text);
        setAttr(one, "data-stroke", mark.id);
        setAttr(one, "data-kind", mark.kind);
        setAttr(one, "aria-label", `Take away: ${text}`);
        setAttr(one, "title", "Take it away");
      });
    },
  };
}
