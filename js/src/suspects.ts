// Samples whose label may be wrong, and what a person says of each.

import { button, h, isolated, setAttr, setHidden, setText, syncChildren } from "./dom";
import { share } from "./format";
import type { Suspect } from "./protocol";
import { className, isReachable, type State } from "./state";
import { keptStill } from "./still";
import { showThumbnail } from "./thumbnails";
import type { Context, Part } from "./view";

const VERDICTS = [["right", "Label is right"], ["wrong", "It is"], ["leave out", "Leave out"], ["undo", "Undo"]] as const;

export function createSuspects({ store, actions, signal }: Context): Part {
  const list = h("ol", { class: "cw-suspects", testid: "cw-suspects" });
  const el = h("div", { class: "cw-page" }, h("p", { class: "cw-note" }, "The label may be wrong: what do you see?"), list);
  list.addEventListener("click", (event) => {
    const pressed = (event.target as Element).closest("button");
    const row = pressed?.closest("li");
    if (!pressed || !row) return;
    const index = Number(row.getAttribute("data-index"));
    const verdict = VERDICTS.find(([name]) => name === pressed.getAttribute("data-verdict"))?.[0];
    if (verdict === undefined) void actions.explain(index);
    else void actions.send({ kind: "judge", index, verdict, label: verdict === "wrong" ? Number(row.querySelector("select")?.value) : null });
  }, { signal });

  list.addEventListener("change", (event) => {
    setAttr(event.target as Element, "data-chosen", "");
  }, { signal });
  const held = keptStill(list, signal, () => {
    showAll();
  });

  function make(): HTMLLIElement {
    const choose = h("select", { class: "cw-input cw-select", "aria-label": "The right class" });
    return h("li", { class: "cw-suspect", testid: "cw-suspect" },
      button("", { class: "cw-queue-item" }, h("img", { class: "cw-thumb", alt: "" }),
        h("span", { class: "cw-queue-classes" }, isolated("cw-class cw-strong"), h("span", { class: "cw-muted" }, " looks like "), isolated("cw-class")),
        h("span", { class: "cw-number" })),
      h("div", { class: "cw-judge" }, ...VERDICTS.flatMap(([name, label]) => {
        const one = button(label, { class: "cw-button cw-small", "data-verdict": name });
        return name === "wrong" ? [one, choose] : [one];
      }), h("span", { class: "cw-note" })));
  }

  function show(row: HTMLLIElement, item: Suspect, state: State): void {
    const [entry, judge] = row.children as unknown as [HTMLElement, HTMLElement];
    const [image, classes, doubt] = entry.children as unknown as [HTMLImageElement, HTMLElement, HTMLElement];
    showThumbnail(image, item.thumbnail);
    const [target, , suggested] = classes.children;
    if (target) setText(target, className(state, item.target));
    if (suggested) setText(suggested, className(state, item.suggested));
    setText(doubt, share(item.doubt));
    setAttr(entry, "title", `Sample ${item.index}: ${classes.textContent}, doubt ${share(item.doubt)}. Explain.`);
    const fresh = row.getAttribute("data-index") !== String(item.index);
    setAttr(row, "data-index", item.index);
    const choose = judge.querySelector("select");
    const names = state.status?.classes ?? [];
    if (choose) {
      if (choose.length !== names.length) choose.replaceChildren(...names.map((name, i) => h("option", { value: i }, name)));
      if (fresh) setAttr(choose, "data-chosen", null);
      if (choose.getAttribute("data-chosen") === null) choose.value = String(item.suggested);
    }
    for (const one of judge.children as Iterable<HTMLElement>) {
      setHidden(one, (item.judged !== "") !== (one.getAttribute("data-verdict") === "undo" || one.tagName === "SPAN"));
      if (one instanceof HTMLButtonElement) one.disabled = !isReachable(state);
    }
    const said = judge.lastElementChild;
    if (said) setText(said, item.judged === "" ? "" : `judged: ${item.judged}`);
  }

  let shown: readonly Suspect[] = [];
  function showAll(): void {
    const { state } = store;
    const items = state.suspects?.items ?? [];
    // In a list that keeps still only what a person said is new.
    shown = held() && shown.length > 0 ? shown.map((old) => ({ ...old, judged: items.find(({ index }) => index === old.index)?.judged ?? old.judged })) : items;
    syncChildren(list, shown, make, (row, item) => {
      show(row, item, state);
    });
  }

  return {
    el,
    keys: ["suspects", "status", "connection"],
    update(_, changed) {
      if (changed.has("suspects") || changed.has("connection")) showAll();
    },
  };
}
