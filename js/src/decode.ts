// Checks what arrives from the kernel and turns it into typed sections with their bytes.

import type {
  Box, Effect, Explanation, Hits, LedgerItem, Marker, Queue, Reply, ReviewWindow, RunState, Status, StrokeKind, Suspects, Update,
} from "./protocol";

/** A message did not have the shape that the protocol promises. */
export class ProtocolError extends Error {}

type Fields = Record<string, unknown>;
/** Binary parts as Jupyter hands them over. */
export type Buffers = readonly (DataView | ArrayBuffer | Uint8Array)[];

function fields(value: unknown, where: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ProtocolError(`${where} is not an object`);
  }
  return value as Fields;
}

function num(from: Fields, key: string): number {
  const value = from[key];
  if (typeof value !== "number") throw new ProtocolError(`${key} is not a number`);
  return value;
}

function str(from: Fields, key: string): string {
  const value = from[key];
  if (typeof value !== "string") throw new ProtocolError(`${key} is not a string`);
  return value;
}

function bool(from: Fields, key: string): boolean {
  const value = from[key];
  if (typeof value !== "boolean") throw new ProtocolError(`${key} is not true or false`);
  return value;
}

function maybe<T>(read: (from: Fields, key: string) => T, from: Fields, key: string): T | null {
  return from[key] === null || from[key] === undefined ? null : read(from, key);
}

function list<T>(from: Fields, key: string, read: (item: Fields) => T): T[] {
  const value = from[key];
  if (!Array.isArray(value)) throw new ProtocolError(`${key} is not a list`);
  return value.map((item) => read(fields(item, `an item of ${key}`)));
}

function bytes(buffers: Buffers, index: number): Uint8Array {
  const buffer = buffers[index];
  if (buffer === undefined) throw new ProtocolError(`buffer ${index} is missing`);
  return ArrayBuffer.isView(buffer)
    ? new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
    : new Uint8Array(buffer);
}

function maybeBytes(buffers: Buffers, from: Fields, key: string): Uint8Array | null {
  const index = maybe(num, from, key);
  return index === null ? null : bytes(buffers, index);
}

function floats(buffers: Buffers, index: number): Float64Array {
  const raw = bytes(buffers, index);
  const copy = raw.slice(0, raw.byteLength - (raw.byteLength % 16)); // aligned, whole pairs
  return new Float64Array(copy.buffer, 0, copy.byteLength / 8);
}

function decodeStatus(from: Fields): Status {
  const classes = from["classes"];
  return {
    mode: from["mode"] === "replay" ? "replay" : "live",
    run_id: str(from, "run_id"),
    state: str(from, "state") as RunState,
    step: num(from, "step"),
    epoch: num(from, "epoch"),
    total_steps: maybe(num, from, "total_steps"),
    total_epochs: maybe(num, from, "total_epochs"),
    steps_per_second: maybe(num, from, "steps_per_second"),
    seconds_left: maybe(num, from, "seconds_left"),
    learning_rate: maybe(num, from, "learning_rate"),
    device: str(from, "device"),
    classes: Array.isArray(classes) ? classes.map(String) : [],
    num_train: num(from, "num_train"),
    overlays_made: num(from, "overlays_made"),
    overlays_skipped: num(from, "overlays_skipped"),
    overlay_seconds: num(from, "overlay_seconds"),
    rest_seconds: maybe(num, from, "rest_seconds") ?? 0,
    cost_percent: maybe(num, from, "cost_percent"),
    focus: num(from, "focus"),
    guidance: from["guidance"] !== false,
    kernels: maybe(str, from, "kernels") ?? "",
    error: maybe(str, from, "error"),
  };
}

function decodeWindow(from: Fields): ReviewWindow {
  const gates = list(from, "gates", (gate) => ({
    name: str(gate, "name"),
    passed: bool(gate, "passed"),
    value: maybe(num, gate, "value"),
    needed: num(gate, "needed"),
    progress: num(gate, "progress"),
    sentence: str(gate, "sentence"),
  }));
  return { open: bool(from, "open"), by_hand: from["by_hand"] === true, gates, score: maybe(str, from, "score") };
}

