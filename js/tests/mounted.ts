// A dashboard in the document, with the kernel's side of it, for tests.
import { afterEach, beforeEach, vi } from "vitest";
import createWidget from "../src/widget";
import { buffers, raw } from "./fixtures";
import { settle, TestModel } from "./model";

export interface Mounted {
  test: TestModel;
  remove: () => void;
  stop: () => void;
}

/** Before each test of the file: a mounted dashboard that has the first update; removed after it. */
export function mountEach(): Mounted {
  const mounted = {} as Mounted;
  beforeEach(async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "requestAnimationFrame", "cancelAnimationFrame"] });
    const test = (mounted.test = new TestModel());
    const widget = createWidget();
    mounted.stop = widget.initialize({ model: test.model });
    // anywidget hands another proxy of the same model to render
    mounted.remove = widget.render({ model: { ...test.model }, el: document.body.appendChild(document.createElement("div")) });
    await settle();
    test.receive(raw.updateFull.message, buffers(raw.updateFull));
    await frame();
  });
  afterEach(() => {
    mounted.remove();
    mounted.stop();
    document.body.replaceChildren();
    vi.useRealTimers();
  });
  return mounted;
}

/** What the line under the header says. */
export function coach(): string {
  return get("cw-coach-text").textContent;
}

export async function frame(): Promise<void> {
  await settle(40);
}

export function get(testid: string): HTMLElement {
  const found = document.querySelector<HTMLElement>(`[data-testid="${testid}"]`);
  if (!found) throw new Error(`no ${testid}`);
  return found;
}

export function press(on: Element, key: string, more: KeyboardEventInit = {}): void {
  on.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));
}

/** A press of the pointer at a place and its release at another one; the click goes to what holds both. */
export function drag(el: HTMLElement, from: Place, to: Place): void {
  const at = ([clientX, clientY]: Place): MouseEventInit => ({ bubbles: true, clientX, clientY });
  el.dispatchEvent(new PointerEvent("pointerdown", at(from)));
  el.dispatchEvent(new PointerEvent("pointerup", at(to)));
  el.dispatchEvent(new MouseEvent("click", at(to)));
}

export type Place = readonly [number, number];

/** Places beside a dialog, in its padding, and in its middle. */
export function placesOf(el: HTMLElement): { beside: Place; padding: Place; middle: Place } {
  const { left, top, width, height } = el.getBoundingClientRect();
  return { beside: [left - 5, top + 5], padding: [left + 3, top + 3], middle: [left + width / 2, top + height / 2] };
}

/** A click on the backdrop of a dialog. */
export function pressBeside(el: HTMLElement): void {
  const { beside } = placesOf(el);
  drag(el, beside, beside);
}

/** The last message to the kernel. */
export function lastOf({ test }: Mounted): Record<string, unknown> {
  return test.sent[test.sent.length - 1] ?? {};
}
