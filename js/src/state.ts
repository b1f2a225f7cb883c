// The state that all views of one dashboard share, and how an update of the kernel changes it.

import type {
  Box, Explanation, LedgerItem, MapName, Marker, Notice, Queue, ReviewWindow, Status, StrokeKind, Update,
} from "./protocol";
import { Series } from "./series";

/** "saved": shown from the notebook, no kernel answered; "silent": a request got no answer. */
export type Connection = "connecting" | "live" | "silent" | "saved" | "gone" | "replay";

export interface Stroke {
  id: number;
  kind: StrokeKind;
  box: Box;
}

export interface Echo {
  text: string;
  level: "info" | "error" | "busy";
}

export interface State {
  // from the kernel
  status: Status | null;
  metrics: ReadonlyMap<string, Series>;
  markers: readonly Marker[];
  window: ReviewWindow | null;
  queue: Queue | null;
  explanation: Explanation | null;
  ledger: readonly LedgerItem[];
  notices: readonly Notice[];
  // of this page
  connection: Connection;
  asked: "pause" | "resume" | "stop" | null; // sent, and the state has not changed yet
  explaining: number | null; // sample whose maps were asked for
  problem: string | null; // why the last request failed
  dismissed: string | null; // key of the newest notice that was put away
  map: MapName | "off" | null; // null: what the explanation shows first
  opacity: number;
  drafts: Readonly<Record<number, readonly Stroke[]>>; // strokes not yet submitted, by sample
  selected: number | null; // stroke's id
  drawing: boolean;
  tool: StrokeKind;
  everywhere: boolean;
  strength: number | null; // null: follows the kernel's
  instruction: string;
  history: readonly string[];
  echo: Echo | null;
  undoing: readonly string[]; // interventions whose undoing was asked for
}

export function initialState(): State {
  return {
    status: null, metrics: new Map(), markers: [], window: null, queue: null, explanation: null,
    ledger: [], notices: [], connection: "connecting", asked: null, explaining: null, problem: null,
    dismissed: null, map: null, opacity: 0.7, drafts: {}, selected: null, drawing: false,
    tool: "ignore", everywhere: false, strength: null, instruction: "", history: [], echo: null,
    undoing: [],
  };
}

/** The strokes drawn on the sample that is shown. */
export function draftsOf(state: State): readonly Stroke[] {
  return state.explanation === null ? [] : (state.drafts[state.explanation.index] ?? []);
}

export function hasMaps(explanation: Explanation): boolean {
  const { livecam, smoothgrad, consensus } = explanation.maps;
  return livecam !== null || smoothgrad !== null || consensus !== null;
}

/** The map that is drawn: the person's choice, else the kernel's, else the first there is. */
export function shownMap(state: State): MapName | "off" {
  const maps = state.explanation?.maps;
  if (state.map === "off") return "off";
  if (maps === undefined) return state.map ?? "consensus";
  const wanted = [state.map, state.explanation?.method.toLowerCase(), "consensus", "livecam", "smoothgrad"];
  for (const name of wanted) {
    if ((name === "livecam" || name === "smoothgrad" || name === "consensus") && maps[name] !== null) return name;
  }
  return state.map ?? "consensus";
}

export function strengthOf(state: State): number {
  return state.strength ?? state.status?.focus ?? 0.3;
}

export function className(state: State, index: number | null): string {
  if (index === null) return "?";
  return state.status?.classes[index] ?? `class ${index}`;
}

export function noticeKey(notice: Notice): string {
  return `${notice.step} ${notice.level} ${notice.text}`;
}

/** What an update changes; sections that it does not hold stay as they are. */
export function reduce(state: State, update: Update): Partial<State> {
  const patch: Partial<State> = {};
  const { status, metrics, explanation } = update;
  if (status) {
    patch.status = status;
    if (state.asked !== null && state.status?.state !== status.state) patch.asked = null;
    if (state.status !== null && state.status.focus !== status.focus) patch.strength = null;
  }
  if (metrics || update.full) {
    const series = new Map(update.full ? [] : state.metrics);
    for (const { name, points } of metrics ?? []) {
      const one = series.get(name) ?? new Series(name);
      one.append(points);
      series.set(name, one);
    }
    patch.metrics = series;
  }
  if (explanation && !heldBack(state, explanation)) {
    patch.explanation = explanation;
    if (state.explanation?.index !== explanation.index) patch.selected = null;
    const answered = explanation.failed !== null || hasMaps(explanation);
    if (state.explaining === explanation.index && answered) patch.explaining = null;
  }
  if (update.markers) patch.markers = update.markers;
  if (update.window) patch.window = update.window;
  if (update.queue) patch.queue = update.queue;
  if (update.notices) patch.notices = update.notices;
  if (update.ledger) {
    patch.ledger = update.ledger;
    const undone = new Set(update.ledger.filter((item) => item.undone).map((item) => item.id));
    patch.undoing = state.undoing.filter((id) => !undone.has(id));
  }
  return patch;
}

/** A picture that is being drawn on changes only when a person asked for another one. */
function heldBack(state: State, next: Explanation): boolean {
  if (state.explanation === null || state.explanation.index === next.index || next.purpose === "person") return false;
  return state.drawing || draftsOf(state).length > 0;
}
