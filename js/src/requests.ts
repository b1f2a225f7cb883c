// The card that asks for the class of requests that a served network was asked about: the least
// sure first, a class by its number or a click.

import { makeCrop, showCrop } from "./crops";
import { closeBeside } from "./dialog";
import { button, h, setAttr, setHidden, setText, syncChildren } from "./dom";
import { plural, share } from "./format";
import { showGlance } from "./modalities/kinds";
import { shortNames } from "./names";
import type { Glance, KeptRequest } from "./protocol";
import { className, isReachable, type State } from "./state";
import type { Context, Part } from "./view";

const KEYS = 9;

const glances = new WeakMap<KeptRequest, Glance>();

/** What a request that is no picture is drawn from. */
function glanceOf(item: KeptRequest): Glance | undefined {
  const { content } = item;
  if (content === null) return undefined;
  const glance = glances.get(item) ?? { index: -1, content, cells: null };
  glances.set(item, glance);
  return glance;
}

/** What the line under the header says; null where nothing waits. */
export function waitingText(state: State): string | null {
  const { requests } = state;
  if (requests === null || requests.items.length === 0) return null;
  const sure = requests.items[0]?.confidence ?? null;
  const of = sure === null ? "" : ` The least sure answer had probability ${share(sure)}.`;
  return `${plural(requests.waiting, "request")} to the served network ${requests.waiting === 1 ? "waits" : "wait"} for a class.${of}`;
}

export function createRequests({ store, actions, signal }: Context): Part & { el: HTMLDialogElement; open: () => void } {
  const passed = new Set<string>(); // skipped, or on their way
  let shown: KeptRequest | null = null;
  const count = h("p", { class: "cw-note", testid: "cw-request-count" });
  const crop = makeCrop();
  const glance = h("div", { class: "cw-glance" });
  const sample = h("ol", { class: "cw-asked" }, h("li", {}, crop, glance));
  const said = h("p", { class: "cw-read", testid: "cw-request-said", dir: "auto", id: `cw-request-${Math.random().toString(36).slice(2)}` });
  const came = h("p", { class: "cw-note", testid: "cw-request-came", role: "status", dir: "auto" });
  const classes = h("div", { class: "cw-asked-ends", role: "group", "aria-label": "Its class" });
  const other = h("select", { class: "cw-input cw-select", testid: "cw-request-other", "aria-label": "Another class" });
  const skip = button("", { class: "cw-button cw-bare", testid: "cw-request-skip", "aria-keyshortcuts": "S" }, h("span", {}, "Skip"), h("kbd", { "aria-hidden": "true" }, "S"));
  const remove = button("Remove", { class: "cw-button cw-bare", testid: "cw-request-remove", title: "Remove this request from the disk" });
  const el = h("dialog", { class: "cw-dialog cw-question", testid: "cw-requests", tabindex: -1, autofocus: true, "aria-label": "Which class is this request?", "aria-describedby": said.id },
    h("h3", { class: "cw-title" }, "Which class is it?"), count, sample, said, classes, h("div", { class: "cw-asked-ends" }, other, skip, remove), came);

  async function give(label: number | null): Promise<void> {
    const item = shown;
    if (item === null || remove.disabled) return;
    passed.add(item.id); // once
    show(store.state);
    const text = await actions.labelRequest(item.id, label);
    if (text.ok) setText(came, text.text);
    else {
      passed.delete(item.id);
      setText(came, text.text);
      show(store.state);
    }
  }
  classes.addEventListener("click", (event) => {
    const chosen = (event.target as Element).closest("button");
    if (chosen !== null) void give(Number(chosen.dataset["label"]));
  }, { signal });
  other.addEventListener("change", () => {
    const label = other.value;
    other.value = "";
    if (label !== "") void give(Number(label));
  }, { signal });
  skip.addEventListener("click", () => {
    if (shown !== null) passed.add(shown.id);
    show(store.state);
  }, { signal });
  remove.addEventListener("click", () => void give(null), { signal });
  el.addEventListener("keydown", (event) => {
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.target === other) return;
    const key = event.key.toLowerCase();
    const number = /^[1-9]$/.test(key) ? Number(key) - 1 : -1;
    const chosen = classes.children[number] as HTMLButtonElement | undefined;
    if (key !== "s" && chosen === undefined) return;
    event.preventDefault();
    event.stopPropagation(); // the dashboard has other uses for these keys
    (chosen ?? skip).click();
  }, { signal });
  closeBeside(el, signal);

  let known: readonly string[] = [];
  function show(state: State): void {
    if (!el.open) return;
    const { requests } = state;
    shown = requests?.items.find((one) => !passed.has(one.id)) ?? null;
    const names = state.status?.classes ?? [];
    if (known !== names || classes.childElementCount === 0) {
      known = names;
      const short = shortNames(names);
      syncChildren(classes, short.slice(0, KEYS).map((name, label) => ({ name, label })), () => button("", { class: "cw-button" }, h("span", { dir: "auto" }), h("kbd", { "aria-hidden": "true" })), (one, { name, label }) => {
        setAttr(one, "data-label", label);
        setAttr(one, "aria-keyshortcuts", label + 1);
        setText(one.firstElementChild as Element, name);
        setText(one.lastElementChild as Element, String(label + 1));
      });
      other.replaceChildren(h("option", { value: "" }, "another class…"), ...short.slice(KEYS).map((name, i) => h("option", { value: i + KEYS, dir: "auto" }, name)));
      setHidden(other, short.length <= KEYS);
    }
    const blank = shown !== null && shown.content === null && shown.thumbnail === null; // nobody shall guess
    setHidden(sample, shown === null || blank);
    if (shown !== null) {
      const instead = showGlance(glance, glanceOf(shown));
      setHidden(crop, instead);
      if (!instead) showCrop(crop, shown.thumbnail, []);
      setAttr(sample, "data-kind", instead ? glance.getAttribute("data-kind") : null);
      const sure = shown.confidence === null ? "" : `, with probability ${share(shown.confidence)}`;
      const told = shown.told === null ? "" : `The network said ${className(state, shown.told)}${sure}.`;
      setText(said, blank ? `${told} What was asked cannot be shown here; label it where the training runs.` : told);
    } else setText(said, requests !== null && requests.waiting > 0 ? "No other request is at hand; close this card and open it again." : "No request waits for a class.");
    setText(count, requests === null ? "" : `${requests.waiting.toLocaleString("en-US")} wait, ${requests.labelled.toLocaleString("en-US")} labelled`);
    const off = shown === null || !isReachable(state);
    for (const one of [...classes.querySelectorAll("button"), other]) one.disabled = off || blank;
    skip.disabled = remove.disabled = off;
  }

  return {
    el,
    open() {
      if (el.open || store.state.requests === null) return;
      passed.clear();
      setText(came, "");
      el.showModal();
      show(store.state);
      el.focus(); // and none of the classes, which Enter would give
    },
    keys: ["requests", "connection", "status"],
    update: show,
  };
}
