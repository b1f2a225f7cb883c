// The example messages of tests/protocol, with their buffers as they are on the wire.
import ack from "../../tests/protocol/ack.json";
import advance from "../../tests/protocol/advance.json";
import closeOthers from "../../tests/protocol/close_others.json";
import explain from "../../tests/protocol/explain.json";
import feedback from "../../tests/protocol/feedback.json";
import hello from "../../tests/protocol/hello.json";
import look from "../../tests/protocol/look.json";
import openWindow from "../../tests/protocol/open_window.json";
import pause from "../../tests/protocol/pause.json";
import reply from "../../tests/protocol/reply.json";
import setQueue from "../../tests/protocol/set_queue.json";
import undo from "../../tests/protocol/undo.json";
import updateFull from "../../tests/protocol/update_full.json";
import updateMetrics from "../../tests/protocol/update_metrics.json";
import updateRequests from "../../tests/protocol/update_requests.json";
import { decode } from "../src/decode";
import type { Reply, Update } from "../src/protocol";

export const sentByBrowser = { ack, advance, closeOthers, explain, feedback, hello, look, openWindow, pause, setQueue, undo };
export const raw = { updateFull, updateMetrics, updateRequests, reply };

/** Buffers at an odd offset, as Jupyter may cut them out of one message. */
export function buffers(fixture: { buffers: string[] }): DataView[] {
  return fixture.buffers.map((text) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    return new DataView(shifted.buffer, 3, bytes.length);
  });
}

export function fullUpdate(): Update {
  return decode(updateFull.message, buffers(updateFull)) as Update;
}

export function metricsUpdate(): Update {
  return decode(updateMetrics.message, buffers(updateMetrics)) as Update;
}

export function aReply(): Reply {
  return decode(reply.message, []) as Reply;
}
