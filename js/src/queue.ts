// The samples that are likely to be wrong some epochs from now: those at risk, then those wrong now.

import { button, h, isolated, setAttr, setHidden, setText, setVar, syncChildren } from "./dom";
import { probability } from "./format";
import type { Gates } from "./gates";
import type { Candidate, Queue } from "./protocol";
import { because, headline, sentence } from "./rows";
import { keptStill } from "./still";
import { showThumbnail } from "./thumbnails";
import { filtered, isReachable, showsOnset, type State } from "./state";
import type { Context, Part } from "./view";

const SHOWN = 10;
const BEGINS = "The forecast begins when every sample has been seen a few times.";

/** Why the list of samples at risk is empty. */
function emptiness(queue: Queue | null): string {
  if (queue === null) return BEGINS;
  if (queue.items.some((one) => !one.wrong_now)) return "None of the samples at risk is of this kind.";
  return `Nothing is at risk: no sample that is right now is likely to be wrong by epoch ${queue.due}.`;
}

export function createQueue({ store, actions, signal }: Context, gates: Gates): Part {
  const title = h("h3", { class: "cw-title" }, "At risk");
  const filter = h("select", { class: "cw-input cw-select cw-filter", testid: "cw-filter", "aria-label": "Which samples are listed", title: "Which samples are listed" });
  filter.addEventListener("change", () => {
    store.patch({ filter: filter.value });
  }, { signal });
  const onset = button("failing soon", { class: "cw-button cw-small", testid: "cw-onset", title: "List only samples that are still right, and will soon be wrong (F)" });
  onset.addEventListener("click", () => void actions.toggleOnset(), { signal });
  const empty = h("p", { class: "cw-hint", testid: "cw-queue-empty" }, BEGINS);
  const atRisk = rowsOf("cw-queue", "Samples that are right now and at risk, riskiest first");
  const wrong = rowsOf("cw-queue-wrong", "Samples that are wrong now, surest first");
  const wrongTitle = h("h4", { class: "cw-title", title: "Wrong when last seen, and likely to be wrong then" }, "Wrong now");
  const el = h("div", { class: "cw-page" },
    h("div", { class: "cw-panel-head" }, title, h("span", { class: "cw-group cw-choice" }, onset, filter)), gates.el,
    empty, atRisk.list, wrongTitle, wrong.list, gates.details);

  /** One of the two lists; `show` gives it its samples, or leaves it as it is while it is used. */
  function rowsOf(testid: string, label: string): { list: HTMLElement; show(wanted: readonly Candidate[], anew: boolean): number } {
    const list = h("ol", { class: "cw-queue", testid, "aria-label": label });
    const held = keptStill(list, signal, () => {
      show();
    });
    list.addEventListener("click", (event) => {
      const item = (event.target as Element).closest<HTMLElement>("[data-index]");
      if (item) void actions.explain(Number(item.dataset["index"]));
    }, { signal });
    list.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
      const rows = [...el.querySelectorAll<HTMLElement>("[data-index]")]; // of both lists
      const here = rows.indexOf((event.target as Element).closest<HTMLElement>("[data-index]") as HTMLElement);
      rows[here + (event.key === "ArrowDown" ? 1 : -1)]?.focus();
      event.preventDefault();
    }, { signal });
    let shown: readonly Candidate[] = [];
    return {
      list,
      show(wanted, anew) {
        shown = held() && !anew && shown.length > 0 ? shown : wanted.slice(0, SHOWN);
        syncChildren(list, shown, make, (row, item) => {
          showRow(row, item, store.state);
        });
        return shown.length;
      },
    };
  }

  function make(): HTMLLIElement {
    const image = h("img", { class: "cw-thumb", alt: "", draggable: "false" });
    return h("li", {}, button("", { class: "cw-queue-item", testid: "cw-queue-item" },
      image,
      h("span", { class: "cw-queue-what" },
        h("span", { class: "cw-queue-classes" }, isolated("cw-class cw-strong"), h("span", { class: "cw-muted" }, " seen as "), isolated("cw-class")),
        h("span", { class: "cw-queue-reason" }, h("span", { class: "cw-chip", title: "Its label is suspected: surely wrong, and all the time" }, "label?"), h("span"))),
      h("span", { class: "cw-meter cw-risk", "aria-hidden": "true" }), h("span", { class: "cw-number" })));
  }

  function showRow(row: HTMLLIElement, item: Candidate, state: State): void {
    const entry = row.firstElementChild as HTMLElement;
    const [image, what, meter, risk] = entry.children as unknown as [HTMLImageElement, HTMLElement, HTMLElement, HTMLElement];
    const [classes, line] = what.children as unknown as [HTMLElement, HTMLElement];
    const [chip, reason] = line.children as unknown as [HTMLElement, HTMLElement];
    showThumbnail(image, item.thumbnail);
    for (const [i, text] of headline(state, item).entries()) setText(classes.children[i] as HTMLElement, text);
    setHidden(chip, !item.doubtful);
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

  function show(anew = false): void {
    const { state } = store;
    const { queue } = state;
    const items = filtered(state);
    const atRiskShown = atRisk.show(items.filter((one) => !one.wrong_now), anew);
    const wrongShown = wrong.show(items.filter((one) => one.wrong_now), anew);
    setHidden(wrongTitle, wrongShown === 0);
    // A run of before ranked no samples at risk apart: that there is none says nothing.
    setHidden(empty, atRiskShown > 0 || (wrongShown > 0 && queue?.parted === false));
    setHidden(onset, queue === null || !isReachable(state));
    setAttr(onset, "aria-pressed", String(showsOnset(state)));
    setText(empty, emptiness(queue));
    if (queue !== null) setText(title, `At risk by epoch ${queue.due}`);
  }

  return {
    el,
    keys: ["queue", "explanation", "explaining", "status", "filter", "onset", "connection"],
    update(state, changed) {
      showFilter(state);
      if (filter.value !== state.filter) filter.value = state.filter;
      if (["queue", "explanation", "explaining", "filter", "onset", "connection"].some((key) => changed.has(key as keyof State)) || atRisk.list.childElementCount === 0) show(changed.has("filter"));
    },
  };
}
