// A made-up run for the harness: a kernel in the page that sends what a real one would.

import { sampleOf, type Sample } from "./samples";
import { KNOBS, labelled, outlined, PROOFS } from "./tasks";
import type { DashboardModel, ControlsModel } from "../src/transport";

type Sections = Record<string, unknown>;
const TOTAL = 2500;
const EACH = 125;
const FOUND = "This place alone turns 97% of other pictures into the class of the picture that it is taken from; it was found in 1029 of 1300 pictures. Is it the reason?";
const NAMES = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

function wobble(n: number): number {
  const x = Math.sin(n * 12.9898) * 43758.5453;
  return x - Math.floor(x);
}

function digit(index: number): Uint8Array {
  const size = 32;
  const pixels = new Uint8Array(size * size * 3);
  const hue = [[214, 96, 60], [70, 130, 220], [90, 170, 90], [190, 150, 60]][index % 4] ?? [200, 200, 200];
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const ring = Math.abs(Math.hypot(x - 15 - (index % 3), (y - 14) * 0.8) - 8) < 2.2 ? 1 : 0;
      const square = x > 23 && x < 31 && y > 23 && y < 31;
      for (let c = 0; c < 3; c++) {
        const noise = 50 + 40 * wobble(x * 7 + y * 131 + c * 17 + index * 3);
        pixels[(y * size + x) * 3 + c] = square ? (hue[c] ?? 0) : Math.min(255, noise + ring * 140);
      }
    }
  }
  return pixels;
}

function blob(cx: number, cy: number, spread: number, rough: number): Uint8Array {
  return Uint8Array.from({ length: 32 * 32 }, (_, i) => {
    const d = Math.hypot((i % 32) - cx, Math.floor(i / 32) - cy);
    return 255 * Math.min(1, Math.exp(-(d * d) / (2 * spread * spread)) * (1 - rough * wobble(i)));
  });
}

async function png(rgb: Uint8Array): Promise<Uint8Array> {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 32;
  const data = new ImageData(32, 32);
  for (let i = 0; i < 1024; i++) data.data.set([rgb[i * 3] ?? 0, rgb[i * 3 + 1] ?? 0, rgb[i * 3 + 2] ?? 0, 255], i * 4);
  canvas.getContext("2d")?.putImageData(data, 0, 0);
  const made = await new Promise<Blob | null>((resolve) => {
    canvas.toBlob(resolve);
  });
  return new Uint8Array(made === null ? new ArrayBuffer(0) : await made.arrayBuffer());
}

/** The picture with a warm place, as the kernel makes it for lists. */
function warmed(index: number, cx: number, cy: number): Uint8Array {
  const picture = digit(index);
  const map = blob(cx, cy, 6, 0);
  return picture.map((one, i) => {
    const share = (map[Math.floor(i / 3)] ?? 0) / 255;
    const tone = [[252, 165, 60], [190, 60, 90]][share > 0.6 ? 0 : 1] ?? [];
    return one * (1 - 0.7 * Math.sqrt(share)) + (tone[i % 3] ?? 0) * 0.7 * Math.sqrt(share);
  });
}

export interface Options {
  state: string;
  window: "open" | "shut";
  classes: string[];
  empty: boolean;
  dead: boolean;
  hits: boolean;
  alarms: boolean;
  regression: boolean;
  doubtful: boolean; // the newest map is not reliable, the earlier ones are
  scale: number; // of the loss
  least: boolean; // risks near 0
  advice: boolean;
  finding: boolean;
  spike: boolean; // one loss far above all others
  many: boolean; // a thousand classes
  kind: string; // of input
  task: string; // several labels a sample, or a class for each pixel
  proof: boolean; // one was made, another is under way
}

/** The model that the widget gets, and the kernel behind it. */
export class FakeKernel {
  readonly sent: unknown[] = [];
  #handlers = new Map<string, Set<(...args: never[]) => void>>();
  #seq = 0;
  #step = 874;
  #state: string;
  #ledger: Sections[] = [];
  #selected: number | null = null;

