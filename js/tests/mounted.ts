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

/** The last message to the kernel. */
export function lastOf({ test }: Mounted): Record<string, unknown> {
  return test.sent[test.sent.length - 1] ?? {};
}
