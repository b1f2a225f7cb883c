// The card that asks about a finding: what it shows, its keys, and what is said after an answer.
import { describe, expect, it } from "vitest";
import { raw } from "./fixtures";
import { coach, frame, get, lastOf, mountEach, press, pressBeside } from "./mounted";

const mounted = mountEach();
const { question, status, ledger } = raw.updateFull.message;
const ADVICE = { key: "finding:f1", text: question.text, button: "Show #4187", does: "open", sample: 4187, intervention: null };
let seq = 1;

async function receive(sections: Record<string, unknown>): Promise<void> {
  mounted.test.receive({ kind: "update", seq: ++seq, full: false, alarms: [], notices: [], advice: ADVICE, ...sections });
  await frame();
}

const card = (): HTMLDialogElement => get("cw-question") as HTMLDialogElement;
const answers = (): unknown[] => mounted.test.sent.filter((one) => (one as { kind: string }).kind === "answer");

async function open(): Promise<void> {
  seq = 1;
  await receive({});
  press(get("cw-root"), "y");
  await frame();
}

describe("the card about a finding", () => {
  it("opens from the line under the header, over it all, and shows where it was seen", async () => {
    seq = 1;
    await receive({});
    expect(coach()).toContain("<b>cat</b>"); // text is text
    expect(get("cw-coach-act").textContent).toBe("See it");
    const before = get("cw-root").getBoundingClientRect().height;
    get("cw-coach-act").click();
    await frame();
    expect(card().open).toBe(true);
    expect(get("cw-root").getBoundingClientRect().height).toBe(before);
    expect(document.activeElement).toBe(card()); // Enter answers nothing
    expect(get("cw-question-text").textContent).toBe(question.text);
    expect(card().querySelector("b")).toBeNull();
    expect(card().getAttribute("aria-describedby")).toBe(get("cw-question-text").id);
    const [picture, words] = [...card().querySelectorAll<HTMLElement>(".cw-asked > li")];
    expect(picture?.querySelector("path")?.getAttribute("d")).toContain("M0.7 0.7");
    expect(picture?.querySelector("img")?.src).toContain("data:image/png");
    expect(words?.dataset["kind"]).toBe("text");
    expect([...(words?.querySelectorAll(".cw-token[data-kind=look]") ?? [])].map((one) => one.textContent)).toEqual(["<b>great</b>"]);
    expect(get("cw-answer-wrong").textContent).toContain("ignore it in all 1,029 samples");
    expect(answers()).toEqual([]);
  });

  it("ignores the finding by N, says so, and offers to undo that", async () => {
    await open();
    press(card(), "n");
    press(card(), "n"); // once is enough
    await frame();
    expect(card().open).toBe(false);
    expect(answers()).toMatchObject([{ kind: "answer", finding: "f1", answer: "wrong reason" }]);
    expect(get("cw-echo").textContent).toBe("Sending…");
    const entry = { ...ledger[0], id: "a2", step: 1, sample: 12, undone: false, effect: null, thumbnail_buffer: null, before_buffer: null, after_buffer: null };
    await receive({ question: null, advice: null, ledger: [entry] });
    mounted.test.reply(true, "Ignored in 1,029 samples");
    await frame();
    expect(get("cw-echo").textContent).toBe("Ignored in 1,029 samples");
    expect(get("cw-undo-told").hidden).toBe(false); // though another sample is shown
    get("cw-undo-told").click();
    expect(lastOf(mounted)).toMatchObject({ kind: "undo", intervention: "a2" });
  });

  it.each([["y", "right reason"], ["s", "skip"]])("answers %s with “%s”", async (key, answer) => {
    await open();
    press(card(), key, { repeat: true }); // held from before
    expect(answers()).toEqual([]);
    press(card(), key);
    await frame();
    expect(answers()).toMatchObject([{ finding: "f1", answer }]);
    expect(card().open).toBe(false);
  });

  it("skips by Escape, and a click beside the card only closes it", async () => {
    await open();
    pressBeside(card());
    await frame();
    expect(card().open).toBe(false);
    expect(answers()).toEqual([]);
    press(get("cw-root"), "F", { shiftKey: true });
    await frame();
    expect(card().open).toBe(true);
    card().dispatchEvent(new Event("cancel", { cancelable: true })); // what Escape does
    await frame();
    expect(answers()).toMatchObject([{ finding: "f1", answer: "skip" }]);
  });

  it("closes when it was answered elsewhere, and never asks about another one unseen", async () => {
    await open();
    await receive({ question: { ...question, id: "f2", samples: [] } });
    expect(card().open).toBe(false);
    press(card(), "n");
    expect(answers()).toEqual([]);
    press(get("cw-root"), "y"); // the line is about f1 still: it shows that sample
    expect(answers()).toEqual([]);
  });

  it("can be looked at, and not answered, where nobody can be asked or nothing can be ignored", async () => {
    await open();
    await receive({ status: { ...status, guidance: false } });
    expect((get("cw-answer-wrong") as HTMLButtonElement).disabled).toBe(true);
    press(card(), "n");
    await frame();
    expect(answers()).toEqual([]);
    expect(card().open).toBe(true);
    mounted.test.receive({ kind: "lost", text: "The training has ended." });
    await frame();
    for (const name of ["right", "wrong", "skip"]) expect((get(`cw-answer-${name}`) as HTMLButtonElement).disabled).toBe(true);
    card().dispatchEvent(new Event("cancel", { cancelable: true }));
    await frame();
    expect([card().open, answers()]).toEqual([false, []]);
  });

  it("says no figures where it is asked blindly, and how random places were answered", async () => {
    await open();
    expect(get("cw-question-controls").textContent).toBe(question.controls);
    const blind = { ...question, text: "One small place is marked.", count: null, pull: null, interval: [], controls: "", samples: [] };
    await receive({ question: blind });
    expect(get("cw-question-text").textContent).toBe("One small place is marked.");
    expect(get("cw-answer-wrong").textContent).toContain("ignore it wherever it is");
    expect(get("cw-question-controls").hidden).toBe(true);
  });
});
