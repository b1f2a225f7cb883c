// Whether it is a good time to look, as one small button; behind it what that waits for.

import { button, h, setAttr, setHidden, setText, setVar, syncChildren } from "./dom";
import { createPopover } from "./popover";
import type { GateStatus } from "./protocol";
import { isReachable } from "./state";
import type { Context, Part } from "./view";

/** Failing gates first, the one that is furthest from passing at the top. */
export function ordered(gates: readonly GateStatus[]): GateStatus[] {
  return [...gates].sort((a, b) => Number(a.passed) - Number(b.passed) || a.progress - b.progress);
}

export function createGates({ actions, signal, announce }: Context): Part {
  const badge = button("", { class: "cw-button cw-badge", testid: "cw-window" });
  const open = button("Look now anyway (O)", { class: "cw-button cw-small", testid: "cw-open-window", title: "Take this for a good time, whatever it waits for (O)" });
  open.addEventListener("click", () => void actions.send({ kind: "open_window" }), { signal });
  const help = h("p", { class: "cw-note" }, "A good time to look: the lists have settled, and earlier ones came true. Before that they may still change a lot.");
  const list = h("ul", { class: "cw-gates-list" });
  const { el, panel } = createPopover(badge, "When to look", "cw-gates", signal, help, list, open);
  setAttr(panel, "data-testid", "cw-gates");
  let known: boolean | null = null;

  function make(): HTMLLIElement {
    return h("li", { class: "cw-gate" }, h("span", { class: "cw-check", "aria-hidden": "true" }),
      h("span"), h("span", { class: "cw-meter", "aria-hidden": "true" }));
  }

  return {
    el,
    keys: ["window", "connection"],
    update(state) {
      const { window } = state;
      badge.disabled = window === null;
      setText(badge, window?.by_hand ? "look: by hand" : window?.open ? "look: now" : "look: not yet");
      setAttr(badge, "title", window?.open ? "A good time to look: the lists have settled" : "Not yet a good time to look; press to see what it waits for");
      setAttr(badge, "data-open", window?.open ?? false);
      setHidden(open, (window?.open ?? true) || !isReachable(state));
      if (window === null) return;
      if (known !== null && known !== window.open) announce(window.open ? "A good time to look" : "No longer a good time to look");
      known = window.open;
      syncChildren(list, ordered(window.gates), make, (row, gate) => {
        const [mark, sentence, meter] = row.children as unknown as [HTMLElement, HTMLElement, HTMLElement];
        setText(mark, gate.passed ? "✓" : "");
        setText(sentence, gate.sentence);
        setAttr(row, "title", gate.sentence);
        setAttr(row, "data-passed", gate.passed);
        setVar(meter, "--cw-share", gate.progress.toFixed(3));
      });
    },
  };
}