  constructor(private readonly options: Options) {
    this.#state = options.state;
    const box = (x: number, y: number, sample: number | null, kind = "ignore"): Sections => ({ kind, roi: { box: [x, y, x + 0.28, y + 0.28] }, sample, label: null, spreads: true });
    const effect = (verdict: string, text: string): Sections => ({ verdict, text: `${verdict}: ${text}`, measures: [{ name: "val accuracy", before: 0.27, after: 0.88, low: 0.5, high: 0.7 }] });
    this.#ledger = options.empty ? [] : [
      { id: "a1", step: 540, epoch: 4, text: "ignore a box (8 % of the picture, lower right) of sample 311, strength 0.30", sample: 311, strokes: [box(0.72, 0.72, 311)], strength: 0.3, undone: false, effect: effect("helped", "val accuracy 0.27 -> 0.88, energy inside 0.61 -> 0.08") },
      { id: "a2", step: 610, epoch: 4, text: "look at a box (8 % of the picture, centre) of sample 4518, strength 0.30", sample: 4518, strokes: [box(0.3, 0.2, 4518, "look")], strength: 0.3, undone: true, effect: null },
      { id: "a3", step: 700, epoch: 5, text: "increase focus by 10%: 0.30 -> 0.40", sample: null, strokes: [], strength: null, undone: false, effect: { verdict: "no measurable effect", text: "no measurable effect", measures: [] } },
      { id: "a4", step: 742, epoch: 5, text: "ignore upper left, everywhere, strength 0.30", sample: null, strokes: [box(0.02, 0.02, null)], strength: 0.3, undone: false, effect: effect("harmed", "train accuracy 1.00 -> 0.21") },
      { id: "a5", step: 820, epoch: 6, text: "ignore a box (8 % of the picture, lower right) of sample 4187, strength 0.40", sample: 4187, strokes: [box(0.72, 0.72, 4187)], strength: 0.4, undone: false, effect: null },
    ].map((one) => ({ author: "", ...one, ...(options.proof ? { proof: PROOFS[one.id] ?? null } : {}) }));
  }

  /** The ledger with its pictures. */
  async #entries(buffers: Uint8Array[]): Promise<Sections[]> {
    return Promise.all(this.#ledger.map(async (item) => {
      const sample = item["sample"];
      if (typeof sample !== "number") return item;
      const put = async (rgb: Uint8Array): Promise<number> => buffers.push(await png(rgb)) - 1;
      return {
        ...item, thumbnail_buffer: await put(digit(sample)), before_buffer: await put(warmed(sample, 26, 26)),
        after_buffer: item["effect"] === null ? null : await put(warmed(sample, 14, 13)),
      };
    }));
  }

  readonly model: DashboardModel = {
    get: (name) => (name === "_controls" ? "controls" : {}),
    on: (name, callback) => {
      const handlers = this.#handlers.get(name) ?? new Set();
      this.#handlers.set(name, handlers.add(callback));
    },
    off: (name, callback) => {
      this.#handlers.get(name)?.delete(callback);
    },
    widget_manager: { get_model: () => Promise.resolve(this.#controls) },
  };

  readonly #controls: ControlsModel = {
    on: () => undefined,
    off: () => undefined,
    send: (content) => {
      this.sent.push(content);
      if (!this.options.dead) setTimeout(() => void this.#handle(content as Sections), 30);
    },
  };

  /** As a notebook has it that was saved: the last state, and no kernel. */
  async saved(): Promise<DashboardModel> {
    const said: { update: unknown; buffers: DataView[] }[] = [];
    this.#handlers.set("msg:custom", new Set([(update: unknown, buffers: DataView[]): void => void said.push({ update, buffers })]));
    await this.#full();
    return {
      ...this.model, on: () => undefined, off: () => undefined,
      get: (name) => (name === "_snapshot" ? said[0] : ""),
      widget_manager: { get_model: () => Promise.reject(new Error("there is no kernel")) },
    };
  }

  async tick(): Promise<void> {
    if (this.#state !== "training") return;
    this.#step += 2;
    const buffers: Uint8Array[] = [];
    const metrics = ["train/loss", "train/accuracy"].map((name) => ({
      name, points_buffer: buffers.push(bytes([this.#step, this.#curve(name, this.#step)])) - 1,
    }));
    this.#emit({ status: this.#status(), metrics }, buffers, false);
    await Promise.resolve();
  }

  async #handle(message: Sections): Promise<void> {
    const reply = (ok: boolean, text: string): void => {
      this.#send({ kind: "reply", id: message["id"], ok, text, step: this.#step }, []);
    };
    switch (message["kind"]) {
      case "hello":
        await this.#full();
        return;
      case "pause":
      case "resume":
      case "stop":
        this.#state = { pause: "paused", resume: "training", stop: "stopped" }[message["kind"]];
        this.#emit({ status: this.#status() }, [], false);
        reply(true, "");
        return;
      case "advance":
        this.#state = "paused";
        this.#step += 1;
        this.#emit({ status: this.#status() }, [], false);
        reply(true, "");
        return;
      case "compare": {
        const pairs: number[] = [];
        for (let step = 2; step <= 800; step += 4) pairs.push(step, this.#curve("train/loss", step) + 0.08);
        this.#emit({ behind: { run: message["run"], metrics: [{ name: "train/loss", points_buffer: 0 }] } }, [bytes(pairs)], false);
        return;
      }
      case "look": {
        const buffers: Uint8Array[] = [];
        const explanation = { ...this.#explanation(buffers), model_step: message["step"], quality: "reliable", quality_reason: null };
        if (message["step"] !== null) this.#emit({ shelf: [explanation] }, buffers, false);
        return;
      }
      case "explain": {
        reply(true, `explaining sample ${String(message["index"])}`);
        this.#selected = Number(message["index"]);
        const buffers: Uint8Array[] = [];
        const explanation = this.#explanation(buffers);
        setTimeout(() => {
          this.#emit({ explanation }, buffers, false);
        }, 400);
        return;
      }
      case "undo":
        this.#ledger = this.#ledger.map((item) => (item["id"] === message["intervention"] ? { ...item, undone: true } : item));
        await this.#tell();
        reply(true, `Undone at step ${this.#step}`);
        return;
      case "answer":
        if (message["answer"] === "wrong reason") {
          this.#ledger = [...this.#ledger, { id: "a6", step: this.#step, epoch: 6, text: "ignore finding f1 in 1029 samples, strength 0.40", author: "", sample: 4187, strokes: [{ kind: "ignore", roi: { box: [0.72, 0.72, 0.97, 0.97] }, sample: 4187, label: null, spreads: false }], strength: 0.4, undone: false, effect: null }];
          await this.#tell();
        }
        this.#emit({ question: null, advice: null }, [], false);
        reply(true, message["answer"] === "wrong reason" ? "Ignored in 1,029 samples" : "Put away");
        return;
      case "feedback": {
        const text = typeof message["instruction"] === "string" ? message["instruction"] : "ignore upper left";
        if (text.includes("focsu")) {
          reply(false, "instruction 'focsu' changes nothing: there is no such instruction; try increase focus by 10% | focus center");
          return;
        }
        this.#ledger = [...this.#ledger, { id: `b${this.#step}`, step: this.#step, epoch: 6, text, author: "", sample: message["sample"], strokes: (message["strokes"] as Sections[]).map((one) => ({ kind: one["kind"], roi: Array.isArray(one["roi"]) ? { box: one["roi"] } : one["roi"], sample: message["sample"], label: null, spreads: true })), strength: 0.4, undone: false, effect: null }];
        await this.#tell();
        reply(true, `Applied at step ${this.#step}: ${text}`);
      }
    }
  }

  async #tell(): Promise<void> {
    const buffers: Uint8Array[] = [];
    const ledger = await this.#entries(buffers);
    this.#emit({ ledger }, buffers, false);
  }

  #curve(name: string, step: number): number {
    return curve(name, step) * (name.endsWith("loss") ? this.options.scale : 1);
  }

  #status(): Sections {
    const failed = this.#state === "failed";
    return {
      mode: "live", run_id: "run_001", others: ["run_000_20260101_1200"], state: this.#state, step: this.#step, epoch: Math.floor(this.#step / EACH),
      total_steps: TOTAL, total_epochs: TOTAL / EACH, steps_per_second: 34.2, seconds_left: (TOTAL - this.#step) / 34.2,
      learning_rate: 0.01, device: "cpu", classes: this.options.many ? Array.from({ length: 1000 }, (_, i) => `n0${2000000 + i * 37}-species ${i}`) : this.options.classes.length > 0 ? this.options.classes : NAMES, num_train: 10000,
      inputs: this.options.kind, overlays_made: 12, overlays_skipped: 3, overlay_seconds: 1.4, rest_seconds: 0.3, cost_percent: 0.4, kernels: "numpy", focus: 0.4,
      error: failed ? "RuntimeError: mat1 and mat2 shapes cannot be multiplied (64x512 and 256x10)" : null,
      trace: failed ? "Traceback (most recent call last):\n  File \"train.py\", line 12, in step\n    logits = self.head(x)\nRuntimeError: mat1 and mat2 shapes cannot be multiplied (64x512 and 256x10)" : null,
      steps_left: failed || this.#state === "stopped" ? TOTAL - this.#step : null,
      remedy: failed ? "Mend the cause in its cell, then press Continue: it goes on from step 874." : null,
    };
  }

  async #full(): Promise<void> {
    if (this.options.empty) {
      this.#emit({ status: { ...this.#status(), state: "idle", step: 0, epoch: 0, steps_per_second: null, seconds_left: null, overlays_made: 0, total_steps: null, total_epochs: null } }, [], true);
      return;
    }
    const buffers: Uint8Array[] = [];
    const metrics = ["train/loss", "val/loss", "train/accuracy", "val/accuracy"].map((name) => {
      const every = name.startsWith("val") ? EACH : 2;
      const pairs: number[] = [];
      for (let step = every; step <= this.#step; step += every) pairs.push(step, this.#curve(name, step) * (this.options.spike && name === "train/loss" && step === 400 ? 60 : 1));
      return { name, points_buffer: buffers.push(bytes(pairs)) - 1 };
    });
    const reasons = ["losing confidence", "flip-flopping", "confidently wrong", "never learned", "forgotten at epoch 5"];
    const items: Sections[] = [];
    for (let i = 0; i < 20; i++) {
      const index = 4187 + i * 331;
      const thumbnail_buffer = buffers.push(await png(digit(index))) - 1;
      const map_buffer = buffers.push(await png(warmed(index, i % 3 === 0 ? 26 : 15, i % 3 === 0 ? 26 : 14))) - 1;
      const risk = this.options.least ? 0.004 / (i + 1) : 0.94 - (i % 12) * 0.047;
      const right = i < 12;
      const classes = { target: (i * 7) % 10, predicted: right ? (i * 7) % 10 : (i * 3 + 1) % 10 };
      const wanted = 0.41 + i * 0.3;
      const values = { target: -1, predicted: 1, target_value: wanted, predicted_value: wanted + 1.89 / (i + 1), error: 1.89 / (i + 1) };
      items.push({ index, risk, ...(this.options.regression ? values : classes), reason: reasons[i % 5], wrong_now: this.options.regression ? i > 11 : !right, doubtful: i === 13, thumbnail_buffer, map_buffer });
    }
    const open = this.options.window === "open";
    const gate = (name: string, progress: number, sentence: string): Sections => ({ name, passed: progress >= 1, value: progress, needed: 1, progress, sentence });
    this.#emit({
      status: this.#status(), metrics, ledger: await this.#entries(buffers), knobs: KNOBS,
      markers: [
        { step: 380, kind: "window_open", text: "review window opened", id: null },
        { step: 470, kind: "window_shut", text: "review window shut", id: null },
        ...this.#ledger.map(({ step, text, id }) => ({ step, kind: "intervention", text, id })),
        ...(open ? [{ step: 800, kind: "window_open", text: "review window opened", id: null }] : []),
      ],
      window: {
        open,
        gates: [gate("coverage", 1, "every sample seen 3 times"), gate("stability", 0.62, "ranking stable for 2 of 3 epochs"), gate("skill", 1, "forecasts beat chance"), gate("epochs", 0.8, "4 of 5 epochs completed")],
        score: "8 of 10 named at epoch 3 were wrong at epoch 6; chance 1.6",
      },
      queue: { due: 12, parted: true, onset: false, wrong: 1284, items },
      glances: [...items.map((one) => Number(one["index"])), 311, 4518, ...Array.from({ length: 24 }, (_, i) => 100 + i), ...Array.from({ length: 6 }, (_, i) => 900 + i)].flatMap((index) => {
        const sample = this.#sample(index);
        return sample === null ? [] : [{ index, content: sample.content, cells_buffer: buffers.push(sample.cells) - 1 }];
      }),
      forgotten: { count: 37, items: items.slice(12).map((one, i) => ({ ...one, times: 1 + (i % 4) })) },
      explanation: this.#explanation(buffers),
      timeline: { index: this.#selected ?? 4187, entries: [60, 180, 300, 420, 540, 700, 874].map((step) => ({ step, agreement: 0.6, quality: null })) },
      hits: this.options.hits ? {
        intervention: "a1", count: 214, searched: 10000, total: 10000, done: true, error: "",
        items: await Promise.all(Array.from({ length: 24 }, async (_, i) => ({ index: 100 + i, score: 0.99 - i * 0.01, box: [0.7, 0.7, 1, 1], thumbnail_buffer: buffers.push(await png(digit(100 + i))) - 1 }))),
      } : null,
      suspects: this.options.hits ? {
        count: 37, items: await Promise.all(Array.from({ length: 6 }, async (_, i) => ({ index: 900 + i, doubt: 0.97 - i * 0.04, target: i % 10, suggested: (i + 3) % 10, judged: i === 1 ? "wrong" : "", thumbnail_buffer: buffers.push(await png(digit(900 + i))) - 1, map_buffer: buffers.push(await png(warmed(900 + i, 14, 12))) - 1 }))),
      } : null,
      question: this.options.finding ? await this.#question(buffers) : null,
      advice: this.options.finding ? { key: "finding:f1", text: FOUND, button: "Show #4187", does: "open", sample: 4187, intervention: null } : this.options.advice ? { key: "shortcut", text: "Training .99, validation .18: it may be learning a shortcut.", button: "See where it looks", does: "look", sample: 4187, intervention: null } : null,
      alarms: this.options.alarms ? [
        { kind: "collapse", text: "The validation accuracy collapsed after a3 (increase focus by 10%: 0.30 to 0.40), the last of 2 interventions since step 610: 0.81 before, 0.40 now. Undo it if it took away what the model rightly goes by.", step: 800, intervention: "a3" },
        { kind: "parted", text: "Training and validation part: right in 98 % of what it trains on, in 41 % of what it has not seen. Look at what its maps mark: it may know its samples by heart, or by something that only they show.", step: 750, intervention: null },
      ] : [],
      notices: this.options.alarms || this.options.advice ? [] : [{ level: "warning", text: "Validation set has no class “dog” in its first 64 samples.", step: 3 }, { level: "info", text: "LiveCAM looks at layer3 (8 × 8): the last layer with a map of at least 7 × 7.", step: 10 }],
    }, buffers, true);
  }

  async #question(buffers: Uint8Array[]): Promise<Sections> {
    const region = { image: { box: [0.72, 0.72, 0.97, 0.97] }, text: { words: [4, 6] }, series: { interval: [0.3, 0.4] }, table: { features: ["age"] }, parts: { part: "question", words: [4, 6] } }[this.options.kind];
    const samples = await Promise.all([4187, 4518, 311, 5011, 5342, 5673].map(async (index) => ({
      index, region, content: this.#sample(index)?.content ?? null, thumbnail_buffer: this.options.kind === "image" ? buffers.push(await png(digit(index))) - 1 : null,
    })));
    return { id: "f1", text: FOUND, count: 1029, pull: 0.97, interval: [0.93, 0.99], classes: [0, 1, 2, 3], samples };
  }

  #explanation(buffers: Uint8Array[]): Sections {
    const index = this.#selected ?? 4187;
    const put = (data: Uint8Array): number => buffers.push(data) - 1;
    const livecam = blob(26, 26, 6, 0);
    const smoothgrad = blob(24, 24, 7, 0.8);
    const sample = this.#sample(index);
    const task = this.options.task === "labels" ? labelled() : this.options.task === "segmentation" ? outlined(put) : {};
    return {
      ...(sample === null ? {} : { content: sample.content, shares: sample.shares ?? [] }),
      index, failed: null, target: 0, predicted: index % 2, top: [{ index: index % 2, probability: 0.63 }, { index: 1 - (index % 2), probability: 0.36 }, { index: 2, probability: 0.01 }],
      agreement: 0.71, ...this.#quality(), bbox: sample === null ? [0.66, 0.66, 0.97, 0.97] : sample.shares === undefined ? sample.bbox : null, model_step: this.#step, method: "consensus",
      seconds: 0.07, purpose: this.#selected === null ? "periodic" : "person", width: 32, height: 32, picture_buffer: put(digit(index)), ...task,
      ...(sample === null ? {
        map_width: 32, map_height: 32, livecam_buffer: put(livecam), smoothgrad_buffer: put(smoothgrad),
        consensus_buffer: put(livecam.map((one, i) => (one * (smoothgrad[i] ?? 0)) / 255)),
      } : { map_width: sample.cells.length / sample.rows, map_height: sample.rows, consensus_buffer: put(sample.cells) }),
    };
  }

  #sample(index: number): Sample | null {
    return sampleOf(this.options.kind, index);
  }

  #quality(): Sections {
    if (!this.options.doubtful) return { quality: "reliable", quality_reason: null };
    return { quality: "not reliable", quality_reason: "Without what it marks the odds of this class fall 1.9 times as far as without as much elsewhere, and 3.5 times as far would be needed: the model hardly depends more on it than on other places. A stroke drawn by it may teach the wrong thing." };
  }

  #emit(sections: Sections, buffers: Uint8Array[], full: boolean): void {
    this.#send({ kind: "update", seq: ++this.#seq, full, ...sections }, buffers);
  }

  #send(content: Sections, buffers: Uint8Array[]): void {
    const views = buffers.map((one) => new DataView(one.buffer, one.byteOffset, one.byteLength));
    for (const handler of this.#handlers.get("msg:custom") ?? []) (handler as (...args: unknown[]) => void)(content, views);
  }
}

function bytes(numbers: number[]): Uint8Array {
  return new Uint8Array(new Float64Array(numbers).buffer);
}

function curve(name: string, step: number): number {
  const t = step / 900;
  const noise = name.startsWith("train") ? (wobble(step) - 0.5) * 0.06 : 0;
  const loss = 0.32 + 0.55 * Math.exp(-2.2 * t) + (name.startsWith("val") ? 0.045 : 0);
  return name.endsWith("loss") ? loss + noise : 1.13 - loss * 0.72 - noise * 0.4;
}
