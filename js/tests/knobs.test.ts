// The panel for knobs, and the samples behind an alarm.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createBehind } from "../src/behind";
import { renderKnobs, typed, written, type KnobState } from "../src/knobs";
import type { Command } from "../src/protocol";
import { fullUpdate } from "./fixtures";
import { frame, get, lastOf, mountEach } from "./mounted";

const knobs = fullUpdate().knobs ?? null;

describe("the panel", () => {
  let root: HTMLElement;
  let sent: Command[];
  const state = (more: Partial<KnobState> = {}): KnobState => ({ knobs, reachable: true, ...more });
  const show = (one = state()): void => {
    renderKnobs(root, one, (command) => {
      sent.push(command);
      return Promise.resolve(true);
    });
  };
  const field = (name: string): HTMLInputElement => {
    const found = root.querySelector<HTMLInputElement>(`[data-knob="${name}"] input`);
    if (!found) throw new Error(`no knob ${name}`);
    return found;
  };
  const type = (name: string, text: string): void => {
    field(name).value = text;
    field(name).dispatchEvent(new Event("change", { bubbles: true }));
  };

  beforeEach(() => {
    root = document.body.appendChild(document.createElement("div"));
    sent = [];
    show();
  });
  afterEach(() => {
    root.remove();
  });

  it("shows each value, the learning rate first, and those that few turn behind a line", () => {
    const names = [...root.querySelectorAll<HTMLElement>('[data-testid="cw-knob-values"] [data-knob]')].map((one) => one.dataset["knob"]);
    expect(names).toEqual(["lr", "weight_decay", "momentum"]);
    expect(["lr", "momentum", "weight_decay", "dampening", "batch_size"].map((name) => field(name).value)).toEqual(["0.01", "0.9", "0.001, 0", "0", "32"]);
    expect(root.querySelector('[data-knob="lr"]')?.textContent).toContain("scheduled");
    expect(root.querySelector('[data-knob="weight_decay"]')?.textContent).toContain("2 groups");
    expect(root.querySelector('[data-knob="batch_size"]')?.textContent).toContain("64 until this epoch ends");
    for (const input of root.querySelectorAll("input")) expect(input.labels?.length || input.getAttribute("aria-label")).toBeTruthy();
  });

  it("sends a number that was typed, one for each group, or a factor", () => {
    type("lr", "3e-4");
    type("weight_decay", "0.01, 0.02");
    root.querySelector<HTMLButtonElement>('[data-knob="momentum"] button')?.click();
    type("batch_size", "128");
    expect(sent).toEqual([
      { kind: "set_knobs", knobs: [{ name: "lr", value: [3e-4] }] },
      { kind: "set_knobs", knobs: [{ name: "weight_decay", value: [0.01, 0.02] }] },
      { kind: "set_knobs", knobs: [{ name: "momentum", factor: 0.5 }] },
      { kind: "set_knobs", knobs: [{ name: "batch_size", value: [128] }] },
    ]);
  });

  it("sends nothing for what is no number, marks it, and Escape brings back what holds", () => {
    type("lr", "fast");
    expect(sent).toEqual([]);
    expect(field("lr").getAttribute("aria-invalid")).toBe("true");
    field("lr").dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
    expect(field("lr").value).toBe("0.01");
    expect(field("lr").getAttribute("aria-invalid")).toBeNull();
    type("lr", "0.01"); // as it is
    expect(sent).toEqual([]);
  });

  it("freezes and unfreezes layers; names are text", () => {
    const boxes = [...root.querySelectorAll<HTMLInputElement>('[data-testid="cw-knob-layers"] input')];
    expect(boxes.map((one) => [one.checked, one.indeterminate])).toEqual([[true, false], [false, true], [false, false]]);
    expect(root.querySelector("b")).toBeNull();
    boxes[0]?.click();
    boxes[2]?.click();
    expect(sent).toEqual([
      { kind: "set_knobs", knobs: [{ name: "unfreeze", layers: ["layer1"] }] },
      { kind: "set_knobs", knobs: [{ name: "freeze", layers: ["head"] }] },
    ]);
  });

  it("leaves alone what is being typed, and follows the rate that a schedule gives", () => {
    field("lr").focus();
    field("lr").value = "0.0";
    show(state({ rate: 0.005 }));
    expect(field("lr").value).toBe("0.0");
    field("lr").blur();
    show(state({ rate: 0.005 }));
    expect(field("lr").value).toBe("0.005");
    show(state({ rate: 0.005, knobs: knobs && { ...knobs, values: [{ name: "lr", values: [0.02], scheduled: true }] } }));
    expect(field("lr").value).toBe("0.02"); // the rate was measured before it was turned
  });

  it("says why nothing can be turned, and asks nobody who is not there", () => {
    show(state({ reachable: false }));
    expect([...root.querySelectorAll<HTMLInputElement>("input, button")].every((one) => one.disabled)).toBe(true);
    show(state({ knobs: knobs && { ...knobs, why_not: "the tiny backend has no knobs" } }));
    expect(root.querySelector(".cw-hint")?.textContent).toBe("the tiny backend has no knobs");
    expect(field("lr").closest<HTMLElement>("[hidden]")).not.toBeNull();
    show(state({ knobs: null }));
    expect(root.hidden).toBe(true);
  });
});

