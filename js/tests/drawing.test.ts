// Looking at samples and drawing on them, in a mounted dashboard.
import { describe, expect, it, vi } from "vitest";
import { buffers, raw, sentByBrowser } from "./fixtures";
import { frame, get, lastOf, mountEach, press } from "./mounted";
import { settle } from "./model";

const mounted = mountEach();

describe("looking and drawing", () => {
  it("keeps the queue still while somebody points at it", async () => {
    const list = get("cw-queue");
    const order = (): (string | null)[] => [...list.querySelectorAll("[data-index]")].map((one) => one.getAttribute("data-index"));
    const { queue } = raw.updateFull.message;
    const atRisk = queue.items.map((item) => ({ ...item, wrong_now: false }));
    mounted.test.receive({ kind: "update", seq: 2, full: false, queue: { ...queue, items: atRisk } }, buffers(raw.updateFull));
    await frame();
    const before = order();
    expect(before).toHaveLength(2);
    list.dispatchEvent(new Event("pointerenter"));
    mounted.test.receive({ kind: "update", seq: 3, full: false, queue: { ...queue, items: [...atRisk].reverse() } }, buffers(raw.updateFull));
    await frame();
    expect(order()).toEqual(before);
    list.dispatchEvent(new Event("pointerleave"));
    await frame();
    expect(order()).toEqual([...before].reverse());
  });

  it("asks for an earlier map, and shows it when it comes", async () => {
    expect(get("cw-timeline-at").textContent).toContain("2 of 2");
    press(get("cw-root"), ",");
    expect(lastOf(mounted)).toMatchObject({ kind: "look", index: 4187, step: 400 });
    const shelf = [{ ...raw.updateFull.message.explanation, model_step: 400 }];
    mounted.test.receive({ kind: "update", seq: 2, full: false, shelf }, buffers(raw.updateFull));
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
    const strokes = lastOf(mounted)["strokes"] as { roi: { polygon: number[][] } }[];
    expect(strokes[0]?.roi.polygon).toEqual([[0.5, 0.5], [0.82, 0.5], [0.82, 0.82]]);
  });

  it("takes back a corner of an open polygon before what was drawn earlier", async () => {
    get("cw-add-box").click();
    get("cw-shape-polygon").click();
    const picture = get("cw-picture");
    press(picture, "ArrowRight");
    press(picture, " ");
    await frame();
    expect(picture.querySelector(".cw-pending")?.getAttribute("d")).not.toBeNull();
    press(get("cw-root"), "z", { ctrlKey: true });
    await frame();
    expect(picture.querySelector(".cw-pending")?.getAttribute("d")).toBeNull();
    expect(document.querySelectorAll(".cw-stroke")).toHaveLength(1);
  });

  it("keeps the keyboard's place when a button is disabled under it, and gives it back", async () => {
    const step = get("cw-one-step");
    step.focus();
    step.click();
    await frame();
    expect(get("cw-root").contains(document.activeElement)).toBe(true);
    mounted.test.reply(true, "");
    await frame();
    expect(document.activeElement).toBe(step);
    const submit = get("cw-submit");
    get("cw-add-box").click();
    await frame();
    submit.focus();
    submit.click();
    await frame();
    mounted.test.reply(true, "Applied");
    await frame();
    expect(document.activeElement).toBe(submit.closest("section"));
    get("cw-help").focus();
    get("cw-add-box").click();
    await frame();
    expect(document.activeElement).not.toBe(submit);
  });

  it("leaves the notebook its keys of saving, and no other", () => {
    const left = (key: string, more: KeyboardEventInit = {}): boolean => {
      press(get("cw-stop"), key, more);
      return !get("cw-root").hasAttribute("data-lm-suppress-shortcuts");
    };
    expect(["s", "B"].map((key) => left(key, { ctrlKey: true }))).toEqual([true, true]);
    expect(left("s", { metaKey: true })).toBe(true);
    expect([left("b"), left("z", { ctrlKey: true }), left("Enter", { ctrlKey: true })]).toEqual([false, false, false]);
  });

  it("lets a second finger end no stroke", async () => {
    const picture = get("cw-picture");
    vi.spyOn(picture, "setPointerCapture").mockReturnValue(); // no real pointer is down
    const box = picture.getBoundingClientRect();
    const pointer = (type: string, x: number, isPrimary = true): void => {
      picture.dispatchEvent(new PointerEvent(type, { clientX: box.left + x * box.width, clientY: box.top + x * box.height, isPrimary, bubbles: true }));
    };
    pointer("pointerdown", 0.1);
    pointer("pointermove", 0.4);
    pointer("pointerup", 0.9, false);
    pointer("pointermove", 0.8);
    pointer("pointerup", 0.8);
    await frame();
    expect(document.querySelector(".cw-stroke")?.getAttribute("aria-label")).toContain("10, 10, 80, 80 percent");
  });

  it("presses no button that is hidden", () => {
    get("cw-add-box").hidden = true;
    press(get("cw-root"), "a");
    expect(document.querySelectorAll(".cw-stroke")).toHaveLength(0);
  });

  it("tells the kernel which update is on the screen", async () => {
    await settle(8200);
    expect(mounted.test.sent.filter((one) => one["kind"] === "ack").at(-1)).toMatchObject({ seq: 1, seen: true });
  });

  it("one key says that the reason is wrong", () => {
    press(get("cw-root"), "w");
    expect(lastOf(mounted)).toMatchObject({ kind: "feedback", sample: 4187, strokes: [{ kind: "ignore", roi: [0.5, 0.5, 1, 1] }] });
  });

  it("applies a stroke to the alike samples that stay picked", async () => {
    get("cw-page-alike").click();
    await frame();
    expect(get("cw-hits-confirm").textContent).toContain("214");
    get("cw-hits-confirm").click();
    expect(lastOf(mounted)).toMatchObject({ kind: "confirm", intervention: "a1", index: null });
  });

  it("does not send while a word is being composed", () => {
    const input = get("cw-instruction") as HTMLInputElement;
    input.value = "ignore borders";
    input.dispatchEvent(new Event("input", { bubbles: true }));
    press(input, "Enter", { isComposing: true });
    expect(mounted.test.kinds()).not.toContain("feedback");
    press(input, "Enter");
    expect(lastOf(mounted)).toMatchObject({ kind: "feedback", instruction: "ignore borders" });
  });

  it("asks for those wrong now where they are left out, and for a review", async () => {
    get("cw-page-wrong").click();
    await frame();
    expect(get("cw-onset").hidden).toBe(false);
    get("cw-onset").click();
    expect(lastOf(mounted)).toEqual({ ...sentByBrowser.setQueue.message, id: lastOf(mounted)["id"] });
    press(get("cw-root"), "o");
    expect(lastOf(mounted)).toEqual({ ...sentByBrowser.openWindow.message, id: lastOf(mounted)["id"] });
    mounted.test.reply(true, "The review window is open");
    await settle();
    await frame();
    expect(get("cw-echo").textContent).toBe("The review window is open");
  });

  /** Show the sample whose label is in doubt, large. */
  async function openSuspect(seq: number): Promise<void> {
    const { explanation } = raw.updateFull.message;
    mounted.test.receive({ kind: "update", seq, full: false, explanation: { ...explanation, index: 12, purpose: "person" } }, buffers(raw.updateFull));
    await frame();
  }

  it("sends what a person says of a label, beside its picture", async () => {
    expect(get("cw-judge").hidden).toBe(true);
    await openSuspect(2);
    expect(get("cw-judge").hidden).toBe(false);
    get("cw-judge").querySelector<HTMLElement>("[data-verdict='wrong']")?.click();
    expect(lastOf(mounted)).toMatchObject({ kind: "judge", index: 12, verdict: "wrong", label: 1 });
  });

  it("keeps the labels' list still under a pointer, but for what a person said", async () => {
    const { message } = raw.updateFull;
    const told = async (seq: number, ...items: object[]): Promise<void> => {
      mounted.test.receive({ ...message, seq, suspects: { count: items.length, items } }, buffers(raw.updateFull));
      await frame();
    };
    const one = { doubt: 0.9, target: 0, suggested: 1, judged: "", thumbnail_buffer: 3 };
    const rows = (): string[] => [...document.querySelectorAll("[data-testid=cw-queue-item]")].map((row) => row.getAttribute("data-index") ?? "");
    get("cw-page-suspects").click();
    await told(2, { ...one, index: 4 }, { ...one, index: 7 });
    get("cw-queue").dispatchEvent(new PointerEvent("pointerenter"));
    await told(3, { ...one, index: 9 }, { ...one, index: 7 }, { ...one, index: 4, judged: "right" });
    expect(rows()).toEqual(["4", "7"]);
    expect(get("cw-queue-item").textContent).toContain("right");
    get("cw-queue").dispatchEvent(new PointerEvent("pointerleave"));
    await frame();
    expect(rows()).toEqual(["9", "7", "4"]);
  });

  it("offers the class that the row names, until a person chooses another", async () => {
    const choose = (): HTMLSelectElement => get("cw-judge-class") as HTMLSelectElement;
    await openSuspect(2);
    const told = async (seq: number, suggested: number): Promise<void> => {
      const items = [{ index: 12, doubt: 0.9, target: 0, suggested, judged: "", thumbnail_buffer: 3 }];
      mounted.test.receive({ kind: "update", seq, full: false, suspects: { count: 1, items } }, buffers(raw.updateFull));
      await frame();
    };
    await told(3, 0);
    expect(choose().value).toBe("0");
    await told(4, 1);
    expect(choose().value).toBe("1");
    choose().value = "0";
    choose().dispatchEvent(new Event("change", { bubbles: true }));
    await told(5, 1);
    expect(choose().value).toBe("0");
  });
});
