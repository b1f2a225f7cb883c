// One store a dashboard model: state, patches, and listeners that hear which fields changed,
// at most once a frame.

import { initialState, type State } from "./state";

export type Changed = ReadonlySet<keyof State>;
export type Listener = (state: State, changed: Changed) => void;

export class Store {
  state: State = initialState();
  #pending = new Map<Listener, Set<keyof State>>();
  #frame: number | null = null;

  /** Change some fields; fields set to what they already are count as unchanged. */
  patch(patch: Partial<State>): void {
    const keys = (Object.keys(patch) as (keyof State)[]).filter((key) => patch[key] !== this.state[key]);
    if (keys.length === 0) return;
    this.state = { ...this.state, ...patch };
    for (const changed of this.#pending.values()) for (const key of keys) changed.add(key);
    this.#schedule();
  }

  /** Hear of changes; called once at once with every field. */
  subscribe(listener: Listener, signal: AbortSignal): void {
    this.#pending.set(listener, new Set());
    signal.addEventListener("abort", () => this.#pending.delete(listener), { once: true });
    listener(this.state, new Set(Object.keys(this.state) as (keyof State)[]));
  }

  /** Tell the listeners now what waits for the next frame. */
  flush(): void {
    this.#frame = null;
    for (const [listener, changed] of [...this.#pending]) {
      if (changed.size === 0) continue;
      this.#pending.set(listener, new Set());
      listener(this.state, changed);
    }
  }

  #schedule(): void {
    this.#frame ??= requestAnimationFrame(() => {
      this.flush();
    });
  }
}
