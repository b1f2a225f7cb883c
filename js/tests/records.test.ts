// Runs compared, and a search: what a person sees, keeps, sorts and says.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import view from "../src/records";
import type { Column } from "../src/records/data";
import { paretoFront } from "../src/records/scatter";
import { scaleOf } from "../src/records/scale";
import type { ControlsModel, DashboardModel } from "../src/transport";
import { press } from "./mounted";

const TRAP = "<img src=x onerror=alert(1)>";
const NAMES = ["a", "b", "c", TRAP];
/** By run: accuracies of two validations at 5 and 10 seconds. */
const ACCURACIES = [[0.5, 0.9], [0.4, 0.6], [0.8, 0.7], [0.3, Number.NaN]];

function compared(): Record<string, unknown> {
  const points = ACCURACIES.flatMap((one) => [10, 20, 1, 2, 5, 10, ...one]);
  const column = (name: string, kind: string, better: string | null, values: unknown[]): unknown => ({ name, kind, better, values });
  return {
    _kind: "compare", _points: new DataView(new Float32Array(points).buffer), _controls: "",
    _data: {
      runs: NAMES.map((one) => ({ id: one, label: one, told: one === "a" ? [10] : [], tracks: [{ split: "val", count: 2, metrics: ["accuracy"] }] })),
      columns: [
        column("best.accuracy", "result", "higher", [0.9, 0.6, 0.8, 0.3]), column("seconds trained", "cost", "lower", [10, 4, 6, 12]),
        column("config.training.lr", "setting", null, [0.1, 0.001, 0.01, null]), column("config.model.name", "setting", null, ["mlp", "cnn", "mlp", "cnn"]),
      ],
      aim: { metric: "val accuracy", column: "best.accuracy", better: "higher", threshold: 0.6 },
    },
  };
}

interface Shown {
  el: HTMLElement;
  sent: Record<string, unknown>[];
  change: (data: unknown) => void;
  show: (maps: unknown) => void;
  answer: (content: unknown) => void;
  lose: () => void;
  remove: () => void;
}

function open(traits: Record<string, unknown>, width = 1000): Shown {
  const heard: Record<string, (content?: unknown) => void> = {};
  const sent: Record<string, unknown>[] = [];
  const controls: ControlsModel = {
    send: (content) => sent.push(content as Record<string, unknown>),
    on: (name, callback) => {
      heard[name] = callback;
    },
    off: () => undefined, comm_live: true,
  };
  const model: DashboardModel = {
    get: (name) => traits[name],
    on: (name, callback) => {
      heard[name] = callback as (content?: unknown) => void;
    },
    off: () => undefined,
    widget_manager: { get_model: () => Promise.resolve(controls) },
  };
  const el = document.body.appendChild(document.createElement("div"));
  el.style.width = `${width}px`;
  const remove = view.render({ model, el });
  return {
    el, sent, remove,
    change(data) {
      traits["_data"] = data;
      heard["change:_data"]?.();
    },
    show(maps) {
      traits["_maps"] = maps;
      heard["change:_maps"]?.();
    },
    answer: (content) => heard["msg:custom"]?.(content),
    lose() {
      controls.comm_live = false;
      heard["comm_live_update"]?.();
    },
  };
}

let shown: Shown;
const rows = (): string[] => [...shown.el.querySelectorAll<HTMLElement>("tbody tr:not([hidden])")].map((one) => one.querySelector("th")?.textContent ?? "");
const cells = (name: string): string[] => {
  const heads = [...shown.el.querySelectorAll("thead th")].map((one) => one.textContent);
  const at = heads.findIndex((one) => one.startsWith(name));
  return [...shown.el.querySelectorAll("tbody tr")].map((one) => one.children[at]?.textContent ?? "?");
};
/** An element that has what a field, a choice and a button have. */
function find(selector: string): HTMLInputElement {
  const found = shown.el.querySelector(selector);
  if (!found) throw new Error(`no ${selector}`);
  return found as HTMLInputElement;
}

