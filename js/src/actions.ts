// What a person can do, as one command each and what the page shows until the answer is there.

import type { Point } from "./geometry";
import { walk } from "./lists";
import { draftsOf, isProvable, isReachable, shelfKey, shownExplanation, showsOnset, strengthOf, type FindingAnswer, type Stroke, type Strokes } from "./state";
import { isFinal, withoutMaps } from "./kept";
import { shownKind } from "./modalities/kinds";
import { ofPart, toRoi } from "./shapes";
import type { Store } from "./store";
import type { Command, Explanation, LedgerItem, Reply, Status } from "./protocol";
import type { Transport } from "./transport";

const HISTORY = 50;

export class Actions {
  #nextStroke = 1;
  #gesture: { kept: boolean } | null = null;
  readonly #sent = new Set<number>(); // strokes on their way, and ...
  #said = ""; // ... the instruction
  #judged: number | null = null; // sample whose reason was judged
  readonly #answered = new Set<string>(); // findings whose answers are on their way

  constructor(
    private readonly store: Store,
    private readonly transport: Transport,
  ) {}

  async pauseOrResume(): Promise<void> {
    const state = this.store.state.status?.state;
    if (state === "training") await this.#switch("pause");
    else if (state === "paused") await this.#switch("resume");
    else await this.goOn();
  }

  /** Train on after an end: what was left, or where nothing was one more epoch. */
  async goOn(): Promise<void> {
    const { status, asked } = this.store.state;
    if (status === null || asked === "continue" || !goesOn(status)) return;
    this.store.patch({ asked: "continue", problem: null });
    const reply = await this.#ask({ kind: "continue", epochs: status.state === "finished" ? 1 : null });
    if (reply?.ok !== true) this.store.patch({ asked: null });
  }

  /** End the training; the first time it asks. */
  async stop(): Promise<void> {
    const { status, sure } = this.store.state;
    if (status?.state !== "training" && status?.state !== "paused") return;
    this.store.patch({ sure: !sure });
    if (sure) await this.#switch("stop");
  }

  /** Put an advice away, here at once. */
  dismiss(key: string): void {
    this.store.patch({ silenced: [...this.store.state.silenced, key] });
    if (isReachable(this.store.state)) void this.#ask({ kind: "dismiss", key });
  }

  /** Say the class of a kept request; null removes it. */
  async labelRequest(request: string, label: number | null): Promise<Pick<Reply, "ok" | "text">> {
    try {
      return await this.transport.request({ kind: "label_request", request, label });
    } catch (error) {
      return { ok: false, text: messageOf(error) };
    }
  }

  /** Have the kernel write this run as one page. */
  async save(): Promise<void> {
    this.store.patch({ echo: { text: "Writing the page…", level: "busy" } });
    const reply = await this.#ask({ kind: "save_page" });
    this.store.patch({ echo: reply === null ? null : echoOf(reply) });
  }

  /** Whether anything can be asked of a kernel, be it only to look. */
  get connected(): boolean {
    return this.transport.connected;
  }

  /** Draw another run behind the charts; "" for none. */
  compare(run: string): void {
    this.transport.compare(run);
  }

  /** Show one sample, and the picture where it stands behind a tab. */
  async choose(index: number): Promise<void> {
    this.store.patch({ tab: "look" });
    await this.explain(index);
  }

  /** One step, or to the end of the epoch; then training holds. */
  async advance(unit: "step" | "epoch"): Promise<void> {
    const state = this.store.state.status?.state;
    if (state !== "training" && state !== "paused") return;
    this.store.patch({ asked: "advance", problem: null });
    await this.#ask({ kind: "advance", unit });
    this.store.patch({ asked: null });
  }

