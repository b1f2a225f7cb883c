// The one line under the header: what matters most now, in one sentence, with a button that does
// something about it. It has its place whether there is anything to say or not.

import { createBlamed } from "./blamed";
import { button, h, setAttr, setHidden, setText } from "./dom";
import type { Advice, Alarm, AlarmSample, Notice } from "./protocol";
import { waitingText } from "./requests";
import { isReachable, noticeKey, type Connection, type State } from "./state";
import type { Context, Part } from "./view";

export const CONNECTION: Record<Connection, [string, string]> = {
  connecting: ["connecting", "Looking for the kernel."],
  busy: ["busy, connecting", "The kernel is there but has not answered yet: it is busy with a cell. This is the last known state; the dashboard goes on by itself as soon as the kernel answers."],
  live: ["live", "Connected to the kernel."],
  behind: ["catching up", "Updates were lost on the way; everything is being sent again."],
  silent: ["no answer", "The kernel has not answered a request yet; it may be busy."],
  saved: ["saved view", "No kernel is there: this is the state that was saved."],
  gone: ["kernel gone", "The kernel was restarted or shut down: this is the last state it sent."],
  replay: ["replay", "A run read from disk; there is nothing to steer."],
};

const BUTTONS: Record<NonNullable<Advice["does"]>, string> = { open: "Open", undo: "Undo", look: "Look", continue: "Continue", leave_out: "Leave out" };

/** What the line says; `does` is the name of what its button does. */
interface Line {
  kind: "stop" | "failure" | "problem" | "advice" | "alarm" | "notice" | "quiet";
  key: string;
  level: "info" | "warning" | "error";
  text: string;
  button?: string;
  title?: string;
  off?: boolean;
  intervention?: string | null;
  samples?: readonly AlarmSample[];
  dismiss?: () => void;
  act?: () => void;
}

const alarmKey = ({ kind, step }: Alarm): string => `${kind} ${step}`;

