// The whole dashboard in a document: what it shows, what it sends, and that it leaves nothing behind.
import { describe, expect, it, vi } from "vitest";
import { showThumbnail } from "../src/thumbnails";
import { PATIENCE } from "../src/transport";
import { buffers, raw, sentByBrowser } from "./fixtures";
import { coach, frame, get, lastOf, mountEach, press } from "./mounted";
import { settle } from "./model";

const mounted = mountEach();

describe("what it shows", () => {
  it("state, step, metrics, sample", () => {
    expect(get("cw-state").textContent).toBe("Training");
    expect(get("cw-step").getAttribute("data-step")).toBe("874");
    expect(get("cw-metric-train-loss").textContent).toBe("0.700");
    expect(get("cw-focus").getAttribute("data-sample")).toBe("4187");
    expect(get("cw-agreement").textContent).toBe("0.71");
    expect(get("cw-model-step").textContent).toContain("870");
    expect(get("cw-connection").textContent).toBe("live");
    expect(document.querySelectorAll("[data-testid='cw-queue-item']")).toHaveLength(1);
    expect(document.body.textContent).toContain("At risk by epoch 10");
    expect(get("cw-gates").textContent).toContain("ranking not stable yet");
    expect(coach()).toBe("Since a1 the validation accuracy fell from 0.81 to 0.40.");
    expect(get("cw-coach").textContent).toContain("1 of 2"); // the same alarm is said once; a notice waits
  });

  it("class names as text, never as markup", () => {
    expect(document.body.textContent).toContain("<img src=x onerror=alert(1)>");
    expect(document.querySelector("img[src='x']")).toBeNull();
    expect(document.querySelector("[onerror]")).toBeNull();
  });

  it("keeps the nodes of a list when its content changes", async () => {
    const before = get("cw-ledger-item");
    mounted.test.receive({ kind: "update", seq: 2, full: false, ledger: raw.updateFull.message.ledger.map((item) => ({ ...item, undone: true })) }, buffers(raw.updateFull));
    await frame();
    expect(get("cw-ledger-item")).toBe(before);
    expect(before.hasAttribute("data-undone")).toBe(true);
  });

  it("the epoch, and of how many where that is known", async () => {
    const { status } = raw.updateFull.message;
    const texts = [];
    let seq = 2;
    for (const change of [{}, { epoch: 20 }, { epoch: 21, state: "finished" }, { step: 5, total_steps: null, total_epochs: null }]) {
      mounted.test.receive({ kind: "update", seq: seq++, full: false, status: { ...status, ...change } });
      await frame();
      texts.push(document.querySelector(".cw-position")?.textContent);
    }
    expect(texts).toEqual(["epoch 7 of 20 · step 874 of 2500", "epoch 20 of 20 · step 874 of 2500", "epoch 21 · step 874 of 2500", "epoch 7 · step 5"]);
  });

  it("the exception of a failed run", async () => {
    mounted.test.receive({ kind: "update", seq: 2, full: false, status: { ...raw.updateFull.message.status, state: "failed", error: "ValueError: bad", trace: "Traceback: line 12", remedy: "Mend it.", steps_left: 12 } });
    await frame();
    expect(coach()).toBe("ValueError: bad. Mend it.");
    get("cw-coach-act").click();
    expect((get("cw-reader") as HTMLDialogElement).open).toBe(true);
    expect(get("cw-reader").textContent).toContain("Traceback: line 12");
    (get("cw-reader") as HTMLDialogElement).close();
    expect(get("cw-pause").textContent).toBe("Continue");
  });
});

