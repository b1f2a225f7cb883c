// The card that asks with which branch of a proof the training goes on.

import { button, h, setAttr, setText } from "./dom";
import type { Command, LedgerItem } from "./protocol";
import { isReachable, isTraining, type State } from "./state";
import type { Context, Part } from "./view";

type Branch = Extract<Command, { kind: "keep" }>["branch"];

const BRANCHES: readonly (readonly [Branch, string, string])[] = [
  ["treated", "T", "Treated: with it"], ["untreated", "U", "Untreated: without it"], ["placebo", "R", "Placebo: a random region instead"],
];

/** Whether the training can go on from a branch of an entry's proof. */
export function isKeepable(item: LedgerItem): boolean {
  return item.proof !== null && item.proof.keeps.length > 0;
}

export function createKeep({ store, actions, signal }: Context): Part & { el: HTMLDialogElement; open: (id?: string) => void } {
  let asked: string | null = null; // intervention that the card is open for
  const verdict = h("p", { class: "cw-read", testid: "cw-keep-text", dir: "auto" });
  const what = h("p", { class: "cw-note", id: `cw-keep-${Math.random().toString(36).slice(2)}` });
  const choices = BRANCHES.map(([branch, key, words]) => {
    const one = button("", { class: "cw-button", testid: `cw-keep-${branch}`, "aria-keyshortcuts": key }, h("span", {}, words), h("kbd", { "aria-hidden": "true" }, key));
    one.addEventListener("click", () => {
      chosen(branch, one);
    }, { signal });
    return [branch, key, one] as const;
  });
  const cancel = button("", { class: "cw-button cw-bare", "aria-keyshortcuts": "Escape" }, h("span", {}, "Cancel"), h("kbd", { "aria-hidden": "true" }, "Esc"));
  const el = h("dialog", { class: "cw-dialog cw-question", testid: "cw-keep-card", tabindex: -1, autofocus: true, "aria-label": "Go on from which branch?", "aria-describedby": what.id },
    h("h3", { class: "cw-title" }, "Go on from which branch?"), verdict, what, h("div", { class: "cw-asked-ends" }, ...choices.map(([, , one]) => one), cancel));

  function chosen(branch: Branch, one: HTMLButtonElement): void {
    const id = asked;
    if (one.disabled || id === null) return;
    asked = null; // once
    el.close();
    void actions.keep(id, branch);
  }
  cancel.addEventListener("click", () => {
    el.close();
  }, { signal });
  el.addEventListener("close", () => {
    if (!el.open) asked = null;
  }, { signal });
  el.addEventListener("keydown", (event) => {
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    const found = choices.find(([, key]) => key.toLowerCase() === event.key.toLowerCase());
    if (found === undefined) return;
    event.preventDefault();
    event.stopPropagation(); // the dashboard has other uses for these keys
    chosen(found[0], found[2]);
  }, { signal });

  function show(state: State): void {
    if (asked === null) return;
    const item = state.ledger.find((one) => one.id === asked && isKeepable(one));
    if (!item?.proof) {
      asked = null; // the branches are gone
      el.close();
      return;
    }
    const { proof } = item;
    const [from, to] = [state.status?.step ?? 0, proof.to_step ?? 0];
    setText(verdict, proof.text);
    setText(what, `${to < from ? `The training goes back from step ${from} to step ${to}, where the branches ended` : `The training, at step ${from}, becomes that of the branch, at step ${to}`}. What was told after ${item.id} is undone. A checkpoint keeps what the training is now; Undo does not bring it back.`);
    const off = !isReachable(state) || isTraining(state);
    for (const [branch, , one] of choices) {
      one.disabled = off || !proof.keeps.includes(branch);
      setAttr(one, "aria-pressed", proof.kept === "" ? null : String(proof.kept === branch));
    }
  }

  return {
    el,
    open(id) {
      const items = store.state.ledger.filter(isKeepable);
      const item = id === undefined ? items.at(-1) : items.find((one) => one.id === id);
      if (el.open || item === undefined) return;
      asked = item.id;
      show(store.state);
      el.showModal();
      el.focus(); // and none of the branches, which Enter would choose
    },
    keys: ["ledger", "connection", "status"],
    update: show,
  };
}
