// Beside the picture: what the model says of the sample, how far its map can be trusted, where it
// looked earlier, and one press that says whether that is the reason to go by.

import { button, h, isolated, setAttr, setHidden, setText, setVar, syncChildren } from "./dom";
import { probability, share } from "./format";
import { createJudge } from "./judge";
import { keptInstead } from "./kept";
import { shownKind } from "./modalities/kinds";
import type { Explanation } from "./protocol";
import { className, hasMaps, isReachable, shownExplanation, type State } from "./state";
import { createTimeline } from "./timeline";
import type { Context, Part } from "./view";

export function createEvidence(context: Context): Part {
  const { actions, signal } = context;
  const busy = h("span", { class: "cw-busy", role: "status" });
  const bars = h("ol", { class: "cw-bars", "aria-label": "Most probable classes" });
  const agreement = h("span", { class: "cw-strong", testid: "cw-agreement" });
  const quality = h("span", { class: "cw-quality" });
  const modelStep = h("span", { testid: "cw-model-step" });
  const facts = h("p", { class: "cw-evidence" }, "map ", quality, h("span", { title: "How far the two maps agree, from 0 (chance) to 1" }, "agreement ", agreement), modelStep);
  const reason = (right: boolean): HTMLButtonElement => {
    const [word, does, key] = right ? ["Yes", "look at", "R"] : ["No, ignore it", "ignore", "W"];
    const one = button(`${word} `, { class: "cw-button cw-small", testid: right ? "cw-right-reason" : "cw-wrong-reason", title: `Tell the training to ${does} the framed place (${key})` }, h("span", { class: "cw-key", "aria-hidden": "true" }, key));
    one.addEventListener("click", () => void actions.judgeReason(right), { signal });
    return one;
  };
  const reasons = [reason(true), reason(false)];
  const question = h("span", { class: "cw-note", title: "The yellow frame shows where the model looks most" });
  const caution = h("p", { class: "cw-caution", testid: "cw-caution" });
  const judging = h("div", { class: "cw-reasons" }, question, h("span", { class: "cw-group" }, ...reasons));
  const timeline = createTimeline(context);
  const judge = createJudge(context);
  const el = h("div", { class: "cw-says" },
    h("div", { class: "cw-says-head" }, h("h4", { class: "cw-title" }, "What the model says"), busy), bars, facts, timeline.el, judging,
    h("div", { class: "cw-slot", tabindex: 0, role: "group", "aria-label": "What else there is to say of this sample" }, judge.el, caution));

  bars.addEventListener("click", (event) => {
    const chosen = (event.target as Element).closest("[data-class]")?.getAttribute("data-class");
    const index = context.store.state.explanation?.index;
    if (typeof chosen === "string" && index !== undefined) void actions.explain(index, Number(chosen));
  }, { signal });

  function makeBar(): HTMLLIElement {
    return h("li", { class: "cw-class-bar" }, button("", { class: "cw-class-choose" }, isolated("cw-class")), h("span", { class: "cw-check" }),
      h("span", { class: "cw-meter", "aria-hidden": "true" }), h("span", { class: "cw-number" }));
  }

  function showBars(state: State, explanation: Explanation | null): void {
    const top = explanation?.top ?? [];
    const labels = explanation?.labels ?? [];
    syncChildren(bars, top, makeBar, (item, one) => {
      const [name, check, meter, number] = item.children;
      // With several labels a sample each of them has its own truth.
      const truth = labels.length > 0 ? labels.includes(one.index) : one.index === explanation?.target;
      const mapped = one.index === explanation?.explained;
      const label = className(state, one.index);
      const text = name?.firstElementChild;
      if (text) setText(text, label);
      if (name) {
        setAttr(name, "data-class", one.index);
        setAttr(name, "aria-pressed", String(mapped));
        setAttr(name, "title", mapped ? `The map is of ${label}` : `Show the map of ${label}`);
        (name as HTMLButtonElement).disabled = !isReachable(state);
      }
      setAttr(item, "title", state.status?.classes[one.index] ?? label);
      if (check) {
        setText(check, truth ? "✓" : "");
        setAttr(check, "aria-label", truth ? "true class" : null);
        setAttr(check, "role", truth ? "img" : null);
      }
      setAttr(item, "data-true", truth);
      if (meter) setVar(meter as HTMLElement, "--cw-share", one.probability.toFixed(3));
      if (number) setText(number, probability(one.probability));
    });
  }

  function showText(state: State): void {
    const explanation = shownExplanation(state);
    setText(question, shownKind(state).question);
    for (const one of reasons) one.disabled = (explanation?.bbox ?? null) === null || !isReachable(state);
    const failed = explanation?.failed ?? null;
    const kept = keptInstead(state);
    const waiting = state.explaining !== null || (explanation !== null && failed === null && kept === null && isReachable(state) && !hasMaps(explanation));
    setText(busy, waiting ? "explaining…" : kept !== null || (failed !== null && explanation?.picture) ? "no map" : "");
    setAttr(busy, "title", failed ?? kept);
    setText(agreement, explanation === null || !hasMaps(explanation) ? "–" : explanation.agreement === null ? "not defined" : share(explanation.agreement));
    setText(quality, explanation?.quality ?? (explanation !== null && hasMaps(explanation) ? "not checked" : "–"));
    setAttr(quality, "title", explanation?.quality_reason ?? "Whether taking away what the map marks changes what the model says");
    setAttr(quality, "data-quality", explanation?.quality ?? null);
    setText(modelStep, typeof explanation?.model_step === "number" ? `model of step ${explanation.model_step}` : "");
    showBars(state, explanation);
    // Of the map on the screen, as the word beside the agreement is; an earlier one may be another.
    // Nobody is asked about a map that is not reliable; who knows better may say so all the same.
    const doubtful = explanation?.quality === "not reliable";
    setAttr(question, "data-off", doubtful);
    setHidden(caution, !doubtful);
    if (doubtful) setText(caution, `This map is not reliable: ${explanation.quality_reason ?? ""}`);
  }

  return {
    el,
    keys: [...new Set<keyof State>(["explanation", "status", "explaining", "at", "shelf", "queue", "timeline", "connection", ...judge.keys])],
    update(state, changed) {
      const any = (...keys: (keyof State)[]): boolean => keys.some((key) => changed.has(key));
      if (any("explanation", "explaining", "at", "shelf", "queue", "connection", "status")) showText(state);
      if (any("explanation", "timeline", "at", "shelf")) timeline.update(state, changed);
      if (any(...judge.keys)) judge.update(state, changed);
    },
  };
}
