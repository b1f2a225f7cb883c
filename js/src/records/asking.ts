// Asks the kernel for something on the controls' model, and hears its answer on the view's own.

import type { ControlsModel, DashboardModel } from "../transport";

const LOOKUP = 250; // milliseconds between two tries to find the controls
const LOOKUPS = 40;

export interface Answer {
  ok: boolean;
  text: string;
}

export interface Asking {
  /** Resolves with what the kernel answers. */
  ask: (said: object) => Promise<Answer>;
  /** Say something that has no answer; whether somebody is there to hear it. */
  post: (said: object) => boolean;
  /** Whether the kernel has not gone, as far as is known. */
  alive: () => boolean;
}

/** `onChange` is called when the controls are found, and when the connection changes. */
export function createAsking(model: DashboardModel, onChange: () => void, absent: string, signal: AbortSignal): Asking {
  let controls: ControlsModel | null = null;
  let number = 0;
  const page = crypto.getRandomValues(new Uint32Array(2)).join("-");
  const waiting = new Map<string, { resolve: (reply: Answer) => void; reject: (error: Error) => void }>();
  const newId = (): string => `${page}-${number++}`;
  const alive = (): boolean => controls !== null && controls.comm_live !== false;
  const send = (message: object): boolean => {
    if (controls === null || !alive()) return false;
    try {
      const sent = controls.send(message, undefined, []);
      if (sent instanceof Promise) sent.catch(() => undefined);
      return true;
    } catch {
      return false; // ipywidgets throws where the comm is closed
    }
  };
  const receive = (content: unknown): void => {
    const reply = content as { kind?: unknown; id?: unknown; ok?: unknown; text?: unknown };
    if (reply.kind !== "reply" || typeof reply.id !== "string") return;
    waiting.get(reply.id)?.resolve({ ok: reply.ok === true, text: String(reply.text) });
    waiting.delete(reply.id);
  };
  const change = (): void => {
    if (!alive()) {
      for (const { reject } of waiting.values()) reject(new Error("The kernel went before it answered."));
      waiting.clear();
    }
    onChange();
  };
  model.on("msg:custom", receive);
  const id = model.get("_controls");
  let tries = 0;
  const find = (): void => {
    if (typeof id !== "string" || id === "" || signal.aborted) return;
    model.widget_manager.get_model(id).then((found) => {
      controls = found;
      found.on("comm_live_update", change);
      onChange();
    }, () => {
      if (++tries < LOOKUPS) setTimeout(find, LOOKUP); // after a reload the two models come in any order
    });
  };
  find();
  signal.addEventListener("abort", () => {
    model.off("msg:custom", receive);
    controls?.off("comm_live_update", change);
  });
  return {
    alive,
    post: (said) => send({ ...said, id: newId() }),
    ask: (said) => new Promise((resolve, reject) => {
      const name = newId();
      if (send({ ...said, id: name })) waiting.set(name, { resolve, reject });
      else reject(new Error(absent));
    }),
  };
}
