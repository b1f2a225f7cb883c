// The ledger: every intervention, newest first, each of which can be taken out again.

import { button, h, setAttr, setHidden, setText, syncChildren } from "./dom";
import type { Context, Part } from "./view";

export function createLedger({ actions, signal }: Context): Part {
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
    if (sample !== null) void actions.explain(Number(sample));
    else void actions.undo(item.dataset["id"] ?? "");
  }, { signal });

  function make(): HTMLLIElement {
    return h("li", { class: "cw-ledger-item", testid: "cw-ledger-item" },
      h("span", { class: "cw-ledger-step" }), h("bdi", { class: "cw-ledger-text", dir: "auto" }),
      button("", { class: "cw-link" }), button("Undo", { class: "cw-button cw-small" }));
  }

  return {
    el,
    keys: ["ledger", "undoing", "connection"],
    update(state) {
      const items = [...state.ledger].reverse();
      const reachable = state.connection === "live" || state.connection === "silent";
      setHidden(empty, items.length > 0);
      setText(count, items.length === 0 ? "" : String(items.length));
      syncChildren(list, items, make, (element, item) => {
        const [step, text, link, undo] = element.children as unknown as [HTMLElement, HTMLElement, HTMLButtonElement, HTMLButtonElement];
        setAttr(element, "data-id", item.id);
        setAttr(element, "data-undone", item.undone);
        setText(step, `step ${item.step}`);
        setText(text, item.text);
        setAttr(text, "title", item.strength === null ? item.text : `${item.text} · strength ${item.strength.toFixed(2)}`);
        setText(link, item.sample === null ? "" : `#${item.sample}`);
        setAttr(link, "data-explain", item.sample);
        setAttr(link, "aria-label", item.sample === null ? null : `Explain sample ${item.sample}`);
        link.disabled = !reachable;
        setHidden(link, item.sample === null);
        setText(undo, item.undone ? "undone" : "Undo");
        setAttr(undo, "aria-label", item.undone ? null : `Undo: ${item.text}`);
        undo.disabled = item.undone || !reachable || state.undoing.includes(item.id);
      });
    },
  };
}
