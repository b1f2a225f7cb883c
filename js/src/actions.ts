// What a person can do, as one command each and what the page shows until the answer is there.

import { draftsOf, strengthOf, type Stroke } from "./state";
import type { Store } from "./store";
import type { Command, Reply } from "./protocol";
import type { Transport } from "./transport";

const HISTORY = 50;

export class Actions {
  #nextStroke = 1;

  constructor(
    private readonly store: Store,
    private readonly transport: Transport,
  ) {}

  async pauseOrResume(): Promise<void> {
    const state = this.store.state.status?.state;
    if (state === "training") await this.#switch("pause");
    else if (state === "paused") await this.#switch("resume");
  }

  async stop(): Promise<void> {
    const state = this.store.state.status?.state;
    if (state === "training" || state === "paused") await this.#switch("stop");
  }

  async explain(index: number): Promise<void> {
    this.store.patch({ explaining: index, problem: null });
    const failed = (): void => {
      if (this.store.state.explaining === index) this.store.patch({ explaining: null });
    };
    const reply = await this.#ask({ kind: "explain", index });
    if (reply?.ok !== true) failed();
    else setTimeout(failed, 60_000); // a worker that never answers must not leave the page busy
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

  /** Whether there is anything to submit. */
  canSubmit(): boolean {
    const { state } = this.store;
    return state.instruction.trim() !== "" || draftsOf(state).length > 0;
  }

  /** Send strokes and instruction together; they leave the page only when the kernel has them. */
  async submit(): Promise<void> {
    const { state } = this.store;
    if (!this.canSubmit() || state.echo?.level === "busy") return;
    const strokes = draftsOf(state);
    const sample = state.explanation?.index ?? null;
    const instruction = state.instruction.trim();
    this.store.patch({ echo: { text: "Sending…", level: "busy" }, problem: null });
    if (instruction !== "" && state.history[state.history.length - 1] !== instruction) {
      this.store.patch({ history: [...state.history, instruction].slice(-HISTORY) });
    }
    try {
      const reply = await this.transport.request({
        kind: "feedback",
        sample: state.everywhere ? null : sample,
        strokes: strokes.map(({ kind, box }) => ({ kind, roi: box })),
        instruction: instruction === "" ? null : instruction,
        strength: strokes.length > 0 ? strengthOf(state) : null,
      });
      this.store.patch({ echo: echoOf(reply) });
      if (!reply.ok) return;
      if (this.store.state.instruction.trim() === instruction) this.store.patch({ instruction: "" });
      if (sample !== null) this.#forget(sample, strokes);
    } catch (error) {
      this.store.patch({ echo: { text: messageOf(error), level: "error" } });
    }
  }

  /** An answer that came after its request had been given up. */
  late(reply: Reply): void {
    if (reply.text !== "") this.store.patch({ echo: echoOf(reply) });
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

  #forget(sample: number, sent: readonly Stroke[]): void {
    const ids = new Set(sent.map((one) => one.id));
    const left = (this.store.state.drafts[sample] ?? []).filter((one) => !ids.has(one.id));
    this.#setDrafts(sample, left);
    const { selected } = this.store.state;
    if (selected !== null && ids.has(selected)) this.store.patch({ selected: null });
  }

  #setDrafts(sample: number, strokes: readonly Stroke[]): void {
    this.store.patch({ drafts: { ...this.store.state.drafts, [sample]: strokes } });
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

function echoOf(reply: Reply): { text: string; level: "info" | "error" } {
  return { text: reply.text, level: reply.ok ? "info" : "error" };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
