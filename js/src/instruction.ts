// The line for typed instructions: Enter sends, the arrows bring back earlier ones, and under it
// stands what was understood.

import { button, h, setAttr, setText } from "./dom";
import { isReachable } from "./state";
import type { Context, Part } from "./view";

export function createInstruction({ store, actions, signal }: Context): Part {
  const input = h("input", {
    type: "text", class: "cw-input", testid: "cw-instruction", "aria-label": "Instruction to the training", maxlength: 500,
    placeholder: "Tell the training: “ignore borders”", autocomplete: "off", spellcheck: "false", dir: "auto",
  });
  const send = button("Send", { class: "cw-button", testid: "cw-send" });
  const echo = h("p", { class: "cw-echo", testid: "cw-echo", "aria-live": "polite", dir: "auto" });
  const form = h("form", { class: "cw-say-line" }, input, send);
  const el = h("section", { class: "cw-panel cw-say", "aria-label": "Instruction" }, form, echo);
  let back = 0; // how far the arrows have gone into the history

  input.addEventListener("input", () => {
    back = 0;
    store.patch({ instruction: input.value });
  }, { signal });
  const submit = (): void => {
    back = 0;
    void actions.submit();
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  }, { signal });
  send.addEventListener("click", submit, { signal });
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return; // Enter ends a word of Chinese, Japanese or Korean first
    if (event.key === "Enter") {
      event.preventDefault();
      submit();
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

  return {
    el,
    keys: ["instruction", "echo", "connection", "drafts", "explanation"],
    update(state) {
      if (input.value !== state.instruction) input.value = state.instruction;
      const reachable = isReachable(state);
      send.disabled = !reachable || !actions.canSubmit();
      setText(echo, state.echo?.text ?? "");
      setAttr(echo, "title", state.echo?.text ?? null);
      setAttr(echo, "data-level", state.echo?.level ?? null);
    },
  };
}
