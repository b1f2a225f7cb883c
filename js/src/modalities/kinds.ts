// Which kind of input a sample is, and with it how everything about it is drawn.

import { setAttr, setHidden } from "../dom";
import type { Glance } from "../protocol";
import { shownExplanation, type State } from "../state";
import { IMAGE } from "./image";
import type { Kind, Marked } from "./kind";
import { partsKind } from "./parts";
import { SERIES } from "./series";
import { TABLE } from "./table";
import { TEXT } from "./text";

const KINDS: Record<string, Kind> = Object.fromEntries([IMAGE, TEXT, SERIES, TABLE, partsKind(kindOf)].map((kind) => [kind.name, kind]));

/** The kind that draws a content; without one, and of what nobody here knows, the picture is all. */
export function kindOf(content: Record<string, unknown> | null): Kind {
  const kind = KINDS[String(content?.["kind"])];
  return content !== null && kind?.draws(content) === true ? kind : IMAGE;
}

/** The kind of the sample that is shown; before there is one, that of the run. */
export function shownKind(state: State): Kind {
  const explanation = shownExplanation(state);
  return explanation === null ? (KINDS[state.status?.inputs ?? ""] ?? IMAGE) : kindOf(explanation.content);
}

const drawn = new WeakMap<HTMLElement, { glance: Glance; marks: string }>();

/** Draw a sample in a list; true where that takes the place of its small picture. */
export function showGlance(el: HTMLElement, glance: Glance | undefined, marks: readonly Marked[] = []): boolean {
  const kind = kindOf(glance?.content ?? null);
  const shown = glance !== undefined && kind !== IMAGE;
  setHidden(el, !shown);
  setAttr(el, "data-kind", shown ? kind.name : null);
  if (!shown) return false;
  const known = drawn.get(el);
  const text = JSON.stringify(marks);
  if (known?.glance === glance && known.marks === text) return true;
  drawn.set(el, { glance, marks: text });
  el.replaceChildren();
  kind.glance(el, glance, marks);
  return true;
}
