// The lists of samples as pictures: one switch with counts, a search, and the forecast's own word.

import { createCards, type Cards } from "./cards";
import { button, h, setAttr, setHidden, setText, tablist } from "./dom";
import { createGates } from "./gates";
import { createHits, hitsText } from "./hits";
import { cardsOf, countOf, PAGES, shownPage } from "./lists";
import { isReachable, type Page, type State } from "./state";
import type { Context, Part } from "./view";

const BEGINS = "The forecast begins when every sample has been seen a few times.";
/** Milliseconds that an arrow key must rest on a sample before it is opened. */
const REST = 250;

function emptiness(state: State, page: Page): string {
  if (state.filter.trim() !== "") return `None of these samples matches “${state.filter.trim()}”. Enter opens a sample by its number.`;
  if (page === "forgotten") return state.forgotten === null ? "Known at the end of the first epoch." : "Nothing is forgotten: what was right once is right now.";
  if (page === "suspects") return state.suspects === null ? "Labels are judged at the end of an epoch." : "No label is in doubt.";
  if (page === "alike") return "Ignore something in a sample, then press “Find alike” at its entry in the ledger.";
  if (state.queue === null) return BEGINS;
  if (page === "wrong") return state.queue.onset ? "This run lists only samples that are still right." : "No sample is wrong now.";
  // A run of before ranked no samples at risk apart: that there is none says nothing.
  if (!state.queue.parted) return "This run did not rank samples at risk apart.";
  return `Nothing is at risk: no sample that is right now is likely to be wrong by epoch ${state.queue.due}.`;
}

export function createList(context: Context): Part {
  const { store, actions, signal } = context;
  const tabs = PAGES.map(([page, word, help]) => {
    const one = button("", { class: "cw-stat", testid: `cw-page-${page}`, role: "tab", title: help }, h("span", { class: "cw-stat-count" }), h("span", { class: "cw-stat-word" }, word));
    one.addEventListener("click", () => {
      store.patch({ page });
    }, { signal });
    return one;
  });
  const switcher = tablist(tabs, "cw-stats", "Lists of samples", signal);

  const search = h("input", {
    type: "search", class: "cw-input cw-search", testid: "cw-search", "aria-label": "Search: class or number; Enter opens a number", placeholder: "Class or number", autocomplete: "off", spellcheck: "false", dir: "auto",
    title: "Part of a class’s name, or a sample’s number; Enter opens that sample",
  });
  search.addEventListener("input", () => {
    store.patch({ filter: search.value });
  }, { signal });
  search.addEventListener("keydown", (event) => {
    const number = /^\s*#?(\d+)\s*$/.exec(search.value)?.[1];
    if (event.key === "Enter" && number !== undefined) void actions.choose(Number(number));
    else if (event.key === "Enter" || event.key === "ArrowDown") cards.el.querySelector<HTMLElement>("[data-index]:not([tabindex='-1'])")?.focus();
    else if (event.key === "Escape" && search.value !== "") store.patch({ filter: "" });
    else return;
    event.preventDefault();
    event.stopPropagation();
  }, { signal });
  const note = h("p", { class: "cw-list-note", role: "status" });
  const gates = createGates(context);
  const empty = h("p", { class: "cw-hint", testid: "cw-queue-empty" });
  const onset = button("List those wrong now, too", { class: "cw-button cw-small", testid: "cw-onset" });
  onset.addEventListener("click", () => void actions.toggleOnset(), { signal });
  let resting: ReturnType<typeof setTimeout> | null = null;
  const cards: Cards = createCards("Samples", "cw-queue", signal, (index, stepped) => {
    if (resting !== null) clearTimeout(resting);
    resting = null;
    if (!stepped) void actions.choose(index);
    else if (!context.narrow()) {
      // In a narrow view the picture has another tab: there Enter opens it.
      resting = setTimeout(() => void actions.explain(index), REST);
    }
  });
  signal.addEventListener("abort", () => {
    if (resting !== null) clearTimeout(resting);
  });
  const hits = createHits(context);
  const panel = h("div", { class: "cw-list-panel", role: "tabpanel", "aria-label": "Samples" }, empty, onset, cards.el, hits.el);
  const el = h("section", { class: "cw-panel cw-list", testid: "cw-list", "aria-label": "Samples to look at" },
    switcher, h("div", { class: "cw-find" }, search, gates.el), note, panel);

  function showNote(state: State, page: Page): void {
    const help = PAGES.find(([name]) => name === page)?.[2] ?? "";
    const due = state.queue !== null && page === "risk" ? `At risk by epoch ${state.queue.due}. ` : page === "alike" ? "" : `${help}. `;
    const score = page === "risk" && state.window?.score ? state.window.score : "";
    const items = page === "alike" ? 0 : cardsOf({ ...state, filter: "" }, page).length;
    const count = countOf(state, page) ?? 0;
    const more = count > items && items > 0 && score === "" ? `The first ${items} of ${count}.` : "";
    const told = (scored: string): string => page === "alike" && state.hits !== null ? hitsText(state.hits) : `${due}${scored === "" ? "" : `${scored}.`}${more}`;
    setText(note, told(score.split("; ")[0] ?? "")); // what chance would come to is told under the pointer
    setAttr(note, "title", `${told(score)} ${help}.`);
    setAttr(note, "data-testid", page === "alike" ? "cw-hits-text" : page === "risk" && score !== "" ? "cw-score" : null);
  }

  let last: Page | null = null;
  return {
    el,
    keys: [...new Set<keyof State>(["queue", "forgotten", "suspects", "explanation", "explaining", "status", "filter", "onset", "page", "glances", ...gates.keys, ...hits.keys])],
    update(state, changed) {
      const page = shownPage(state);
      tabs.forEach((tab, i) => {
        const [name = "risk"] = PAGES[i] ?? [];
        const count = countOf(state, name);
        const number = tab.firstElementChild;
        if (number) setText(number, count === null ? "–" : count >= 10_000 ? `${Math.round(count / 1000)}k` : String(count));
        setAttr(tab, "aria-selected", String(name === page));
        setAttr(tab, "tabindex", name === page ? null : -1);
      });
      if (search.value !== state.filter) search.value = state.filter;
      const items = cardsOf(state, page);
      setHidden(cards.el, page === "alike");
      setHidden(hits.el, page !== "alike" || state.hits === null);
      setHidden(empty, page === "alike" ? state.hits !== null : items.length > 0);
      setHidden(onset, page !== "wrong" || state.queue?.onset !== true || !isReachable(state));
      setText(empty, emptiness(state, page));
      const anew = changed.has("filter") || page !== last;
      last = page;
      if (page !== "alike") cards.show(items, state.explanation?.index ?? null, state.explaining, anew);
      else if (hits.keys.some((key) => changed.has(key)) || anew) hits.update(state, changed);
      showNote(state, page);
      if (gates.keys.some((key) => changed.has(key))) gates.update(state, changed);
    },
  };
}