it("numbers are written as people type them, and read so", () => {
  expect([0.001, 1e-7, 0.30000000000000004, 32, 0].map(written)).toEqual(["0.001", "1e-7", "0.3", "32", "0"]);
  expect(["0.1", "1e-3 , 2", "", "x", "1 2;3"].map(typed)).toEqual([[0.1], [0.001, 2], null, null, [1, 2, 3]]);
});

describe("samples behind an alarm", () => {
  it("are shown with their own loss and left out with one click", () => {
    const send = vi.fn();
    const explain = vi.fn();
    const { el, update } = createBehind(send, explain);
    const many = Array.from({ length: 15 }, (_, i) => ({ index: i, value: i === 0 ? null : 2.5, thumbnail: null }));
    update(many, true);
    expect(el.querySelectorAll("li").length).toBe(12);
    expect(el.textContent).toContain("and 3 more");
    expect(el.querySelector("li")?.textContent).toBe("#0");
    expect(el.querySelectorAll("li")[1]?.textContent).toBe("#1 · loss 2.500");
    el.querySelectorAll<HTMLButtonElement>("li button")[3]?.click();
    expect(explain).toHaveBeenCalledWith(3);
    el.querySelector<HTMLButtonElement>('[data-testid="cw-leave-out"]')?.click();
    expect(send).toHaveBeenCalledWith({ kind: "leave_out", index: many.map(({ index }) => index) });
    update([], true);
    expect(el.hidden).toBe(true);
  });
});

const mounted = mountEach();
it("both stand in the dashboard and send their commands", async () => {
  await frame();
  get("cw-leave-out"); // of the alarm without samples; it is hidden
  const shown = [...document.querySelectorAll<HTMLElement>('[data-testid="cw-behind"]')].filter((one) => !one.hidden);
  expect(shown.length).toBe(1);
  shown[0]?.querySelector<HTMLButtonElement>('[data-testid="cw-leave-out"]')?.click();
  await frame();
  expect(lastOf(mounted)).toMatchObject({ kind: "leave_out", index: [4187, 12] });
  const rate = document.querySelector<HTMLInputElement>('[data-knob="lr"] input');
  if (rate) {
    rate.value = "0.5";
    rate.dispatchEvent(new Event("change", { bubbles: true }));
  }
  await frame();
  expect(lastOf(mounted)).toMatchObject({ kind: "set_knobs", knobs: [{ name: "lr", value: [0.5] }] });
});
