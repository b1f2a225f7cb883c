// The state that all views of one dashboard share, and how an update of the kernel changes it.

import type { Point } from "./geometry";
import type {
  Advice, Alarm, Command, Explanation, Forgotten, Glance, Hits, Knobs, LedgerItem, Marker, Notice, Question, Queue, Requests, ReviewWindow, Scope, Status, StrokeKind, Suspects,
  Timeline, TimelineEntry, Update,
} from "./protocol";
import { shortNames } from "./names";
import { Series } from "./series";
import type { Mark, Shape } from "./shapes";

/** "busy": a kernel is there and has not answered yet; "saved": shown from the notebook, no kernel is there;
 *  "silent": a request got no answer; "behind": updates were lost and are being sent again. */
export type Connection = "connecting" | "busy" | "live" | "behind" | "silent" | "saved" | "gone" | "replay";

export interface Stroke<Of = Shape | Mark> {
  id: number;
  kind: StrokeKind;
  shape: Of;
  part?: string; // of several inputs the one that it is drawn on
}

export type Strokes = readonly Stroke[];

/** What can be taken back of the strokes of one sample, and what was taken back. */
export interface Edits {
  past: readonly Strokes[];
  future: readonly Strokes[];
}

export type MapName = keyof Explanation["maps"];

export type MapView = MapName | "all" | "off";

export const MAP_NAMES: readonly (readonly [MapName, string])[] = [
  ["livecam", "LiveCAM"], ["smoothgrad", "SmoothGrad"], ["consensus", "Consensus"],
];

/** Which samples are listed. */
export type Page = "wrong" | "risk" | "forgotten" | "suspects" | "alike";

/** What a narrow view shows of the four parts that stand side by side in a wide one. */
export type Tab = "look" | "list" | "charts" | "ledger";

export type Tool = "box" | "polygon" | "brush" | "eraser";

export type FindingAnswer = Extract<Command, { kind: "answer" }>["answer"];

export interface Echo {
  step?: number | null; // of the ledger's entry that it is about, where that is not the shown sample's alone
  text: string;
  level: "info" | "error" | "busy";
}

export interface State {
  // from the kernel
  status: Status | null;
  metrics: ReadonlyMap<string, Series>;
  behind: { run: string; metrics: ReadonlyMap<string, Series> } | null; // another run, behind the charts
  markers: readonly Marker[];
  window: ReviewWindow | null;
  queue: Queue | null;
  explanation: Explanation | null;
  timeline: Timeline | null;
  shelf: ReadonlyMap<string, Explanation>; // recorded explanations at hand, by `shelfKey`
  hits: Hits | null;
  forgotten: Forgotten | null;
  suspects: Suspects | null;
  ledger: readonly LedgerItem[];
  knobs: Knobs | null;
  alarms: readonly Alarm[];
  question: Question | null; // what is asked about a finding
  advice: Advice | null;
  requests: Requests | null; // that wait for a class
  notices: readonly Notice[];
  // of this page
  connection: Connection;
  asked: "pause" | "resume" | "stop" | "advance" | "continue" | null; // sent, and the state has not changed yet
  sure: boolean; // Stop was pressed once, and asks
  explaining: number | null; // sample whose maps were asked for
  problem: string | null; // why the last request failed
  dismissed: string | null; // key of the newest notice that was put away
  silenced: readonly string[]; // keys of alarms that were
  map: MapView | null; // null: what the explanation shows first
  opacity: number;
  threshold: number; // map values below it are not drawn
  palette: string;
  at: number | null; // step of the recorded map that is looked at; null: the newest
  page: Page | null; // null: the first that has something in it
  tab: Tab;
  chart: { smooth: number; log: boolean; zoom: readonly [number, number] | null };
  onset: boolean | null; // the queue that was asked for, until it is there
  filter: string; // of the lists: a part of a class's name, or a sample's number
  glances: ReadonlyMap<number, Glance>; // what lists draw of samples that are no pictures: each is sent once
  glimpses: ReadonlyMap<number, Uint8Array>; // small pictures with a map, by sample: each is sent once
  unpicked: ReadonlySet<number>; // hits that the stroke shall not be applied to
  drafts: Readonly<Record<number, Strokes>>; // strokes not yet submitted, by sample
  edits: Readonly<Record<number, Edits>>; // by sample
  selected: number | null; // stroke's id
  drawing: boolean;
  tool: Tool;
  outlines: boolean; // of ground truth and prediction, where each place has a class
  radius: number; // of brush and eraser, as a share of the picture
  pending: readonly Point[]; // corners of a polygon that is not closed yet
  cursor: Point | null; // where the keyboard leads the tool
  meaning: StrokeKind; // of what is drawn next
  scope: Scope | null; // null: as drawn, with the like places of other samples where it is ignored
  entry: string | null; // intervention that is pointed at
  strength: number | null; // null: follows the kernel's
  instruction: string;
  history: readonly string[];
  echo: Echo | null;
  undoing: readonly string[]; // interventions whose undoing was asked for
}

