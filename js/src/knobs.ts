// A small panel for the knobs of a training: the optimizer's values, the size of batches, frozen layers.

import { button, focusedBeside, h, setAttr, setHidden, setText, syncChildren } from "./dom";
import type { Command, KnobInput, Knobs, KnobValue, LayerState } from "./protocol";

/** What the panel shows; `reachable`: a kernel can be asked; `rate`: the newest that was measured. */
export interface KnobState {
  knobs: Knobs | null;
  reachable: boolean;
  rate?: number | null;
}

/** Sends one command; true once it is done and on disk. */
export type SendKnob = (command: Command) => Promise<boolean> | Promise<void>;

const FIRST = ["lr", "weight_decay", "momentum", "beta1"]; // the others stand behind "More"
const PLAIN: Readonly<Record<string, string>> = { lr: "learning rate", beta1: "momentum (beta1)", eps: "epsilon" };

/** A number as a person would type it. */
export function written(number: number): string {
  return Number(number.toPrecision(4)).toString().replace("e+", "e");
}

/** A decimal comma, or two numbers without a space between them: which of both nobody can tell. */
const COMMA = /(?:^|\d),\d/;

/** The numbers that a field holds: one, or one for each group; null where it is none. */
export function typed(text: string): number[] | null {
  if (COMMA.test(text.trim())) return null;
  const parts = text.split(/[\s,;]+/).filter((one) => one !== "");
  const numbers = parts.map(Number);
  return numbers.length > 0 && numbers.every((one) => Number.isFinite(one)) ? numbers : null;
}

/** Why a field's text is taken for no number. */
function complaint(name: string | undefined, text: string): string {
  if (name === "batch_size") return "a whole number, as 64";
  return COMMA.test(text.trim()) ? "use a point, as 0.001; between the values of groups a space" : "a number, as 0.001 or 1e-3";
}

function nameOf(name: string): string {
  return PLAIN[name] ?? name.replaceAll("_", " ");
}

const panels = new WeakMap<HTMLElement, (state: KnobState, send: SendKnob) => void>();

/** Show the knobs in `root`, or bring what is shown there up to date; what is being typed stays. */
export function renderKnobs(root: HTMLElement, state: KnobState, send: SendKnob): void {
  let update = panels.get(root);
  if (update === undefined) panels.set(root, (update = create(root)));
  update(state, send);
}

