// The side of lists: samples at risk, doubtful labels, samples that look like an ignored one.

import { button, h, setAttr, setHidden, setText } from "./dom";
import type { Gates } from "./gates";
import { createHits } from "./hits";
import { createQueue } from "./queue";
import { createSuspects } from "./suspects";
import type { State } from "./state";
import type { Context, Part } from "./view";

export function createSide(context: Context, gates: Gates): Part {
  const { store, signal } = context;
  const pages: [State["page"], Part, HTMLButtonElement][] = (
    [["risk", createQueue(context, gates)], ["suspects", createSuspects(context)], ["alike", createHits(context)]] as [State["page"], Part][]
  ).map(([name, part]) => {
    const tab = button("", { class: "cw-segment", testid: `cw-page-${name}`, role: "tab" });
    tab.addEventListener("click", () => {
      store.patch({ page: name });
    }, { signal });
    setAttr(part.el, "role", "tabpanel");
    return [name, part, tab];
  });
  const tabs = h("div", { class: "cw-segments cw-tabs", role: "tablist", "aria-label": "Lists of samples" }, ...pages.map(([, , tab]) => tab));
  tabs.addEventListener("keydown", (event) => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (by === 0) return;
    const usable = pages.filter(([, , tab]) => !tab.hidden).map(([, , tab]) => tab);
    const next = usable[(usable.indexOf(event.target as HTMLButtonElement) + by + usable.length) % usable.length];
    next?.focus();
    next?.click();
    event.preventDefault();
  }, { signal });
  const el = h("section", { class: "cw-panel cw-side", "aria-label": "Samples to look at" }, tabs, ...pages.map(([, part]) => part.el));
  return {
    el,
    keys: [...new Set<keyof State>(["page", "hits", "suspects", ...pages.flatMap(([, part]) => part.keys)])],
    update(state, changed) {
      const there: Record<State["page"], string | null> = {
        risk: "At risk",
        suspects: (state.suspects?.items.length ?? 0) === 0 ? null : `Labels ${state.suspects?.count ?? 0}`,
        alike: state.hits === null ? null : `Alike ${state.hits.count}`,
      };
      const page = there[state.page] === null ? "risk" : state.page;
      setHidden(tabs, there.suspects === null && there.alike === null);
      for (const [name, part, tab] of pages) {
        const label = there[name];
        setHidden(tab, label === null);
        setText(tab, label ?? "");
        setAttr(tab, "aria-selected", String(name === page));
        setAttr(tab, "tabindex", name === page ? null : -1);
        setAttr(part.el, "aria-label", label);
        setHidden(part.el, name !== page);
        if (part.keys.some((key) => changed.has(key))) part.update(state, changed);
      }
    },
  };
}