const SHELF = 64; // recorded explanations kept at hand, beside those that came with a saved view

export function initialState(): State {
  return {
    status: null, metrics: new Map(), behind: null, markers: [], window: null, queue: null, explanation: null,
    timeline: null, shelf: new Map(), hits: null, forgotten: null, suspects: null,
    ledger: [], knobs: null, alarms: [], question: null, advice: null, requests: null, notices: [], connection: "connecting", asked: null, sure: false, explaining: null, problem: null,
    dismissed: null, silenced: [], map: null, opacity: 0.7, threshold: 0, palette: "inferno",
    at: null, page: null, tab: "look", chart: { smooth: 0, log: false, zoom: null }, onset: null, filter: "", glances: new Map(), glimpses: new Map(), unpicked: new Set(), drafts: {}, edits: {}, selected: null, drawing: false,
    tool: "box", outlines: true, radius: 0.07, pending: [], cursor: null, meaning: "ignore", scope: null, entry: null, strength: null, instruction: "", history: [], echo: null,
    undoing: [],
  };
}

/** What is on the screen of the sample that is shown. */
export function shownExplanation(state: State): Explanation | null {
  const { explanation, at, shelf } = state;
  if (explanation === null || at === null) return explanation;
  return shelf.get(shelfKey(explanation.index, at)) ?? explanation;
}

export function shelfKey(index: number, step: number): string {
  return `${index} ${step}`;
}

/** The recorded maps of the sample that is shown: as the kernel lists them, or those at hand. */
export function timelineOf(state: State): readonly TimelineEntry[] {
  const index = state.explanation?.index;
  if (index === undefined) return [];
  if (state.timeline?.index === index) return state.timeline.entries;
  return [...state.shelf.values()]
    .filter((one) => one.index === index && one.model_step !== null)
    .map((one) => ({ step: one.model_step ?? 0, agreement: one.agreement, quality: one.quality }))
    .sort((a, b) => a.step - b.step);
}

/** The strokes drawn or marked on the sample that is shown. */
export function draftsOf(state: State): Strokes {
  return state.explanation === null ? [] : (state.drafts[state.explanation.index] ?? []);
}

export function hasMaps(explanation: Explanation): boolean {
  const { livecam, smoothgrad, consensus } = explanation.maps;
  return livecam !== null || smoothgrad !== null || consensus !== null;
}

/** The map that is drawn: the person's choice, else the kernel's, else the first there is. */
export function shownMap(state: State): MapView {
  const maps = shownExplanation(state)?.maps;
  if (state.map === "off") return "off";
  const wish = shownExplanation(state)?.content ? "consensus" : state.map; // only of pictures several maps are compared
  if (wish === "all") return "all";
  if (maps === undefined) return wish ?? "consensus";
  const wanted = [wish, state.explanation?.method.toLowerCase(), "consensus", "livecam", "smoothgrad"];
  for (const name of wanted) {
    if ((name === "livecam" || name === "smoothgrad" || name === "consensus") && maps[name] !== null) return name;
  }
  return wish ?? "consensus";
}

/** Whether somebody can be asked. */
export function isReachable(state: Pick<State, "connection">): boolean {
  return ["live", "silent", "behind"].includes(state.connection);
}

/** Whether a training is under way, held or not. */
export function isTraining(state: Pick<State, "status">): boolean {
  return state.status?.state === "training" || state.status?.state === "paused";
}

/** Whether an entry of the ledger marks something that a random region can be held beside. */
export function isProvable(item: LedgerItem): boolean {
  return item.strokes.length > 0 && !item.undone;
}

/** Whether the queue holds only samples that are still right, or soon will. */
export function showsOnset(state: State): boolean {
  return state.onset ?? state.queue?.onset === true;
}

export function strengthOf(state: State): number {
  return state.strength ?? state.status?.focus ?? 0.3;
}

export function className(state: State, index: number | null): string {
  if (index === null) return "?";
  return shortNames(state.status?.classes ?? [])[index] ?? `class ${index}`;
}

export function noticeKey(notice: Notice): string {
  return `${notice.step} ${notice.level} ${notice.text}`;
}

