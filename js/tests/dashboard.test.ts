// The whole dashboard in a document: what it shows, what it sends, and that it leaves nothing behind.
import { showThumbnail } from "../src/thumbnails";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

vi.mock("uplot/dist/uPlot.min.css", () => ({}));
vi.mock("../src/style.css", () => ({}));
vi.mock("../src/parts.css", () => ({}));
// Charts need a canvas, which this document does not have; their data is tested in series.test.ts.
vi.mock("uplot", () => ({
  default: class {
    setData = vi.fn();
    redraw = vi.fn();
    destroy = vi.fn();
  },
}));

import { PATIENCE } from "../src/transport";
import createWidget from "../src/widget";
import { buffers, raw, sentByBrowser } from "./fixtures";
import { settle, TestModel } from "./model";

let test: TestModel;
let remove: () => void;
let stop: () => void;

async function frame(): Promise<void> {
  await settle(40);
}

function get(testid: string): HTMLElement {
  const found = document.querySelector<HTMLElement>(`[data-testid="${testid}"]`);
  if (!found) throw new Error(`no ${testid}`);
  return found;
}

function press(on: Element, key: string, more: KeyboardEventInit = {}): void {
  on.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));
}

function last(): Record<string, unknown> {
  return test.sent[test.sent.length - 1] ?? {};
}

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "requestAnimationFrame", "cancelAnimationFrame"] });
  test = new TestModel();
  const widget = createWidget();
  stop = widget.initialize({ model: test.model });
  // anywidget hands another proxy of the same model to render
  remove = widget.render({ model: { ...test.model }, el: document.body.appendChild(document.createElement("div")) });
  await settle();
  test.receive(raw.updateFull.message, buffers(raw.updateFull));
  await frame();
});

afterEach(() => {
  remove();
  stop();
  document.body.replaceChildren();
  vi.useRealTimers();
});

describe("what it shows", () => {
  it("state, step, metrics, sample", () => {
    expect(get("cw-state").textContent).toBe("Training");
    expect(get("cw-step").getAttribute("data-step")).toBe("874");
    expect(get("cw-metric-train-loss").textContent).toBe("0.700");
    expect(get("cw-focus").getAttribute("data-sample")).toBe("4187");
    expect(get("cw-agreement").textContent).toBe("0.71");
    expect(get("cw-model-step").textContent).toContain("870");
    expect(get("cw-connection").textContent).toBe("live");
    expect(document.querySelectorAll("[data-testid='cw-queue-item']")).toHaveLength(2);
    expect(get("cw-gates").textContent).toContain("ranking not stable yet");
    expect(get("cw-notice").textContent).toContain("No validation data");
  });

  it("class names as text, never as markup", () => {
    expect(document.body.textContent).toContain("<img src=x onerror=alert(1)>");
    expect(document.querySelector("img[src='x']")).toBeNull();
    expect(document.querySelector("[onerror]")).toBeNull();
  });

  it("keeps the nodes of a list when its content changes", async () => {
    const before = get("cw-ledger-item");
    test.receive({ kind: "update", seq: 2, full: false, ledger: raw.updateFull.message.ledger.map((item) => ({ ...item, undone: true })) });
    await frame();
    expect(get("cw-ledger-item")).toBe(before);
    expect(before.hasAttribute("data-undone")).toBe(true);
  });

  it("the exception of a failed run", async () => {
    test.receive({ kind: "update", seq: 2, full: false, status: { ...raw.updateFull.message.status, state: "failed", error: "ValueError: bad" } });
    await frame();
    expect(get("cw-error").textContent).toBe("ValueError: bad");
    expect((get("cw-pause") as HTMLButtonElement).disabled).toBe(true);
  });
});

