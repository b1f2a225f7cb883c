// Shows the built bundle of records in the harness's page, with made-up runs. Query: records=compare|sweep,
// runs (how many), mode=scatter.

import view from "../../coflect_widget/static/records.js";
import type { ControlsModel, DashboardModel } from "../src/transport";

const EPOCHS = 12;

function wobble(n: number): number {
  const x = Math.sin(n * 78.233) * 43758.5453;
  return x - Math.floor(x);
}

function comparison(count: number): Record<string, unknown> {
  const points: number[] = [];
  const runs = Array.from({ length: count }, (_, i) => i);
  const reached = runs.map((i) => 0.7 + 0.25 * wobble(i + 1));
  for (const i of runs) {
    const epochs = Array.from({ length: EPOCHS }, (_, k) => k + 1);
    points.push(...epochs.map((k) => k * 63), ...epochs, ...epochs.map((k) => k * (2 + 3 * wobble(i))));
    points.push(...epochs.map((k) => (reached[i] ?? 0) * (1 - Math.exp(-k / (2 + 2 * wobble(i + 7))))));
  }
  const column = (name: string, kind: string, better: string | null, values: unknown[]): unknown => ({ name, kind, better, values });
  return {
    _kind: "compare", _controls: "", _points: new DataView(new Float32Array(points).buffer),
    _data: {
      runs: runs.map((i) => ({ id: `run_${i}`, label: `run_00${i + 1}_20261130_101${i % 10}`, told: i % 3 === 2 ? [126] : [], tracks: [{ split: "val", count: EPOCHS, metrics: ["accuracy"] }] })),
      columns: [
        column("best.accuracy", "result", "higher", reached), column("best.loss", "result", "lower", reached.map((one) => 1.3 - one)),
        column("seconds trained", "cost", "lower", runs.map((i) => EPOCHS * (2 + 3 * wobble(i)))), column("interventions", "tag", null, runs.map((i) => (i % 3 === 2 ? 1 : 0))),
        column("config.training.lr", "setting", null, runs.map((i) => 10 ** (-4 + 2 * wobble(i + 3)))), column("config.model.width", "setting", null, runs.map((i) => [8, 16, 64][i % 3])),
        column("tags.goal", "tag", null, runs.map((i) => ["narrow", "wide", "wide, and told to ignore the invoice"][i % 3])),
      ],
      aim: { metric: "val accuracy", column: "best.accuracy", better: "higher", threshold: 0.75 },
    },
  };
}

function search(count: number): Record<string, unknown> {
  const trials = Array.from({ length: count }, (_, number) => {
    const state = number === count - 1 ? "running" : number % 4 === 3 ? "pruned" : "finished";
    return {
      number, state, epochs: state === "finished" ? EPOCHS : 3, pinned: number === 2,
      result: number === count - 1 ? null : 0.7 + 0.25 * wobble(number + 1), said: state === "pruned" ? "pruned by a person" : "",
      values: { "training.lr": 10 ** (-4 + 2 * wobble(number + 3)), "model.width": [8, 16, 64][number % 3] },
    };
  });
  const finished = trials.filter((one) => one.state === "finished");
  const best = finished.reduce((a, b) => ((b.result ?? 0) > (a.result ?? 0) ? b : a));
  return {
    _kind: "sweep", _controls: "controls",
    _data: {
      folder: "sweeps/patients", state: "searching", metric: "val_accuracy", better: "higher", best: best.number, trials,
      space: [
        { name: "training.lr", choices: null, low: 1e-4, high: 1e-2, whole: false }, { name: "model.width", choices: [8, 16, 64], low: null, high: null, whole: false },
      ],
    },
  };
}

/** Show runs compared or a search in `el`. */
export function showRecords(query: URLSearchParams, el: HTMLElement): void {
  const count = Number(query.get("runs") ?? 6);
  const traits = query.get("records") === "sweep" ? search(count) : comparison(count);
  const controls: ControlsModel = { send: () => undefined, on: () => undefined, off: () => undefined, comm_live: true };
  const model: DashboardModel = {
    get: (name) => traits[name], on: () => undefined, off: () => undefined,
    widget_manager: { get_model: () => Promise.resolve(controls) },
  };
  view.render({ model, el });
}