describe("charts", () => {
  /** Show one metric of these points; the share of the chart's width that is drawn upon in the first line's colour. */
  async function drawn(points: number[]): Promise<number> {
    const metrics = [{ name: "test/loss", points_buffer: 0 }];
    mounted.test.receive({ kind: "update", seq: 2, full: true, metrics }, [new DataView(new Float64Array(points).buffer)]);
    await settle(400);
    const canvas = document.querySelector<HTMLCanvasElement>(".cw-chart canvas");
    const { data, width } = canvas?.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height) ?? { data: [] as number[], width: 0 };
    const columns = new Set<number>();
    for (let i = 0; i < data.length; i += 4) if ((data[i + 2] ?? 0) > (data[i] ?? 0) + 80 && (data[i + 3] ?? 0) > 200) columns.add((i / 4) % width);
    return columns.size / width;
  }

  it("draws a line of one point as a dot", async () => {
    expect(await drawn([5, NaN])).toBe(0);
    expect(await drawn([5, 0.7])).toBeGreaterThan(0);
  });

  it("leaves a gap where a metric is no number", async () => {
    const whole = await drawn([1, 0.5, 2, 0.6, 3, 0.5, 4, 0.6, 5, 0.5]);
    const gap = await drawn([1, 0.5, 2, 0.6, 3, NaN, 4, 0.6, 5, 0.5]);
    expect(gap / whole).toBeCloseTo(0.5, 1);
  });

  it("draws a point between two gaps", async () => {
    expect(await drawn([1, NaN, 2, 0.5, 3, NaN, 4, 0.5, 5, NaN])).toBeGreaterThan(0);
  });

  it("draws another run behind, which is asked for by its name", async () => {
    const other = get("cw-behind") as HTMLSelectElement;
    expect([...other.options].map((one) => one.value)).toEqual(["", "run_000_20251231_0900"]);
    expect(other.value).toBe("run_000_20251231_0900"); // it stands there already
    const { metrics } = raw.updateFull.message.behind;
    const before = await drawn([1, 0.5, 500, 0.5]);
    mounted.test.receive({ kind: "update", seq: 3, full: false, behind: { run: "run_000_20251231_0900", metrics: [{ ...metrics[0], name: "test/loss", points_buffer: 0 }] } },
      [new DataView(new Float64Array([1, 0.45, 500, 0.55]).buffer)]);
    await settle(400);
    const canvas = document.querySelector<HTMLCanvasElement>(".cw-chart canvas");
    const pixels = canvas?.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height).data ?? [];
    const faint = [...pixels.keys()].filter((i) => i % 4 === 3 && (pixels[i] ?? 0) > 60 && (pixels[i] ?? 0) < 140).length;
    expect(before).toBeGreaterThan(0.5);
    expect(faint).toBeGreaterThan(50);
    other.value = "";
    other.dispatchEvent(new Event("change"));
    expect(lastOf(mounted)).toMatchObject({ kind: "compare", run: "" });
  });

  it("tells how far a value lies beyond the edge, beside its arrow", async () => {
    const away = (): string | undefined => document.querySelector(".cw-legend .cw-sr")?.textContent;
    const ink = async (most: number): Promise<number> => {
      const points = Array.from({ length: 200 }, (_, i) => [i + 1, i === 60 ? most : 0.5 + (i % 3) / 100]).flat();
      await drawn(points);
      const canvas = document.querySelector<HTMLCanvasElement>(".cw-chart canvas");
      const { data = [], width = 0 } = canvas?.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height) ?? {};
      return [...data.keys()].filter((i) => i % 4 === 3 && i < width * 24 * 4 && (data[i] ?? 0) > 120).length; // the uppermost rows
    };
    const few = await ink(0.51);
    expect(away()).toBe("");
    expect(await ink(30.28)).toBeGreaterThan(few + 30);
    expect(away()).toBe("1 beyond the edge, up to 30.28");
  });

  it("says why a logarithmic scale shows nothing", async () => {
    await drawn([1, -1, 2, -2]);
    const words = (): string => document.querySelector(".cw-legend-at")?.textContent ?? "";
    expect(words()).toBe("");
    get("cw-log").click();
    await settle(400);
    expect(words()).toBe("nothing above 0");
  });
});

