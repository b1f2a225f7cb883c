// A model and its controls as anywidget and ipywidgets hand them over, for tests.
import { vi } from "vitest";
import type { ControlsModel, DashboardModel } from "../src/transport";

type Handler = (...args: unknown[]) => void;

export class TestModel {
  readonly sent: Record<string, unknown>[] = [];
  readonly handlers = new Map<string, Set<Handler>>();
  readonly controlHandlers = new Map<string, Set<Handler>>();
  state: Record<string, unknown> = { _controls: "c1", _snapshot: {} };
  missing = 0; // lookups of the controls that fail first

  readonly controls: ControlsModel = {
    send: (content) => void this.sent.push(content as Record<string, unknown>),
    on: (name, callback) => {
      add(this.controlHandlers, name, callback);
    },
    off: (name, callback) => void this.controlHandlers.get(name)?.delete(callback),
    comm_live: true,
  };

  readonly model: DashboardModel = {
    get: (name) => this.state[name],
    on: (name, callback) => {
      add(this.handlers, name, callback as unknown as Handler);
    },
    off: (name, callback) => void this.handlers.get(name)?.delete(callback as unknown as Handler),
    widget_manager: {
      get_model: () => (this.missing-- > 0 ? Promise.reject(new Error("widget model not found")) : Promise.resolve(this.controls)),
    },
  };

  /** A message of the kernel. */
  receive(content: unknown, buffers: DataView[] = []): void {
    for (const handler of this.handlers.get("msg:custom") ?? []) handler(content, buffers);
  }

  reply(ok: boolean, text: string, id = this.sent.filter(({ kind }) => kind !== "ack" && kind !== "hello").at(-1)?.["id"]): void {
    this.receive({ kind: "reply", id, ok, text, step: 1 });
  }

  fire(handlers: Map<string, Set<Handler>>, name: string): void {
    for (const handler of handlers.get(name) ?? []) handler();
  }

  kinds(): unknown[] {
    return this.sent.map((message) => message["kind"]);
  }
}

function add(handlers: Map<string, Set<Handler>>, name: string, handler: Handler): void {
  const known = handlers.get(name) ?? new Set();
  handlers.set(name, known.add(handler));
}

/** Let promises settle and timers up to `ms` run. */
export async function settle(ms = 0): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}
