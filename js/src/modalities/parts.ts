// A sample with several inputs on the stage: the parts side by side, each drawn as its kind is, under
// its part of the map, with its share of the answer.

import { h, setAttr, setText, setVar } from "../dom";
import { share } from "../format";
import { shownExplanation, type State } from "../state";
import type { Changed } from "../store";
import type { Context, Part } from "../view";
import { legend } from "./heat";
import type { Kind, Marked } from "./kind";
import { Lens, withoutPart, type Bitmap, type PartContent } from "./lens";

type KindOf = (content: Record<string, unknown> | null) => Kind;

function isPart(value: unknown): value is PartContent {
  const { name, units, extent, content, picture } = (value ?? {}) as Record<string, unknown>;
  const numbers = (all: unknown): all is number[] => Array.isArray(all) && all.every((one) => Number.isInteger(one));
  return typeof name === "string" && numbers(units) && units.length === 2 && numbers(extent)
    && (content === null || typeof content === "object") && (picture === null || typeof picture === "string");
}

function partsOf(content: Record<string, unknown> | null | undefined): readonly PartContent[] {
  return (content?.["parts"] ?? []) as PartContent[];
}

/** Pictures of parts that are not the sample's own, read once each. */
function createBitmaps(redraw: () => void): (part: PartContent) => Bitmap | null {
  const known = new Map<string, Bitmap | null>();
  return ({ picture }) => {
    if (picture === null || known.has(picture)) return picture === null ? null : (known.get(picture) ?? null);
    if (known.size > 16) known.clear();
    known.set(picture, null);
    const image = h("img", {});
    image.addEventListener("load", () => {
      const [width, height] = [image.naturalWidth, image.naturalHeight];
      const drawn = h("canvas", { width, height }).getContext("2d");
      drawn?.drawImage(image, 0, 0);
      const pixels = drawn?.getImageData(0, 0, width, height).data;
      if (pixels === undefined) return;
      known.set(picture, { pixels: pixels.filter((_, i) => i % 4 !== 3) as unknown as Uint8Array, width, height });
      redraw();
    });
    image.src = `data:image/png;base64,${picture}`;
    return null;
  };
}

interface View {
  lens: Lens;
  part: Part;
  el: HTMLElement;
  bar: HTMLElement;
  figure: HTMLElement;
}

function createParts(context: Context, kindOf: KindOf): Part {
  const row = h("div", { class: "cw-parts" });
  const el = h("div", { class: "cw-place cw-wide", testid: "cw-parts-stage" }, row, h("div", { class: "cw-foot" }, legend()));
  let views = new Map<string, View>();
  let built = ""; // names and kinds of the views

  const bitmaps = createBitmaps(() => {
    update(context.store.state, new Set(KEYS));
  });

  function view(name: string, kind: Kind): View {
    const find = (): PartContent | null => partsOf(shownExplanation(context.store.state)?.content).find((one) => one.name === name) ?? null;
    const lens = new Lens(context.store, name, find, bitmaps);
    const part = kind.create(lens.within(context));
    const bar = h("span", { class: "cw-share-bar", "aria-hidden": "true" });
    const figure = h("span", { class: "cw-share-figure" });
    const head = h("div", { class: "cw-part-head" }, h("bdi", { class: "cw-part-name" }, name), bar, figure);
    const one = h("section", { class: "cw-part", testid: "cw-part", "data-part": name, "data-of": kind.name }, head, part.el);
    return { lens, part, el: one, bar, figure };
  }

  function build(parts: readonly PartContent[]): void {
    const wanted = parts.map(({ name, content }) => `${name} ${kindOf(content).name}`).join("\n");
    if (wanted === built) return;
    built = wanted;
    views = new Map(parts.map(({ name, content }) => [name, view(name, kindOf(content))]));
    row.replaceChildren(...[...views.values()].map((one) => one.el));
  }

  function update(state: State, changed: Changed): void {
    const explanation = shownExplanation(state);
    const fresh = built;
    build(partsOf(explanation?.content));
    const shares = new Map((explanation?.shares ?? []).map((one) => [one.name, one.share]));
    for (const [name, { lens, part, el: one, bar, figure }] of views) {
      const own = shares.get(name);
      part.update(lens.look(), fresh === built ? changed : new Set(part.keys));
      setVar(bar, "--cw-share", (own ?? 0).toFixed(3));
      setText(figure, own === undefined ? ((explanation?.model_step ?? null) === null ? "" : "share not defined") : share(own));
      setAttr(one, "aria-label", own === undefined ? name : `${name}: ${share(own)} of the answer`);
      setAttr(one, "title", own === undefined ? null : `${share(own)} of what moves the answer hangs on this input, measured by exchange with other samples`);
    }
  }

  return { el, keys: KEYS, update };
}

const KEYS: readonly (keyof State)[] = [
  "explanation", "map", "opacity", "threshold", "palette", "explaining", "at", "shelf", "connection", "status",
  "drafts", "selected", "tool", "meaning", "pending", "cursor", "ledger", "entry",
];

/** The kind of samples with several inputs, whose parts are drawn by `kindOf`. */
export function partsKind(kindOf: KindOf): Kind {
  return {
    name: "parts",
    plain: "Inputs",
    first: "First",
    about: "Each input under its part of the map, in one scale: the input with the largest share is the strongest.",
    hint: "Mark on any input, or say it in words. Enter submits.",
    example: "ignore image: top left",
    question: "",
    create: (context) => createParts(context, kindOf),
    draws: ({ parts }) => Array.isArray(parts) && parts.length > 0 && parts.every(isPart),
    focus: () => null,
    glance(el, { index, content, cells }, marks) {
      for (const part of partsOf(content)) {
        const one = h("span", { class: "cw-glance-part" });
        const [from, to] = part.units;
        const own: Marked[] = marks.filter(({ roi }) => roi["part"] === part.name).map((mark) => ({ ...mark, roi: withoutPart(mark.roi) }));
        if (part.content === null) {
          if (part.picture !== null) one.append(h("img", { class: "cw-glance-picture", src: `data:image/png;base64,${part.picture}`, alt: "" }));
        } else {
          const kind = kindOf(part.content);
          setAttr(one, "data-kind", kind.name);
          kind.glance(one, { index, content: part.content, cells: cells?.subarray(from, to) ?? null }, own);
        }
        el.append(one);
      }
    },
  };
}
