// The messages between kernel and browser, as coflect_widget/ui/protocol.py defines them.

export type RunState = "idle" | "training" | "paused" | "stopped" | "finished" | "failed" | "interrupted";

export interface Status {
  mode: "live" | "replay";
  run_id: string;
  state: RunState;
  step: number;
  epoch: number;
  total_steps: number | null;
  total_epochs: number | null;
  steps_per_second: number | null;
  seconds_left: number | null;
  learning_rate: number | null;
  device: string;
  classes: string[];
  num_train: number;
  overlays_made: number;
  overlays_skipped: number;
  overlay_seconds: number;
  rest_seconds: number;
  cost_percent: number | null;
  focus: number;
  guidance: boolean; // whether strokes can be told
  kernels: string; // of the forecast: "native 0.1.0" or "numpy"; "" where that is not known
  error: string | null;
}

/** Points of one metric: pairs (step, value), NaN where undefined. */
export interface SeriesPoints {
  name: string;
  points: Float64Array;
}

export interface Marker {
  step: number;
  kind: "intervention" | "window_open" | "window_shut";
  text: string;
  id: string | null;
}

export interface Gate {
  name: string;
  passed: boolean;
  value: number | null;
  needed: number;
  progress: number;
  sentence: string;
}

export interface ReviewWindow {
  open: boolean;
  by_hand: boolean;
  gates: Gate[];
  score: string | null;
}

export interface Candidate {
  index: number;
  risk: number;
  target: number; // below 0 in regression
  predicted: number;
  reason: string;
  target_value: number | null; // in regression
  predicted_value: number | null;
  error: number | null;
  wrong_now: boolean; // when last seen; else right now, and at risk
  doubtful: boolean; // its label is suspected
  thumbnail: Uint8Array | null;
}

export interface Queue {
  due: number;
  onset: boolean; // only samples that are still right
  parted: boolean; // those at risk were ranked apart; runs of before have one list of any
  items: Candidate[];
}

export interface TopClass {
  index: number;
  probability: number;
}

export type Box = readonly [number, number, number, number];

/** A region as it is written in a message, and in the ledger. */
export type Roi =
  | number[]
  | { polygon: number[][] }
  | { mask: { height: number; width: number; rle: number[] } };

/** Where strokes hold. */
export type Scope = "sample" | "class" | "everywhere";

export type MapName = "livecam" | "smoothgrad" | "consensus";

export interface Explanation {
  index: number;
  failed: string | null;
  target: number | null;
  predicted: number | null;
  top: TopClass[];
  agreement: number | null;
  quality: string | null;
  quality_reason: string | null;
  bbox: Box | null;
  model_step: number | null;
  method: string;
  seconds: number | null;
  purpose: string;
  width: number;
  height: number;
  picture: Uint8Array | null;
  map_width: number;
  map_height: number;
  maps: Record<MapName, Uint8Array | null>;
}

export interface TimelineEntry {
  step: number;
  agreement: number | null;
  quality: string | null;
}

/** Recorded explanations of the sample that is shown, oldest first. */
export interface Timeline {
  index: number;
  entries: TimelineEntry[];
}

export interface Effect {
  verdict: string;
  text: string;
  measures: { name: string; before: number; after: number; low: number; high: number }[];
}

export interface Hits {
  intervention: string;
  count: number;
  searched: number;
  total: number;
  done: boolean;
  error: string;
  items: { index: number; score: number; thumbnail: Uint8Array | null }[];
}

export interface Suspect {
  index: number;
  doubt: number;
  target: number;
  suggested: number;
  judged: string;
  thumbnail: Uint8Array | null;
}

export interface Suspects {
  count: number;
  items: Suspect[];
}

export interface LedgerItem {
  id: string;
  step: number;
  epoch: number;
  text: string;
  author: string;
  sample: number | null;
  strokes: GivenStroke[];
  strength: number | null;
  undone: boolean;
  effect: Effect | null;
}

/** A stroke of the ledger; `roi` is one of the forms of `Roi`, as the kernel wrote it. */
export interface GivenStroke {
  kind: StrokeKind;
  roi: Record<string, unknown>;
  sample: number | null;
}

export interface Notice {
  level: string;
  text: string;
  step: number;
  offer?: "close_others"; // a button beside it sends that command
}

/** Something that is wrong at present; it goes when it is over. */
export interface Alarm {
  kind: string;
  text: string;
  step: number;
  intervention: string | null; // to be undone
}

export interface Update {
  kind: "update";
  seq: number;
  full: boolean;
  status?: Status;
  metrics?: SeriesPoints[];
  markers?: Marker[];
  window?: ReviewWindow;
  queue?: Queue;
  explanation?: Explanation;
  timeline?: Timeline;
  shelf?: Explanation[];
  hits?: Hits;
  suspects?: Suspects;
  ledger?: LedgerItem[];
  alarms?: Alarm[];
  notices?: Notice[];
}

export interface Reply {
  kind: "reply";
  id: string;
  ok: boolean;
  text: string;
  step: number | null;
}

export type StrokeKind = "look" | "ignore";

/** What the browser may ask; `id` is added by the transport. */
export type Command =
  | { kind: "pause" }
  | { kind: "resume" }
  | { kind: "stop" }
  | { kind: "advance"; unit: "step" | "epoch" }
  | {
      kind: "feedback";
      sample: number | null;
      strokes: { kind: StrokeKind; roi: Roi }[];
      instruction: string | null;
      strength: number | null;
      scope?: Scope; // left out: this sample, and for what is ignored the like places of others
    }
  | { kind: "undo"; intervention: string }
  | { kind: "explain"; index: number }
  | { kind: "similar"; intervention: string }
  | { kind: "confirm"; intervention: string; index: number[] | null }
  | { kind: "judge"; index: number; verdict: "right" | "wrong" | "leave out" | "undo"; label: number | null }
  | { kind: "set_queue"; onset: boolean }
  | { kind: "open_window" }
  | { kind: "close_others" };

/** What the browser says of its screen; the id is the browser's own name. */
export type ScreenMessage =
  | { kind: "hello"; page: string } // Notebook 7 names its pages
  | { kind: "ack"; seq: number; seen: boolean; attended: boolean }
  | { kind: "look"; index: number; step: number | null };