afterEach(() => {
  shown.remove();
  document.body.replaceChildren();
});

describe("runs compared", () => {
  beforeEach(() => {
    shown = open(compared());
  });

  it("draws a line a run and shows text as text", () => {
    expect(shown.el.querySelectorAll("[aria-label='Curves'] .cr-line")).toHaveLength(4);
    expect(shown.el.querySelectorAll(".cr-told")).toHaveLength(1);
    expect(rows()).toContain(TRAP);
    expect(shown.el.querySelector("img")).toBeNull();
  });

  it("says how long each run took to a threshold", () => {
    expect(cells("seconds to")).toEqual(["10", "10", "5", ""]);
    const field = find("[data-testid=cr-threshold]");
    field.value = "0.9"; // the best of a: a float32 in its column
    field.dispatchEvent(new Event("input"));
    expect(cells("seconds to")).toEqual(["10", "", "", ""]);
    field.value = "0.75";
    field.dispatchEvent(new Event("input"));
    expect(cells("seconds to val accuracy ≥ 0.750")).toEqual(["10", "", "5", ""]);
  });

  it("stays sorted by the time to a threshold when that is another one", () => {
    const head = (): HTMLElement | null => shown.el.querySelector<HTMLElement>("thead [title^='seconds to']");
    head()?.click();
    expect(rows()).toEqual(["c", "a", "b", TRAP]);
    const field = find("[data-testid=cr-threshold]");
    field.value = "0.45";
    field.dispatchEvent(new Event("input"));
    expect(head()?.closest("th")?.getAttribute("aria-sort")).toBe("ascending");
    field.value = "0.55";
    field.dispatchEvent(new Event("input"));
    expect(cells("seconds to")).toEqual(["5", "10", "10", ""]);
  });

  it("tells the whole of what is cut", () => {
    expect([...shown.el.querySelectorAll<HTMLElement>("tbody th")].map((one) => one.title)).toEqual(NAMES);
    expect([...shown.el.querySelectorAll<HTMLElement>("tbody td[title]")].map((one) => one.title)).toEqual(["mlp", "cnn", "mlp", "cnn"]);
  });

  it("has as many axes as there is room for, and says how many settings have none", async () => {
    const traits = compared();
    const data = traits["_data"] as { columns: { name: string }[] };
    const [, , , setting] = data.columns;
    data.columns.push(...Array.from({ length: 8 }, (_, i) => ({ ...setting, name: `config.model.k${i}` })));
    const axes = (): SVGGraphicsElement[] => [...shown.el.querySelectorAll<SVGGraphicsElement>("[data-axis]")];
    const places = (): number[] => axes().map((one) => one.querySelector(".cr-axis")?.getBoundingClientRect().left ?? 0);
    const drawn = async (width: number): Promise<string> => {
      shown.el.style.width = `${width}px`;
      for (let k = 0; k < 3; k++) await new Promise((done) => requestAnimationFrame(done));
      return shown.el.querySelector("[aria-label='Settings and results']")?.textContent ?? "";
    };
    shown.remove();
    shown = open(traits, 300);
    find("[data-testid=cr-parallel]").click();
    expect(await drawn(300)).toContain("7 more settings without an axis.");
    expect(axes().map((one) => one.dataset["axis"])).toEqual(["config.training.lr", "config.model.name", "config.model.k0", "best.accuracy"]);
    expect(await drawn(700)).toContain("2 more settings without an axis.");
    expect(axes()).toHaveLength(9);
    press(find("[data-axis='config.model.k5']"), "ArrowUp"); // what a person keeps runs by stays
    await drawn(300);
    expect(axes().map((one) => one.dataset["axis"])).toEqual(["config.training.lr", "config.model.name", "config.model.k5", "best.accuracy"]);
    expect(Math.min(...places().slice(1).map((one, i) => one - (places()[i] ?? 0)))).toBeGreaterThan(45);
  });

  it("marks an intervention on a point that is drawn, and none after the last one", () => {
    const traits = compared();
    const { runs } = traits["_data"] as { runs: { told: number[] }[] };
    runs[0]?.told.push(21);
    runs[3]?.told.push(15); // its point at step 20 is no number
    shown.remove();
    shown = open(traits);
    expect([...shown.el.querySelectorAll(".cr-told")].map((one) => one.textContent)).toEqual(["A person intervened at step 10"]);
  });

  it("sorts by a head, the better first and what is missing last", () => {
    find("[title='best.accuracy']").click();
    expect(rows()).toEqual(["a", "c", "b", TRAP]);
    find("[title='config.training.lr']").click();
    expect(rows()).toEqual(["b", "c", "a", TRAP]);
    expect(find("[aria-sort=ascending]").textContent).toContain("training.lr");
  });

  it("keeps the runs in a stretch of an axis, by keys", () => {
    const axis = find("[data-axis='best.accuracy']");
    axis.focus();
    for (let k = 0; k < 6; k++) press(find("[data-axis='best.accuracy']"), "ArrowUp");
    expect(rows()).toEqual(["a", "c"]);
    expect(document.activeElement?.getAttribute("data-axis")).toBe("best.accuracy");
    press(find("[data-axis='best.accuracy']"), "Escape");
    expect(rows()).toHaveLength(4);
  });

  it("marks the Pareto front of two columns", () => {
    find("[data-testid=cr-scatter]").click();
    expect(shown.el.querySelectorAll("[data-front]")).toHaveLength(3);
    expect(shown.el.textContent).toContain("3 runs on the Pareto front");
  });

  describe("one sample in all of them", () => {
    const png = new DataView(new Uint8Array([137, 80, 78, 71]).buffer);
    const beside = { sample: 7, offered: [7, 2], shown: [{ run: 1, step: 40, png }, { run: 3, step: null, png }], without: 2, more: 0, alike: false };
    const figures = (): HTMLElement[] => [...shown.el.querySelectorAll<HTMLElement>("figure:not([hidden])")];
    beforeEach(async () => {
      shown.remove();
      shown = open({ ...compared(), _controls: "id", _maps: beside });
      await new Promise((done) => setTimeout(done, 20));
    });

    it("is shown with its newest map, and its name is text", () => {
      expect(figures().map((one) => one.textContent)).toEqual(["b map of step 40", `${TRAP} no map`]);
      expect(figures()[0]?.querySelector("img")?.src).toBe("data:image/png;base64,iVBORw==");
      expect(find("[data-testid=cr-sample]").value).toBe("7");
      expect(find("[data-testid=cr-maps-said]").textContent).toBe("2 runs without a picture of it. The runs were trained on different data: the number may mean another sample in each.");
    });

    it("is asked for by its number, and what the kernel refuses is said", async () => {
      const field = find("[data-testid=cr-sample]");
      field.value = "12";
      field.dispatchEvent(new Event("change"));
      expect(shown.sent.at(-1)).toMatchObject({ kind: "sample", number: 12 });
      shown.answer({ kind: "reply", id: shown.sent.at(-1)?.["id"], ok: false, text: "Not understood" });
      await Promise.resolve();
      expect(find("[data-testid=cr-maps-said]").textContent).toBe("Not understood");
      const before = shown.sent.length;
      for (const wrong of ["", "-1", "1.5"]) {
        field.value = wrong;
        field.dispatchEvent(new Event("change"));
      }
      expect(shown.sent).toHaveLength(before);
      shown.show({ ...beside, sample: 12, shown: [], alike: true });
      expect(figures()).toHaveLength(0);
      expect(find("[data-testid=cr-maps-said]").textContent).toBe("No run has a picture of this sample.");
    });

    it("leaves out the runs that an axis leaves out", () => {
      for (let k = 0; k < 2; k++) press(find("[data-axis='best.accuracy']"), "ArrowUp");
      expect(figures().map((one) => one.dataset["run"])).toEqual(["1"]);
    });

    it("is not there where no run keeps a map, and cannot be asked for in a saved view", () => {
      shown.remove();
      shown = open({ ...compared(), _maps: {} });
      expect(find("section:has([data-testid=cr-sample])").hidden).toBe(true);
      shown.remove();
      shown = open({ ...compared(), _maps: beside });
      expect(find("[data-testid=cr-sample]").disabled).toBe(true);
      expect(figures()).toHaveLength(2);
    });
  });

  it("says so where the kernel sends something else", () => {
    shown.remove();
    shown = open({ ...compared(), _data: { runs: 3 } });
    expect(find("[role=alert]").textContent).toContain("runs is no list");
    shown.remove();
    shown = open({ ...compared(), _points: new DataView(new ArrayBuffer(8)) });
    expect(find("[role=alert]").textContent).toContain("the points are too few");
  });
});

