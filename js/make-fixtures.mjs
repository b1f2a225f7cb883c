// Writes tests/protocol/*.json: examples of every message, which both sides are tested against.
// Buffers stand in the file as base64 under "buffers"; on the wire they are binary.
import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { deflateSync, crc32 } from "node:zlib";
import path from "node:path";

const folder = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../tests/protocol");
const base64 = (bytes) => Buffer.from(bytes).toString("base64");
const doubles = (...numbers) => base64(new Uint8Array(new Float64Array(numbers).buffer));

/** A PNG of one colour. */
function png(width, height, rgb) {
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type, "ascii"), data]);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length, 0);
    body.copy(out, 4);
    out.writeUInt32BE(crc32(body), body.length + 4);
    return out;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  const row = [0, ...Array.from({ length: width }, () => rgb).flat()];
  const pixels = Buffer.from(Array.from({ length: height }, () => row).flat());
  return Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), chunk("IHDR", head), chunk("IDAT", deflateSync(pixels)), chunk("IEND", Buffer.alloc(0))]);
}

const status = {
  mode: "live", run_id: "run_001_20260101_1200", others: ["run_000_20251231_0900"], state: "training", step: 874, epoch: 6, total_steps: 2500, total_epochs: 20,
  steps_per_second: 34.2, seconds_left: 47.5, learning_rate: 0.01, device: "cpu",
  classes: ["cat", "<img src=x onerror=alert(1)>", "قطة"], num_train: 10000, overlays_made: 12, overlays_skipped: 3,
  overlay_seconds: 1.4, rest_seconds: 0.4, cost_percent: 0.4, focus: 0.4, guidance: true, inputs: "image", kernels: "native 0.1.0", error: null, trace: null, remedy: null, steps_left: null,
};
const maps = Array.from({ length: 16 }, (_, i) => i * 17);
const full = {
  kind: "update", seq: 1, full: true, status,
  metrics: [{ name: "train/loss", points_buffer: 0 }, { name: "val/loss", points_buffer: 1 }, { name: "train/accuracy", points_buffer: 2 }],
  behind: { run: "run_000_20251231_0900", metrics: [{ name: "train/loss", points_buffer: 1 }] },
  markers: [
    { step: 500, kind: "window_open", text: "a good time to look began", id: null },
    { step: 540, kind: "intervention", text: "ignore lower right", id: "a1" },
    { step: 700, kind: "window_shut", text: "a good time to look ended", id: null },
  ],
  window: {
    open: false,
    gates: [
      { name: "coverage", passed: true, value: 3, needed: 3, progress: 1, sentence: "every sample seen 3 times" },
      { name: "stability", passed: false, value: null, needed: 3, progress: 0.62, sentence: "ranking not stable yet" },
    ],
    by_hand: false, score: "8 of 10 named at epoch 3 were wrong at epoch 6; chance 1.6",
  },
  queue: {
    due: 10, onset: true, parted: true, wrong: 231,
    items: [
      { index: 4187, risk: 0.94, target: 0, predicted: 1, reason: "losing confidence", wrong_now: true, doubtful: true, target_value: null, predicted_value: null, error: null, thumbnail_buffer: 3, map_buffer: 3 },
      { index: 12, risk: 0.5, target: 2, predicted: 2, reason: "flip-flopping", wrong_now: false, doubtful: false, target_value: null, predicted_value: null, error: null, thumbnail_buffer: null, map_buffer: null },
    ],
  },
  explanation: {
    index: 4187, failed: null, target: 0, predicted: 1, top: [{ index: 1, probability: 0.63 }, { index: 0, probability: 0.36 }],
    explained: 0, labels: [], agreement: 0.71, quality: "reliable", quality_reason: null, bbox: [0.5, 0.5, 1, 1], model_step: 870, method: "consensus", seconds: 0.07,
    purpose: "periodic", width: 4, height: 2, picture_buffer: 4, map_width: 4, map_height: 4, livecam_buffer: 5,
    smoothgrad_buffer: null, consensus_buffer: 5, truth_buffer: null, said_buffer: null, region_buffer: null, shares: [], content: null,
  },
  timeline: { index: 4187, entries: [{ step: 400, agreement: 0.5, quality: null }, { step: 870, agreement: 0.71, quality: "reliable" }] },
  hits: { intervention: "a1", count: 214, searched: 10000, total: 10000, done: true, error: "", items: [{ index: 77, score: 0.97, box: [0.6, 0.6, 0.9, 0.9], thumbnail_buffer: 3 }] },
  forgotten: { count: 5, items: [{ index: 31, target: 1, predicted: 2, times: 2, thumbnail_buffer: 3, map_buffer: null }] },
  suspects: { count: 3, items: [{ index: 12, doubt: 0.91, target: 0, suggested: 1, judged: "", thumbnail_buffer: 3, map_buffer: null }] },
  ledger: [{
    id: "a1", step: 540, epoch: 4, text: "ignore lower right, strength 0.30", author: "ada", sample: 4187,
    strokes: [{ kind: "ignore", roi: { box: [0.66, 0.66, 1, 1] }, sample: 4187, label: null, spreads: true }], strength: 0.3, undone: false, measured: true,
    effect: {
      intervention: "a1", verdict: "helped", text: "helped: val accuracy +2.1 points", from_step: 540, to_step: 740, explainer: "",
      measures: [{ name: "val accuracy", before: 0.79, after: 0.81, change: 0.021, low: 0.004, high: 0.038 }],
    },
    proof: { verdict: "helped", text: "helped: pull of the place 0.880 untreated, 0.040 treated (-0.910 to -0.770), 0.870 with a random region, over 3 seeds", share: 1, keeps: ["untreated", "treated", "placebo"], kept: "treated", to_step: 740 },
    thumbnail_buffer: 3, before_buffer: 3, after_buffer: null,
  }],
  glances: [{ index: 555, content: { kind: "text", words: [{ text: "<b>great</b>", units: [0, 1] }, { text: "film", units: [2] }], length: 3 }, cells_buffer: 5 }],
  knobs: {
    values: [{ name: "lr", values: [0.01], scheduled: true }, { name: "momentum", values: [0.9], scheduled: false }, { name: "dampening", values: [0], scheduled: false }, { name: "weight_decay", values: [0.001, 0], scheduled: false }],
    layers: [{ name: "layer1", weights: 1216, frozen: 1 }, { name: "layer1.<b>", weights: 16, frozen: 0.5 }, { name: "head", weights: 2570, frozen: 0 }],
    batch_size: 64, next_batch_size: 32, num_train: 10000, why_not: "",
  },
  alarms: [{ kind: "collapse", text: "The validation accuracy collapsed after a1: 0.81 before, 0.40 now.", step: 625, intervention: "a1", samples: [] }],
  requests: { waiting: 0, labelled: 3, items: [] },
  question: {
    id: "f1", text: "This place alone turns 97% of other pictures into <b>cat</b>; it was found in 1029 of 1300 pictures. Is it the reason?",
    count: 1029, pull: 0.97, interval: [0.93, 0.99], classes: [0, 2], controls: "Of 3 control questions 1 called a right reason (6% to 79%).",
    samples: [
      { index: 4187, region: { box: [0.7, 0.7, 0.95, 0.95] }, content: null, thumbnail_buffer: 3 },
      { index: 555, region: { words: [0, 2] }, content: { kind: "text", words: [{ text: "<b>great</b>", units: [0, 1] }, { text: "film", units: [2] }], length: 3 }, thumbnail_buffer: null },
    ],
  },
  advice: { key: "collapse:a1", text: "Since a1 the validation accuracy fell from 0.81 to 0.40.", button: "Undo a1", does: "undo", sample: 4187, intervention: "a1" },
  notices: [{ level: "warning", text: "No validation data: val lines stay empty.", step: 0 }],
};
const fixtures = {
  update_full: {
    message: full,
    buffers: [
      doubles(10, 0.9, 20, 0.7, 30, NaN), doubles(125, 0.8), doubles(10, 0.4, 20, 0.55),
      base64(png(2, 2, [200, 40, 40])), base64(Array.from({ length: 24 }, (_, i) => i * 10)), base64(maps),
    ],
  },
  update_metrics: {
    message: { kind: "update", seq: 2, full: false, status: { ...status, step: 876 }, metrics: [{ name: "train/loss", points_buffer: 0 }], advice: null },
    buffers: [doubles(40, 0.6)],
  },
  update_requests: {
    message: {
      kind: "update", seq: 2, full: false,
      requests: {
        waiting: 14, labelled: 3,
        items: [
          { id: "0123456789abcdef0123456789abcdef", told: 1, confidence: 0.51, content: { kind: "text", words: [{ text: "<b>so</b>", units: [0, 1] }, { text: "so", units: [2] }], length: 3 }, thumbnail_buffer: null },
          { id: "1123456789abcdef0123456789abcdef", told: null, confidence: null, content: null, thumbnail_buffer: 0 },
        ],
      },
    },
    buffers: [base64(png(2, 2, [200, 40, 40]))],
  },
  reply: { message: { kind: "reply", id: "7f9c", ok: true, text: "Applied at step 540: ignore lower right", step: 540 }, buffers: [] },
  gone: { message: { kind: "lost", text: "The training run_001_20260101_1200 has ended." }, buffers: [] },
  hello: { message: { kind: "hello", id: "h1", page: "" } },
  pause: { message: { kind: "pause", id: "p1" } },
  feedback: {
    message: {
      kind: "feedback", id: "f1", sample: 4187,
      strokes: [{ kind: "ignore", roi: [0.66, 0.66, 0.97, 0.97] }, { kind: "look", roi: { polygon: [[0.2, 0.2], [0.6, 0.2], [0.4, 0.6]] } }],
      instruction: "increase focus by 10%", strength: 0.35,
    },
  },
  undo: { message: { kind: "undo", id: "u1", intervention: "a1" } },
  compare: { message: { kind: "compare", id: "c1", run: "run_000_20251231_0900" } },
  look: { message: { kind: "look", id: "c1", index: 4187, step: 400 } },
  ack: { message: { kind: "ack", id: "c1", seq: 2, seen: true, attended: true } },
  advance: { message: { kind: "advance", id: "s1", unit: "epoch" } },
  set_queue: { message: { kind: "set_queue", id: "q1", onset: false } },
  answer: { message: { kind: "answer", id: "g1", finding: "f1", answer: "wrong reason" } },
  prove: { message: { kind: "prove", id: "b1", intervention: "a1" } },
  keep: { message: { kind: "keep", id: "b3", intervention: "a1", branch: "treated" } },
  end_proof: { message: { kind: "end_proof", id: "b2" } },
  open_window: { message: { kind: "open_window", id: "w1" } },
  continue: { message: { kind: "continue", id: "n1", epochs: 4 } },
  dismiss: { message: { kind: "dismiss", id: "d1", key: "collapse:a1" } },
  save_page: { message: { kind: "save_page", id: "v1" } },
  close_others: { message: { kind: "close_others", id: "o1" } },
  similar: { message: { kind: "similar", id: "a1", intervention: "a1" } },
  confirm: { message: { kind: "confirm", id: "a2", intervention: "a1", index: [77] } },
  judge: { message: { kind: "judge", id: "j1", index: 12, verdict: "wrong", label: 1 } },
  set_knobs: { message: { kind: "set_knobs", id: "k1", knobs: [{ name: "lr", factor: 0.5 }, { name: "weight_decay", value: [0.01, null] }, { name: "freeze", layers: ["layer1"] }] } },
  label_request: { message: { kind: "label_request", id: "r1", request: "0123456789abcdef0123456789abcdef", label: 1 } },
  leave_out: { message: { kind: "leave_out", id: "k2", index: [4187, 12] } },
  explain: { message: { kind: "explain", id: "e1", index: 311 } },
};

await mkdir(folder, { recursive: true });
for (const [name, fixture] of Object.entries(fixtures)) {
  await writeFile(path.join(folder, `${name}.json`), `${JSON.stringify(fixture, null, 1)}\n`);
}
