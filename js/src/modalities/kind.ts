// What a kind of input is to the dashboard: one file each beside this one says the rest.

import type { Box, Explanation, Glance, Roi, StrokeKind } from "../protocol";
import type { Context, Part } from "../view";

/** A region as the ledger and the drafts hold it, and what it says. */
export interface Marked {
  kind: StrokeKind;
  roi: Record<string, unknown>;
}

export interface Kind {
  /** `Modality.name`, and the `kind` of its contents. */
  name: string;
  /** The button that shows a sample without its map. */
  plain: string;
  /** What the first of the maps is called, and what the maps say. */
  first: string;
  about: string;
  /** In place of an answer: how something is marked. */
  hint: string;
  /** An instruction that names a region. */
  example: string;
  /** What is asked of the place where the model looks most. */
  question: string;
  /** One sample on the stage; drawn from `shownExplanation`. */
  create(context: Context): Part;
  /** Whether a content has the shape that this kind draws. */
  draws(content: Record<string, unknown>): boolean;
  /** The region where the model looks most; null where the sample has none. */
  focus(explanation: Explanation, box: Box): Roi | null;
  /** A sample in a list, drawn into an empty element, with what was marked on it. */
  glance(el: HTMLElement, glance: Glance, marks: readonly Marked[]): void;
}
