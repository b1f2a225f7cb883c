// Under the picture: what the strokes mean, where and how strongly they hold, a sentence beside or
// in place of them, Submit; and in a place of its own the answer, what came of it, and Undo.

import { button, h, setAttr, setHidden, setText, setVar } from "./dom";
import { plural, share } from "./format";
import { shownKind } from "./modalities/kinds";
import type { Scope, StrokeKind } from "./protocol";
import { draftsOf, isReachable, strengthOf, type State } from "./state";
import { CHIPS, explained } from "./verdict";
import type { Context, Part } from "./view";

const SCOPES: readonly (readonly [Scope | "", string])[] = [
  ["", "here and alike"], ["sample", "only this sample"], ["class", "its class"], ["everywhere", "everywhere"],
];

export function createTell(context: Context): Part {
  const { store, actions, signal } = context;
  const kinds: [StrokeKind, HTMLButtonElement][] = [
    ["look", button("Look here", { class: "cw-segment cw-tool cw-tool-look", testid: "cw-tool-look", title: "Strokes drawn now say: look here (L)" })],
    ["ignore", button("Ignore this", { class: "cw-segment cw-tool cw-tool-ignore", testid: "cw-tool-ignore", title: "Strokes drawn now say: ignore this (I)" })],
  ];
  for (const [kind, one] of kinds) {
    one.addEventListener("click", () => {
      store.patch({ meaning: kind });
    }, { signal });
  }
  const scope = h("select", { class: "cw-input cw-select cw-scope", testid: "cw-scope", "aria-label": "Where the strokes hold", title: "Where the strokes hold; alike: what is ignored here is ignored in the like places of other samples too" },
    ...SCOPES.map(([value, label]) => h("option", { value }, label)));
  scope.addEventListener("change", () => {
    store.patch({ scope: scope.value === "" ? null : (scope.value as Scope) });
  }, { signal });
  const strength = h("input", { type: "range", min: 0, max: 1, step: 0.05, class: "cw-range", testid: "cw-strength", "aria-label": "Strength" });
  strength.addEventListener("input", () => {
    store.patch({ strength: Number(strength.value) });
  }, { signal });
  const strengthValue = h("output", { class: "cw-number" });
  const input = instructionLine(context);
  const submit = button("Submit", { class: "cw-button cw-primary cw-submit", testid: "cw-submit", title: "Tell the training (Enter)" }, h("span", { class: "cw-key", "aria-hidden": "true" }, "⏎"));
  submit.addEventListener("click", () => void actions.submit(), { signal });

  const chip = h("span", { class: "cw-verdict", testid: "cw-verdict" });
  const echo = h("p", { class: "cw-echo", testid: "cw-echo", "aria-live": "polite", dir: "auto" });
  const whole = button("…", { class: "cw-button cw-small", testid: "cw-echo-whole", "aria-label": "Read all of it", title: "Read all of it" });
  whole.addEventListener("click", () => {
    context.read("The answer", echo.textContent);
  }, { signal });
  const undo = button("Undo", { class: "cw-button cw-small", testid: "cw-undo-told" });
  undo.addEventListener("click", () => {
    const told = actions.told();
    if (told !== null) void actions.undo(told.id);
  }, { signal });
  const answer = h("div", { class: "cw-answer" }, h("div", { class: "cw-answer-text" }, chip, echo), whole, undo);

  const el = h("div", { class: "cw-tell" },
    h("div", { class: "cw-tell-line cw-means" },
      h("div", { class: "cw-segments cw-meanings", role: "group", "aria-label": "Meaning of the strokes" }, ...kinds.map(([, one]) => one)),
      scope, h("label", { class: "cw-labelled cw-strength", title: "How strongly it counts beside the loss, from 0 to 1" }, h("span", {}, "strength"), strength, strengthValue)),
    h("form", { class: "cw-tell-line cw-say" }, input, submit), answer);
  el.querySelector("form")?.addEventListener("submit", (event) => {
    event.preventDefault();
    void actions.submit();
  }, { signal });

  function showAnswer(state: State): void {
    const told = actions.told();
    const effect = told?.effect ?? null;
    const busy = state.echo?.level === "busy";
    setHidden(chip, effect === null || told?.undone === true || state.echo !== null);
    if (effect !== null) {
      setText(chip, CHIPS[effect.verdict][0]);
      setAttr(chip, "data-verdict", CHIPS[effect.verdict][1]);
    }
    const drafts = draftsOf(state).length;
    const text = state.echo !== null ? state.echo.text
      : told === null ? "" : effect !== null && !told.undone ? explained(effect) : `${told.undone ? "Undone" : `Applied at step ${told.step}`}: ${told.text}`;
    setText(echo, text);
    setAttr(echo, "title", text === "" ? null : text);
    setAttr(echo, "data-level", state.echo?.level ?? (told === null ? null : told.undone ? "busy" : "info"));
    setAttr(echo, "data-hint", text !== "" ? null : drafts > 0 ? "Enter submits; Ctrl+Z takes back." : shownKind(state).hint);
    setHidden(undo, told === null || told.undone || busy);
    setAttr(undo, "title", told === null ? null : `Take out again (X): ${told.text}`);
    undo.disabled = !isReachable(state) || (told !== null && state.undoing.includes(told.id));
    setHidden(whole, text.length < 40 || echo.scrollHeight <= echo.clientHeight + 1);
  }

  return {
    el,
    keys: ["meaning", "scope", "strength", "status", "explanation", "drafts", "instruction", "connection", "echo", "ledger", "undoing", "tab"],
    update(state) {
      const drafts = draftsOf(state);
      for (const [kind, one] of kinds) setAttr(one, "aria-pressed", String(kind === state.meaning));
      if (scope.value !== (state.scope ?? "")) scope.value = state.scope ?? "";
      const now = strengthOf(state);
      if (Number(strength.value) !== now) strength.value = String(now);
      setVar(strength, "--cw-at", now.toFixed(3));
      setText(strengthValue, share(now));
      setAttr(input, "placeholder", `or in words: “${shownKind(state).example}”`);
      if (input.value !== state.instruction) input.value = state.instruction;
      submit.disabled = !actions.canSubmit() || !isReachable(state);
      setAttr(submit, "aria-label", drafts.length === 0 ? "Submit" : `Submit ${plural(drafts.length, "stroke")}`);
      showAnswer(state);
    },
  };
}

/** The line for typed instructions: Enter sends, the arrows bring back earlier ones. */
function instructionLine({ store, actions, signal }: Context): HTMLInputElement {
  const input = h("input", {
    type: "text", class: "cw-input", testid: "cw-instruction", "aria-label": "Instruction to the training", maxlength: 500,
    autocomplete: "off", spellcheck: "false", dir: "auto", title: "A sentence to the training; Up recalls earlier ones (/)",
  });
  let back = 0; // how far the arrows have gone into the history
  input.addEventListener("input", () => {
    back = 0;
    store.patch({ instruction: input.value });
  }, { signal });
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return; // Enter ends a word of Chinese, Japanese or Korean first
    if (event.key === "Enter") {
      event.preventDefault();
      back = 0;
      void actions.submit();
      return;
    }
    if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
    const { history } = store.state;
    const next = Math.min(history.length, Math.max(0, back + (event.key === "ArrowUp" ? 1 : -1)));
    if (next === back) return;
    event.preventDefault();
    back = next;
    store.patch({ instruction: back === 0 ? "" : (history[history.length - back] ?? "") });
  }, { signal });
  return input;
}