function create(root: HTMLElement): (state: KnobState, send: SendKnob) => void {
  let send: SendKnob = () => Promise.resolve();
  let known: Knobs | null = null;
  let told: Knobs | null = null; // as the kernel sent it, and ...
  let rated: number | null | undefined; // ... the rate that was the newest by then
  const notes = new WeakMap<Element, string>(); // what stands in a row's note while its field is right
  const turn = (knob: KnobInput): void => void send({ kind: "set_knobs", knobs: [knob] });

  const why = h("p", { class: "cw-hint" });
  const main = h("div", { class: "cw-knob-rows", testid: "cw-knob-values" });
  const batch = row("batch_size");
  const rest = h("div", { class: "cw-knob-rows" });
  const more = h("details", { class: "cw-knob-more" }, h("summary", {}, "More of the optimizer"), rest);
  const layers = h("ul", { class: "cw-knob-layers", testid: "cw-knob-layers" });
  const held = h("details", { class: "cw-knob-more" }, h("summary", {}, "Layers"), layers);
  root.classList.add("cw-knobs");
  root.append(why, main, batch, more, held);

  root.addEventListener("click", (event) => {
    const pressed = (event.target as Element).closest("button");
    const name = pressed?.closest<HTMLElement>("[data-knob]")?.dataset["knob"];
    if (!pressed || name === undefined) return;
    const field = pressed.parentElement?.querySelector("input");
    if (field?.getAttribute("aria-invalid") === "true") { // what was typed there gives way to what holds
      field.value = shownOf(known, name);
      judge(field, false);
    }
    turn({ name, factor: Number(pressed.dataset["factor"]) });
  });
  root.addEventListener("change", (event) => {
    const target = event.target as HTMLInputElement;
    const layer = target.closest<HTMLElement>("[data-layer]")?.dataset["layer"];
    if (layer !== undefined) {
      turn({ name: target.checked ? "freeze" : "unfreeze", layers: [layer] });
      return;
    }
    const name = target.closest<HTMLElement>("[data-knob]")?.dataset["knob"];
    const value = typed(target.value);
    judge(target, value === null);
    if (name !== undefined && value !== null && target.value !== shownOf(known, name)) turn({ name, value });
  });
  // What was no number stays to be read and mended, until something else is typed.
  root.addEventListener("input", (event) => {
    judge(event.target as HTMLInputElement, false);
  });
  root.addEventListener("keydown", (event) => {
    const target = event.target as HTMLInputElement;
    if (event.key !== "Escape" || target.tagName !== "INPUT" || target.type === "checkbox") return;
    const holds = shownOf(known, target.closest<HTMLElement>("[data-knob]")?.dataset["knob"] ?? "");
    if (target.value === holds) return; // nothing to bring back: the panel may close
    event.stopPropagation();
    target.value = holds;
    judge(target, false);
  });

  /** Mark a field as wrong and say why, or take both back. */
  function judge(input: HTMLInputElement, wrong: boolean): void {
    const note = input.closest("[data-knob]")?.lastElementChild;
    if (!note) return;
    setAttr(input, "aria-invalid", wrong ? "true" : null);
    setText(note, wrong ? complaint(input.closest<HTMLElement>("[data-knob]")?.dataset["knob"], input.value) : (notes.get(note) ?? ""));
  }

  function row(name: string): HTMLElement {
    const id = `cw-knob-${name}-${Math.random().toString(36).slice(2, 8)}`;
    return h("div", { class: "cw-knob", "data-knob": name, testid: "cw-knob" },
      h("label", { class: "cw-knob-name", for: id }, nameOf(name)),
      h("input", { id, class: "cw-input cw-number", type: "text", inputmode: "decimal", autocomplete: "off", spellcheck: "false", "aria-describedby": `${id}-note` }),
      button("½", { class: "cw-button cw-small", "data-factor": 0.5, "aria-label": `Halve the ${nameOf(name)}` }),
      button("×2", { class: "cw-button cw-small", "data-factor": 2, "aria-label": `Double the ${nameOf(name)}` }),
      h("span", { class: "cw-note", id: `${id}-note`, role: "status" }));
  }

  function fill(element: HTMLElement, name: string, text: string, note: string, reachable: boolean): void {
    if (element.dataset["knob"] !== name) { // rows are reused
      element.dataset["knob"] = name;
      const [label, field, halve, double] = element.children as unknown as [HTMLElement, HTMLElement, HTMLElement, HTMLElement];
      setText(label, nameOf(name));
      setAttr(halve, "aria-label", `Halve the ${nameOf(name)}`);
      setAttr(double, "aria-label", `Double the ${nameOf(name)}`);
      setAttr(field, "aria-invalid", null);
    }
    const input = element.querySelector("input");
    const said = element.lastElementChild;
    const wrong = input?.getAttribute("aria-invalid") === "true";
    if (input && !wrong && focusedBeside(root) !== input && input.value !== text) input.value = text;
    if (said) notes.set(said, note);
    if (said && !wrong) setText(said, note);
    for (const one of element.querySelectorAll<HTMLButtonElement | HTMLInputElement>("button, input")) one.disabled = !reachable;
  }

  function values(place: HTMLElement, shown: readonly KnobValue[], state: KnobState): void {
    syncChildren(place, shown, () => row(""), (element, one) => {
      const groups = one.values.length > 1 ? `${one.values.length} groups` : "";
      fill(element, one.name, shownOf(known, one.name), [one.scheduled ? "scheduled" : "", groups].filter(Boolean).join(", "), state.reachable);
    });
  }

  function layer(element: HTMLElement, one: LayerState, reachable: boolean): void {
    const input = element.querySelector("input");
    const [name, size] = [element.querySelector("bdi"), element.lastElementChild];
    setAttr(element, "data-layer", one.name);
    if (name) setText(name, one.name);
    if (size) setText(size, one.weights.toLocaleString("en-US"));
    if (!input) return;
    input.checked = one.frozen === 1;
    input.indeterminate = one.frozen > 0 && one.frozen < 1;
    input.disabled = !reachable;
    setAttr(input, "aria-label", `Freeze ${one.name}`);
  }

  return (state, sender) => {
    send = sender;
    known = state.knobs;
    if (told !== known) [told, rated] = [known, state.rate];
    setHidden(root, known === null);
    if (known === null) return;
    const able = known.why_not === "";
    setText(why, known.why_not);
    setHidden(why, able);
    for (const part of [main, batch, more, held]) setHidden(part, !able);
    const shown = withRate(known.values, state.rate);
    values(main, shown.filter((one) => FIRST.includes(one.name)).sort((a, b) => FIRST.indexOf(a.name) - FIRST.indexOf(b.name)), state);
    const others = shown.filter((one) => !FIRST.includes(one.name));
    values(rest, others, state);
    setHidden(more, !able || others.length === 0);
    const waits = known.next_batch_size !== known.batch_size;
    fill(batch, "batch_size", shownOf(known, "batch_size"), waits ? `${known.batch_size} until this epoch ends` : "", state.reachable);
    setHidden(held, !able || known.layers.length === 0);
    syncChildren(layers, known.layers, () => h("li", { class: "cw-knob-layer" }, h("label", {}, h("input", { type: "checkbox" }), h("bdi", { dir: "auto" })), h("span", { class: "cw-note" })),
      (element, one) => {
        layer(element, one, state.reachable);
      });
  };

  /** The rate of a schedule moves by itself: the newest that was measured stands for one group's. */
  function withRate(all: readonly KnobValue[], rate: number | null | undefined): readonly KnobValue[] {
    if (rate === null || rate === undefined || rate === rated) return all; // older than what was turned
    const found = all.map((one) => (one.name === "lr" && one.scheduled && one.values.length === 1 ? { ...one, values: [rate] } : one));
    if (known !== null) known = { ...known, values: found };
    return found;
  }
}

function shownOf(knobs: Knobs | null, name: string): string {
  if (knobs === null) return "";
  if (name === "batch_size") return String(knobs.next_batch_size);
  const values = knobs.values.find((one) => one.name === name)?.values ?? [];
  return new Set(values).size === 1 ? written(values[0] ?? 0) : values.map(written).join(", ");
}
