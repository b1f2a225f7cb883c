// A list keeps still while somebody points at it or is in it: a click must hit what was aimed at.

import { focusedBeside } from "./dom";

/** Whether the list is to keep still now; `moves` is called when it need no longer. */
export function keptStill(list: HTMLElement, signal: AbortSignal, moves: () => void): () => boolean {
  let held = false;
  const hold = (on: boolean) => (): void => {
    held = on || list.matches(":hover") || list.contains(focusedBeside(list));
    if (!held) moves();
  };
  for (const [into, out] of [["pointerenter", "pointerleave"], ["focusin", "focusout"]] as const) {
    list.addEventListener(into, hold(true), { signal });
    list.addEventListener(out, () => requestAnimationFrame(hold(false)), { signal });
  }
  return () => held;
}