describe("columns and axes", () => {
  const column = (better: "higher" | "lower", values: (number | null)[]): Column => ({ name: "", kind: "", better, values });

  it("has no run on the front that another one beats", () => {
    expect(paretoFront(column("lower", [1, 2, 3, 1]), column("higher", [0.5, 0.4, 0.9, 0.3]))).toEqual([0, 2]);
    expect(paretoFront(column("higher", [1, 2, null]), column("lower", [1, 2, 0]))).toEqual([0, 1]);
  });

  it("places numbers evenly or by their logarithms, and words one after the other", () => {
    expect(scaleOf([0, 10]).at(5)).toBe(0.5);
    expect(scaleOf([0.001, 0.1], true).at(0.01)).toBeCloseTo(0.5);
    expect(scaleOf(["b", "a", "c"]).at("b")).toBe(0.5);
    expect(scaleOf([3, 3]).at(3)).toBe(0.5);
    expect(scaleOf([8, 64], false, true).ticks.map((one) => one.label)).toEqual(["8", "64"]);
    expect(scaleOf([0.00013, 0.0089]).ticks.map((one) => one.label)).toEqual(["0.002", "0.004", "0.006", "0.008"]);
    expect(scaleOf([0, 39]).ticks.map((one) => one.label)).toEqual(["0", "10", "20", "30"]);
    expect(scaleOf([0, 1]).ticks.map((one) => one.label)).toEqual(["0", "1"]);
    expect(scaleOf([]).at(1)).toBeNull();
    expect(scaleOf([1, null]).at(null)).toBeNull();
  });
});