  /** Show one sample: explained now where somebody can, else as it was recorded; `target` is a class, `at` a place. */
  async explain(index: number, target: number | null = null, at: Point | null = null): Promise<void> {
    if (!isReachable(this.store.state)) {
      this.#showRecorded(index);
      return;
    }
    this.store.patch({ explaining: index, problem: null });
    const failed = (): void => {
      if (this.store.state.explaining === index) this.store.patch({ explaining: null });
    };
    const reply = await this.#ask({ kind: "explain", index, target, ...(at === null ? {} : { at: [at.x, at.y] }) });
    if (reply?.ok !== true) failed();
    else setTimeout(failed, 60_000); // a worker that never answers must not leave the page busy
  }

  #showRecorded(index: number): void {
    if (this.store.state.connection === "replay" && this.transport.look(index, null)) return;
    const found = [...this.store.state.shelf.values()].filter((one) => one.index === index);
    const newest = found.reduce<Explanation | null>((a, b) => ((a?.model_step ?? -1) > (b.model_step ?? -1) ? a : b), null);
    if (newest === null && !isFinal(this.store.state)) return; // the kernel may have it
    this.store.patch({ explanation: newest ?? withoutMaps(this.store.state, index), at: null, selected: null, problem: null });
  }

  /** The sample before or after the one that is shown, in the queue. */
  async step(by: number): Promise<void> {
    const { state } = this.store;
    const samples = walk(state);
    const here = state.explanation === null ? -1 : samples.indexOf(state.explanation.index);
    const next = samples[here < 0 ? (by > 0 ? 0 : samples.length - 1) : (here + by + samples.length) % samples.length];
    if (next !== undefined) await this.explain(next);
  }

  /** Look at the recorded map of a step; null for the newest. */
  scrub(step: number | null): void {
    const { state } = this.store;
    const index = state.explanation?.index;
    if (index === undefined) return;
    this.store.patch({ at: step });
    if (step !== null && !state.shelf.has(shelfKey(index, step))) this.transport.look(index, step);
  }

  /** Say that the model looks at the right thing, or at the wrong one: its focus becomes a stroke. */
  async judgeReason(right: boolean): Promise<void> {
    const { state } = this.store;
    const explanation = shownExplanation(state);
    const box = explanation?.bbox ?? null;
    const roi = explanation === null || box === null ? null : shownKind(state).focus(explanation, box);
    if (explanation === null || roi === null || !isReachable(state) || this.#judged === explanation.index) return;
    this.#judged = explanation.index;
    await this.#tell({
      kind: "feedback", sample: explanation.index, strokes: [{ kind: right ? "look" : "ignore", roi }],
      instruction: null, strength: strengthOf(state), ...(state.scope === null ? {} : { scope: state.scope }),
    });
    this.#judged = null;
  }

  /** Send a command whose answer is only worth a line. */
  async send(command: Command): Promise<void> {
    const reply = await this.#ask(command);
    if (reply?.ok === true && reply.text !== "") this.store.patch({ echo: echoOf(reply) });
  }

  /** Have only samples ranked that are still right, or again all. */
  async toggleOnset(): Promise<void> {
    const onset = !showsOnset(this.store.state);
    this.store.patch({ onset });
    const reply = await this.#ask({ kind: "set_queue", onset });
    this.store.patch(reply?.ok === true ? { echo: echoOf(reply) } : { onset: null });
  }

  /** The entry of the ledger that the answer under the picture is about: the newest, if it holds for the sample shown or the answer is about it. */
  told(): LedgerItem | null {
    const { ledger, explanation, echo } = this.store.state;
    const newest = ledger.at(-1);
    return newest !== undefined && (newest.sample === null || newest.sample === explanation?.index || newest.step === echo?.step) ? newest : null;
  }

  /** Say whether a finding is a good reason; what comes of it is said where answers are. */
  async answer(finding: string, answer: FindingAnswer): Promise<void> {
    if (this.#answered.has(finding)) return;
    this.#answered.add(finding);
    if (answer === "wrong reason") this.store.patch({ tab: "look" }); // where it is said, and undone
    await this.#tell({ kind: "answer", finding, answer });
    this.#answered.delete(finding);
  }

  /** Prove an intervention, or end its proof; without an id the newest one that can be proved. */
  async prove(id?: string): Promise<void> {
    const items = this.store.state.ledger.filter(isProvable);
    const item = id === undefined ? items.at(-1) : items.find((one) => one.id === id);
    if (item === undefined) return;
    await this.#tell(item.proof?.verdict === "" ? { kind: "end_proof" } : { kind: "prove", intervention: item.id });
  }

  /** Go on from the end of one branch of an intervention's proof. */
  async keep(id: string, branch: Extract<Command, { kind: "keep" }>["branch"]): Promise<void> {
    this.store.patch({ tab: "look" }); // where it is said
    await this.#tell({ kind: "keep", intervention: id, branch });
  }

  async undo(id: string): Promise<void> {
    if (this.store.state.undoing.includes(id)) return;
    this.store.patch({ undoing: [...this.store.state.undoing, id], problem: null });
    const reply = await this.#ask({ kind: "undo", intervention: id });
    if (reply !== null && reply.text !== "") this.store.patch({ echo: echoOf(reply) });
    if (reply?.ok !== true) {
      this.store.patch({ undoing: this.store.state.undoing.filter((other) => other !== id) });
    }
  }

  /** Whether there is anything to submit that is not on its way. */
  canSubmit(): boolean {
    return this.#newInstruction() !== "" || this.#newStrokes().length > 0;
  }

  #newInstruction(): string {
    const instruction = this.store.state.instruction.trim();
    return instruction === this.#said ? "" : instruction;
  }

  #newStrokes(): Strokes {
    return draftsOf(this.store.state).filter((one) => !this.#sent.has(one.id));
  }

  /** Send strokes and instruction together; they leave the page only when the kernel has them. */
  async submit(): Promise<void> {
    const { state } = this.store;
    if (!this.canSubmit()) return;
    const strokes = this.#newStrokes();
    const sample = state.explanation?.index ?? null;
    const instruction = this.#newInstruction();
    if (instruction !== "" && state.history[state.history.length - 1] !== instruction) {
      this.store.patch({ history: [...state.history, instruction].slice(-HISTORY) });
    }
    for (const { id } of strokes) this.#sent.add(id);
    if (instruction !== "") this.#said = instruction;
    const done = await this.#tell({
      kind: "feedback",
      sample,
      strokes: strokes.map(({ kind, shape, part }) => ({ kind, roi: part === undefined ? toRoi(shape) : ofPart(toRoi(shape), part) })),
      instruction: instruction === "" ? null : instruction,
      strength: strokes.length > 0 ? strengthOf(state) : null,
      ...(strokes.length > 0 && state.scope !== null ? { scope: state.scope } : {}),
    });
    for (const { id } of strokes) this.#sent.delete(id);
    if (this.#said === instruction) this.#said = "";
    if (done && instruction !== "" && this.store.state.instruction.trim() === instruction) this.store.patch({ instruction: "" });
    if (done && sample !== null) this.#forget(sample, strokes);
  }

  /** Send feedback, and say what becomes of it; true if it was taken. */
  async #tell(command: Command): Promise<boolean> {
    this.store.patch({ echo: { text: "Sending…", level: "busy" }, problem: null });
    try {
      const reply = await this.transport.request(command, () => {
        this.store.patch({ echo: { text: "The kernel is busy; it does what was sent as soon as it can.", level: "busy" } });
      });
      this.store.patch({ echo: { ...echoOf(reply), ...(command.kind === "answer" ? { step: reply.step } : {}) } });
      return reply.ok;
    } catch (error) {
      this.store.patch({ echo: { text: messageOf(error), level: "error" } });
      return false;
    }
  }

  /** Everything until `endGesture` is one step of `undoDrawing`. */
  beginGesture(): void {
    this.#gesture = { kept: false };
  }

  endGesture(): void {
    this.#gesture = null;
  }

  addStroke(stroke: Omit<Stroke, "id">): number | null {
    const id = this.#nextStroke++;
    const { state } = this.store;
    if (state.explanation === null) return null;
    this.#setDrafts(state.explanation.index, [...draftsOf(state), { ...stroke, id }]);
    this.store.patch({ selected: id });
    return id;
  }

  changeStroke(id: number, change: Partial<Omit<Stroke, "id">>): void {
    const { state } = this.store;
    if (state.explanation === null) return;
    const strokes = draftsOf(state).map((one) => (one.id === id ? { ...one, ...change } : one));
    this.#setDrafts(state.explanation.index, strokes);
  }

  removeStroke(id: number): void {
    const { state } = this.store;
    if (state.explanation === null) return;
    this.#setDrafts(state.explanation.index, draftsOf(state).filter((one) => one.id !== id));
    if (state.selected === id) this.store.patch({ selected: null });
  }

  /** Take back the last change of the drawing (`back`), or the last taking back. */
  undoDrawing(back = true): void {
    const { state } = this.store;
    const sample = state.explanation?.index;
    if (sample === undefined) return;
    if (state.pending.length > 0) {
      if (back) this.store.patch({ pending: state.pending.slice(0, -1) }); // a corner of what is being drawn
      return;
    }
    const { past, future } = state.edits[sample] ?? { past: [], future: [] };
    const [from, to] = back ? [past, future] : [future, past];
    const strokes = from[from.length - 1];
    if (strokes === undefined) return;
    const [less, more] = [from.slice(0, -1), [...to, draftsOf(state)]];
    this.store.patch({
      drafts: { ...state.drafts, [sample]: strokes },
      edits: { ...state.edits, [sample]: back ? { past: less, future: more } : { past: more, future: less } },
      selected: null,
    });
  }

  #forget(sample: number, sent: Strokes): void {
    const ids = new Set(sent.map((one) => one.id));
    const left = (this.store.state.drafts[sample] ?? []).filter((one) => !ids.has(one.id));
    this.#setDrafts(sample, left);
    this.store.patch({ edits: { ...this.store.state.edits, [sample]: { past: [], future: [] } } }); // what is applied is undone in the ledger
    const { selected } = this.store.state;
    if (selected !== null && ids.has(selected)) this.store.patch({ selected: null });
  }

  #setDrafts(sample: number, strokes: Strokes): void {
    const { drafts, edits } = this.store.state;
    this.store.patch({ drafts: { ...drafts, [sample]: strokes } });
    if (this.#gesture?.kept === true) return;
    if (this.#gesture !== null) this.#gesture.kept = true;
    const past = [...(edits[sample]?.past ?? []), drafts[sample] ?? []].slice(-HISTORY);
    this.store.patch({ edits: { ...edits, [sample]: { past, future: [] } } });
  }

  async #switch(kind: "pause" | "resume" | "stop"): Promise<void> {
    this.store.patch({ asked: kind, problem: null });
    const reply = await this.#ask({ kind });
    if (reply?.ok !== true) this.store.patch({ asked: null });
  }

  async #ask(command: Command): Promise<Reply | null> {
    try {
      const reply = await this.transport.request(command);
      if (!reply.ok) this.store.patch({ problem: reply.text });
      return reply;
    } catch (error) {
      this.store.patch({ problem: messageOf(error) });
      return null;
    }
  }
}

/** Whether a button can train on: what a stop or a failure left, or after the end one more epoch. */
export function goesOn({ state, steps_left: left }: Status): boolean {
  return state === "finished" || ((state === "stopped" || state === "failed") && left !== null);
}

function echoOf(reply: Reply): { text: string; level: "info" | "error" } {
  return { text: reply.text, level: reply.ok ? "info" : "error" };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