export function createCoach({ store, actions, signal, read, ask, label }: Context): Part {
  const mark = h("span", { class: "cw-coach-mark", "aria-hidden": "true" }, "!");
  const text = h("span", { class: "cw-coach-text", testid: "cw-coach-text", dir: "auto" });
  const whole = button("…", { class: "cw-button cw-small cw-coach-whole", testid: "cw-coach-whole", "aria-label": "Read all of it", title: "Read all of it" });
  const count = h("span", { class: "cw-note cw-coach-count" });
  const act = button("", { class: "cw-button cw-small", testid: "cw-coach-act" });
  const dismiss = button("×", { class: "cw-button cw-icon cw-quiet", testid: "cw-coach-dismiss", "aria-label": "Put this away", title: "Put this away" });
  const blamed = createBlamed((index) => void actions.choose(index));
  const el = h("div", { class: "cw-coach", testid: "cw-coach", role: "status" }, mark, text, blamed.el, h("span", { class: "cw-coach-ends" }, whole, count, act, dismiss));
  let shown: Line = quiet(store.state);

  whole.addEventListener("click", () => {
    read("All of it", shown.text);
  }, { signal });
  act.addEventListener("click", () => shown.act?.(), { signal });
  dismiss.addEventListener("click", () => shown.dismiss?.(), { signal });
  // The ledger shows which entry is meant.
  const point = (on: boolean) => (): void => {
    if (shown.intervention) store.patch({ entry: on ? shown.intervention : null });
  };
  el.addEventListener("pointerenter", point(true), { signal });
  el.addEventListener("focusin", point(true), { signal });
  el.addEventListener("pointerleave", point(false), { signal });

  /** Everything worth saying, the most pressing first. */
  function lines(state: State): Line[] {
    const found: Line[] = [];
    if (state.sure) {
      found.push({
        kind: "stop", key: "stop", level: "warning", text: "Press Stop again to end this training. Its weights are kept, and Continue goes on from there.",
        button: "Keep training", act: () => {
          store.patch({ sure: false });
        },
      });
    }
    if (state.problem !== null) {
      found.push({
        kind: "problem", key: `problem ${state.problem}`, level: "error", text: state.problem, dismiss: () => {
          store.patch({ problem: null });
        },
      });
    }
    if (state.status?.state === "failed") found.push(failure(state));
    const { advice } = state;
    if (advice !== null && !state.silenced.includes(advice.key)) found.push(advised(state, advice));
    for (const alarm of state.alarms) {
      // What the advice is about is said once.
      const same = advice?.intervention !== undefined && advice.intervention !== null && advice.intervention === alarm.intervention;
      if (!same && !state.silenced.includes(alarmKey(alarm))) found.push(alarmed(state, alarm));
    }
    const waiting = isReachable(state) ? waitingText(state) : null;
    // Put away, it comes back with a request of which the network is less sure, or where twice as many wait.
    const which = `requests ${state.requests?.items[0]?.id ?? ""} ${Math.clz32(state.requests?.waiting ?? 0)}`;
    if (waiting !== null && !state.silenced.includes(which)) {
      found.push({
        kind: "advice", key: which, level: "info", text: waiting, button: "Label", title: "Say their classes (Y)", act: label,
        dismiss: () => {
          store.patch({ silenced: [...store.state.silenced, which] });
        },
      });
    }
    const newest = state.notices.at(-1);
    if (newest !== undefined && noticeKey(newest) !== state.dismissed) found.push(noticed(state, newest));
    return found;
  }

  function failure(state: State): Line {
    const { error, trace, remedy } = state.status ?? {};
    const next = remedy ?? "Mend the cause in its cell; Continue then goes on from the last step.";
    return {
      kind: "failure", key: "failure", level: "error", text: `${sentence(error ?? "Training failed")} ${next}`, button: "Trace", off: !trace,
      title: "Where it happened, and what to do next",
      act: () => {
        read("Training failed", `${sentence(error ?? "")} ${next}`, trace ?? "");
      },
    };
  }

  function advised(state: State, advice: Advice): Line {
    const { does, sample, intervention } = advice;
    const { question } = state;
    if (question !== null && advice.key === `finding:${question.id}`) {
      return {
        kind: "advice", key: advice.key, level: "info", text: advice.text, button: "See it", title: "See where it was found, and answer (Y)",
        act: ask,
        dismiss: () => {
          actions.dismiss(advice.key);
        },
      };
    }
    const run: Record<NonNullable<Advice["does"]>, () => void> = {
      open: () => {
        store.patch({ tab: "look" });
        if (sample !== null) void actions.explain(sample);
      },
      look: () => {
        store.patch({ tab: "look", map: null });
        if (sample !== null) void actions.explain(sample);
      },
      undo: () => {
        if (intervention !== null) void actions.undo(intervention);
      },
      continue: () => void actions.goOn(),
      leave_out: () => {
        if (sample !== null) void actions.send({ kind: "judge", index: sample, verdict: "leave out", label: null });
      },
    };
    return {
      kind: "advice", key: advice.key, level: "info", text: advice.text, intervention,
      off: (!isReachable(state) && does !== "open" && does !== "look") || (does === "undo" && intervention !== null && isGone(state, intervention)),
      ...(does === null ? {} : { button: advice.button ?? BUTTONS[does], act: run[does], title: "Do this (Y)" }),
      dismiss: () => {
        actions.dismiss(advice.key);
      },
    };
  }

  function alarmed(state: State, alarm: Alarm): Line {
    const { intervention, samples } = alarm;
    const leave = samples.length === 0 ? {} : {
      button: samples.length === 1 ? "Leave it out" : `Leave ${samples.length} out`, off: !isReachable(state),
      title: `Train without ${samples.map(({ index }) => `#${index}`).slice(0, 12).join(", ")}; Undo in the ledger brings them back (Y)`,
      act: () => void actions.send({ kind: "leave_out", index: samples.map(({ index }) => index) }),
    };
    const entry = state.ledger.find((one) => one.id === intervention);
    return {
      kind: "alarm", key: alarmKey(alarm), level: "warning", text: alarm.text, intervention, samples, ...leave,
      ...(intervention === null || entry?.undone === true ? {} : {
        button: `Undo ${intervention}`, act: () => void actions.undo(intervention), off: !isReachable(state) || isGone(state, intervention),
        title: entry === undefined ? "Take it out (Y)" : `Take out: ${entry.text} (Y)`,
      }),
      dismiss: () => {
        store.patch({ silenced: [...store.state.silenced, alarmKey(alarm)] });
      },
    };
  }

  function noticed(state: State, notice: Notice): Line {
    const others = notice.offer === "close_others" && isReachable(state);
    const put = (): void => {
      store.patch({ dismissed: noticeKey(notice) });
    };
    return {
      kind: "notice", key: noticeKey(notice), level: notice.level === "error" || notice.level === "warning" ? notice.level : "info", text: notice.text, dismiss: put,
      ...(others ? {
        button: "End the others", title: "Stop and close every other session of this kernel",
        act: () => {
          void actions.send({ kind: "close_others" });
          put(); // the answer comes where answers are shown
        },
      } : {}),
    };
  }

  let announced = "";
  return {
    el,
    keys: ["notices", "problem", "dismissed", "connection", "alarms", "advice", "question", "requests", "silenced", "undoing", "ledger", "status", "sure"],
    update(state) {
      const all = lines(state);
      shown = all[0] ?? quiet(state);
      const urgent = shown.kind === "alarm" || shown.kind === "failure" || shown.kind === "problem";
      if (shown.key !== announced) setAttr(el, "role", urgent ? "alert" : "status");
      announced = shown.key;
      setAttr(el, "data-kind", shown.kind);
      setAttr(el, "data-level", shown.level);
      setText(text, shown.text);
      setAttr(text, "title", shown.text);
      blamed.update(shown.samples ?? [], isReachable(state));
      setHidden(mark, shown.kind === "quiet");
      setText(mark, shown.kind === "advice" ? "→" : shown.level === "info" ? "i" : "!");
      setText(count, all.length > 1 ? `1 of ${all.length}` : "");
      setText(act, shown.button ?? "");
      setHidden(act, shown.button === undefined);
      setAttr(act, "title", shown.title ?? null);
      act.disabled = shown.off === true;
      setHidden(dismiss, shown.dismiss === undefined);
      setHidden(whole, true); // it takes room from the text
      setHidden(whole, shown.text.length < 60 || text.scrollHeight <= text.clientHeight + 1);
    },
  };
}

function isGone(state: State, intervention: string): boolean {
  return state.undoing.includes(intervention) || state.ledger.find((one) => one.id === intervention)?.undone === true;
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** Nothing is amiss: where the training stands, or what begins it. */
function quiet(state: State): Line {
  const { status, connection } = state;
  const say = (text: string): Line => ({ kind: "quiet", key: "quiet", level: "info", text });
  if (connection !== "live") return say(CONNECTION[connection][1]);
  if (status === null) return say("");
  switch (status.state) {
    case "idle": return say("session.train(epochs=…) in a cell begins the training.");
    case "finished": return say("The training is finished. Continue trains one more epoch.");
    case "stopped": return say(`The training was stopped and its weights are kept.${status.steps_left === null ? "" : " Continue goes on from here."}`);
    case "paused": return say("Held. Mark what to look at or to ignore; it acts when you resume.");
    default: return say("");
  }
}
