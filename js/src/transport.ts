// Talks to the kernel: messages in on the dashboard's model, requests out on the controls'
// model, sequence numbers, hello, and what the connection looks like.

import { decode, ProtocolError, type Buffers } from "./decode";
import { Greeting, isLate } from "./greeting";
import type { Command, Reply, ScreenMessage, Update } from "./protocol";
import { reduce, type Connection } from "./state";
import type { Store } from "./store";

/** The parts of anywidget's model that are used; it stands for one dashboard. */
export interface DashboardModel {
  get(name: string): unknown;
  on(name: string, callback: (...args: never[]) => void): void;
  off(name: string, callback: (...args: never[]) => void): void;
  widget_manager: { get_model(id: string): Promise<ControlsModel> };
}

/** The view-less model that carries requests; a widget model of ipywidgets. */
export interface ControlsModel {
  /** `callbacks` is an object in ipywidgets and a function in marimo; without a promise in the former. */
  send(content: unknown, callbacks?: undefined, buffers?: ArrayBuffer[]): unknown;
  on(name: string, callback: () => void): void;
  off(name: string, callback: () => void): void;
  /** Missing where the notebook does not tell, as in marimo. */
  comm_live?: boolean;
}

const LOOKED_LONG = 3000; // milliseconds without controls, after which the view is taken for a saved one
export const PATIENCE = 20_000;
const LOOKUP_PERIOD = 250;
const LOOKUPS = 40;
const ACK_PERIOD = 8000; // milliseconds from an update to its acknowledgement ...
const UNACKED = 16; // ... unless so many wait for theirs
const BEAT = 5000; // and at least one in this many while somebody looks
const ATTENTION = 10_000; // since a person's hand was last on a view
const SILENT = 3; // acknowledgements without any answer, after which a kernel is taken for silent
const UNTOLD = 8; // hellos without an answer (17 s), where the notebook does not tell whether a kernel is there

/** A name for one message. Not crypto.randomUUID: plain http, as on a laboratory's server, has none. */
function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (one) => one.toString(16).padStart(8, "0")).join("");
}

/** Nobody is there to answer, or went before they did. */
export class NoAnswer extends Error {}

interface Waiting {
  resolve: (reply: Reply) => void;
  reject: (error: Error) => void;
  timer: ReturnType<typeof setTimeout>;
}

export class Transport {
  #controls: ControlsModel | null = null;
  #waiting = new Map<string, Waiting>();
  #seq: number | null = null;
  readonly #greeting = new Greeting((unanswered) => this.#hello(unanswered));
  #lookups = 0;
  #lookupTimer: ReturnType<typeof setTimeout> | null = null;
  #stopped = false;
  readonly #client = newId();
  #ackTimer: ReturnType<typeof setTimeout> | null = null;
  #ackSoon = false;
  #acked = 0;
  #unanswered = 0; // acknowledgements sent since the kernel was last heard
  #views = new Set<object>(); // views that somebody can see
  #watched = false; // whether any view has ever said so
  #touched = performance.now();

  constructor(
    private readonly model: DashboardModel,
    private readonly store: Store,
  ) {}

