// Dialogs close by a press beside them, and by nothing that only ends there.
import { afterEach, describe, expect, it } from "vitest";
import { createDialog, createReader } from "../src/dialog";
import { h } from "../src/dom";
import { buffers, raw } from "./fixtures";
import { drag, frame, get, mountEach, placesOf, press, pressBeside } from "./mounted";

/** What a drag to and fro does to an open dialog. */
function check(el: HTMLDialogElement): void {
  const { beside, padding, middle } = placesOf(el);
  for (const [from, to] of [[padding, padding], [middle, beside], [beside, middle], [padding, beside]] as const) {
    drag(el, from, to);
    expect(el.open).toBe(true);
  }
  el.dispatchEvent(new MouseEvent("click", { bubbles: true })); // by a key on something in it
  expect(el.open).toBe(true);
  pressBeside(el);
  expect(el.open).toBe(false);
}

describe("a dialog", () => {
  const ending = new AbortController();
  afterEach(() => {
    document.body.replaceChildren();
  });

  it("of text is not closed by selecting it", () => {
    const { el, read } = createReader(ending.signal);
    document.body.append(el);
    el.style.padding = "12px";
    read("The whole text", "as long as it is");
    check(el);
  });

  it("opens again after that", () => {
    const { el, open } = createDialog(h("h3", {}, "Keys"), "cw-help", ending.signal);
    document.body.append(el);
    open();
    check(el);
    open();
    expect(el.open).toBe(true);
  });
});

describe("a card that asks", () => {
  const mounted = mountEach();

  it("about a finding", async () => {
    const { question } = raw.updateFull.message;
    const advice = { key: "finding:f1", text: question.text, button: "Show #4187", does: "open", sample: 4187, intervention: null };
    mounted.test.receive({ kind: "update", seq: 2, full: false, alarms: [], notices: [], advice });
    await frame();
    press(get("cw-root"), "y");
    await frame();
    check(get("cw-question") as HTMLDialogElement);
  });

  it("for the class of a request", async () => {
    const { requests } = raw.updateRequests.message;
    mounted.test.receive({ kind: "update", seq: 2, full: false, alarms: [], notices: [], advice: null, question: null, requests }, buffers(raw.updateRequests));
    await frame();
    press(get("cw-root"), "y");
    await frame();
    check(get("cw-requests") as HTMLDialogElement);
  });
});
