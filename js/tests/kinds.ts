// Samples that are no pictures, as the kernel sends them, in a mounted dashboard.
import { buffers, raw } from "./fixtures";
import { frame, type Mounted } from "./mounted";

let seq = 1;

/** Show sample 4187 as another kind of input, under a map of these bytes. */
export async function showContent({ test }: Mounted, content: Record<string, unknown>, cells: readonly number[], more: Record<string, unknown> = {}, rows = 1): Promise<void> {
  const { explanation, queue } = raw.updateFull.message;
  const own = [...buffers(raw.updateFull), new DataView(Uint8Array.from(cells).buffer)];
  const at = own.length - 1;
  test.receive({
    kind: "update", seq: ++seq, full: false,
    status: { ...raw.updateFull.message.status, inputs: content["kind"] },
    queue: { ...queue, items: queue.items.map((item) => ({ ...item, wrong_now: false })) },
    explanation: {
      ...explanation, bbox: null, content, map_width: cells.length / rows, map_height: rows,
      livecam_buffer: null, smoothgrad_buffer: null, consensus_buffer: at, ...more,
    },
    glances: [{ index: 4187, content, cells_buffer: at }],
  }, own);
  await frame();
}

/** A message of the ledger with one stroke on sample 4187. */
export async function tellOf({ test }: Mounted, roi: Record<string, unknown>, kind = "ignore"): Promise<void> {
  const [entry] = raw.updateFull.message.ledger;
  const ledger = [{ ...entry, strokes: [{ kind, roi, sample: 4187, label: null, spreads: true }] }];
  test.receive({ kind: "update", seq: ++seq, full: false, ledger }, buffers(raw.updateFull));
  await frame();
}

export function pointer(on: Element, type: string, x: number, y: number): void {
  on.dispatchEvent(new PointerEvent(type, { bubbles: true, cancelable: true, isPrimary: true, button: 0, pointerId: 1, clientX: x, clientY: y }));
}

/** The middle of an element on the screen, or another share of its width. */
export function placeOf(one: Element, share = 0.5): [number, number] {
  const box = one.getBoundingClientRect();
  return [box.left + box.width * share, box.top + box.height / 2];
}
