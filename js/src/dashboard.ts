// Puts the parts of one view together and keeps them up to date.

import type { Actions } from "./actions";
import { createCharts } from "./charts";
import { h, setText } from "./dom";
import { createFocus } from "./focus";
import { createGates } from "./gates";
import { createFooter, createHeader } from "./header";
import { createInstruction } from "./instruction";
import { createHelp, listenForKeys } from "./keys";
import { createLedger } from "./ledger";
import { createQueue } from "./queue";
import type { Store } from "./store";
import { followTheme } from "./theme";
import { createTools } from "./tools";
import type { Context, Part } from "./view";

/** Show the dashboard in `parent`; the returned function removes it and ends all it listens to. */
export function mount(parent: HTMLElement, store: Store, actions: Actions): () => void {
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
  const tools = createTools(context);
  const focus = createFocus(context, tools.el);
  const gates = createGates(context);
  const queue = createQueue(context, gates.el);
  const instruction = createInstruction(context);
  const ledger = createLedger(context);
  const footer = createFooter(context);
  root.append(
    h("div", { class: "cw-grid" }, header.el, charts.el, focus.el, queue.el, instruction.el, ledger.el, footer.el),
    live, help.el,
  );

  followTheme(root, charts.repaint, ending.signal);
  listenForKeys(context, help.open);
  const parts: Part[] = [header, charts, focus, tools, gates, queue, instruction, ledger, footer];
  store.subscribe((state, changed) => {
    for (const part of parts) {
      if (part.keys.some((key) => changed.has(key))) part.update(state, changed);
    }
  }, ending.signal);

  return () => {
    ending.abort();
    root.remove();
  };
}
