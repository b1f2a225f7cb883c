// Puts the parts of one view together and keeps them up to date.

import type { Actions } from "./actions";
import { createAlarms } from "./alarms";
import { createCharts } from "./charts";
import { h, keepFocus, setAttr, setHidden, setText } from "./dom";
import { createFocus } from "./focus";
import { createGates } from "./gates";
import { createFooter, createHeader, createNotice } from "./header";
import { createInstruction } from "./instruction";
import { createHelp, listenForKeys } from "./keys";
import { renderKnobs } from "./knobs";
import { createLedger } from "./ledger";
import { createSide } from "./side";
import { isReachable } from "./state";
import type { Store } from "./store";
import { followTheme } from "./theme";
import type { Transport } from "./transport";
import type { Context, Part } from "./view";

/** Show the dashboard in `parent`; the returned function removes it and ends all it listens to. */
export function mount(parent: HTMLElement, store: Store, actions: Actions, transport: Transport): () => void {
  const ending = new AbortController();
  const live = h("div", { class: "cw-sr", role: "status", "aria-live": "polite" });
  const root = h("div", {
    class: "cw-root", testid: "cw-root", "data-lm-suppress-shortcuts": "true", role: "region", "aria-label": "Training dashboard", tabindex: -1,
  });
  const context: Context = {
    store, actions, root, signal: ending.signal,
    announce: (text) => {
      setText(live, text);
    },
  };
  parent.append(root);

  const help = createHelp(context);
  const header = createHeader(context, help.open);
  const charts = createCharts(context);
  const focus = createFocus(context);
  const gates = createGates(context);
  const side = createSide(context, gates);
  const instruction = createInstruction(context);
  const ledger = createLedger(context);
  const knobs = createKnobs(context);
  ledger.el.append(knobs.el);
  const notice = createNotice(context);
  const alarms = createAlarms(context);
  header.el.append(alarms.el, notice.el);
  const footer = createFooter();
  root.append(
    h("div", { class: "cw-grid" }, header.el, charts.el, focus.el, side.el, instruction.el, ledger.el, footer.el),
    live, help.el,
  );

  // Where the picture stands above the lists, whoever chose a sample sees it.
  side.el.addEventListener("click", (event) => {
    if (side.el.offsetLeft === focus.el.offsetLeft && (event.target as Element).closest(".cw-queue-item")) focus.el.scrollIntoView({ block: "nearest" });
  }, { signal: ending.signal });
  followTheme(root, charts.repaint, ending.signal);
  listenForKeys(context, help.open);
  followSight(root, (visible) => {
    transport.seen(root, visible);
  }, ending.signal);
  for (const hand of ["pointermove", "keydown", "wheel"]) {
    root.addEventListener(hand, () => {
      transport.touched();
    }, { signal: ending.signal, capture: true, passive: true });
  }
  const parts: Part[] = [header, alarms, notice, charts, focus, gates, side, instruction, ledger, knobs, footer];
  const keep = keepFocus(root);
  store.subscribe((state, changed) => {
    const kept = keep();
    setAttr(root, "data-connection", state.connection);
    setAttr(root, "data-unguided", state.status?.guidance === false ? "" : null);
    for (const part of parts) {
      if (part.keys.some((key) => changed.has(key))) part.update(state, changed);
    }
    kept();
  }, ending.signal);

  return () => {
    ending.abort();
    transport.seen(root, false);
    root.remove();
  };
}

/** The panel for knobs, behind a line that opens it. */
function createKnobs({ actions }: Context): Part {
  const panel = h("div", { testid: "cw-knobs" });
  const el = h("details", { class: "cw-knob-panel" }, h("summary", { class: "cw-title" }, "Knobs"), panel);
  return {
    el,
    keys: ["knobs", "status", "connection"],
    update(state) {
      setHidden(el, state.knobs === null);
      renderKnobs(panel, { knobs: state.knobs, reachable: isReachable(state), rate: state.status?.learning_rate ?? null }, (command) => actions.send(command));
    },
  };
}

/** Tell whether somebody can see the view: it is within the window, and the page is in front. */
function followSight(root: HTMLElement, tell: (visible: boolean) => void, signal: AbortSignal): void {
  if (typeof IntersectionObserver !== "function") return;
  let near = false;
  const say = (): void => {
    if (!signal.aborted) tell(near && document.visibilityState === "visible");
  };
  const observer = new IntersectionObserver((entries) => {
    near = entries[entries.length - 1]?.isIntersecting ?? near;
    say();
  }, { rootMargin: "200px" });
  observer.observe(root);
  document.addEventListener("visibilitychange", say, { signal });
  window.addEventListener("pagehide", () => {
    tell(false);
  }, { signal });
  signal.addEventListener("abort", () => {
    observer.disconnect();
  });
}
