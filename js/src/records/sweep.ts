// A search while it goes on: its trials, the best so far, and what a person may say of them.

import { button, h, s, setAttr, setHidden, setText } from "../dom";
import { plural, rate, value as shown } from "../format";
import { select } from "./curves";
import { better, cell, DataError, fields, list, number, shortName, text, type Better, type Cell, type Column } from "./data";
import { coloursOf, Link } from "./link";
import { createParallel } from "./parallel";
import { createScatter } from "./scatter";
import { isNumber } from "./scale";
import { createTable } from "./table";

interface Trial {
  number: number;
  state: string;
  values: Record<string, Cell>;
  result: number | null;
  epochs: number;
  pinned: boolean;
  said: string;
}

interface Dimension {
  name: string;
  choices: Cell[] | null;
  low: number;
  high: number;
  whole: boolean;
}

export interface Search {
  folder: string;
  state: string;
  metric: string;
  better: Better;
  best: number | null;
  space: Dimension[];
  trials: Trial[];
}

export type Said = { kind: "prune" | "pin"; number: number } | { kind: "enqueue"; values: Record<string, Cell> };
export type Tell = (said: Said) => Promise<{ ok: boolean; text: string }>;

export function readSearch(data: unknown): Search {
  const given = fields(data, "data");
  return {
    folder: text(given["folder"], "folder"), state: text(given["state"], "state"), metric: text(given["metric"], "metric"),
    better: better(given["better"]), best: given["best"] === null ? null : number(given["best"], "best"),
    space: list(given["space"], "space", (one, what) => {
      const { name, choices, low, high, whole } = fields(one, what);
      const ranged = choices === null;
      if (ranged && (typeof low !== "number" || typeof high !== "number")) throw new DataError(`${what} has no ends`);
      return {
        name: text(name, `${what}.name`), choices: ranged ? null : list(choices, `${what}.choices`, cell),
        low: ranged ? number(low, what) : 0, high: ranged ? number(high, what) : 0, whole: whole === true,
      };
    }),
    trials: list(given["trials"], "trials", (one, what) => {
      const trial = fields(one, what);
      return {
        number: number(trial["number"], `${what}.number`), state: text(trial["state"], `${what}.state`),
        values: Object.fromEntries(Object.entries(fields(trial["values"], what)).map(([name, value]) => [name, cell(value, `${what}.${name}`)])), result: trial["result"] === null ? null : number(trial["result"], `${what}.result`),
        epochs: number(trial["epochs"], `${what}.epochs`), pinned: trial["pinned"] === true, said: text(trial["said"], `${what}.said`),
      };
    }),
  };
}

export interface SweepView {
  el: HTMLElement;
  show(search: Search): void;
  /** Whether a kernel can be told something. */
  connected(connected: boolean): void;
}

const OPEN = new Set(["waiting", "running"]);

