// "Prove it" at an entry of the ledger: how far a proof is, its end, and its verdict.
import { describe, expect, it } from "vitest";
import { raw } from "./fixtures";
import { frame, get, lastOf, mountEach, press } from "./mounted";

const mounted = mountEach();
const { ledger, status } = raw.updateFull.message;
const entry = { ...ledger[0], undone: false, thumbnail_buffer: null, before_buffer: null, after_buffer: null, strokes: [{ kind: "ignore", roi: { box: [0, 0, 0.2, 0.2] }, sample: 3, label: null, spreads: true }] };
let seq = 1;

async function receive(proof: unknown, state = "stopped"): Promise<void> {
  mounted.test.receive({ kind: "update", seq: ++seq, full: false, ledger: [{ ...entry, proof }], status: { ...status, state } });
  await frame();
}

const prove = (): HTMLButtonElement => get("cw-prove") as HTMLButtonElement;

describe("a proof", () => {
  it("is asked for where nothing trains, told of while it goes on, and ended", async () => {
    seq = 1;
    await receive(null, "training");
    expect(prove().disabled).toBe(true);
    expect(get("cw-proof").hidden).toBe(true);
    await receive(null);
    expect(prove().disabled).toBe(false);
    prove().click();
    await frame();
    expect(lastOf(mounted)).toMatchObject({ kind: "prove", intervention: entry.id });
    await receive({ verdict: "", text: "2 of 9: treated, seed 0", share: 0.25 });
    expect(get("cw-proof").querySelector("progress")?.value).toBe(0.25);
    expect(get("cw-proof").textContent).toContain("2 of 9");
    expect(prove().textContent).toBe("End proof");
    press(get("cw-root"), "P", { shiftKey: true });
    await frame();
    expect(lastOf(mounted)).toMatchObject({ kind: "end_proof" });
  });

  it("leaves X the Undo of what was told last, also where the line under the picture speaks of something else", async () => {
    seq = 1;
    const earlier = { ...entry, id: "i7", step: 1 };
    mounted.test.receive({ kind: "update", seq: ++seq, full: false, ledger: [{ ...entry, proof: null }, earlier, { ...entry, id: "i9", undone: true }] });
    await frame();
    const own = document.querySelector<HTMLElement>('[data-id="i7"] .cw-undo');
    if (own === null) throw new Error("an entry that is in force has an Undo");
    own.style.display = "none";
    const before = lastOf(mounted);
    press(get("cw-root"), "x");
    await frame();
    expect(lastOf(mounted)).toBe(before); // what is not seen is not pressed
    own.style.display = "";
    get("cw-root").focus();
    press(get("cw-root"), "x");
    await frame();
    expect(lastOf(mounted)).toBe(before); // the newest is undone already: an older one is shown first
    expect(document.activeElement).toBe(own);
    press(own, "x");
    await frame();
    expect(lastOf(mounted)).toMatchObject({ kind: "undo", intervention: "i7" });
  });

  it("leaves X nothing to do while something is sent, and where nothing is in force", async () => {
    seq = 1;
    const newest = { ...entry, id: "i7", sample: 99, step: 1 };
    mounted.test.receive({ kind: "update", seq: ++seq, full: false, ledger: [newest] });
    await frame();
    const line = get("cw-instruction") as HTMLInputElement;
    line.value = "increase focus by 10%";
    line.dispatchEvent(new Event("input", { bubbles: true }));
    await frame();
    get("cw-submit").click();
    await frame();
    expect(lastOf(mounted)).toMatchObject({ kind: "feedback" });
    press(get("cw-root"), "x");
    await frame();
    expect(lastOf(mounted)).toMatchObject({ kind: "feedback" });
    const tab = get("cw-root").dataset["tab"];
    mounted.test.receive({ kind: "update", seq: ++seq, full: false, ledger: [{ ...newest, undone: true }] });
    await frame();
    press(get("cw-root"), "x");
    await frame();
    expect(lastOf(mounted)).toMatchObject({ kind: "feedback" });
    expect(get("cw-root").dataset["tab"]).toBe(tab);
  });

  it("has a verdict, and the figures for the pointer", async () => {
    seq = 1;
    await receive({ verdict: "helped", text: "helped: <b>pull</b>", share: 1 });
    const shown = get("cw-proof");
    expect(shown.textContent).toBe("proof: helped");
    expect(shown.querySelector<HTMLElement>(".cw-verdict")?.dataset["verdict"]).toBe("good");
    expect(shown.title).toBe("helped: <b>pull</b>"); // text is text
    expect(shown.querySelector("progress")?.hidden).toBe(true);
    expect(prove().textContent).toBe("Prove it");
  });

  it("goes on from the branch that is chosen, by keys alone, and says what becomes of the training", async () => {
    seq = 1;
    const proof = { verdict: "helped", text: "helped: <b>pull</b>", share: 1, keeps: ["untreated", "treated"], kept: "", to_step: 40 };
    await receive({ ...proof, keeps: [] });
    expect(get("cw-keep").hidden).toBe(true);
    press(get("cw-root"), "K", { shiftKey: true });
    const card = get("cw-keep-card") as HTMLDialogElement;
    expect(card.open).toBe(false);
    await receive(proof, "training");
    expect((get("cw-keep") as HTMLButtonElement).disabled).toBe(true);
    await receive(proof);
    expect(get("cw-keep").hidden).toBe(false);
    press(get("cw-root"), "K", { shiftKey: true });
    expect(card.open).toBe(true);
    expect(card.textContent).toContain("helped: <b>pull</b>");
    expect(card.textContent).toContain(`What was told after ${entry.id} is undone`);
    const sent = mounted.test.sent.length;
    press(card, "r"); // that branch could not be kept
    expect(card.open).toBe(true);
    expect(mounted.test.sent.length).toBe(sent);
    press(card, "t");
    expect(card.open).toBe(false);
    await frame();
    expect(lastOf(mounted)).toMatchObject({ kind: "keep", intervention: entry.id, branch: "treated" });
    await receive({ ...proof, kept: "treated" });
    expect(get("cw-proof").textContent).toContain("went on from the treated branch");
    get("cw-keep").click();
    expect(get("cw-keep-treated").getAttribute("aria-pressed")).toBe("true");
    await receive({ ...proof, keeps: [] }); // another proof began
    expect(card.open).toBe(false);
  });
});
