// The review window: while it is shut, what it still waits for; and how earlier forecasts came out.

import { button, h, setAttr, setHidden, setText, setVar, syncChildren } from "./dom";
import type { GateStatus } from "./protocol";
import { isReachable } from "./state";
import type { Context, Part } from "./view";

/** Failing gates first, the one that is furthest from passing at the top. */
export function ordered(gates: readonly GateStatus[]): GateStatus[] {
  return [...gates].sort((a, b) => Number(a.passed) - Number(b.passed) || a.progress - b.progress);
}

/** The window's state, and apart from it what it waits for. */
export interface Gates extends Part {
  details: HTMLElement;
}

/** The state stands over the queue, the details under it, so that it keeps its place. */
export function createGates({ actions, signal, announce }: Context): Gates {
  const badge = h("span", { class: "cw-badge", testid: "cw-window" });
  const open = button("Open", { class: "cw-button cw-small", testid: "cw-open-window", title: "Review now, whatever the window waits for (O)" });
  open.addEventListener("click", () => void actions.send({ kind: "open_window" }), { signal });
  const list = h("ul", { class: "cw-gates-list" });
  const score = h("p", { class: "cw-score", testid: "cw-score" });
  const el = h("div", { class: "cw-window" }, badge, open);
  const details = h("div", { class: "cw-gates", testid: "cw-gates" }, list, score);
  let known: boolean | null = null;

  function make(): HTMLLIElement {
    return h("li", { class: "cw-gate" }, h("span", { class: "cw-check", "aria-hidden": "true" }),
      h("span"), h("span", { class: "cw-meter", "aria-hidden": "true" }));
  }

  return {
    el,
    details,
    keys: ["window", "connection"],
    update(state) {
      const { window } = state;
      setHidden(el, window === null);
      setHidden(details, window === null);
      if (window === null) return;
      if (known !== null && known !== window.open) announce(window.open ? "Review window open" : "Review window shut");
      known = window.open;
      setText(badge, `review window ${window.by_hand ? "opened by hand" : window.open ? "open" : "shut"}`);
      setHidden(open, window.open || !isReachable(state));
      setAttr(badge, "data-open", window.open);
      syncChildren(list, window.open ? [] : ordered(window.gates), make, (row, gate) => {
        const [mark, sentence, meter] = row.children as unknown as [HTMLElement, HTMLElement, HTMLElement];
        setText(mark, gate.passed ? "✓" : "");
        setText(sentence, gate.sentence);
        setAttr(row, "title", gate.sentence);
        setAttr(row, "data-passed", gate.passed);
        setVar(meter, "--cw-share", gate.progress.toFixed(3));
      });
      setHidden(list, window.open);
      setText(score, window.score ?? "");
      setHidden(score, window.score === null);
    },
  };
}
