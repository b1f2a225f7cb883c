// Which samples each list holds, what a card says of them, and in which order `N` goes through them.

import { probability, share } from "./format";
import { because, headline, sentence } from "./rows";
import type { Candidate, Glance } from "./protocol";
import { className, type Page, type State } from "./state";

/** One sample in a list. */
export interface Card {
  index: number;
  /** Under the picture: its class, what it was seen as, and a figure. */
  first: string;
  middle: string;
  last: string;
  figure: string;
  /** A mark over the picture: "label?", or what was judged. */
  chip: string;
  /** For those who hear it, and under the pointer. */
  sentence: string;
  /** Names that a search finds it by. */
  names: string;
  thumbnail: Uint8Array | null;
  map: Uint8Array | null;
  /** What is drawn in place of the two, where it is no picture. */
  glance: Glance | undefined;
}

export const PAGES: readonly (readonly [Page, string, string])[] = [
  ["wrong", "wrong", "Wrong when training last saw them, surest first"],
  ["risk", "at risk", "Right now, and likely to be wrong soon, riskiest first"],
  ["forgotten", "forgotten", "Right once, wrong now; most often forgotten first"],
  ["suspects", "labels", "The label itself may be wrong, most doubtful first"],
  ["alike", "alike", "Samples that show what you ignored in another one"],
];

/** How many there are, beyond those that are listed; null where the list is not known yet. */
export function countOf(state: State, page: Page): number | null {
  const items = state.queue?.items;
  switch (page) {
    case "wrong": return state.queue?.wrong ?? items?.filter((one) => one.wrong_now).length ?? null;
    case "risk": return items?.filter((one) => !one.wrong_now).length ?? null;
    case "forgotten": return state.forgotten?.count ?? null;
    case "suspects": return state.suspects?.count ?? null;
    case "alike": return state.hits?.count ?? null;
  }
}

/** The list that is shown: the one that was chosen, else the first with something in it. */
export function shownPage(state: State): Page {
  if (state.page !== null) return state.page;
  if ((countOf(state, "risk") ?? 0) > 0 || state.queue === null) return "risk";
  return (countOf(state, "wrong") ?? 0) > 0 ? "wrong" : "risk";
}

/** The samples of a list that a search leaves. */
export function cardsOf(state: State, page: Page): Card[] {
  const found = matcher(state.filter);
  return allCards(state, page).filter(found);
}

/** What `N` goes through: the list that is shown, and from those at risk on to those wrong now. */
export function walk(state: State): readonly number[] {
  const page = shownPage(state);
  const pages: Page[] = page === "risk" ? ["risk", "wrong"] : page === "alike" ? ["risk", "wrong"] : [page];
  return [...new Set(pages.flatMap((one) => cardsOf(state, one).map((card) => card.index)))];
}

function matcher(filter: string): (card: Card) => boolean {
  const wanted = filter.trim().toLowerCase();
  if (wanted === "") return () => true;
  const number = wanted.replace(/^#/, "");
  return (card) => String(card.index) === number || card.names.includes(wanted);
}

function allCards(state: State, page: Page): Card[] {
  const { queue, forgotten, suspects } = state;
  switch (page) {
    case "wrong":
    case "risk": return (queue?.items ?? []).filter((one) => one.wrong_now === (page === "wrong")).map((one) => ofCandidate(state, one));
    case "forgotten": return (forgotten?.items ?? []).map((one) => {
      const [first, last] = [one.target < 0 ? "" : className(state, one.target), className(state, one.predicted)];
      const times = `${one.times}×`;
      return {
        index: one.index, first, middle: first === "" ? "" : " → ", last, figure: times, chip: "", names: names(first, last),
        sentence: `Sample ${one.index}: ${first === "" ? last : `${first}, seen as ${last}`}, forgotten ${one.times === 1 ? "once" : `${one.times} times`}`,
        thumbnail: one.thumbnail, map: one.map ?? state.glimpses.get(one.index) ?? null, glance: state.glances.get(one.index),
      };
    });
    case "suspects": return (suspects?.items ?? []).map((one) => {
      const [first, last] = [className(state, one.target), className(state, one.suggested)];
      return {
        index: one.index, first, middle: " → ", last, figure: share(one.doubt), chip: one.judged, names: names(first, last),
        sentence: `Sample ${one.index}: ${first} looks like ${last}, doubt ${share(one.doubt)}${one.judged === "" ? "" : `, judged: ${one.judged}`}`,
        thumbnail: one.thumbnail, map: one.map ?? state.glimpses.get(one.index) ?? null, glance: state.glances.get(one.index),
      };
    });
    case "alike": return [];
  }
}

function ofCandidate(state: State, item: Candidate): Card {
  const [first, verb, last] = headline(state, item).map((one) => one.replace(/^target /, "")) as [string, string, string];
  const middle = verb === " still right" || verb === "" ? "" : " → "; // what was wanted, what was given
  return {
    index: item.index, first, middle, last, figure: probability(item.risk), chip: item.doubtful ? "label?" : "", names: names(first, last),
    sentence: `${sentence(state, item)} ${because({ ...state, explaining: null }, item)}`, thumbnail: item.thumbnail, map: item.map ?? state.glimpses.get(item.index) ?? null, glance: state.glances.get(item.index),
  };
}

function names(...all: string[]): string {
  return all.join("\n").toLowerCase();
}