export function createSweep(tell: Tell, signal: AbortSignal): SweepView {
  const link = new Link(signal);
  let search: Search | null = null;
  let colours: string[] = [];
  let alive = true;
  const of = (): readonly string[] => colours;
  const names: string[] = [];
  const title = h("h3");
  const state = h("span", { class: "cr-note", testid: "cr-state" });
  const said = h("p", { class: "cr-said", role: "status", testid: "cr-answer" });
  const table = createTable("Trials", "trial", link, of, signal, actions);
  const parallel = createParallel(names, link, of, signal);
  const scatter = createScatter(names, { x: "trial", y: "result" }, link, of, signal, (x, y, at) => (x.name === "trial" && y.name === "result" ? bestSoFar(y, at) : []));
  const form = h("form", { class: "cr-tools cr-form", "aria-label": "Values to try next" });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void say({ kind: "enqueue", values: entered() });
  }, { signal });

  /** True where it was taken. */
  async function say(what: Said): Promise<boolean> {
    setText(said, "…");
    try {
      const { ok, text } = await tell(what);
      setText(said, text);
      setAttr(said, "data-bad", !ok);
      return ok;
    } catch (error) {
      setText(said, error instanceof Error ? error.message : String(error));
      setAttr(said, "data-bad", true);
      return false;
    }
  }

  /** The best result until each trial, as a line. */
  function bestSoFar(y: Column, at: (i: number) => [number, number] | null): SVGElement[] {
    let d = "";
    let best: number | null = null;
    let level = 0;
    y.values.forEach((value, i) => {
      const place = at(i);
      if (place === null || !isNumber(value)) return;
      const improves = best === null || (y.better === "lower" ? value < best : value > best);
      if (improves) [best, level] = [value, place[1]];
      d += d === "" ? `M${place[0]} ${level}` : `H${place[0]}${improves ? `V${level}` : ""}`;
    });
    return d === "" ? [] : [s("path", { class: "cr-front", d }, s("title", {}, "The best so far"))];
  }

  function actions(row: number): HTMLElement[] {
    const trial = search?.trials[row];
    if (!trial) return [];
    const copy = button("Copy", { class: "cr-button", "data-focus": `copy ${trial.number}`, title: "Copy its values below, to try others beside them", "aria-label": `Copy the values of trial ${trial.number}` });
    copy.addEventListener("click", () => {
      fill(trial.values);
    });
    if (!OPEN.has(trial.state) || !alive) return alive ? [copy] : [];
    const make = (kind: "prune" | "pin", label: string, why: string): HTMLButtonElement => {
      const one = button(label, { class: "cr-button", "data-focus": `${kind} ${trial.number}`, testid: `cr-${kind}-${trial.number}`, title: why, "aria-label": `${label} trial ${trial.number}` });
      one.addEventListener("click", () => {
        one.disabled = true;
        void say({ kind, number: trial.number }).then((taken) => {
          one.disabled = taken; // of what was refused it can be asked again
        });
      });
      return one;
    };
    const pin = trial.pinned ? [] : [make("pin", "Pin", "Let it train to its end, whatever the pruner says")];
    return [make("prune", "Prune", "End it: its training stops at the next step"), ...pin, copy];
  }

  function fill(values: Record<string, Cell>): void {
    for (const field of form.querySelectorAll<HTMLInputElement | HTMLSelectElement>("[name]")) {
      const value = values[field.name];
      const choices = search?.space.find((one) => one.name === field.name)?.choices;
      field.value = choices ? String(choices.findIndex((one) => one === value)) : value === undefined || value === null ? "" : String(value);
    }
    form.querySelector<HTMLElement>("[name]")?.focus();
  }

  function entered(): Record<string, Cell> {
    const values: Record<string, Cell> = {};
    for (const field of form.querySelectorAll<HTMLInputElement | HTMLSelectElement>("[name]")) {
      if (field.value === "" || field.value === "-1") continue;
      const choices = search?.space.find((one) => one.name === field.name)?.choices;
      values[field.name] = choices ? (choices[Number(field.value)] ?? null) : Number(field.value);
    }
    return values;
  }

  let asked = "";
  function makeForm({ space }: Search): void {
    const key = JSON.stringify(space);
    if (key === asked) return;
    asked = key;
    const inputs = space.map((one) => {
      const field = one.choices
        ? select(one.name, ["-1", ...one.choices.map((_, i) => String(i))], ["any", ...one.choices.map(String)])
        : h("input", { class: "cr-input", type: "number", step: one.whole ? 1 : "any", min: one.low, max: one.high, placeholder: `${rate(one.low)} – ${rate(one.high)}`, "aria-label": one.name });
      field.setAttribute("name", one.name);
      return h("label", { class: "cr-label" }, `${shortName(one.name)} `, field);
    });
    const send = h("button", { type: "submit", class: "cr-button", testid: "cr-enqueue" }, "Try next");
    form.replaceChildren(...inputs, send, h("span", { class: "cr-note" }, "What is left out the sampler chooses."));
  }

  return {
    el: h("div", { class: "cr-body" },
      h("header", { class: "cr-head" }, title, state),
      h("div", { class: "cr-two" },
        h("section", { class: "cr-panel", "aria-label": "Best so far" }, scatter.el),
        h("section", { class: "cr-panel", "aria-label": "Settings and result" }, parallel.el)),
      table.el, form, said),
    show(next) {
      search = next;
      const { trials, space, metric, best } = next;
      names.splice(0, names.length, ...trials.map((one) => `trial ${one.number}`));
      const value = (name: string) => (one: Trial): Cell => one.values[name] ?? null;
      const settings: Column[] = space.map(({ name }) => ({ name, kind: "setting", better: null, values: trials.map(value(name)) }));
      const result: Column = { name: "result", kind: "result", better: next.better, values: trials.map((one) => one.result) };
      colours = coloursOf(trials.length, result);
      if (trials.length <= 7) colours = trials.map((one) => (one.number === best ? "#009e73" : "#0072b2"));
      const states: Column = { name: "state", kind: "state", better: null, values: trials.map((one) => (one.pinned ? `${one.state}, pinned` : one.state)) };
      const epochs: Column = { name: "epochs", kind: "cost", better: null, values: trials.map((one) => one.epochs) };
      const words: Column = { name: "said", kind: "said", better: null, values: trials.map((one) => one.said) };
      parallel.show([...settings, result]); // first: the others ask what its axes keep
      table.show(trials.map((one) => ({ name: String(one.number), ...(one.number === best ? { note: "best" } : {}) })), [states, { ...result, name: metric }, epochs, ...settings, words]);
      const counted: Column = { name: "trial", kind: "number", better: null, values: trials.map((one) => one.number) };
      scatter.show([counted, result, ...settings]);
      makeForm(next);
      const top = trials.find((one) => one.number === best);
      setText(title, `${next.folder}: ${metric}${top ? ` ${shown(top.result)}, trial ${top.number}` : ""}`);
      const count = (what: string): number => trials.filter((one) => one.state === what).length;
      setText(state, `${next.state} · ${plural(trials.length, "trial")}, ${count("pruned")} pruned, ${count("running")} running`);
    },
    connected(connected) {
      if (alive === connected) return;
      alive = connected;
      setHidden(form, !connected);
      if (search) this.show(search);
    },
  };
}
