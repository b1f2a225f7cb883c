// The lists of samples as pictures: switch, counts, search, arrow keys.
import { describe, expect, it } from "vitest";
import { shortNames } from "../src/names";
import { buffers, raw } from "./fixtures";
import { settle } from "./model";
import { frame, get, lastOf, mountEach, press } from "./mounted";

const mounted = mountEach();

describe("names of classes", () => {
  it.each([
    [["imagenet/cat", "imagenet/cow"], ["cat", "cow"]],
    [["n02085620-Chihuahua", "n02085782-Japanese_spaniel"], ["Chihuahua", "Japanese_spaniel"]],
    [["001.Black_footed_Albatross", "017.Cardinal"], ["Black_footed_Albatross", "Cardinal"]],
    [["cat", "car"], ["cat", "car"]],
    [["class_1", "class_2"], ["1", "2"]],
    [["1-a", "2-a"], ["1-a", "2-a"]],
    [["2019 05", "2020 05"], ["2019 05", "2020 05"]],
    [["only/one"], ["only/one"]],
    [["a/b/", "a/b/c"], ["a/b/", "a/b/c"]],
  ])("%j are %j", (whole, short) => {
    expect(shortNames(whole)).toEqual(short);
  });
});

describe("the lists", () => {
  const rows = (): (string | null)[] => [...get("cw-queue").querySelectorAll("[data-index]")].map((one) => one.getAttribute("data-index"));
  const counts = (): string[] => ["wrong", "risk", "forgotten", "suspects", "alike"].map((page) => get(`cw-page-${page}`).firstElementChild?.textContent ?? "");
  const show = async (page: string): Promise<void> => {
    get(`cw-page-${page}`).click();
    await frame();
  };
  const queueOf = (change: object): object => ({ kind: "update", seq: 2, full: false, queue: { ...raw.updateFull.message.queue, ...change } });

  it("are one switch with counts: those at risk first, a suspected label marked", async () => {
    expect(counts()).toEqual(["231", "1", "5", "3", "214"]);
    expect(rows()).toEqual(["12"]);
    expect(get("cw-queue-empty").hidden).toBe(true);
    await show("wrong");
    expect(rows()).toEqual(["4187"]);
    const [chip] = get("cw-queue").querySelectorAll<HTMLElement>(".cw-chip");
    expect([chip?.hidden, chip?.textContent]).toEqual([false, "label?"]);
    expect(get("cw-queue-item").title).toContain("its label is in doubt");
    await show("forgotten");
    expect(rows()).toEqual(["31"]);
    expect(get("cw-queue-item").title).toContain("forgotten 2 times");
    await show("suspects");
    expect(get("cw-queue-item").title).toContain("doubt 0.91");
  });

  it("arrow keys step, and open what they rest on; n goes through those at risk and those wrong now", async () => {
    const items = raw.updateFull.message.queue.items.map((item) => ({ ...item, wrong_now: false }));
    mounted.test.receive(queueOf({ items }), buffers(raw.updateFull));
    await frame();
    expect(rows()).toEqual(["4187", "12"]);
    const first = get("cw-queue").querySelector("button");
    first?.focus();
    press(first as HTMLElement, "ArrowRight");
    expect(document.activeElement?.getAttribute("data-index")).toBe("12");
    expect(mounted.test.kinds()).not.toContain("explain");
    await settle(400);
    expect(lastOf(mounted)).toMatchObject({ kind: "explain", index: 12 });
    press(document.activeElement as HTMLElement, "ArrowLeft");
    expect(document.activeElement?.getAttribute("data-index")).toBe("4187");
    press(get("cw-root"), "n"); // 4187 is on the screen
    expect(lastOf(mounted)).toMatchObject({ kind: "explain", index: 12 });
    await settle(400);
  });

  it("keep the small map that was sent once", async () => {
    await show("wrong");
    const source = (): string | null => get("cw-queue-item").querySelectorAll("img")[1]?.getAttribute("src") ?? null;
    const before = source();
    expect(before).toContain("data:image/png");
    const items = raw.updateFull.message.queue.items.map((item) => ({ ...item, map_buffer: null }));
    mounted.test.receive(queueOf({ items }), buffers(raw.updateFull));
    await frame();
    expect(source()).toBe(before);
  });

  it("say that nothing is at risk, and why", async () => {
    const items = raw.updateFull.message.queue.items.filter((item) => item.wrong_now);
    mounted.test.receive(queueOf({ items }), buffers(raw.updateFull));
    await frame();
    expect(rows()).toEqual(["4187"]); // the first list with something in it
    await show("risk");
    expect(get("cw-queue-empty").textContent).toBe("Nothing is at risk: no sample that is right now is likely to be wrong by epoch 10.");
    mounted.test.receive({ ...queueOf({ items, parted: undefined }), seq: 3 }, buffers(raw.updateFull));
    await frame();
    expect(get("cw-queue-empty").textContent).toContain("did not rank");
  });

  it("are searched by number and by class", async () => {
    const search = get("cw-search") as HTMLInputElement;
    const type = async (text: string): Promise<void> => {
      search.value = text;
      search.dispatchEvent(new Event("input"));
      await frame();
    };
    await show("wrong");
    await type("CAT");
    expect(rows()).toEqual(["4187"]);
    await type("dog");
    expect(rows()).toEqual([]);
    expect(get("cw-queue-empty").textContent).toContain("matches “dog”");
    await type("#77");
    press(search, "Enter");
    expect(lastOf(mounted)).toMatchObject({ kind: "explain", index: 77 });
    press(search, "Escape");
    await frame();
    expect(rows()).toEqual(["4187"]);
  });

  it("stay quick with a thousand classes, whose common start is cut", async () => {
    const classes = Array.from({ length: 1000 }, (_, i) => `imagenet/n0${i}-kind ${i}`);
    const began = performance.now();
    mounted.test.receive({ kind: "update", seq: 2, full: false, status: { ...raw.updateFull.message.status, classes } });
    await frame();
    expect(performance.now() - began).toBeLessThan(2000);
    await show("wrong");
    expect(get("cw-queue-item").textContent).toContain("n00-kind 0");
    expect(get("cw-queue-item").textContent).not.toContain("imagenet");
  });
});

describe("a regression's queue", () => {
  it("says whether the error is large", async () => {
    const { updateFull } = raw;
    const items = updateFull.message.queue.items.map((item, i) => ({ ...item, target: -1, predicted: i, wrong_now: i === 1 }));
    const status = { ...updateFull.message.status, classes: ["usual error", "large error"] };
    mounted.test.receive({ kind: "update", seq: 2, full: false, status, queue: { ...updateFull.message.queue, items } }, buffers(updateFull));
    await frame();
    expect(get("cw-queue-item").querySelector(".cw-card-classes")?.textContent).toBe("usual error");
    get("cw-page-wrong").click();
    await frame();
    expect(get("cw-queue-item").querySelector(".cw-card-classes")?.textContent).toBe("large error");
  });
});
