// The anywidget module of records: several runs side by side, or a search while it goes on.

import "./records.css";
import { h, setText } from "./dom";
import { createCompare } from "./records/compare";
import { readCompared } from "./records/data";
import { createSweep, readSearch, type Tell } from "./records/sweep";
import { followTheme } from "./theme";
import type { ControlsModel, DashboardModel } from "./transport";

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
  show(() => createCompare(readCompared(model.get("_data"), model.get("_points") as DataView), signal));
}

/** A search: its newest state is a trait, what a person says of it goes to the controls. */
function createLive(model: DashboardModel, root: HTMLElement, signal: AbortSignal): HTMLElement {
  let controls: ControlsModel | null = null;
  let number = 0;
  const page = crypto.getRandomValues(new Uint32Array(2)).join("-");
  const waiting = new Map<string, (reply: { ok: boolean; text: string }) => void>();
  const post = (message: object): boolean => {
    if (controls === null || controls.comm_live === false) return false;
    try {
      const sent = controls.send(message, undefined, []);
      if (sent instanceof Promise) sent.catch(() => undefined);
      return true;
    } catch {
      return false; // ipywidgets throws where the comm is closed
    }
  };
  const tell: Tell = (said) => new Promise((resolve, reject) => {
    const id = `${page}-${number++}`;
    if (post({ ...said, id })) waiting.set(id, resolve);
    else reject(new Error("There is no kernel to ask: this is a saved view. coflect.Sweep(folder) in a notebook shows the search anew."));
  });
  const view = createSweep(tell, signal);
  const draw = (): void => {
    view.show(readSearch(model.get("_data")));
  };
  const receive = (content: unknown): void => {
    const reply = content as { kind?: unknown; id?: unknown; ok?: unknown; text?: unknown };
    if (reply.kind !== "reply" || typeof reply.id !== "string") return;
    waiting.get(reply.id)?.({ ok: reply.ok === true, text: String(reply.text) });
    waiting.delete(reply.id);
  };
  const beat = (): void => {
    const seen = root.isConnected && root.offsetParent !== null && document.visibilityState === "visible";
    const there = seen ? post({ kind: "look", id: `${page}-${number++}` }) : controls !== null && controls.comm_live !== false;
    view.connected(there);
  };
  model.on("change:_data", draw);
  model.on("msg:custom", receive);
  view.connected(false);
  draw();
  const id = model.get("_controls");
  let tries = 0;
  const find = (): void => {
    if (typeof id !== "string" || id === "" || signal.aborted) return;
    model.widget_manager.get_model(id).then((found) => {
      controls = found;
      found.on("comm_live_update", beat);
      beat();
    }, () => {
      if (++tries < 40) setTimeout(find, 250); // after a reload the two models come in any order
    });
  };
  find();
  const timer = setInterval(beat, BEAT);
  signal.addEventListener("abort", () => {
    clearInterval(timer);
    model.off("change:_data", draw);
    model.off("msg:custom", receive);
    controls?.off("comm_live_update", beat);
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
