// The line under the header, and what the header's buttons ask and send.
import { describe, expect, it } from "vitest";
import { raw } from "./fixtures";
import { settle } from "./model";
import { coach, frame, get, lastOf, mountEach, press } from "./mounted";

const mounted = mountEach();

describe("the line under the header", () => {
  const status = raw.updateFull.message.status;

  it("does what it offers, by its key too, and is put away", async () => {
    press(get("cw-root"), "y");
    expect(lastOf(mounted)).toMatchObject({ kind: "undo", intervention: "a1" });
    get("cw-coach-dismiss").click();
    expect(lastOf(mounted)).toMatchObject({ kind: "dismiss", key: "collapse:a1" });
    await frame();
    expect(coach()).not.toContain("Since a1");
  });

  it("has its place when there is nothing to say", async () => {
    const before = get("cw-coach").getBoundingClientRect();
    mounted.test.receive({ kind: "update", seq: 2, full: false, alarms: [], advice: null, notices: [] });
    await frame();
    expect(get("cw-coach").getBoundingClientRect().height).toBe(before.height);
    expect(coach()).toBe("");
  });

  it("asks once before a stop, and Continue goes on", async () => {
    get("cw-stop").click();
    await frame();
    expect(mounted.test.kinds()).not.toContain("stop");
    expect(coach()).toContain("Press Stop again");
    get("cw-coach-act").click(); // keep training
    await frame();
    expect(get("cw-stop").textContent).toBe("Stop");
    get("cw-stop").click();
    await settle(7000); // who does not press again did not mean it
    expect(get("cw-stop").textContent).toBe("Stop");
    get("cw-stop").click();
    get("cw-stop").click();
    expect(lastOf(mounted)["kind"]).toBe("stop");
    mounted.test.receive({ kind: "update", seq: 2, full: false, status: { ...status, state: "stopped", steps_left: 1626 } });
    await frame();
    expect(get("cw-pause").textContent).toBe("Continue");
    get("cw-pause").click();
    expect(lastOf(mounted)).toMatchObject({ kind: "continue", epochs: null });
    mounted.test.receive({ kind: "update", seq: 3, full: false, status: { ...status, state: "stopped", steps_left: null } });
    await frame();
    expect((get("cw-pause") as HTMLButtonElement).disabled).toBe(true); // as of a loop of one's own
    mounted.test.receive({ kind: "update", seq: 4, full: false, status: { ...status, step: 2500, state: "finished" } });
    await frame();
    get("cw-pause").click();
    expect(lastOf(mounted)).toMatchObject({ kind: "continue", epochs: 1 });
  });

  it("has the run saved as a page, and says where", async () => {
    get("cw-save").click();
    expect(lastOf(mounted)["kind"]).toBe("save_page");
    mounted.test.reply(true, "Saved runs/run_001/page.html");
    await frame();
    expect(get("cw-echo").textContent).toBe("Saved runs/run_001/page.html");
  });
});
