// Another run behind the charts: what is chosen is busy until it is drawn, and only a kernel can be asked.
import { expect, it } from "vitest";
import { raw } from "./fixtures";
import { frame, get, lastOf, mountEach } from "./mounted";

const mounted = mountEach();
const choice = (): HTMLSelectElement => get("cw-behind") as HTMLSelectElement;
let seq = 1;

async function receive(sections: Record<string, unknown>, buffers: DataView[] = []): Promise<void> {
  mounted.test.receive({ kind: "update", seq: ++seq, full: false, ...sections }, buffers);
  await frame();
}

async function offer(): Promise<void> {
  seq = 1;
  await receive({ status: { ...raw.updateFull.message.status, others: ["run_001", "run_002"] }, behind: { run: "", metrics: [] } });
}

function choose(run: string): void {
  choice().value = run;
  choice().dispatchEvent(new Event("change", { bubbles: true }));
}

async function lose(): Promise<void> {
  mounted.test.controls.comm_live = false;
  mounted.test.fire(mounted.test.controlHandlers, "comm_live_update");
  await frame();
}

async function draw(run: string): Promise<void> {
  const metrics = [{ name: "train/loss", points_buffer: 0 }];
  await receive({ behind: { run, metrics } }, [new DataView(new Float64Array([1, 0.5]).buffer)]);
}

it("is busy with what was chosen last until that is drawn", async () => {
  await offer();
  expect([choice().hidden, choice().disabled]).toEqual([false, false]);
  const shown = (): unknown[] => [choice().value, choice().getAttribute("aria-busy")];
  choose("run_001"); // as the arrow keys step
  choose("run_002");
  expect(lastOf(mounted)).toMatchObject({ kind: "compare", run: "run_002" });
  expect(shown()).toEqual(["run_002", "true"]);
  await receive({ status: { ...raw.updateFull.message.status, others: ["run_001", "run_002"], step: 900 } });
  await draw("run_001");
  expect(shown()).toEqual(["run_002", "true"]);
  await draw("run_002");
  expect(shown()).toEqual(["run_002", null]);
  choose("run_001");
  await receive({ behind: { run: "", metrics: [] } }); // it could not be read
  expect(shown()).toEqual(["", null]);
});

it("cannot be asked for without a kernel", async () => {
  await offer();
  await lose();
  expect(choice().hidden).toBe(true);
});

it("says what is drawn where the kernel has gone", async () => {
  await offer();
  await draw("run_001");
  await lose();
  expect([choice().hidden, choice().disabled, choice().value]).toEqual([false, true, "run_001"]);
});
