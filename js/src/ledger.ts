// The ledger: every intervention, newest first, each of which can be taken out again.

import { button, h, setAttr, setHidden, setText, syncChildren } from "./dom";
import { value } from "./format";
import { isReachable } from "./state";
import type { Context, Part } from "./view";

export function createLedger({ store, actions, signal }: Context): Part {
  const list = h("ol", { class: "cw-ledger-list", testid: "cw-ledger" });
  const empty = h("p", { class: "cw-hint" }, "What you tell the training is listed here.");
  const count = h("span", { class: "cw-note" });
  const el = h("section", { class: "cw-panel cw-ledger", "aria-label": "Interventions" },
    h("div", { class: "cw-panel-head" }, h("h3", { class: "cw-title" }, "Interventions"), count), empty, list);

  list.addEventListener("click", (event) => {
    const pressed = (event.target as Element).closest("button");
    const item = pressed?.closest<HTMLElement>("[data-id]");
    if (!pressed || !item) return;
    const sample = pressed.getAttribute("data-explain");
    if (pressed.classList.contains("cw-alike")) {
      store.patch({ page: "alike" });
      void actions.send({ kind: "similar", intervention: item.dataset["id"] ?? "" });
    } else if (sample !== null) void actions.explain(Number(sample));
    else void actions.undo(item.dataset["id"] ?? "");
  }, { signal });

  const point = (event: Event): void => {
    store.patch({ entry: (event.target as Element).closest<HTMLElement>("[data-id]")?.dataset["id"] ?? null });
  };
  list.addEventListener("pointerover", point, { signal });
  list.addEventListener("focusin", point, { signal });
  list.addEventListener("pointerleave", () => {
    store.patch({ entry: null });
  }, { signal });

  function make(): HTMLLIElement {
    return h("li", { class: "cw-ledger-item", testid: "cw-ledger-item" },
      h("span", { class: "cw-ledger-step" }),
      h("div", { class: "cw-ledger-what" }, h("bdi", { class: "cw-ledger-text", dir: "auto" }), h("span", { class: "cw-effect", testid: "cw-effect" })),
      button("Find alike", { class: "cw-link cw-alike", title: "Search for other samples that show what is ignored here" }),
      button("", { class: "cw-link" }), button("Undo", { class: "cw-button cw-small" }));
  }

  return {
    el,
    keys: ["ledger", "undoing", "connection", "entry"],
    update(state, changed) {
      const items = [...state.ledger].reverse();
      const reachable = isReachable(state);
      setHidden(empty, items.length > 0);
      setText(count, items.length === 0 ? "" : String(items.length));
      syncChildren(list, items, make, (element, item) => {
        const [step, what, alike, link, undo] = element.children as unknown as [HTMLElement, HTMLElement, HTMLButtonElement, HTMLButtonElement, HTMLButtonElement];
        const [text, effect] = what.children as unknown as [HTMLElement, HTMLElement];
        const searchable = item.sample !== null && !item.undone && item.strokes.some((one) => one.kind === "ignore");
        setHidden(alike, !searchable);
        alike.disabled = !reachable;
        setText(effect, item.effect?.text ?? "");
        setHidden(effect, item.effect === null);
        setAttr(effect, "data-verdict", item.effect?.verdict ?? null);
        setAttr(effect, "title", item.effect?.measures.map((one) => `${one.name}: ${value(one.before)} → ${value(one.after)} (change ${value(one.low)} to ${value(one.high)})`).join("\n") ?? null);
        setAttr(element, "data-pointed", item.id === state.entry);
        setAttr(element, "data-id", item.id);
        setAttr(element, "data-undone", item.undone);
        setText(step, `${item.id} · step ${item.step}`); // the name that other entries and alarms call it by
        setText(text, item.text);
        setAttr(text, "title", item.strength === null ? item.text : `${item.text} · strength ${item.strength.toFixed(2)}`);
        setText(link, item.sample === null ? "" : `#${item.sample}`);
        setAttr(link, "data-explain", item.sample);
        setAttr(link, "title", item.sample === null ? null : `Explain sample ${item.sample}`);
        link.disabled = !reachable;
        setHidden(link, item.sample === null);
        setText(undo, item.undone ? "undone" : "Undo");
        setAttr(undo, "aria-label", item.undone ? null : `Undo: ${item.text}`);
        undo.disabled = item.undone || !reachable || state.undoing.includes(item.id);
      });
      if (!changed.has("entry") || list.matches(":hover")) return;
      const pointed = list.querySelector<HTMLElement>("[data-pointed]");
      if (pointed) list.scrollTop = pointed.offsetTop - list.offsetTop - list.clientHeight / 2 + pointed.offsetHeight / 2;
    },
  };
}
