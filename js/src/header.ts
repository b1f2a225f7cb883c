// The top line: state, position, speed, connection, and the buttons that hold or end training.

import { button, h, setAttr, setHidden, setText, setVar } from "./dom";
import { duration, plural, rate, speed } from "./format";
import type { ShownState, Status } from "./protocol";
import { isReachable, noticeKey, type Connection, type State } from "./state";
import type { Context, Part } from "./view";

const STATE_WORDS: Record<ShownState, string> = {
  idle: "Idle", interrupted: "Interrupted", training: "Training", paused: "Paused", stopped: "Stopped", finished: "Finished", failed: "Failed",
};
const CONNECTION: Record<Connection, [string, string]> = {
  connecting: ["connecting", "Looking for the kernel."],
  busy: ["busy, connecting", "The kernel is there but has not answered yet: it is busy with a cell. This is the last known state; the dashboard goes on by itself as soon as the kernel answers."],
  live: ["live", "Connected to the kernel."],
  behind: ["catching up", "Updates were lost on the way; everything is being sent again."],
  silent: ["no answer", "The kernel has not answered a request yet; it may be busy."],
  saved: ["saved view", "No kernel is there: this is the state that was saved."],
  gone: ["kernel gone", "The kernel was restarted or shut down: this is the last state it sent."],
  replay: ["replay", "A run read from disk; there is nothing to steer."],
};

/** "epoch 7 of 20": the epoch being trained, or the last one where training is over. */
export function epochText(status: Status): string {
  const { epoch, total_epochs: epochs, state } = status;
  const over = state === "finished" || state === "idle" || epoch === epochs;
  const current = over ? epoch : epoch + 1;
  return epochs === null || current > epochs ? `epoch ${current}` : `epoch ${current} of ${epochs}`;
}

function fact(name: string, testid = ""): [HTMLElement, HTMLElement] {
  const value = h("span", { class: "cw-fact-value", ...(testid === "" ? {} : { testid }) });
  return [h("span", { class: "cw-fact", title: name }, h("span", { class: "cw-sr" }, `${name} `), value), value];
}

