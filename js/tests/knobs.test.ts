// The panel for knobs, and the samples behind an alarm.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createBlamed } from "../src/blamed";
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
    const closes = vi.fn(); // the panel's, whose ancestor hears what is left of Escape
    root.parentElement?.addEventListener("keydown", closes, { once: true });
    type("lr", "fast");
    const escape = (): boolean => field("lr").dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
    escape();
    expect(closes).not.toHaveBeenCalled();
    escape(); // there is nothing to bring back
    expect(closes).toHaveBeenCalledOnce();
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

  it("takes no decimal comma for two groups, and says what to type until it is typed", () => {
    const row = (): string => root.querySelector('[data-knob="weight_decay"]')?.textContent ?? "";
    for (const text of ["0,01", "2,5e-4", ",5"]) {
      type("weight_decay", text);
      expect(row()).toContain("use a point, as 0.001");
    }
    expect(sent).toEqual([]);
    show(); // the next update
    expect(field("weight_decay").value).toBe(",5");
    expect(row()).toContain("use a point, as 0.001");
    expect(row()).not.toContain("2 groups");
    field("weight_decay").value = "0.";
    field("weight_decay").dispatchEvent(new Event("input", { bubbles: true }));
    expect(field("weight_decay").getAttribute("aria-invalid")).toBeNull();
    expect(row()).toContain("2 groups");
    type("weight_decay", "0.5");
    expect(sent).toEqual([{ kind: "set_knobs", knobs: [{ name: "weight_decay", value: [0.5] }] }]);
    type("lr", "0,1");
    root.querySelector<HTMLButtonElement>('[data-knob="lr"] button')?.click();
    expect(field("lr").value).toBe("0.01"); // at once: the kernel may refuse, and say nothing of values
    show();
    expect(field("lr").value).toBe("0.01"); // what is halved
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
  expect(["0,01", "2,5e-4", ",5", " 1,2", "0.001, 0"].map(typed)).toEqual([null, null, null, null, [0.001, 0]]);
});

describe("samples behind an alarm", () => {
  it("are small pictures that open them", () => {
    const explain = vi.fn();
    const { el, update } = createBlamed(explain);
    const many = Array.from({ length: 15 }, (_, i) => ({ index: i, value: i === 0 ? null : 2.5, thumbnail: null }));
    update(many, true);
    const shown = [...el.querySelectorAll("button")];
    expect(shown.map((one) => one.getAttribute("aria-label"))).toEqual(["Sample 0", "Sample 1, loss 2.500", "Sample 2, loss 2.500", "Sample 3, loss 2.500"]);
    shown[3]?.click();
    expect(explain).toHaveBeenCalledWith(3);
    update([], true);
    expect(el.hidden).toBe(true);
  });
});

const mounted = mountEach();
it("a spike's rows are left out with one click on the line under the header", async () => {
  const spike = { kind: "spike", text: "The loss jumped to 41.2.", step: 870, intervention: null, samples: [{ index: 4187, value: 1204.5, thumbnail_buffer: 0 }, { index: 12, value: null, thumbnail_buffer: null }] };
  mounted.test.receive({ kind: "update", seq: 2, full: false, advice: { key: "", text: "", button: null, does: null, sample: null, intervention: null }, alarms: [spike] }, [new DataView(new ArrayBuffer(8))]);
  await frame();
  for (let i = 0; i < 3 && get("cw-coach-text").textContent !== spike.text; i += 1) {
    get("cw-coach-dismiss").click(); // the advice of the first update
    await frame();
  }
  expect(get("cw-coach-text").textContent).toBe(spike.text);
  expect(get("cw-blamed").querySelectorAll("button").length).toBe(2);
  expect(get("cw-coach-act").textContent).toBe("Leave 2 out");
  get("cw-coach-act").click();
  await frame();
  expect(lastOf(mounted)).toMatchObject({ kind: "leave_out", index: [4187, 12] });
});

it("the panel stands over the ledger and sends its commands", async () => {
  await frame();
  expect(get("cw-ledger-panel").contains(get("cw-knobs"))).toBe(true);
  const rate = get("cw-knobs").querySelector<HTMLInputElement>('[data-knob="lr"] input');
  if (!rate) throw new Error("no learning rate");
  rate.value = "0.5";
  rate.dispatchEvent(new Event("change", { bubbles: true }));
  await frame();
  expect(lastOf(mounted)).toMatchObject({ kind: "set_knobs", knobs: [{ name: "lr", value: [0.5] }] });
});
