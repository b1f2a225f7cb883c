// What a person says of a label that is in doubt, beside the picture of its sample.

import { button, h, isolated, setAttr, setHidden, setText } from "./dom";
import { className, isReachable } from "./state";
import { shortNames } from "./names";
import type { Context, Part } from "./view";

const VERDICTS = [["right", "Right"], ["wrong", "It is"], ["leave out", "Leave out"], ["undo", "Undo"]] as const;

export function createJudge({ store, actions, signal }: Context): Part {
  const label = isolated("cw-strong");
  const seen = isolated("cw-strong");
  const question = h("p", { class: "cw-judge-question" }, "Labelled ", label, ", looks like ", seen, ".");
  const choose = h("select", { class: "cw-input cw-select cw-small", testid: "cw-judge-class", "aria-label": "The right class" });
  const said = h("span", { class: "cw-note" });
  const buttons = VERDICTS.map(([name, word]) => {
    const one = button(word, { class: "cw-button cw-small", "data-verdict": name });
    one.addEventListener("click", () => {
      const index = Number(el.getAttribute("data-index"));
      void actions.send({ kind: "judge", index, verdict: name, label: name === "wrong" ? Number(choose.value) : null });
    }, { signal });
    return one;
  });
  const el = h("div", { class: "cw-judge", testid: "cw-judge" }, question,
    h("div", { class: "cw-judge-line" }, ...buttons.flatMap((one) => (one.dataset["verdict"] === "wrong" ? [one, choose] : [one])), said));
  choose.addEventListener("change", () => {
    setAttr(choose, "data-chosen", "");
  }, { signal });
  let known: readonly string[] = [];

  return {
    el,
    keys: ["suspects", "explanation", "status", "connection"],
    update() {
      const { state } = store;
      const item = state.suspects?.items.find((one) => one.index === state.explanation?.index);
      setHidden(el, item === undefined);
      if (item === undefined) return;
      const fresh = el.getAttribute("data-index") !== String(item.index);
      setAttr(el, "data-index", item.index);
      setText(label, className(state, item.target));
      setText(seen, className(state, item.suggested));
      const names = state.status?.classes ?? [];
      if (known !== names) {
        known = names;
        choose.replaceChildren(...shortNames(names).map((name, i) => h("option", { value: i, dir: "auto" }, name)));
      }
      if (fresh) setAttr(choose, "data-chosen", null);
      if (choose.getAttribute("data-chosen") === null) choose.value = String(item.suggested);
      const judged = item.judged !== "";
      for (const one of buttons) {
        setHidden(one, judged !== (one.dataset["verdict"] === "undo"));
        one.disabled = !isReachable(state);
      }
      setHidden(choose, judged);
      setText(said, judged ? `judged: ${item.judged}` : "");
    },
  };
}
