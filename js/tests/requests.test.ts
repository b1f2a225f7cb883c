// The card that asks for the class of kept requests: what it shows, its keys, what is said after.
import { expect, it } from "vitest";
import { buffers, raw } from "./fixtures";
import { coach, frame, get, mountEach, press } from "./mounted";

const mounted = mountEach();
const { requests } = raw.updateRequests.message;
const [words, picture] = requests.items;
let seq = 1;

async function receive(sections: Record<string, unknown>): Promise<void> {
  mounted.test.receive({ kind: "update", seq: ++seq, full: false, alarms: [], notices: [], advice: null, question: null, ...sections }, buffers(raw.updateRequests));
  await frame();
}

const card = (): HTMLDialogElement => get("cw-requests") as HTMLDialogElement;
const sent = (): unknown[] => mounted.test.sent.filter((one) => (one as { kind: string }).kind === "label_request");

it("asks for the class of the least sure first, by a key or a click, once, and says what came of it", async () => {
  seq = 1;
  await receive({ requests });
  expect(coach()).toContain("14 requests to the served network wait for a class. The least sure answer had probability 0.51.");
  press(get("cw-root"), "y");
  await frame();
  expect(card().open).toBe(true);
  expect(document.activeElement).toBe(card()); // Enter gives no class
  expect(get("cw-request-count").textContent).toBe("14 wait, 3 labelled");
  expect(get("cw-request-said").textContent).toContain("with probability 0.51");
  expect(card().querySelector("b")).toBeNull(); // text is text
  expect(card().textContent).toContain("<b>so</b>");
  const buttons = [...card().querySelectorAll<HTMLButtonElement>("[data-label]")];
  expect(buttons.map((one) => one.textContent)).toEqual(["cat1", "<img src=x onerror=alert(1)>2", "قطة3"]);
  press(card(), "9"); // no such class
  press(card(), "2", { repeat: true }); // held from before
  expect(sent()).toEqual([]);
  press(card(), "2");
  await frame();
  expect(sent()).toMatchObject([{ request: words?.id, label: 1 }]);
  // the next one at once; the first is not asked about again while its answer is on its way
  expect(card().querySelector("img")?.src).toContain("data:image/png");
  mounted.test.reply(true, "Labelled: add 1 sample, sample 812");
  await frame();
  expect(get("cw-request-came").textContent).toBe("Labelled: add 1 sample, sample 812");
  await receive({ requests: { waiting: 13, labelled: 4, items: [picture] } });
  buttons[0]?.click();
  await frame();
  expect(sent()[1]).toMatchObject({ request: picture?.id, label: 0 });
  mounted.test.reply(false, "The disk is full");
  await frame();
  expect(get("cw-request-came").textContent).toBe("The disk is full");
  expect(buttons[0]?.disabled).toBe(false); // asked about again
  press(card(), "s");
  await frame();
  expect(sent()).toHaveLength(2);
  expect(buttons[0]?.disabled).toBe(true);
  expect(get("cw-request-said").textContent).toContain("close this card and open it again");
  card().close();
  get("cw-coach-act").click();
  await frame();
  get("cw-request-remove").click();
  await frame();
  expect(sent()[2]).toMatchObject({ request: picture?.id, label: null });
  await receive({ requests: { waiting: 1, labelled: 4, items: [{ ...words, content: null }] } });
  expect(get("cw-request-said").textContent).toContain("What was asked cannot be shown here");
  expect(buttons[0]?.disabled).toBe(true); // nobody labels what cannot be seen
  await receive({ requests: { waiting: 0, labelled: 5, items: [] } });
  expect(get("cw-request-said").textContent).toBe("No request waits for a class.");
  expect(coach()).not.toContain("wait for a class");
});

it("comes back after it was put away: with a less sure request, or where twice as many wait", async () => {
  seq = 1;
  const waits = async (waiting: number, items: unknown[]): Promise<boolean> => {
    await receive({ requests: { waiting, labelled: 0, items } });
    return coach().includes("wait for a class");
  };
  expect(await waits(14, [picture, words])).toBe(true);
  get("cw-coach-dismiss").click();
  await frame();
  expect(coach()).not.toContain("wait for a class");
  expect(await waits(15, [picture, words])).toBe(false);
  expect(await waits(28, [picture, words])).toBe(true);
  get("cw-coach-dismiss").click();
  expect(await waits(28, [picture])).toBe(false);
  expect(await waits(28, [words, picture])).toBe(true);
});
