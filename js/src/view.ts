// What the parts of the dashboard have in common: where they get state, actions and an end.

import type { Actions } from "./actions";
import type { State } from "./state";
import type { Changed, Store } from "./store";

export interface Context {
  store: Store;
  actions: Actions;
  /** Aborted when the view is removed. */
  signal: AbortSignal;
  /** Root element of this view of the dashboard. */
  root: HTMLElement;
  /** Say something to those who do not see it change. */
  announce: (text: string) => void;
  /** Show a text that has no room in its line; `fixed` keeps its lines. */
  read: (title: string, text: string, fixed?: string) => void;
  /** Open the card that asks about a finding, where there is one. */
  ask: () => void;
  /** Open the card that asks with which branch of a proof to go on; without an id of the newest. */
  keep: (id?: string) => void;
  /** Open the card that asks for the class of kept requests, where there are some. */
  label: () => void;
  /** Whether this view shows its lists in place of the picture, which stands behind another tab. */
  narrow: () => boolean;
}

/** One part of the dashboard: an element, and what keeps it up to date. */
export interface Part {
  el: HTMLElement;
  /** Fields of the state that it shows; it is left alone while none of them changes. */
  keys: readonly (keyof State)[];
  update(state: State, changed: Changed): void;
}