describe("what it sends", () => {
  it("pause, then resume", async () => {
    get("cw-pause").click();
    expect(Object.keys(last()).sort()).toEqual(Object.keys(sentByBrowser.pause.message).sort());
    expect(last()["kind"]).toBe("pause");
    await frame();
    expect(get("cw-pause").textContent).toBe("Pausing");
    test.receive({ kind: "update", seq: 2, full: false, status: { ...raw.updateFull.message.status, state: "paused" } });
    await frame();
    expect(get("cw-pause").textContent).toBe("Resume");
    get("cw-pause").click();
    expect(last()["kind"]).toBe("resume");
  });

  it("boxes drawn by keyboard, with strength and instruction, and forgets them once they are taken", async () => {
    get("cw-tool-ignore").click();
    get("cw-add-box").click();
    const stroke = document.querySelector(".cw-stroke") ?? get("cw-picture");
    for (let i = 0; i < 3; i++) press(stroke, "ArrowRight");
    press(stroke, "ArrowDown", { shiftKey: true });
    const strength = (get("cw-strength") as HTMLInputElement);
    strength.value = "0.35";
    strength.dispatchEvent(new Event("input"));
    const line = (get("cw-instruction") as HTMLInputElement);
    line.value = "increase focus by 10%";
    line.dispatchEvent(new Event("input"));
    await frame();
    get("cw-submit").click();
    expect(Object.keys(last()).sort()).toEqual(Object.keys(sentByBrowser.feedback.message).sort());
    expect(last()).toMatchObject({
      kind: "feedback", sample: 4187, instruction: "increase focus by 10%", strength: 0.35,
      strokes: [{ kind: "ignore", roi: [0.38, 0.35, 0.68, 0.66] }],
    });
    expect(get("cw-echo").textContent).not.toContain("Applied");
    test.reply(true, "Applied at step 876: increase focus by 10%");
    await frame();
    expect(get("cw-echo").textContent).toBe("Applied at step 876: increase focus by 10%");
    expect(line.value).toBe("");
    expect(document.querySelectorAll(".cw-stroke")).toHaveLength(0);
  });

  it("gives nothing twice to a kernel that is slow to answer, and what is new at once", async () => {
    const submit = get("cw-submit") as HTMLButtonElement;
    get("cw-add-box").click();
    await frame();
    submit.click();
    const first = last()["id"];
    const given = (): unknown[] => test.sent.filter(({ kind }) => kind === "feedback");
    await settle(PATIENCE + 40);
    expect(get("cw-echo").textContent).toContain("busy");
    expect(submit.disabled).toBe(true);
    submit.click();
    expect(given()).toHaveLength(1);
    get("cw-tool-ignore").click();
    get("cw-add-box").click();
    await frame();
    submit.click();
    expect(given()).toHaveLength(2);
    expect(given()[1]).toMatchObject({ strokes: [{ kind: "ignore" }] });
    test.reply(true, "Applied at step 876", first);
    await frame();
    expect(document.querySelectorAll(".cw-stroke")).toHaveLength(1);
    test.reply(true, "Applied at step 877");
    await frame();
    expect(document.querySelectorAll(".cw-stroke")).toHaveLength(0);
  });

  it("keeps everything when the kernel refuses", async () => {
    const line = (get("cw-instruction") as HTMLInputElement);
    line.value = "focsu";
    line.dispatchEvent(new Event("input"));
    press(line, "Enter");
    expect(last()).toMatchObject({ kind: "feedback", strokes: [], strength: null });
    test.reply(false, "there is no such instruction");
    await frame();
    expect(get("cw-echo").getAttribute("data-level")).toBe("error");
    expect(line.value).toBe("focsu");
  });

  it("brings back earlier instructions", async () => {
    const line = (get("cw-instruction") as HTMLInputElement);
    line.value = "focus left";
    line.dispatchEvent(new Event("input"));
    press(line, "Enter");
    test.reply(true, "Applied");
    await frame();
    press(line, "ArrowUp");
    await frame();
    expect(line.value).toBe("focus left");
    press(line, "ArrowDown");
    await frame();
    expect(line.value).toBe("");
  });

  it("explain from the queue and by number", async () => {
    document.querySelectorAll<HTMLElement>("[data-testid='cw-queue-item']")[1]?.click();
    expect(last()).toMatchObject({ kind: "explain", index: 12 });
    const number = (get("cw-explain-index") as HTMLInputElement);
    number.value = "311";
    number.closest("form")?.dispatchEvent(new Event("submit", { cancelable: true }));
    expect(last()).toMatchObject({ kind: "explain", index: 311 });
    test.reply(false, "there are 100 samples");
    await frame();
    expect(get("cw-notice").textContent).toBe("there are 100 samples");
  });

  it("undo", async () => {
    get("cw-ledger-item").querySelector<HTMLElement>("button:last-child")?.click();
    expect(last()).toMatchObject({ kind: "undo", intervention: "a1" });
    await frame();
  });
});

