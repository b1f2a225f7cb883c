// Where there is no room side by side: the four parts behind tabs, the picture first.

import { button, setAttr, setText, tablist } from "./dom";
import { countOf, shownPage } from "./lists";
import type { Tab } from "./state";
import type { Context, Part } from "./view";

const TABS: readonly Tab[] = ["look", "list", "charts", "ledger"];

export function createTabs({ store, root, signal }: Context): Part {
  const tabs = TABS.map((name) => {
    const one = button("", { class: "cw-tab", testid: `cw-tab-${name}`, role: "tab" });
    one.addEventListener("click", () => {
      store.patch({ tab: name });
    }, { signal });
    return one;
  });
  const el = tablist(tabs, "cw-tabs", "Parts of the dashboard", signal);
  return {
    el,
    keys: ["tab", "page", "queue", "forgotten", "suspects", "hits", "ledger"],
    update(state) {
      const page = shownPage(state);
      const words: Record<Tab, readonly [string, number]> = {
        look: ["Look & tell", 0],
        list: [{ wrong: "Wrong", risk: "At risk", forgotten: "Forgotten", suspects: "Labels", alike: "Alike" }[page], countOf(state, page) ?? 0],
        charts: ["Charts", 0],
        ledger: ["Ledger", state.ledger.length],
      };
      TABS.forEach((name, i) => {
        const tab = tabs[i];
        if (!tab) return;
        const [word, count] = words[name];
        const text = count > 0 ? `${word} ${count}` : word;
        setText(tab, text);
        setAttr(tab, "aria-label", text);
        setAttr(tab, "data-short", text.replace(" & tell", "")); // in the narrowest panel
        setAttr(tab, "aria-selected", String(name === state.tab));
        setAttr(tab, "tabindex", name === state.tab ? null : -1);
      });
      setAttr(root, "data-tab", state.tab);
    },
  };
}
