// The ledger: every intervention, newest first, as its picture with the stroke, the map before and
// after, what it came to, and a way to take it out again.

import { renderKnobs } from "./knobs";
import { makeCrop, outline, showCrop } from "./crops";
import { button, h, setAttr, setHidden, setText, syncChildren } from "./dom";
import { showGlance } from "./modalities/kinds";
import { isKeepable } from "./keep";
import type { LedgerItem } from "./protocol";
import { className, isProvable, isReachable, isTraining, type State } from "./state";
import { briefly, CHIPS, figures, PROVED, told } from "./verdict";
import type { Context, Part } from "./view";

export function createLedger(context: Context): Part {
  const { store, actions, signal, keep } = context;
  const list = h("ol", { class: "cw-ledger-list", testid: "cw-ledger" });
  const empty = h("p", { class: "cw-hint" }, "What you tell the training is listed here: its picture, the map before and after, and whether it helped.");
  const count = h("span", { class: "cw-note" });
  const panel = h("div", { testid: "cw-knobs" });
  const knobs = h("details", { class: "cw-knob-panel" }, h("summary", { class: "cw-title" }, "Knobs"), panel);
  const el = h("section", { class: "cw-panel cw-ledger", testid: "cw-ledger-panel", "aria-label": "Ledger: what was told to the training" },
    h("div", { class: "cw-panel-head" }, h("h3", { class: "cw-title" }, "Told so far"), count), knobs, empty, list);

  knobs.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !knobs.open) return;
    knobs.open = false; // it lies over the entries
    knobs.querySelector("summary")?.focus();
    event.stopPropagation();
  }, { signal });
  list.addEventListener("click", (event) => {
    const pressed = (event.target as Element).closest("button");
    const item = pressed?.closest<HTMLElement>("[data-id]");
    if (!pressed || !item) return;
    const id = item.dataset["id"] ?? "";
    const sample = pressed.getAttribute("data-explain");
    if (pressed.classList.contains("cw-alike")) {
      store.patch({ page: "alike", tab: "list" });
      void actions.send({ kind: "similar", intervention: id });
    } else if (pressed.classList.contains("cw-prove")) void actions.prove(id);
    else if (pressed.classList.contains("cw-keep")) keep(id);
    else if (sample !== null) void actions.choose(Number(sample));
    else void actions.undo(id);
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
    return h("li", { class: "cw-entry", testid: "cw-ledger-item" },
      button("", { class: "cw-crops" }, makeCrop("cw-crop-told"), makeCrop("cw-crop-before"), makeCrop("cw-crop-after")),
      h("div", { class: "cw-entry-head" }, h("span", { class: "cw-verdict" }), h("span", { class: "cw-entry-step" })),
      h("div", { class: "cw-glance" }), h("bdi", { class: "cw-entry-text", dir: "auto" }), h("span", { class: "cw-effect", testid: "cw-effect" }),
      h("span", { class: "cw-effect cw-proof", testid: "cw-proof" }, h("span", { class: "cw-verdict" }), h("progress", { max: "1", "aria-label": "Proof under way" }), h("span", {})),
      h("div", { class: "cw-entry-ends" },
        button("Find alike", { class: "cw-link cw-alike", title: "Search for other samples that show what is ignored here" }),
        button("Prove it", { class: "cw-link cw-prove", testid: "cw-prove", title: "Train with it, without it, and with a random region instead, from before it (Shift P: the newest)" }),
        button("Keep", { class: "cw-link cw-keep", testid: "cw-keep", title: "Go on from a branch of this proof (Shift K: of the newest)" }),
        button("", { class: "cw-link cw-jump" }), button("Undo", { class: "cw-button cw-small cw-undo" })));
  }

  function showCrops(crops: HTMLButtonElement, item: LedgerItem): void {
    const drawn = item.strokes.filter((one) => outline(one.roi) !== ""); // on a picture
    const [first, before, after] = crops.children as unknown as [HTMLElement, HTMLElement, HTMLElement];
    for (const [one, png] of [[first, item.thumbnail ?? item.before ?? item.after], [before, item.before], [after, item.after]] as const) {
      showCrop(one, png, drawn);
    }
    setHidden(before, item.before === null);
    setHidden(after, item.after === null);
    setHidden(first, drawn.length === 0 && item.thumbnail === null);
    setHidden(crops, drawn.length === 0 && item.thumbnail === null);
    setAttr(before, "title", "Where the model looked before");
    setAttr(after, "title", "Where the model looks since");
    setAttr(crops, "data-explain", item.sample);
    crops.disabled = item.sample === null;
    const name = item.sample === null ? "Its places" : `Open sample ${item.sample}`;
    setAttr(crops, "title", `${name}: ${item.text}`);
    setAttr(crops, "aria-label", name);
  }

  function showProof(proof: HTMLElement, prove: HTMLButtonElement, kept: HTMLButtonElement, item: LedgerItem, state: State): void {
    const [chip, bar, words] = proof.children as unknown as [HTMLElement, HTMLProgressElement, HTMLElement];
    const found = item.proof;
    const running = found?.verdict === "";
    setHidden(proof, found === null);
    setHidden(bar, !running);
    bar.value = found?.share ?? 0;
    setText(chip, found === null || running ? "" : `proof: ${found.verdict}`);
    setAttr(chip, "data-verdict", found === null ? null : PROVED[found.verdict]);
    setText(words, running ? found.text : found?.kept ? `went on from the ${found.kept} branch` : "");
    setHidden(kept, !isKeepable(item));
    kept.disabled = !isReachable(state) || isTraining(state);
    setAttr(proof, "title", found?.text ?? null);
    setText(prove, running ? "End proof" : "Prove it");
    setHidden(prove, !isProvable(item));
    prove.disabled = !isReachable(state) || (!running && isTraining(state));
  }

  function show(element: HTMLLIElement, item: LedgerItem, state: State): void {
    const [crops, head, glance, text, effect, proof, ends] = element.children as unknown as [HTMLButtonElement, HTMLElement, HTMLElement, HTMLElement, HTMLElement, HTMLElement, HTMLElement];
    const [chip, step] = head.children as unknown as [HTMLElement, HTMLElement];
    const [alike, prove, kept, jump, undo] = ends.children as unknown as [HTMLButtonElement, HTMLButtonElement, HTMLButtonElement, HTMLButtonElement, HTMLButtonElement];
    const reachable = isReachable(state);
    setAttr(element, "data-pointed", item.id === state.entry);
    setAttr(element, "data-id", item.id);
    setAttr(element, "data-undone", item.undone);
    const instead = showGlance(glance, item.sample === null ? undefined : state.glances.get(item.sample), item.strokes);
    if (instead) setHidden(crops, true);
    else showCrops(crops, item);
    const [word, tone] = item.undone ? ["undone", "none"] : item.effect === null ? [item.measured ? "measuring" : "", "none"] : CHIPS[item.effect.verdict];
    setText(chip, word);
    setAttr(chip, "data-verdict", tone);
    setAttr(chip, "title", item.effect === null && item.measured && !item.undone ? "What it came to is measured some steps after it" : null);
    setText(step, `${item.id} · step ${item.step}`); // the name that other entries and alarms call it by
    setText(text, told(item, (index) => className(state, index)));
    setAttr(text, "title", item.strength === null ? item.text : `${item.text} · strength ${item.strength.toFixed(2)}`);
    setText(effect, item.effect === null || item.undone ? "" : briefly(item.effect));
    setAttr(effect, "data-verdict", item.effect?.verdict ?? null);
    setAttr(effect, "title", item.effect === null ? null : `${item.effect.text}\n${figures(item.effect)}`);
    showProof(proof, prove, kept, item, state);
    setHidden(alike, item.sample === null || item.undone || !item.strokes.some((one) => one.kind === "ignore"));
    alike.disabled = !reachable;
    setText(jump, item.sample === null ? "" : `#${item.sample}`);
    setAttr(jump, "data-explain", item.sample);
    setAttr(jump, "title", item.sample === null ? null : `Open sample ${item.sample}`);
    setHidden(jump, item.sample === null);
    setHidden(undo, item.undone);
    setAttr(undo, "aria-label", `Undo: ${item.text}`);
    undo.disabled = !reachable || state.undoing.includes(item.id);
  }

  return {
    el,
    keys: ["ledger", "undoing", "connection", "entry", "knobs", "status", "glances"],
    update(state, changed) {
      setHidden(knobs, state.knobs === null);
      renderKnobs(panel, { knobs: state.knobs, reachable: isReachable(state), rate: state.status?.learning_rate ?? null }, (command) => actions.send(command));
      if (!["ledger", "undoing", "connection", "entry", "glances", "status"].some((key) => changed.has(key as keyof State))) return;
      const items = [...state.ledger].reverse();
      setHidden(empty, items.length > 0);
      setText(count, items.length === 0 ? "" : String(items.length));
      syncChildren(list, items, make, (element, item) => {
        show(element, item, state);
      });
      if (!changed.has("entry") || list.matches(":hover")) return;
      const pointed = list.querySelector<HTMLElement>("[data-pointed]");
      if (pointed) list.scrollTop = pointed.offsetTop - list.offsetTop - list.clientHeight / 2 + pointed.offsetHeight / 2;
    },
  };
}
