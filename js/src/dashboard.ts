// Puts the parts of one view together and keeps them up to date.

import type { Actions } from "./actions";
import { createCharts } from "./charts";
import { createCoach } from "./coach";
import { createReader } from "./dialog";
import { h, keepFocus, setAttr, setText } from "./dom";
import { createFocus } from "./focus";
import { createHeader } from "./header";
import { createHelp, listenForKeys } from "./keys";
import { createLedger } from "./ledger";
import { createList } from "./list";
import { createKeep } from "./keep";
import { createQuestion } from "./question";
import { createRequests } from "./requests";
import { createScreen } from "./screen";
import type { Store } from "./store";
import { createTabs } from "./tabs";
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
  const reader = createReader(ending.signal);
  const context: Context = {
    store, actions, root, signal: ending.signal,
    announce: (text) => {
      setText(live, text);
    },
    read: reader.read,
    ask: () => {
      question.open();
    },
    keep: (id) => {
      card.open(id);
    },
    label: () => {
      requests.open();
    },
    narrow: () => focus.el.offsetParent === null,
  };
  parent.append(root);

  const help = createHelp(context);
  const screen = createScreen(root, ending.signal);
  const header = createHeader(context, screen, help.open);
  const coach = createCoach(context);
  const question = createQuestion(context);
  const card = createKeep(context);
  const requests = createRequests(context);
  const tabs = createTabs(context);
  const list = createList(context);
  const focus = createFocus(context);
  const ledger = createLedger(context);
  const charts = createCharts(context);
  root.append(
    h("div", { class: "cw-bench" }, header.el, coach.el, tabs.el, list.el, focus.el, ledger.el, charts.el),
    screen.handle, live, question.el, card.el, requests.el, help.el, reader.el,
  );

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
  const parts: Part[] = [header, coach, tabs, list, focus, ledger, charts, question, card, requests, help];
  const keep = keepFocus(root);
  store.subscribe((state, changed) => {
    const kept = keep();
    setAttr(root, "data-connection", state.connection);
    setAttr(root, "data-past", state.connection === "saved" || state.connection === "replay"); // nothing to steer
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
