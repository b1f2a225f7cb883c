// The samples that are likely to be wrong some epochs from now, riskiest first.

import { button, h, isolated, setAttr, setHidden, setText, setVar, syncChildren } from "./dom";
import { probability } from "./format";
import type { Gates } from "./gates";
import type { Candidate } from "./protocol";
import { because, headline, sentence } from "./rows";
import { keptStill } from "./still";
import { showThumbnail } from "./thumbnails";
import { filtered, isReachable, showsOnset, type State } from "./state";
import type { Context, Part } from "./view";

const SHOWN = 10;

export function createQueue({ store, actions, signal }: Context, gates: Gates): Part {
  const title = h("h3", { class: "cw-title" }, "At risk");
  const filter = h("select", { class: "cw-input cw-select cw-filter", testid: "cw-filter", "aria-label": "Which samples are listed", title: "Which samples are listed" });
  filter.addEventListener("change", () => {
    store.patch({ filter: filter.value });
  }, { signal });
  const onset = button("failing soon", { class: "cw-button cw-small", testid: "cw-onset", title: "Rank only samples that are still right, and will soon be wrong (F)" });
  onset.addEventListener("click", () => void actions.toggleOnset(), { signal });
  const list = h("ol", { class: "cw-queue", testid: "cw-queue", "aria-label": "Samples likely to fail, riskiest first" });
  const empty = h("p", { class: "cw-hint" }, "The forecast begins when every sample has been seen a few times.");
  const el = h("div", { class: "cw-page" },
    h("div", { class: "cw-panel-head" }, title, h("span", { class: "cw-group cw-choice" }, onset, filter)), gates.el, empty, list, gates.details);

  const held = keptStill(list, signal, () => {
    show();
  });
  list.addEventListener("click", (event) => {
    const item = (event.target as Element).closest<HTMLElement>("[data-index]");
    if (item) void actions.explain(Number(item.dataset["index"]));
  }, { signal });
  list.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const row = (event.target as Element).closest("li");
    const next = event.key === "ArrowDown" ? row?.nextElementSibling : row?.previousElementSibling;
    next?.querySelector("button")?.focus();
    event.preventDefault();
  }, { signal });

  function make(): HTMLLIElement {
    const image = h("img", { class: "cw-thumb", alt: "", draggable: "false" });
    return h("li", {}, button("", { class: "cw-queue-item", testid: "cw-queue-item" },
      image,
      h("span", { class: "cw-queue-what" },
        h("span", { class: "cw-queue-classes" }, isolated("cw-class cw-strong"), h("span", { class: "cw-muted" }, " seen as "), isolated("cw-class")),
        h("span", { class: "cw-queue-reason" })),
      h("span", { class: "cw-meter cw-risk", "aria-hidden": "true" }), h("span", { class: "cw-number" })));
  }

  function showRow(row: HTMLLIElement, item: Candidate, state: State): void {
    const entry = row.firstElementChild as HTMLElement;
    const [image, what, meter, risk] = entry.children as unknown as [HTMLImageElement, HTMLElement, HTMLElement, HTMLElement];
    const [classes, reason] = what.children as unknown as [HTMLElement, HTMLElement];
    showThumbnail(image, item.thumbnail);
    for (const [i, text] of headline(state, item).entries()) setText(classes.children[i] as HTMLElement, text);
    setText(reason, because(state, item));
    setVar(meter, "--cw-share", item.risk.toFixed(3));
    setText(risk, probability(item.risk));
    setAttr(entry, "data-index", item.index);
    setAttr(entry, "aria-current", state.explanation?.index === item.index ? "true" : null);
    setAttr(entry, "aria-busy", state.explaining === item.index ? "true" : null);
    setAttr(entry, "title", sentence(state, item));
  }

  let classes = -1;
  function showFilter(state: State): void {
    const names = state.status?.classes ?? [];
    if (names.length === classes) return;
    classes = names.length;
    const options = [["", "all classes"], ...names.map((name, i) => [String(i), name] as const)];
    filter.replaceChildren(...options.map(([value = "", label = ""]) => h("option", { value, dir: "auto" }, label)));
  }

  let shown: readonly Candidate[] = [];
  function show(anew = false): void {
    const { state } = store;
    const { queue } = state;
    const wanted = filtered(state).slice(0, SHOWN);
    shown = held() && !anew && shown.length > 0 ? shown : wanted;
    setHidden(empty, shown.length > 0);
    setHidden(onset, queue === null || !isReachable(state));
    setAttr(onset, "aria-pressed", String(showsOnset(state)));
    setText(empty, (queue?.items.length ?? 0) > 0 ? "None of the samples at risk is of this kind." : "The forecast begins when every sample has been seen a few times.");
    if (queue !== null) setText(title, `At risk by epoch ${queue.due}`);
    syncChildren(list, shown, make, (row, item) => {
      showRow(row, item, state);
    });
  }

  return {
    el,
    keys: ["queue", "explanation", "explaining", "status", "filter", "onset", "connection"],
    update(state, changed) {
      showFilter(state);
      if (filter.value !== state.filter) filter.value = state.filter;
      if (["queue", "explanation", "explaining", "filter", "onset", "connection"].some((key) => changed.has(key as keyof State)) || list.childElementCount === 0) show(changed.has("filter"));
    },
  };
}