describe("a search", () => {
  const trial = (number: number, state: string, result: number | null, more = {}): unknown => ({
    number, state, result, values: { "training.lr": 0.1 * (number + 1), "model.width": 16 }, epochs: 2, pinned: false, said: "", ...more,
  });
  const search = (trials: unknown[]): unknown => ({
    folder: "patients", state: "searching", metric: "val_loss", better: "lower", best: 1, trials,
    space: [{ name: "training.lr", choices: null, low: 0.001, high: 1, whole: false }, { name: "model.width", choices: [16, 32] }],
  });
  const said = (): Record<string, unknown> => {
    const { id, ...rest } = shown.sent.filter((one) => one["kind"] !== "look").at(-1) ?? {};
    expect(typeof id).toBe("string");
    return rest;
  };

  beforeEach(async () => {
    const data = search([trial(0, "finished", 0.5), trial(1, "finished", 0.3), trial(2, "running", 0.4, { said: TRAP })]);
    shown = open({ _kind: "sweep", _data: data, _controls: "id" });
    await Promise.resolve();
    await new Promise((done) => setTimeout(done, 20));
  });

  it("shows trials live, the best marked", () => {
    expect(rows()).toEqual(["0", "1best", "2"]);
    expect(find("h3").textContent).toBe("patients: val_loss 0.300, trial 1");
    expect(shown.el.textContent).toContain(TRAP);
    shown.change(search([trial(0, "finished", 0.5), trial(1, "finished", 0.3), trial(2, "pruned", 0.4), trial(3, "running", null)]));
    expect(find("[data-testid=cr-state]").textContent).toBe("searching · 4 trials, 1 pruned, 1 running");
    expect(shown.el.querySelector("[data-testid=cr-prune-2]")).toBeNull();
  });

  it("keeps the keyboard's place and an open list when the search goes on", () => {
    const trials = [trial(0, "finished", 0.5), trial(1, "finished", 0.3), trial(2, "running", 0.4)];
    find("[data-axis='training.lr']").focus();
    shown.change(search(trials));
    expect(document.activeElement?.getAttribute("data-axis")).toBe("training.lr");
    const list = find("select[aria-label='Across']");
    const options = [...list.children];
    shown.change(search([...trials, trial(3, "running", null)]));
    expect([...list.children]).toEqual(options);
    expect(list.children[0]).toBe(options[0]);
  });

  it("lets what was refused be asked again, and waits for no kernel that has gone", async () => {
    find("[data-testid=cr-prune-2]").click();
    expect(find("[data-testid=cr-prune-2]").disabled).toBe(true);
    shown.answer({ kind: "reply", id: shown.sent.at(-1)?.["id"], ok: false, text: "The disk is full" });
    await new Promise((done) => setTimeout(done, 0));
    expect(find("[data-testid=cr-answer]").textContent).toBe("The disk is full");
    expect(find("[data-testid=cr-prune-2]").disabled).toBe(false);
    find("[data-testid=cr-pin-2]").click();
    expect(find("[data-testid=cr-answer]").textContent).toBe("…");
    shown.lose();
    await new Promise((done) => setTimeout(done, 0));
    expect(find("[data-testid=cr-answer]").textContent).toBe("The kernel went before it answered.");
  });

  it("keeps later trials too that lie in the stretch of an axis", () => {
    press(find("[data-axis='training.lr']"), "ArrowUp");
    expect(rows()).toEqual(["1best", "2"]);
    const more = [3, 4].map((number) => trial(number, "finished", 0.6));
    shown.change(search([trial(0, "finished", 0.5), trial(1, "finished", 0.3), trial(2, "running", 0.4), ...more]));
    expect(rows()).toEqual(["1best", "2", "3", "4"]);
  });

  it("prunes and pins what runs, and nothing that has ended", async () => {
    expect(shown.el.querySelector("[data-testid=cr-prune-0]")).toBeNull();
    find("[data-testid=cr-prune-2]").click();
    expect(said()).toEqual({ kind: "prune", number: 2 });
    shown.answer({ kind: "reply", id: shown.sent.at(-1)?.["id"], ok: true, text: "Trial 2 is pruned" });
    await Promise.resolve();
    expect(find("[data-testid=cr-answer]").textContent).toBe("Trial 2 is pruned");
    find("[data-testid=cr-pin-2]").click();
    expect(said()).toEqual({ kind: "pin", number: 2 });
  });

  it("enqueues values, those of a trial copied, some left to the sampler", () => {
    find("[data-focus='copy 1']").click();
    expect(find("[name='training.lr']").value).toBe("0.2");
    find("[name='model.width']").value = "1";
    find("[data-testid=cr-enqueue]").click();
    expect(said()).toEqual({ kind: "enqueue", values: { "training.lr": 0.2, "model.width": 32 } });
    find("[name='model.width']").value = "-1";
    find("[data-testid=cr-enqueue]").click();
    expect(said()).toEqual({ kind: "enqueue", values: { "training.lr": 0.2 } });
  });

  it("keeps what is being entered when the search goes on", () => {
    const field = find("[name='training.lr']");
    field.focus();
    field.value = "0.02";
    shown.change(search([trial(0, "finished", 0.5), trial(1, "finished", 0.2)]));
    expect(find("[name='training.lr']").value).toBe("0.02");
    expect(document.activeElement).toBe(field);
  });
});