function decodeQueue(from: Fields, buffers: Buffers): Queue {
  const items = list(from, "items", (item) => ({
    index: num(item, "index"),
    risk: num(item, "risk"),
    target: num(item, "target"),
    predicted: num(item, "predicted"),
    reason: str(item, "reason"),
    target_value: maybe(num, item, "target_value"),
    predicted_value: maybe(num, item, "predicted_value"),
    error: maybe(num, item, "error"),
    wrong_now: wrongNow(item),
    doubtful: item["doubtful"] === true,
    thumbnail: maybeBytes(buffers, item, "thumbnail_buffer"),
  }));
  return { due: num(from, "due"), onset: from["onset"] === true, parted: from["parted"] === true, items };
}

/** Pages saved before say it by the classes alone. */
function wrongNow(item: Fields): boolean {
  const told = item["wrong_now"];
  if (typeof told === "boolean") return told;
  const [target, predicted] = [num(item, "target"), num(item, "predicted")];
  return target < 0 ? predicted === 1 : predicted !== target;
}

/** Bytes of `count` pixels or map cells; null where there are none or too few. */
function plane(buffers: Buffers, from: Fields, key: string, count: number): Uint8Array | null {
  const found = maybeBytes(buffers, from, key);
  if (found !== null && (found.byteLength !== count || count === 0)) {
    throw new ProtocolError(`${key} holds ${found.byteLength} bytes instead of ${count}`);
  }
  return found;
}

function decodeExplanation(from: Fields, buffers: Buffers): Explanation {
  const width = maybe(num, from, "width") ?? 0;
  const height = maybe(num, from, "height") ?? 0;
  const mapWidth = maybe(num, from, "map_width") ?? 0;
  const mapHeight = maybe(num, from, "map_height") ?? 0;
  const cells = mapWidth * mapHeight;
  const corners = from["bbox"];
  const bbox = Array.isArray(corners) && corners.length === 4 ? (corners.map(Number) as unknown as Box) : null;
  const top = from["top"] === null ? [] : list(from, "top", (item) => ({
    index: num(item, "index"),
    probability: num(item, "probability"),
  }));
  return {
    index: num(from, "index"),
    failed: maybe(str, from, "failed"),
    target: maybe(num, from, "target"),
    predicted: maybe(num, from, "predicted"),
    top,
    agreement: maybe(num, from, "agreement"),
    quality: maybe(str, from, "quality"),
    quality_reason: maybe(str, from, "quality_reason"),
    bbox,
    model_step: maybe(num, from, "model_step"),
    method: maybe(str, from, "method") ?? "",
    seconds: maybe(num, from, "seconds"),
    purpose: maybe(str, from, "purpose") ?? "",
    width,
    height,
    picture: plane(buffers, from, "picture_buffer", width * height * 3),
    map_width: mapWidth,
    map_height: mapHeight,
    maps: {
      livecam: plane(buffers, from, "livecam_buffer", cells),
      smoothgrad: plane(buffers, from, "smoothgrad_buffer", cells),
      consensus: plane(buffers, from, "consensus_buffer", cells),
    },
  };
}

function effectOf(item: Fields, key: string): Effect {
  const from = fields(item[key], key);
  const measures = list(from, "measures", (one) => ({
    name: str(one, "name"), before: num(one, "before"), after: num(one, "after"), low: num(one, "low"), high: num(one, "high"),
  }));
  return { verdict: str(from, "verdict"), text: str(from, "text"), measures };
}

function decodeHits(from: Fields, buffers: Buffers): Hits {
  return {
    intervention: str(from, "intervention"),
    count: num(from, "count"),
    searched: num(from, "searched"),
    total: num(from, "total"),
    done: bool(from, "done"),
    error: str(from, "error"),
    items: list(from, "items", (one) => ({
      index: num(one, "index"), score: num(one, "score"), thumbnail: maybeBytes(buffers, one, "thumbnail_buffer"),
    })),
  };
}

