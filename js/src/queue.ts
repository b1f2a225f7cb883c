// The samples that are likely to be wrong some epochs from now, riskiest first; and the way to
// any other sample by its number.

import { button, h, isolated, setAttr, setHidden, setText, setVar, syncChildren } from "./dom";
import { share } from "./format";
import type { Candidate } from "./protocol";
import { className, type State } from "./state";
import type { Context, Part } from "./view";

const SHOWN = 10;

/** Shows PNG bytes in an image by a Blob URL, and gives the URL back when the bytes change. */
class Thumbnails {
  #urls = new Map<HTMLImageElement, { bytes: Uint8Array; url: string }>();

  show(image: HTMLImageElement, png: Uint8Array | null): void {
    const old = this.#urls.get(image);
    if (old && png && same(old.bytes, png)) return;
    if (old) URL.revokeObjectURL(old.url);
    this.#urls.delete(image);
    setAttr(image, "data-empty", png === null);
    if (png === null) {
      image.removeAttribute("src");
      return;
    }
    const url = URL.createObjectURL(new Blob([png as Uint8Array<ArrayBuffer>], { type: "image/png" }));
    this.#urls.set(image, { bytes: png, url });
    image.src = url;
  }

  clear(): void {
    for (const { url } of this.#urls.values()) URL.revokeObjectURL(url);
    this.#urls.clear();
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || (a.length === b.length && a.every((byte, i) => byte === b[i]));
}

export function createQueue({ actions, signal }: Context, gates: HTMLElement): Part {
  const thumbnails = new Thumbnails();
  signal.addEventListener("abort", () => {
    thumbnails.clear();
  });
  const title = h("h3", { class: "cw-title" }, "At risk");
  const number = h("input", {
    type: "number", min: 0, step: 1, class: "cw-input cw-sample-number", testid: "cw-explain-index",
    "aria-label": "Explain the sample of this number", title: "Explain any sample by its number", placeholder: "sample", inputmode: "numeric",
  });
  const explain = button("Explain", { class: "cw-button", testid: "cw-explain" });
  const form = h("form", { class: "cw-explain" }, number, explain);
  const list = h("ol", { class: "cw-queue", testid: "cw-queue", "aria-label": "Samples likely to fail, riskiest first" });
  const empty = h("p", { class: "cw-hint" }, "The forecast begins when every sample has been seen a few times.");
  const el = h("section", { class: "cw-panel cw-side", "aria-label": "Forecast" },
    h("div", { class: "cw-panel-head" }, title, form), gates, empty, list);

  const submit = (): void => {
    const index = Number(number.value);
    if (number.value === "" || !Number.isInteger(index) || index < 0) {
      number.focus();
      return;
    }
    void actions.explain(index);
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  }, { signal });
  explain.addEventListener("click", submit, { signal });

  list.addEventListener("click", (event) => {
    const item = (event.target as Element).closest<HTMLElement>("[data-index]");
    if (item) void actions.explain(Number(item.dataset["index"]));
  }, { signal });
  list.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const row = (event.target as Element).closest("li");
    const next = event.key === "ArrowDown" ? row?.nextElementSibling : row?.previousElementSibling;
    next?.querySelector("button")?.focus();
    event.preventDefault();
  }, { signal });

  function make(): HTMLLIElement {
    const image = h("img", { class: "cw-thumb", alt: "", draggable: "false" });
    return h("li", {}, button("", { class: "cw-queue-item", testid: "cw-queue-item" },
      image,
      h("span", { class: "cw-queue-what" },
        h("span", { class: "cw-queue-classes" }, isolated("cw-class cw-strong"), h("span", { class: "cw-muted" }, " seen as "), isolated("cw-class")),
        h("span", { class: "cw-queue-reason" })),
      h("span", { class: "cw-meter cw-risk", "aria-hidden": "true" }), h("span", { class: "cw-number" })));
  }

  function show(row: HTMLLIElement, item: Candidate, state: State): void {
    const entry = row.firstElementChild as HTMLElement;
    const [image, what, meter, risk] = entry.children as unknown as [HTMLImageElement, HTMLElement, HTMLElement, HTMLElement];
    const [classes, reason] = what.children as unknown as [HTMLElement, HTMLElement];
    const target = className(state, item.target);
    const predicted = className(state, item.predicted);
    thumbnails.show(image, item.thumbnail);
    const [targetName, verb, predictedName] = classes.children as unknown as [HTMLElement, HTMLElement, HTMLElement];
    const right = item.target === item.predicted;
    setText(targetName, target);
    setText(verb, right ? " still right" : " seen as ");
    setText(predictedName, right ? "" : predicted);
    setText(reason, state.explaining === item.index ? "explaining…" : item.reason);
    setVar(meter, "--cw-share", item.risk.toFixed(3));
    setText(risk, share(item.risk));
    setAttr(entry, "data-index", item.index);
    setAttr(entry, "aria-current", state.explanation?.index === item.index ? "true" : null);
    setAttr(entry, "aria-busy", state.explaining === item.index ? "true" : null);
    const meaning = right ? `${target}, still right` : `${target} seen as ${predicted}`;
    setAttr(entry, "aria-label", `Sample ${item.index}: ${meaning}, ${item.reason}, risk ${share(item.risk)}. Explain.`);
    setAttr(entry, "title", `Sample ${item.index}: ${meaning}`);
  }

  return {
    el,
    keys: ["queue", "explanation", "explaining", "status", "connection"],
    update(state, changed) {
      const { status, queue } = state;
      const reachable = state.connection === "live" || state.connection === "silent";
      explain.disabled = !reachable;
      if (status !== null && status.num_train > 0) setAttr(number, "max", status.num_train - 1);
      if (!changed.has("queue") && !changed.has("explanation") && !changed.has("explaining") && list.childElementCount > 0) return;
      const items = queue?.items.slice(0, SHOWN) ?? [];
      setHidden(empty, items.length > 0);
      if (queue !== null && status !== null) {
        const due = status.steps_per_epoch ? Math.floor(queue.step / status.steps_per_epoch) + queue.horizon : null;
        setText(title, due === null ? "At risk" : `At risk by epoch ${due}`);
      }
      syncChildren(list, items, make, (row, item) => {
        show(row, item, state);
      });
    },
  };
}
