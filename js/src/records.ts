// The anywidget module of records: several runs side by side, or a search while it goes on.

import "./records.css";
import { h, setText } from "./dom";
import { createAsking } from "./records/asking";
import { createCompare } from "./records/compare";
import { readCompared } from "./records/data";
import { readBeside } from "./records/maps";
import { createSweep, readSearch } from "./records/sweep";
import { followTheme } from "./theme";
import type { DashboardModel } from "./transport";

const BEAT = 15_000; // milliseconds between two signs of a page that shows a search

function mount(model: DashboardModel, root: HTMLElement, signal: AbortSignal): void {
  const show = (make: () => HTMLElement): void => {
    try {
      root.replaceChildren(make());
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      root.replaceChildren(h("p", { role: "alert" }, `What the kernel sent could not be read: ${what}. Run the cell again with the newest coflect-widget.`));
    }
  };
  if (model.get("_kind") === "sweep") {
    show(() => createLive(model, root, signal));
    return;
  }
  show(() => createCompared(model, signal));
}

/** A search: its newest state is a trait, what a person says of it goes to the controls. */
function createLive(model: DashboardModel, root: HTMLElement, signal: AbortSignal): HTMLElement {
  const absent = "There is no kernel to ask: this is a saved view. coflect.Sweep(folder) in a notebook shows the search anew.";
  const asking = createAsking(model, beat, absent, signal);
  const view = createSweep(asking.ask, signal);
  function draw(): void {
    view.show(readSearch(model.get("_data")));
  }
  function beat(): void {
    const seen = root.isConnected && root.offsetParent !== null && document.visibilityState === "visible";
    view.connected(seen ? asking.post({ kind: "look" }) : asking.alive());
  }
  model.on("change:_data", draw);
  view.connected(false);
  draw();
  const timer = setInterval(beat, BEAT);
  signal.addEventListener("abort", () => {
    clearInterval(timer);
    model.off("change:_data", draw);
  });
  return view.el;
}

/** Runs compared; one sample of them is asked for by its number. */
function createCompared(model: DashboardModel, signal: AbortSignal): HTMLElement {
  const absent = "There is no kernel to ask: this is a saved view. Run the cell again to see another sample.";
  const data = readCompared(model.get("_data"), model.get("_points") as DataView);
  const asking = createAsking(model, connect, absent, signal);
  const view = createCompare(data, (number) => asking.ask({ kind: "sample", number }), signal);
  function connect(): void {
    view.maps.connected(asking.alive());
  }
  function draw(): void {
    view.maps.show(readBeside(model.get("_maps"), data.runs.length));
  }
  model.on("change:_maps", draw);
  connect();
  draw();
  signal.addEventListener("abort", () => {
    model.off("change:_maps", draw);
  });
  return view.el;
}

export default {
  render({ model, el }: { model: DashboardModel; el: HTMLElement }): () => void {
    const ending = new AbortController();
    const kind = String(model.get("_kind"));
    const root = h("div", { class: "cr-root", testid: "cr-root", "data-kind": kind, "data-lm-suppress-shortcuts": "true", role: "region", "aria-label": kind === "sweep" ? "Search" : "Runs compared" });
    setText(root, "");
    el.append(root);
    followTheme(root, () => undefined, ending.signal);
    mount(model, root, ending.signal);
    return () => {
      ending.abort();
      root.remove();
    };
  },
};