function decodeSuspects(from: Fields, buffers: Buffers): Suspects {
  return {
    count: num(from, "count"),
    items: list(from, "items", (one) => ({
      index: num(one, "index"), doubt: num(one, "doubt"), target: num(one, "target"), suggested: num(one, "suggested"),
      judged: str(one, "judged"), thumbnail: maybeBytes(buffers, one, "thumbnail_buffer"),
    })),
  };
}

function decodeLedgerItem(item: Fields): LedgerItem {
  return {
    id: str(item, "id"),
    step: num(item, "step"),
    epoch: num(item, "epoch"),
    text: str(item, "text"),
    author: str(item, "author"),
    sample: maybe(num, item, "sample"),
    strokes: list(item, "strokes", (one) => ({
      kind: str(one, "kind") as StrokeKind,
      roi: fields(one["roi"], "roi"),
      sample: maybe(num, one, "sample"),
    })),
    strength: maybe(num, item, "strength"),
    undone: bool(item, "undone"),
    effect: maybe(effectOf, item, "effect"),
  };
}

function decodeMarker(item: Fields): Marker {
  return {
    step: num(item, "step"),
    kind: str(item, "kind") as Marker["kind"],
    text: str(item, "text"),
    id: maybe(str, item, "id"),
  };
}

function decodeUpdate(from: Fields, buffers: Buffers): Update {
  const update: Update = { kind: "update", seq: num(from, "seq"), full: bool(from, "full") };
  const section = (key: string): Fields | null =>
    from[key] === undefined || from[key] === null ? null : fields(from[key], key);
  const status = section("status");
  if (status) update.status = decodeStatus(status);
  if (Array.isArray(from["metrics"])) {
    update.metrics = list(from, "metrics", (item) => ({
      name: str(item, "name"),
      points: floats(buffers, num(item, "points_buffer")),
    }));
  }
  if (Array.isArray(from["markers"])) update.markers = list(from, "markers", decodeMarker);
  const window = section("window");
  if (window) update.window = decodeWindow(window);
  const queue = section("queue");
  if (queue) update.queue = decodeQueue(queue, buffers);
  const explanation = section("explanation");
  if (explanation) update.explanation = decodeExplanation(explanation, buffers);
  const timeline = section("timeline");
  if (timeline) {
    update.timeline = {
      index: num(timeline, "index"),
      entries: list(timeline, "entries", (one) => ({
        step: num(one, "step"), agreement: maybe(num, one, "agreement"), quality: maybe(str, one, "quality"),
      })),
    };
  }
  if (Array.isArray(from["shelf"])) update.shelf = list(from, "shelf", (one) => decodeExplanation(one, buffers));
  const hits = section("hits");
  if (hits) update.hits = decodeHits(hits, buffers);
  const suspects = section("suspects");
  if (suspects) update.suspects = decodeSuspects(suspects, buffers);
  if (Array.isArray(from["ledger"])) update.ledger = list(from, "ledger", decodeLedgerItem);
  if (Array.isArray(from["alarms"])) {
    update.alarms = list(from, "alarms", (item) => ({
      kind: str(item, "kind"), text: str(item, "text"), step: num(item, "step"), intervention: maybe(str, item, "intervention"),
    }));
  }
  if (Array.isArray(from["notices"])) {
    update.notices = list(from, "notices", (item) => ({
      level: str(item, "level"),
      text: str(item, "text"),
      step: num(item, "step"),
      ...(item["offer"] === "close_others" ? { offer: "close_others" as const } : {}),
    }));
  }
  return update;
}

/**
 * Check a message of the kernel; null for kinds that a newer kernel may know.
 * Throws ProtocolError where a known kind does not have its shape.
 */
export function decode(content: unknown, buffers: Buffers): Update | Reply | null {
  const from = fields(content, "message");
  switch (from["kind"]) {
    case "update":
      return decodeUpdate(from, buffers);
    case "reply":
      return {
        kind: "reply",
        id: str(from, "id"),
        ok: bool(from, "ok"),
        text: str(from, "text"),
        step: maybe(num, from, "step"),
      };
    default:
      return null;
  }
}
