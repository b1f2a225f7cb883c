// What a row of the queue says of its sample.

import { distance, probability } from "./format";
import { isFinal, isKept } from "./kept";
import type { Candidate } from "./protocol";
import { className, type State } from "./state";

/** The first line in three pieces, the middle one of them muted; "" where there is none. */
export function headline(state: State, item: Candidate): [string, string, string] {
  if (item.target >= 0) {
    const right = item.target === item.predicted;
    return [className(state, item.target), right ? " still right" : " seen as ", right ? "" : className(state, item.predicted)];
  }
  const { target_value: wanted, predicted_value: given, error } = item;
  if (error === null) return [className(state, item.predicted), "", ""]; // a run of before
  if (wanted === null || given === null) return [`off by ${distance(error, error)}`, "", ""];
  return [`target ${distance(wanted, error)}`, " predicted ", distance(given, error)];
}

/** The second line: why it is in the queue. */
export function because(state: State, item: Candidate): string {
  if (state.explaining === item.index) return "explaining…";
  const off = item.error !== null && item.target_value !== null ? `off by ${distance(item.error, item.error)} · ` : "";
  return `${off}${item.reason}${isFinal(state) && !isKept(state, item.index) ? " · no map kept" : ""}`;
}

/** The row in a sentence, for those who hear it. */
export function sentence(state: State, item: Candidate): string {
  const [first, middle, last] = headline(state, item);
  const values = item.target < 0 && item.target_value !== null ? `${first}, predicted ${last}, ${because({ ...state, explaining: null }, item)}` : `${first}${middle}${last}`;
  const offer = isFinal(state) && !isKept(state, item.index) ? "No map of it was kept." : "Explain it.";
  const doubt = item.doubtful ? ", its label is in doubt" : "";
  return `Sample ${item.index}: ${values}${doubt}, risk ${probability(item.risk)}. ${offer}`;
}
