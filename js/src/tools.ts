// The tools under the picture: what a box means, where it holds, how strongly, and Submit.

import { button, h, setAttr, setText, setVar } from "./dom";
import { share } from "./format";
import { centredBox } from "./geometry";
import type { StrokeKind } from "./protocol";
import { draftsOf, strengthOf } from "./state";
import type { Context, Part } from "./view";

export function createTools({ store, actions, signal, root }: Context): Part {
  const kinds: [StrokeKind, HTMLButtonElement][] = [
    ["look", button("Look here", { class: "cw-button cw-tool cw-tool-look", testid: "cw-tool-look", title: "Boxes drawn now say: look here (L)" })],
    ["ignore", button("Ignore this", { class: "cw-button cw-tool cw-tool-ignore", testid: "cw-tool-ignore", title: "Boxes drawn now say: ignore this (I)" })],
  ];
  for (const [kind, one] of kinds) {
    one.addEventListener("click", () => {
      store.patch({ tool: kind });
    }, { signal });
  }
  const add = button("Add", { class: "cw-button", testid: "cw-add-box", "aria-label": "Add box", title: "Put a box in the middle; arrow keys move it" });
  add.addEventListener("click", () => {
    const id = actions.addStroke({ kind: store.state.tool, box: centredBox(draftsOf(store.state).length) });
    store.flush(); // the box must exist before it can be focused
    if (id !== null) root.querySelector<SVGElement>(`[data-stroke="${id}"]`)?.focus({ preventScroll: true });
  }, { signal });
  const remove = button("Delete", { class: "cw-button", testid: "cw-delete-box", "aria-label": "Delete box", title: "Delete the selected box (Delete)" });
  remove.addEventListener("click", () => {
    if (store.state.selected !== null) actions.removeStroke(store.state.selected);
  }, { signal });

  const scopes: [boolean, HTMLButtonElement][] = [
    [false, button("This sample", { class: "cw-segment", testid: "cw-scope-sample" })],
    [true, button("Everywhere", { class: "cw-segment", testid: "cw-scope-everywhere" })],
  ];
  for (const [everywhere, one] of scopes) {
    one.addEventListener("click", () => {
      store.patch({ everywhere });
    }, { signal });
  }
  const strength = h("input", { type: "range", min: 0, max: 1, step: 0.05, class: "cw-range", testid: "cw-strength", "aria-label": "Strength" });
  strength.addEventListener("input", () => {
    store.patch({ strength: Number(strength.value) });
  }, { signal });
  const strengthValue = h("output", { class: "cw-number" });
  const submit = button("Submit", { class: "cw-button cw-primary cw-submit", testid: "cw-submit" });
  submit.addEventListener("click", () => void actions.submit(), { signal });

  const el = h("div", { class: "cw-tools" },
    h("div", { class: "cw-bar" },
      h("div", { class: "cw-group", role: "group", "aria-label": "Meaning of the boxes" }, ...kinds.map(([, one]) => one)),
      h("div", { class: "cw-group" }, add, remove)),
    h("div", { class: "cw-bar" },
      h("div", { class: "cw-segments", role: "group", "aria-label": "Where the boxes hold" }, ...scopes.map(([, one]) => one)),
      h("div", { class: "cw-send" },
        h("label", { class: "cw-labelled cw-strength" }, h("span", {}, "strength"), strength, strengthValue), submit)));

  return {
    el,
    keys: ["tool", "everywhere", "strength", "status", "explanation", "drafts", "selected", "instruction", "connection", "echo"],
    update(state) {
      const drafts = draftsOf(state);
      const drawable = state.explanation !== null && state.explanation.picture !== null;
      for (const [kind, one] of kinds) setAttr(one, "aria-pressed", String(kind === state.tool));
      for (const [everywhere, one] of scopes) setAttr(one, "aria-pressed", String(everywhere === state.everywhere));
      add.disabled = !drawable;
      remove.disabled = !drafts.some((one) => one.id === state.selected);
      const now = strengthOf(state);
      if (Number(strength.value) !== now) strength.value = String(now);
      setVar(strength, "--cw-at", now.toFixed(3));
      setText(strengthValue, share(now));
      submit.disabled = !actions.canSubmit() || !(state.connection === "live" || state.connection === "silent") || state.echo?.level === "busy";
      setAttr(submit, "aria-label", drafts.length === 0 ? null : `Submit ${drafts.length === 1 ? "1 box" : `${drafts.length} boxes`}`);
    },
  };
}
