// What an intervention came to, in one word and in a sentence.

import { value } from "./format";
import type { Effect, LedgerItem, ProofShown } from "./protocol";

/** A verdict's word on the screen, and its colour. */
export const CHIPS: Record<Effect["verdict"], readonly [string, string]> = {
  "helped": ["helped", "good"],
  "looks there more": ["looks there", "good"],
  "no measurable effect": ["no effect", "none"],
  "harmed": ["harmed", "bad"],
  "no verdict": ["no verdict", "none"],
};

/** A proof's colour. */
export const PROVED: Record<ProofShown["verdict"], string> = { "": "none", "helped": "good", "no difference": "none", "harmed": "bad", "no verdict": "none" };

/** The sentence without the verdict before it: that stands beside it. */
export function explained(effect: Effect): string {
  const text = arrows(effect.text.startsWith(effect.verdict) ? effect.text.slice(effect.verdict.length).replace(/^[:;]?\s*/, "") : effect.text);
  return text === "" ? "No figure moved by more than it moves by itself." : text.charAt(0).toUpperCase() + text.slice(1);
}

/** The last of its figures, which is the accuracy. */
export function briefly(effect: Effect): string {
  const last = explained(effect).split("; ").at(-1) ?? "";
  return last.charAt(0).toUpperCase() + last.slice(1);
}

function arrows(text: string): string {
  return text.replace(/->/g, "→");
}

/** Every figure before and after, for the pointer. */
export function figures(effect: Effect): string {
  return effect.measures.map((one) => `${one.name}: ${value(one.before)} → ${value(one.after)} (change ${value(one.low)} to ${value(one.high)})`).join("\n");
}

const SCOPES: Record<string, string> = { class: "in its class", everywhere: "everywhere" };

/** What was told, without the numbers of where: the picture beside it shows that. */
export function told(item: LedgerItem, className: (index: number) => string): string {
  const kinds = [...new Set(item.strokes.map((one) => one.kind))];
  if (kinds.length === 0 || item.text === "") return arrows(item.text);
  const verbs = kinds.map((kind) => (kind === "look" ? "look here" : "ignore this")).join(" and ");
  const first = item.strokes[0];
  const where = item.sample === null ? SCOPES["everywhere"] : first === undefined || first.sample !== null
    ? (kinds.includes("ignore") && first?.spreads !== false ? "here and alike" : "in this sample")
    : first.label === null ? SCOPES["everywhere"] : `in class ${className(first.label)}`;
  return `${verbs.charAt(0).toUpperCase()}${verbs.slice(1)}, ${where ?? ""}`;
}