/** What an update changes; sections that it does not hold stay as they are. */
export function reduce(state: State, update: Update): Partial<State> {
  const patch: Partial<State> = {};
  const { status, metrics, explanation } = update;
  if (status) {
    const known = state.status?.classes ?? [];
    const same = known.length === status.classes.length && known.every((name, i) => name === status.classes[i]);
    patch.status = same ? { ...status, classes: known } : status; // names that are cut and listed once
    if (state.asked !== null && state.status?.state !== status.state) patch.asked = null;
    if (state.sure && state.status?.state !== status.state) patch.sure = false;
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
  if (update.behind) {
    const { run, metrics: lines } = update.behind;
    patch.behind = run === "" ? null : { run, metrics: new Map(lines.map(({ name, points }) => [name, Series.of(name, points)])) };
  }
  if (explanation && !heldBack(state, explanation)) {
    patch.explanation = explanation;
    // A sample that the person chose puts an end to the last answer; one that opens unasked does not.
    const chosen = state.explaining === explanation.index;
    if (chosen && state.explanation !== null && state.explanation.index !== explanation.index && state.echo?.level !== "busy") patch.echo = null;
    if (state.explanation?.index !== explanation.index) Object.assign(patch, { selected: null, pending: [], cursor: null, at: null });
    const answered = explanation.failed !== null || hasMaps(explanation);
    if (chosen && answered) patch.explaining = null;
  }
  if (update.timeline) patch.timeline = update.timeline;
  if (update.shelf) {
    const shelf = [...state.shelf, ...update.shelf.map((one) => [shelfKey(one.index, one.model_step ?? 0), one] as const)];
    patch.shelf = new Map(update.shelf.length > SHELF ? shelf : shelf.slice(-SHELF));
  }
  if (update.hits) {
    patch.hits = update.hits;
    if (state.hits?.intervention !== update.hits.intervention) patch.unpicked = new Set();
  }
  if (update.forgotten) patch.forgotten = update.forgotten;
  if (update.suspects) patch.suspects = update.suspects;
  if (update.glances) patch.glances = withGlances(state.glances, update.glances);
  const glimpses = withGlimpses(state.glimpses, update);
  if (glimpses !== state.glimpses) patch.glimpses = glimpses;
  if (update.markers) patch.markers = update.markers;
  if (update.window) patch.window = update.window;
  if (update.queue) {
    patch.queue = update.queue;
    if (update.queue.onset === state.onset) patch.onset = null;
  }
  if (update.knobs) patch.knobs = update.knobs;
  if (update.alarms) patch.alarms = update.alarms;
  if (update.question !== undefined) patch.question = update.question;
  if (update.advice !== undefined) patch.advice = update.advice;
  if (update.requests) patch.requests = update.requests;
  if (update.notices) patch.notices = update.notices;
  if (update.ledger) {
    patch.ledger = update.ledger;
    // What came of it takes the place of the answer to it.
    const [newest, before] = [update.ledger.at(-1), state.ledger.at(-1)];
    if (newest?.effect && newest.id === before?.id && before.effect === null && state.echo?.level === "info") patch.echo = null;
    const undone = new Set(update.ledger.filter((item) => item.undone).map((item) => item.id));
    patch.undoing = state.undoing.filter((id) => !undone.has(id));
  }
  return patch;
}

const GLIMPSES = 256; // small maps that are kept

function withGlances(known: ReadonlyMap<number, Glance>, fresh: readonly Glance[]): ReadonlyMap<number, Glance> {
  const all = new Map(known);
  for (const one of fresh) {
    all.delete(one.index); // to the end: the oldest go first
    all.set(one.index, one);
  }
  return new Map([...all].slice(-GLIMPSES));
}

/** The small maps at hand, with those that an update brings. */
function withGlimpses(known: ReadonlyMap<number, Uint8Array>, update: Update): ReadonlyMap<number, Uint8Array> {
  const lists = [update.queue?.items, update.forgotten?.items, update.suspects?.items];
  const fresh = lists.flatMap((items) => (items ?? []).flatMap(({ index, map }) => (map === null ? [] : [[index, map] as const])));
  if (fresh.length === 0) return known;
  const all = new Map(known);
  for (const [index, map] of fresh) {
    all.delete(index); // to the end: the oldest go first
    all.set(index, map);
  }
  return new Map([...all].slice(-GLIMPSES));
}

/** A picture that is being drawn on changes only when a person asked for another one. */
function heldBack(state: State, next: Explanation): boolean {
  if (state.explanation === null || state.explanation.index === next.index || next.purpose === "person") return false;
  return state.drawing || draftsOf(state).length > 0;
}