describe("a regression's queue", () => {
  it("says whether the error is large, and filters by that", async () => {
    const { updateFull } = raw;
    const items = updateFull.message.queue.items.map((item, i) => ({ ...item, target: -1, predicted: i }));
    const status = { ...updateFull.message.status, classes: ["usual error", "large error"] };
    test.receive({ kind: "update", seq: 2, full: false, status, queue: { ...updateFull.message.queue, items } }, buffers(updateFull));
    await frame();
    const names = (): (string | undefined)[] => [...document.querySelectorAll("[data-testid='cw-queue-item'] .cw-queue-classes")].map((one) => one.textContent);
    expect(names()).toEqual(["usual error", "large error"]);
    const filter = get("cw-filter") as HTMLSelectElement;
    filter.value = "1";
    filter.dispatchEvent(new Event("change"));
    await frame();
    expect(names()).toEqual(["large error"]);
  });
});

describe("looking and drawing", () => {
  it("keeps the queue still while somebody points at it", async () => {
    const order = (): (string | null)[] => [...document.querySelectorAll("[data-testid='cw-queue-item']")].map((one) => one.getAttribute("data-index"));
    const before = order();
    const list = get("cw-queue");
    list.dispatchEvent(new Event("pointerenter"));
    const items = [...raw.updateFull.message.queue.items].reverse();
    test.receive({ kind: "update", seq: 2, full: false, queue: { ...raw.updateFull.message.queue, items } }, buffers(raw.updateFull));
    await frame();
    expect(order()).toEqual(before);
    list.dispatchEvent(new Event("pointerleave"));
    await frame();
    expect(order()).toEqual([...before].reverse());
  });

  it("asks for an earlier map, and shows it when it comes", async () => {
    expect(get("cw-timeline-at").textContent).toContain("2 of 2");
    press(get("cw-root"), ",");
    expect(last()).toMatchObject({ kind: "look", index: 4187, step: 400 });
    const shelf = [{ ...raw.updateFull.message.explanation, model_step: 400 }];
    test.receive({ kind: "update", seq: 2, full: false, shelf }, buffers(raw.updateFull));
    await frame();
    expect(get("cw-model-step").textContent).toBe("model of step 400");
    expect(get("cw-timeline-at").textContent).toContain("1 of 2");
  });

  it("draws a polygon by keyboard, takes it back and brings it again", async () => {
    get("cw-shape-polygon").click();
    const picture = get("cw-picture");
    const lead = (key: string, times: number): void => {
      for (let i = 0; i < times; i++) press(picture, key, { shiftKey: true });
    };
    lead("ArrowRight", 1);
    press(picture, " ");
    lead("ArrowRight", 4);
    press(picture, " ");
    lead("ArrowDown", 4);
    press(picture, " ");
    press(picture, "Enter");
    await frame();
    expect(document.querySelectorAll(".cw-stroke")).toHaveLength(1);
    press(get("cw-root"), "z", { ctrlKey: true });
    await frame();
    expect(document.querySelectorAll(".cw-stroke")).toHaveLength(0);
    press(get("cw-root"), "z", { ctrlKey: true, shiftKey: true });
    await frame();
    get("cw-submit").click();
    const strokes = last()["strokes"] as { roi: { polygon: number[][] } }[];
    expect(strokes[0]?.roi.polygon).toEqual([[0.5, 0.5], [0.82, 0.5], [0.82, 0.82]]);
  });

  it("tells the kernel which update is on the screen", async () => {
    await settle(8200);
    expect(test.sent.filter((one) => one["kind"] === "ack").at(-1)).toMatchObject({ seq: 1, seen: true });
  });

  it("one key says that the reason is wrong", () => {
    press(get("cw-root"), "w");
    expect(last()).toMatchObject({ kind: "feedback", sample: 4187, strokes: [{ kind: "ignore", roi: [0.5, 0.5, 1, 1] }] });
  });

  it("applies a stroke to the alike samples that stay picked", async () => {
    get("cw-page-alike").click();
    await frame();
    expect(get("cw-hits-confirm").textContent).toContain("214");
    get("cw-hits-confirm").click();
    expect(last()).toMatchObject({ kind: "confirm", intervention: "a1", index: null });
  });

  it("does not send while a word is being composed", () => {
    const input = get("cw-instruction") as HTMLInputElement;
    input.value = "ignore borders";
    input.dispatchEvent(new Event("input", { bubbles: true }));
    press(input, "Enter", { isComposing: true });
    expect(test.kinds()).not.toContain("feedback");
    press(input, "Enter");
    expect(last()).toMatchObject({ kind: "feedback", instruction: "ignore borders" });
  });

  it("asks for samples that fail soon, and for the review window", async () => {
    expect(get("cw-onset").getAttribute("aria-pressed")).toBe("true");
    get("cw-onset").click();
    expect(last()).toEqual({ ...sentByBrowser.setQueue.message, id: last()["id"] });
    press(get("cw-root"), "f"); // pressed again before the kernel has ranked anew
    expect(last()).toMatchObject({ kind: "set_queue", onset: true });
    press(get("cw-root"), "o");
    expect(last()).toEqual({ ...sentByBrowser.openWindow.message, id: last()["id"] });
    test.reply(true, "The review window is open");
    await settle();
    await frame();
    expect(get("cw-echo").textContent).toBe("The review window is open");
  });

  it("shows no list that is empty", async () => {
    const { message } = raw.updateFull;
    expect(get("cw-page-suspects").hidden).toBe(false);
    test.receive({ ...message, seq: 2, suspects: { count: 0, items: [] } }, buffers(raw.updateFull));
    await frame();
    expect(get("cw-page-suspects").hidden).toBe(true);
    expect(get("cw-page-alike").hidden).toBe(false);
  });

  it("sends what a person says of a label", async () => {
    get("cw-page-suspects").click();
    await frame();
    get("cw-suspect").querySelector<HTMLElement>("[data-verdict='wrong']")?.click();
    expect(last()).toMatchObject({ kind: "judge", index: 12, verdict: "wrong", label: 1 });
  });

  it("keeps the labels' list still under a pointer, but for what a person said", async () => {
    const { message } = raw.updateFull;
    const told = async (seq: number, ...items: object[]): Promise<void> => {
      test.receive({ ...message, seq, suspects: { count: items.length, items } }, buffers(raw.updateFull));
      await frame();
    };
    const one = { doubt: 0.9, target: 0, suggested: 1, judged: "", thumbnail_buffer: 3 };
    const rows = (): string[] => [...document.querySelectorAll("[data-testid=cw-suspect]")].map((row) => row.getAttribute("data-index") ?? "");
    await told(2, { ...one, index: 4 }, { ...one, index: 7 });
    get("cw-suspects").dispatchEvent(new PointerEvent("pointerenter"));
    await told(3, { ...one, index: 9 }, { ...one, index: 7 }, { ...one, index: 4, judged: "right" });
    expect(rows()).toEqual(["4", "7"]);
    expect(get("cw-suspect").textContent).toContain("judged: right");
    get("cw-suspects").dispatchEvent(new PointerEvent("pointerleave"));
    await frame();
    expect(rows()).toEqual(["9", "7", "4"]);
  });

  it("offers the class that the row names, until a person chooses another", async () => {
    const { message } = raw.updateFull;
    const choose = (): HTMLSelectElement => get("cw-suspect").querySelector("select") as HTMLSelectElement;
    const told = async (seq: number, suggested: number): Promise<void> => {
      const items = [{ index: 12, doubt: 0.9, target: 0, suggested, judged: "", thumbnail_buffer: 3 }];
      test.receive({ ...message, seq, suspects: { count: 1, items } }, buffers(raw.updateFull));
      await frame();
    };
    await told(2, 0);
    expect(choose().value).toBe("0");
    await told(3, 1);
    expect(choose().value).toBe("1");
    choose().value = "0";
    choose().dispatchEvent(new Event("change", { bubbles: true }));
    await told(4, 1);
    expect(choose().value).toBe("0");
  });
});

describe("keys and the end", () => {
  it("hears its keys and keeps them from the page", () => {
    const heard = vi.fn();
    document.addEventListener("keydown", heard);
    press(get("cw-root"), "p");
    expect(last()["kind"]).toBe("pause");
    press(get("cw-instruction"), "p");
    expect(test.kinds().filter((kind) => kind === "pause")).toHaveLength(1);
    expect(heard).not.toHaveBeenCalled();
    document.removeEventListener("keydown", heard);
  });

  it("shows a thumbnail of any size, as a run folder may hold it", () => {
    const image = document.createElement("img");
    showThumbnail(image, new Uint8Array(300_000).fill(200));
    expect(atob(image.src.split(",")[1] ?? "")).toHaveLength(300_000);
    showThumbnail(image, null);
    expect(image.hasAttribute("src")).toBe(false);
  });

  it("removes itself", () => {
    remove();
    expect(document.querySelector(".cw-root")).toBeNull();
  });
});