describe("what it sends", () => {
  it("pause, then resume", async () => {
    get("cw-pause").click();
    expect(Object.keys(lastOf(mounted)).sort()).toEqual(Object.keys(sentByBrowser.pause.message).sort());
    expect(lastOf(mounted)["kind"]).toBe("pause");
    await frame();
    expect(get("cw-pause").textContent).toBe("Pausing");
    mounted.test.receive({ kind: "update", seq: 2, full: false, status: { ...raw.updateFull.message.status, state: "paused" } });
    await frame();
    expect(get("cw-pause").textContent).toBe("Resume");
    get("cw-pause").click();
    expect(lastOf(mounted)["kind"]).toBe("resume");
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
    expect(Object.keys(lastOf(mounted)).sort()).toEqual(Object.keys(sentByBrowser.feedback.message).sort());
    expect(lastOf(mounted)).toMatchObject({
      kind: "feedback", sample: 4187, instruction: "increase focus by 10%", strength: 0.35,
      strokes: [{ kind: "ignore", roi: [0.38, 0.35, 0.68, 0.66] }],
    });
    expect(get("cw-echo").textContent).not.toContain("Applied");
    mounted.test.reply(true, "Applied at step 876: increase focus by 10%");
    await frame();
    expect(get("cw-echo").textContent).toBe("Applied at step 876: increase focus by 10%");
    expect(line.value).toBe("");
    expect(document.querySelectorAll(".cw-stroke")).toHaveLength(0);
  });

  it("keeps an answer when a sample opens unasked, and ends it when the person chooses one", async () => {
    const { explanation } = raw.updateFull.message;
    const opens = (seq: number, index: number): void => { mounted.test.receive({ kind: "update", seq, full: false, explanation: { ...explanation, index } }, buffers(raw.updateFull)); };
    get("cw-open-window").click();
    mounted.test.reply(true, "Now counts as a good time to look");
    await frame();
    opens(2, 11);
    await frame();
    expect(get("cw-focus").getAttribute("data-sample")).toBe("11");
    expect(get("cw-echo").textContent).toBe("Now counts as a good time to look");
    const entry = get("cw-explain-index") as HTMLInputElement;
    entry.value = "12";
    entry.form?.requestSubmit();
    mounted.test.reply(true, "");
    opens(3, 12);
    await frame();
    expect(get("cw-echo").textContent).not.toContain("good time to look");
  });

  it("gives nothing twice to a kernel that is slow to answer, and what is new at once", async () => {
    const submit = get("cw-submit") as HTMLButtonElement;
    get("cw-add-box").click();
    await frame();
    submit.click();
    const first = lastOf(mounted)["id"];
    const given = (): unknown[] => mounted.test.sent.filter(({ kind }) => kind === "feedback");
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
    mounted.test.reply(true, "Applied at step 876", first);
    await frame();
    expect(document.querySelectorAll(".cw-stroke")).toHaveLength(1);
    mounted.test.reply(true, "Applied at step 877");
    await frame();
    expect(document.querySelectorAll(".cw-stroke")).toHaveLength(0);
  });

  it("keeps everything when the kernel refuses", async () => {
    const line = (get("cw-instruction") as HTMLInputElement);
    line.value = "focsu";
    line.dispatchEvent(new Event("input"));
    press(line, "Enter");
    expect(lastOf(mounted)).toMatchObject({ kind: "feedback", strokes: [], strength: null });
    mounted.test.reply(false, "there is no such instruction");
    await frame();
    expect(get("cw-echo").getAttribute("data-level")).toBe("error");
    expect(line.value).toBe("focsu");
  });

  it("brings back earlier instructions", async () => {
    const line = (get("cw-instruction") as HTMLInputElement);
    line.value = "focus left";
    line.dispatchEvent(new Event("input"));
    press(line, "Enter");
    mounted.test.reply(true, "Applied");
    await frame();
    press(line, "ArrowUp");
    await frame();
    expect(line.value).toBe("focus left");
    press(line, "ArrowDown");
    await frame();
    expect(line.value).toBe("");
  });

  it("each label has its own probability and truth, and a press on it asks for its map", async () => {
    const { explanation } = raw.updateFull.message;
    const top = [{ index: 1, probability: 0.9 }, { index: 0, probability: 0.8 }];
    mounted.test.receive({ kind: "update", seq: 2, full: false, explanation: { ...explanation, top, explained: 1, labels: [0, 1] } }, buffers(raw.updateFull));
    await frame();
    const bars = [...document.querySelectorAll(".cw-class-bar")];
    expect(bars.map((bar) => bar.querySelector(".cw-check")?.textContent)).toEqual(["✓", "✓"]);
    const names = bars.map((bar) => bar.querySelector("button"));
    expect(names.map((name) => name?.getAttribute("aria-pressed"))).toEqual(["true", "false"]);
    names[1]?.click();
    expect(lastOf(mounted)).toMatchObject({ kind: "explain", index: 4187, target: 0 });
  });

  it("explain from the queue and by number", async () => {
    get("cw-queue").querySelector("button")?.click();
    expect(lastOf(mounted)).toMatchObject({ kind: "explain", index: 12 });
    const number = (get("cw-explain-index") as HTMLInputElement);
    number.value = "311";
    number.closest("form")?.dispatchEvent(new Event("submit", { cancelable: true }));
    expect(lastOf(mounted)).toMatchObject({ kind: "explain", index: 311 });
    mounted.test.reply(false, "there are 100 samples");
    await frame();
    expect(coach()).toBe("there are 100 samples");
  });

  it("an end of the kernel's other sessions, where that is offered", async () => {
    const others = get("cw-coach-act");
    const notice = { level: "info", text: "Still open in this kernel: run_001", step: 0 };
    mounted.test.receive({ kind: "update", seq: 2, full: false, alarms: [], advice: null, notices: [{ ...notice, offer: "close_others" }] });
    await frame();
    expect(coach()).toBe(notice.text);
    expect(others.hidden).toBe(false);
    others.click();
    expect(lastOf(mounted)).toEqual({ ...sentByBrowser.closeOthers.message, id: lastOf(mounted)["id"] });
    mounted.test.reply(true, "Ended run_001");
    await frame();
    expect(others.hidden).toBe(true);
    mounted.test.receive({ kind: "update", seq: 3, full: false, notices: [{ ...notice, text: "of a newer kernel", offer: "anything else" }] });
    await frame();
    expect(coach()).toBe("of a newer kernel");
    expect(others.hidden).toBe(true);
  });

  it("undo", async () => {
    get("cw-ledger-item").querySelector<HTMLElement>(".cw-undo")?.click();
    expect(lastOf(mounted)).toMatchObject({ kind: "undo", intervention: "a1" });
    await frame();
  });
});

describe("keys and the end", () => {
  it("hears its keys and keeps them from the page", () => {
    const heard = vi.fn();
    document.addEventListener("keydown", heard);
    press(get("cw-root"), "p");
    expect(lastOf(mounted)["kind"]).toBe("pause");
    press(get("cw-instruction"), "p");
    expect(mounted.test.kinds().filter((kind) => kind === "pause")).toHaveLength(1);
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

  it("leaves alone what is being typed in a shadow tree, as marimo has around it", async () => {
    const tree = document.body.appendChild(document.createElement("div")).attachShadow({ mode: "open" });
    tree.append(get("cw-root"));
    const number = tree.querySelector<HTMLInputElement>("[data-testid=cw-explain-index]");
    if (number === null) throw new Error("no number");
    number.focus();
    number.value = "12";
    const { explanation } = raw.updateFull.message as { explanation: Record<string, unknown> };
    mounted.test.receive({ ...raw.updateFull.message, seq: 2, explanation: { ...explanation, index: 99 } }, buffers(raw.updateFull));
    await frame();
    expect(number.value).toBe("12");
  });

  it("removes itself", () => {
    mounted.remove();
    expect(document.querySelector(".cw-root")).toBeNull();
  });
});