export function createHeader({ actions, signal, announce }: Context, openHelp: () => void): Part {
  const dot = h("span", { class: "cw-dot", "aria-hidden": "true" });
  const word = h("span", { class: "cw-state-word", testid: "cw-state" });
  const epoch = h("span", { class: "cw-epoch" });
  const step = h("span", { class: "cw-step", testid: "cw-step" });
  const position = h("span", { class: "cw-position" }, epoch, h("span", { class: "cw-sep", "aria-hidden": "true" }, " · "), step);
  const [left, leftValue] = fact("time left");
  const [pace, paceValue] = fact("speed");
  const [learning, learningValue] = fact("learning rate");
  const [device, deviceValue] = fact("device");
  const [cost, costValue] = fact("time of the training thread that went to this tool, in % of the training", "cw-tool-cost");
  const connection = h("span", { class: "cw-connection", testid: "cw-connection" });
  const pause = button("Pause", { class: "cw-button cw-primary cw-hold", testid: "cw-pause" });
  const units = (["step", "epoch"] as const).map((unit) => {
    const one = button(unit === "step" ? "Step" : "Epoch", { class: "cw-button", testid: `cw-one-${unit}`, title: unit === "step" ? "Train one step, then hold (S)" : "Train to the end of the epoch, then hold (Shift+S)" });
    one.addEventListener("click", () => void actions.advance(unit), { signal });
    return one;
  });
  const stop = button("Stop", { class: "cw-button", testid: "cw-stop", title: "End training and keep a checkpoint" });
  const help = button("?", { class: "cw-button cw-icon", "aria-label": "Keys and help", title: "Keys and help", testid: "cw-help" });
  const bar = h("div", { class: "cw-progress", role: "progressbar", "aria-label": "Training progress", "aria-valuemin": 0, "aria-valuemax": 100 },
    h("div", { class: "cw-progress-fill" }));
  const failure = h("p", { class: "cw-failure", role: "alert", testid: "cw-error" });
  failure.hidden = true;
  const el = h("header", { class: "cw-header" },
    h("div", { class: "cw-header-line" },
      h("span", { class: "cw-state" }, dot, word),
      position,
      h("span", { class: "cw-facts" }, pace, left, cost, learning, device),
      connection,
      h("span", { class: "cw-buttons" }, pause, ...units, stop, help),
      bar),
    failure);

  pause.addEventListener("click", () => void actions.pauseOrResume(), { signal });
  stop.addEventListener("click", () => void actions.stop(), { signal });
  help.addEventListener("click", openHelp, { signal });

  let announced = "";
  function showStatus(state: State): void {
    const { status } = state;
    const recorded = status?.state ?? "idle";
    // What trained in a kernel that is gone trains no more.
    const run = state.connection === "gone" && (recorded === "training" || recorded === "paused") ? "interrupted" : recorded;
    setAttr(el, "data-state", run);
    setText(word, status === null ? "Waiting" : STATE_WORDS[run]);
    setHidden(position, status === null);
    if (status === null) return;
    if (announced !== "" && announced !== run) announce(`${STATE_WORDS[run]} at step ${status.step}`);
    announced = run;
    const total = status.total_steps;
    setText(epoch, epochText(status));
    setText(step, total === null ? `step ${status.step}` : `step ${status.step} of ${total}`);
    setAttr(step, "data-step", status.step);
    const done = total !== null && total > 0 ? Math.min(1, status.step / total) : 0;
    setAttr(bar, "aria-valuenow", Math.round(done * 100));
    setVar(bar, "--cw-done", done.toFixed(4));
    const running = run === "training";
    setText(leftValue, running && status.seconds_left !== null ? `${duration(status.seconds_left)} left` : "");
    setText(paceValue, running && status.steps_per_second !== null ? speed(status.steps_per_second) : "");
    setText(learningValue, status.learning_rate === null ? "" : `lr ${rate(status.learning_rate)}`);
    setText(deviceValue, status.device);
    setAttr(device, "title", status.kernels === "" ? "device" : `device; the forecast's kernels: ${status.kernels}`);
    setText(costValue, status.cost_percent === null ? "" : `tool ${status.cost_percent.toFixed(1)} %`);
    setText(failure, run === "failed" ? (status.error ?? "Training failed.") : "");
    setHidden(failure, run !== "failed");
  }

  function showButtons(state: State): void {
    const run = state.status?.state ?? "idle";
    const reachable = isReachable(state);
    const paused = run === "paused";
    const label = state.asked === "pause" ? "Pausing" : state.asked === "resume" ? "Resuming" : paused ? "Resume" : "Pause";
    setText(pause, label);
    setText(stop, state.asked === "stop" ? "Stopping" : "Stop");
    const steerable = reachable && (paused || run === "training");
    // What holds nothing says what would begin or go on.
    setAttr(pause, "title", reachable && !steerable ? "Nothing is training; session.train(epochs=…) begins, or goes on" : null);
    pause.disabled = !steerable || state.asked === "stop";
    stop.disabled = !steerable;
    for (const one of units) one.disabled = !steerable || state.asked !== null;
    setAttr(pause, "aria-busy", state.asked === "pause" || state.asked === "resume" ? "true" : null);
    const [text, title] = CONNECTION[state.connection];
    setText(connection, text);
    setAttr(connection, "title", title);
    setAttr(connection, "data-connection", state.connection);
  }

  return {
    el,
    keys: ["status", "asked", "connection"],
    update(state, changed) {
      if (changed.has("status") || changed.has("connection")) showStatus(state);
      showButtons(state);
    },
  };
}

/** The newest notice or failed request. */
export function createNotice({ actions, store, signal }: Context): Part {
  const text = h("span", { testid: "cw-notice" });
  const dismiss = button("×", { class: "cw-button cw-icon cw-quiet", "aria-label": "Dismiss notice" });
  const others = button("End the other sessions", { class: "cw-button", testid: "cw-close-others", title: "Stop and close every other session of this kernel" });
  others.addEventListener("click", () => {
    void actions.send({ kind: "close_others" });
    dismiss.click(); // the answer comes where answers are shown
  }, { signal });
  const el = h("div", { class: "cw-notice", role: "status" }, text, others, dismiss);
  dismiss.addEventListener("click", () => {
    const newest = store.state.notices[store.state.notices.length - 1];
    store.patch(store.state.problem === null && newest ? { dismissed: noticeKey(newest) } : { problem: null });
  }, { signal });
  return {
    el,
    keys: ["notices", "problem", "dismissed", "connection"],
    update(state) {
      const newest = state.notices[state.notices.length - 1];
      const fresh = newest !== undefined && noticeKey(newest) !== state.dismissed ? newest : null;
      const shown = state.problem ?? fresh?.text ?? "";
      setText(text, shown);
      setAttr(el, "data-level", state.problem !== null ? "error" : (fresh?.level ?? null));
      setHidden(el, shown === "");
      setHidden(others, state.problem !== null || fresh?.offer !== "close_others" || !isReachable(state));
    },
  };
}

/** The last line: what the tool itself has cost. */
export function createFooter(): Part {
  const el = h("footer", { class: "cw-footer" });
  return {
    el,
    keys: ["status"],
    update({ status }) {
      setText(el, status === null ? "" : status.overlays_made === 0 ? status.run_id :
        `${status.run_id} · ${plural(status.overlays_made, "map")}, ${duration(status.overlay_seconds)} of processor time${status.rest_seconds > 0 ? `, training rested ${status.rest_seconds.toFixed(1)} s` : ""}`);
    },
  };
}