  /** Paint what the notebook saved, then look for the kernel. */
  start(): void {
    this.#paintSnapshot();
    this.model.on("msg:custom", this.#receive);
    this.model.on("change:_controls", this.#connect);
    this.model.on("change:_snapshot", this.#snapshotChanged);
    this.model.on("comm_live_update", this.#liveness);
    this.#connect();
  }

  stop(): void {
    this.#stopped = true;
    this.model.off("msg:custom", this.#receive);
    this.model.off("change:_controls", this.#connect);
    this.model.off("change:_snapshot", this.#snapshotChanged);
    this.model.off("comm_live_update", this.#liveness);
    this.#controls?.off("comm_live_update", this.#liveness);
    this.#greeting.end();
    if (this.#lookupTimer !== null) clearTimeout(this.#lookupTimer);
    if (this.#ackTimer !== null) clearTimeout(this.#ackTimer);
    for (const waiting of this.#waiting.values()) clearTimeout(waiting.timer);
    this.#waiting.clear();
  }

  #giveUp(): void {
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(new NoAnswer("The kernel went before it answered; what it still did is in its run folder."));
    }
    this.#waiting.clear();
  }

  /** Whether anything can be asked of a kernel, be it only to look. */
  get connected(): boolean {
    return this.#controls !== null && this.#controls.comm_live !== false;
  }

  /** Bring a recorded explanation; false where no kernel can be asked. */
  look(index: number, step: number | null): boolean {
    return this.connected && this.#say({ kind: "look", index, step });
  }

  /** Draw another run behind the charts; "" for none. */
  compare(run: string): void {
    if (this.connected) this.#say({ kind: "compare", run });
  }

  /** A view came into sight, or left it. */
  seen(view: object, visible: boolean): void {
    const before = this.#seen;
    if (visible) this.#views.add(view);
    else this.#views.delete(view);
    this.#watched = true;
    if (before !== this.#seen && this.#seq !== null) this.#acknowledge(true);
  }

  /** A person's hand is on a view: updates come more often from now on. */
  touched(): void {
    const before = this.#attended;
    this.#touched = performance.now();
    if (!before && this.#seq !== null) this.#acknowledge(true);
  }

  get #attended(): boolean {
    return performance.now() - this.#touched < ATTENTION;
  }

  get #seen(): boolean {
    return !this.#watched || this.#views.size > 0;
  }

  /** Say which update is on the screen: soon, then again and again while somebody looks. */
  #acknowledge(now = false): void {
    if (this.#ackTimer !== null) clearTimeout(this.#ackTimer);
    const send = (): void => {
      this.#ackSoon = false;
      this.#ackTimer = this.#seen ? setTimeout(send, BEAT) : null;
      // Counted, not timed: nothing is asked while nobody looks, and a computer may have slept.
      this.#unanswered = this.#seen ? this.#unanswered + 1 : 0;
      if (this.#unanswered > SILENT && this.store.state.connection === "live") this.store.patch({ connection: "silent" });
      this.#acked = this.#seq ?? 0;
      this.#say({ kind: "ack", seq: this.#acked, seen: this.#seen, attended: this.#attended });
    };
    if (now) send();
    else this.#ackTimer = setTimeout(send, ACK_PERIOD);
  }

  #say(message: ScreenMessage): boolean {
    return this.#post({ ...message, id: this.#client });
  }

  /**
   * Send a command; resolves with the kernel's answer, however late: a busy kernel still does what it was
   * told, and who takes silence for a refusal tells it twice. `slow` is called when it is slow to answer.
   */
  request(command: Command, slow?: () => void): Promise<Reply> {
    const id = newId();
    return new Promise((resolve, reject) => {
      if (!this.#post({ ...command, id })) {
        reject(new NoAnswer("There is no kernel to ask: this is a saved view."));
        return;
      }
      const timer = setTimeout(() => {
        if (this.store.state.connection === "live") this.store.patch({ connection: "silent" });
        slow?.();
      }, PATIENCE);
      this.#waiting.set(id, { resolve, reject, timer });
    });
  }

  #post(message: (Command | ScreenMessage) & { id: string }): boolean {
    if (this.#controls === null || this.#controls.comm_live === false) return false;
    try {
      // marimo calls the second argument and gives a promise
      const sent = this.#controls.send(message, undefined, []);
      if (sent instanceof Promise) sent.catch(() => undefined);
      return true;
    } catch {
      return false; // ipywidgets throws where the comm is closed
    }
  }

  readonly #connect = (): void => {
    const id = this.model.get("_controls");
    if (typeof id !== "string" || id === "") {
      this.#offline();
      return;
    }
    this.store.patch({ connection: "connecting" });
    // After a page reload the two models come in any order; the controls may not be there yet.
    this.model.widget_manager.get_model(id).then(
      (controls) => {
        if (this.#stopped) return;
        this.#controls = controls;
        controls.on("comm_live_update", this.#liveness);
        this.#greeting.begin();
      },
      () => {
        if (this.#stopped) return;
        if (++this.#lookups >= LOOKUPS) {
          this.#offline();
          return;
        }
        if (this.#lookups * LOOKUP_PERIOD >= LOOKED_LONG) this.#offline();
        this.#lookupTimer = setTimeout(this.#connect, LOOKUP_PERIOD);
      },
    );
  };

  /** One hello; false where nobody can hear it. */
  #hello(unanswered: number): boolean {
    if (!this.#say({ kind: "hello", page: document.body.dataset["notebook"] ?? "" })) {
      this.#offline();
      return false;
    }
    const { connection, status } = this.store.state;
    if (connection !== "connecting" && connection !== "busy") return true;
    // A run read from disk has shown all it needs.
    if (isLate(unanswered) && status?.mode === "replay") this.#offline();
    else if (unanswered >= UNTOLD && this.#controls?.comm_live === undefined) this.#offline();
    else if (isLate(unanswered)) this.store.patch({ connection: "busy" });
    return true;
  }

  #alive(): Connection {
    return this.store.state.status?.mode === "replay" ? "replay" : "live";
  }

  #offline(): void {
    this.store.patch({ connection: this.store.state.status?.mode === "replay" ? "replay" : "saved" });
  }

  readonly #liveness = (): void => {
    if (this.#controls?.comm_live === false) {
      this.#greeting.end();
      this.store.patch({ connection: "gone", asked: null, explaining: null });
      this.#giveUp();
    } else if (this.store.state.connection === "gone") {
      this.store.patch({ connection: "connecting" });
      this.#greeting.begin();
    }
  };

  readonly #receive = (content: unknown, buffers: Buffers | undefined): void => {
    try {
      this.#unanswered = 0;
      const message = decode(content, buffers ?? []);
      if (message?.kind === "reply") this.#answer(message);
      else if (message?.kind === "update") this.#update(message);
      else if (message?.kind === "lost") this.#lost(message.text);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.store.patch({ problem: `A message of the kernel could not be read: ${error.message}` });
    }
  };

  #update(update: Update): void {
    const gap = !update.full && (this.#seq === null || update.seq !== this.#seq + 1);
    this.#seq = update.seq;
    this.store.patch(reduce(this.store.state, update));
    // A timer that is set for soon stays; one that is set for the next beat is brought forward.
    if (update.full) this.#acked = update.seq;
    const now = !gap && update.seq - this.#acked >= UNACKED;
    if (now || !this.#ackSoon) {
      this.#ackSoon = true;
      this.#acknowledge(now);
    }
    if (update.full) this.#greeting.end();
    const behind = gap || (this.store.state.connection === "behind" && !update.full);
    this.store.patch({ connection: behind ? "behind" : this.#alive() });
    if (gap) this.#greeting.begin();
  }

  /** What trains is elsewhere and was lost, though the kernel of this notebook is there. */
  #lost(text: string): void {
    this.#greeting.end();
    if (this.#ackTimer !== null) clearTimeout(this.#ackTimer);
    this.store.patch({ connection: "gone", asked: null, explaining: null, problem: text });
    this.#giveUp();
  }

  #answer(reply: Reply): void {
    if (this.store.state.connection === "silent") this.store.patch({ connection: this.#alive() });
    const waiting = this.#waiting.get(reply.id);
    if (waiting === undefined) return;
    this.#waiting.delete(reply.id);
    clearTimeout(waiting.timer);
    waiting.resolve(reply);
  }

  /** A sign of life: only a kernel changes what a saved notebook is to show. */
  readonly #snapshotChanged = (): void => {
    this.#unanswered = 0;
    const { connection } = this.store.state;
    if (connection === "silent") this.store.patch({ connection: this.#alive() });
    if (this.#seq !== null) return;
    this.#paintSnapshot();
    if (this.#controls === null) {
      this.#lookups = 0;
      this.#connect();
    } else {
      if (connection === "saved") this.store.patch({ connection: "connecting" });
      this.#greeting.begin();
    }
  };

  #paintSnapshot(): void {
    const saved = this.model.get("_snapshot") as { update?: unknown; buffers?: Buffers } | null | undefined;
    if (saved?.update === undefined) return;
    try {
      const message = decode(saved.update, saved.buffers ?? []);
      if (message?.kind === "update") this.store.patch(reduce(this.store.state, message));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.store.patch({ problem: "The saved state of this dashboard could not be read." });
    }
  }
}
