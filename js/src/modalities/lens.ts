// One part of a sample with several inputs as a sample of its own: the views of a kind see the part
// alone, and what they change is changed in the dashboard's own store.

import type { Explanation, LedgerItem } from "../protocol";
import { shownExplanation, type State } from "../state";
import { Store } from "../store";
import type { Context } from "../view";

/** What the kernel says of a part. */
export interface PartContent {
  name: string;
  units: [number, number]; // its places in the map of the sample, half open
  extent: number[];
  content: Record<string, unknown> | null;
  picture: string | null; // a PNG file in base64
  shown: boolean; // its picture is that of the sample
}

export interface Bitmap {
  pixels: Uint8Array; // RGB
  width: number;
  height: number;
}

/** The state as a part's view sees it. */
export class Lens extends Store {
  #outer: Store;
  #name: string;
  #part: () => PartContent | null;
  #picture: (part: PartContent) => Bitmap | null;

  constructor(outer: Store, name: string, part: () => PartContent | null, picture: (part: PartContent) => Bitmap | null) {
    super();
    this.#outer = outer;
    this.#name = name;
    this.#part = part;
    this.#picture = picture;
    this.look();
  }

  /** Take in what has changed outside. */
  look(): State {
    const { state } = this.#outer;
    const sample = state.explanation?.index;
    const drafts = sample === undefined ? [] : (state.drafts[sample] ?? []).filter((one) => one.part === this.#name);
    this.state = {
      ...state, at: null, explanation: this.#explanation(state), ledger: state.ledger.map((item) => this.#entry(item)),
      drafts: sample === undefined ? {} : { [sample]: drafts },
    };
    return this.state;
  }

  override patch(patch: Partial<State>): void {
    this.#outer.patch(patch);
    this.look();
  }

  #explanation(state: State): Explanation | null {
    const explanation = shownExplanation(state);
    const part = this.#part();
    if (explanation === null || part === null) return explanation;
    const [from, to] = part.units;
    const cut = (map: Uint8Array | null): Uint8Array | null => map?.subarray(from, to) ?? null;
    const { livecam, smoothgrad, consensus } = explanation.maps;
    const [rows, columns] = part.extent.length === 2 ? part.extent as [number, number] : [1, to - from];
    const bitmap = this.#picture(part);
    return {
      ...explanation, content: part.content, bbox: null, map_height: rows, map_width: columns,
      maps: { livecam: cut(livecam), smoothgrad: cut(smoothgrad), consensus: cut(consensus) },
      picture: part.shown ? explanation.picture : (bitmap?.pixels ?? null),
      width: part.shown ? explanation.width : (bitmap?.width ?? 1),
      height: part.shown ? explanation.height : (bitmap?.height ?? 1),
    };
  }

  #entry(item: LedgerItem): LedgerItem {
    const strokes = item.strokes.filter(({ roi }) => roi["part"] === this.#name);
    return { ...item, strokes: strokes.map((one) => ({ ...one, roi: withoutPart(one.roi) })) };
  }

  /** The same context for the part's view. */
  within(context: Context): Context {
    const name = this.#name;
    const actions = new Proxy(context.actions, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key);
        if (typeof value !== "function") return value;
        return (...given: unknown[]): unknown => {
          const [first, ...rest] = given;
          const own = key === "addStroke" ? [{ ...(first as object), part: name }, ...rest] : given;
          const found: unknown = Reflect.apply(value, target, own);
          this.look();
          return found;
        };
      },
    });
    return { ...context, store: this, actions };
  }
}

/** A region as the part's own kind has it. */
export function withoutPart(roi: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(roi).filter(([key]) => key !== "part"));
}
