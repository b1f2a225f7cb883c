// What is wrong at present, in words, with the way back beside it. It goes when it is over.

import { createBehind, type Behind } from "./behind";
import { button, h, setAttr, setHidden, setText, syncChildren } from "./dom";
import type { Alarm } from "./protocol";
import { isReachable } from "./state";
import type { Context, Part } from "./view";

const keyOf = ({ kind, step }: Alarm): string => `${kind} ${step}`;

export function createAlarms({ store, actions, signal }: Context): Part {
  const el = h("div", { class: "cw-alarms", testid: "cw-alarms" });
  el.addEventListener("click", (event) => {
    const pressed = (event.target as Element).closest("button");
    const item = pressed?.closest<HTMLElement>("[data-key]");
    if (!pressed || !item) return;
    if (pressed.closest(".cw-behind")) return; // which hears of it itself
    if (pressed.classList.contains("cw-alarm-undo")) void actions.undo(pressed.dataset["id"] ?? "");
    else store.patch({ silenced: [...store.state.silenced, item.dataset["key"] ?? ""] });
  }, { signal });

  // The list of interventions shows which one is meant.
  const point = (event: Event): void => {
    const undo = (event.target as Element).closest("[data-key]")?.querySelector<HTMLElement>(".cw-alarm-undo");
    store.patch({ entry: undo?.dataset["id"] ?? null });
  };
  el.addEventListener("pointerover", point, { signal });
  el.addEventListener("focusin", point, { signal });
  el.addEventListener("pointerleave", () => {
    store.patch({ entry: null });
  }, { signal });

  const behind = new WeakMap<HTMLElement, Behind>();

  function make(): HTMLElement {
    const samples = createBehind((command) => void actions.send(command), (index) => void actions.explain(index));
    const row = h("div", { class: "cw-alarm", role: "alert", testid: "cw-alarm" }, h("span", { class: "cw-alarm-mark", "aria-hidden": "true" }, "!"), h("span", { class: "cw-alarm-text" }),
      h("span", { class: "cw-group" }, button("", { class: "cw-button cw-small cw-alarm-undo", testid: "cw-alarm-undo" }),
        button("×", { class: "cw-button cw-icon cw-quiet", "aria-label": "Put this alarm away" })), samples.el);
    behind.set(row, samples);
    return row;
  }

  return {
    el,
    keys: ["alarms", "silenced", "undoing", "connection", "ledger"],
    update(state) {
      const shown = state.alarms.filter((one) => !state.silenced.includes(keyOf(one)));
      setHidden(el, shown.length === 0);
      syncChildren(el, shown, make, (row, alarm) => {
        const [, text, ends] = row.children as unknown as [HTMLElement, HTMLElement, HTMLElement];
        const undo = ends.firstElementChild as HTMLButtonElement;
        const entry = state.ledger.find((one) => one.id === alarm.intervention);
        setAttr(row, "data-key", keyOf(alarm));
        setText(text, alarm.text);
        behind.get(row)?.update(alarm.samples, isReachable(state));
        setAttr(row, "title", `Since step ${alarm.step}`);
        setHidden(undo, alarm.intervention === null || entry?.undone === true);
        setText(undo, `Undo ${alarm.intervention ?? ""}`);
        setAttr(undo, "data-id", alarm.intervention);
        setAttr(undo, "title", entry === undefined ? null : `Take out: ${entry.text}`);
        undo.disabled = !isReachable(state) || (alarm.intervention !== null && state.undoing.includes(alarm.intervention));
      });
    },
  };
}
