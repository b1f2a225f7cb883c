// The card that asks about one finding: samples that it was seen in, one sentence, three answers.

import { makeCrop, showCrop } from "./crops";
import { closeBeside } from "./dialog";
import { button, h, setAttr, setHidden, setText, syncChildren } from "./dom";
import { showGlance } from "./modalities/kinds";
import type { Glance, QuestionSample } from "./protocol";
import { isReachable, type FindingAnswer, type State } from "./state";
import type { Context, Part } from "./view";

const KEYS: Record<string, FindingAnswer> = { y: "right reason", n: "wrong reason", s: "skip" };

const glances = new WeakMap<QuestionSample, Glance>();

/** What a sample that is no picture is drawn from. */
function glanceOf(sample: QuestionSample): Glance | undefined {
  const { index, content } = sample;
  if (content === null) return undefined;
  const glance = glances.get(sample) ?? { index, content, cells: null };
  glances.set(sample, glance);
  return glance;
}

export function createQuestion({ store, actions, signal }: Context): Part & { el: HTMLDialogElement; open: () => void } {
  let asked: string | null = null; // finding that the card is open for
  const crops = h("ol", { class: "cw-asked", tabindex: 0, "aria-label": "Where it was seen" });
  const text = h("p", { class: "cw-read", testid: "cw-question-text", dir: "auto", id: `cw-question-${Math.random().toString(36).slice(2)}` });
  const controls = h("p", { class: "cw-note", testid: "cw-question-controls", title: "Now and then a random place is asked about, on which nothing hangs" });
  const choice = (answer: FindingAnswer, key: string, className = ""): HTMLButtonElement => {
    const one = button("", { class: `cw-button ${className}`, testid: `cw-answer-${answer.split(" ")[0] ?? ""}`, "aria-keyshortcuts": key }, h("span"), h("kbd", { "aria-hidden": "true" }, key));
    one.addEventListener("click", () => {
      answered(answer);
    }, { signal });
    return one;
  };
  const right = choice("right reason", "Y");
  const wrong = choice("wrong reason", "N");
  const skip = choice("skip", "S", "cw-bare");
  const el = h("dialog", { class: "cw-dialog cw-question", testid: "cw-question", tabindex: -1, autofocus: true, "aria-label": "Is this place the reason?", "aria-describedby": text.id },
    h("h3", { class: "cw-title" }, "Is this place the reason?"), crops, text, controls, h("div", { class: "cw-asked-ends" }, right, wrong, skip));

  function answered(answer: FindingAnswer): void {
    const can = !{ "right reason": right, "wrong reason": wrong, skip }[answer].disabled;
    if (!can && answer !== "skip") return;
    const finding = asked;
    asked = null; // once
    el.close();
    if (can && finding !== null) void actions.answer(finding, answer);
  }
  el.addEventListener("keydown", (event) => {
    const answer = KEYS[event.key.toLowerCase()];
    if (answer === undefined || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation(); // the dashboard has other uses for these keys
    answered(answer);
  }, { signal });
  el.addEventListener("cancel", (event) => {
    event.preventDefault();
    answered("skip");
  }, { signal });
  el.addEventListener("close", () => {
    if (!el.open) asked = null;
  }, { signal });
  closeBeside(el, signal); // asked again later

  function showSample(row: Element, sample: QuestionSample): void {
    const [crop, glance, name] = row.children as unknown as [HTMLElement, HTMLElement, HTMLElement];
    const marks = [{ kind: "look" as const, roi: sample.region }];
    const instead = showGlance(glance, glanceOf(sample), marks);
    setHidden(crop, instead);
    if (!instead) showCrop(crop, sample.thumbnail, marks);
    setAttr(row, "data-kind", instead ? glance.getAttribute("data-kind") : null);
    setText(name, `#${sample.index}`);
  }

  function show({ question, connection, status }: State): void {
    if (asked === null) return;
    if (question?.id !== asked) {
      asked = null; // answered elsewhere
      el.close();
      return;
    }
    syncChildren(crops, question.samples, () => h("li", {}, makeCrop(), h("div", { class: "cw-glance" }), h("span", { class: "cw-note" })), showSample);
    setAttr(crops, "data-kind", crops.firstElementChild?.getAttribute("data-kind") ?? null);
    setText(text, question.text);
    const off = !isReachable({ connection });
    setText(right.firstElementChild as Element, "Right reason");
    const { count } = question;
    const many = count === null ? "wherever it is" : count === 1 ? "in 1 sample" : `in all ${count.toLocaleString("en-US")} samples`;
    setText(controls, question.controls);
    setHidden(controls, question.controls === "");
    setText(wrong.firstElementChild as Element, `Wrong reason: ignore it ${many}`);
    setText(skip.firstElementChild as Element, "Skip");
    right.disabled = skip.disabled = off;
    wrong.disabled = off || status?.guidance === false;
    setAttr(wrong, "title", status?.guidance === false ? "This training takes no guidance" : null);
  }

  return {
    el,
    open() {
      if (el.open || store.state.question === null) return;
      asked = store.state.question.id;
      show(store.state);
      el.showModal();
      el.focus(); // and none of the answers, which Enter would give
    },
    keys: ["question", "connection", "status"],
    update: show,
  };
}
