// The top line: state, position, what matters now, and the buttons that hold or end training.

import { goesOn } from "./actions";
import { CONNECTION } from "./coach";
import { button, h, setAttr, setHidden, setText, setVar } from "./dom";
import { duration, plural, rate, speed, value } from "./format";
import { icon, setIcon, type IconName } from "./icons";
import { createPopover } from "./popover";
import type { ShownState, Status } from "./protocol";
import type { Screen } from "./screen";
import { isReachable, type State } from "./state";
import type { Context, Part } from "./view";

const STATE_WORDS: Record<ShownState, string> = {
  idle: "Idle", interrupted: "Interrupted", training: "Training", paused: "Paused", stopped: "Stopped", finished: "Finished", failed: "Failed",
};
/** "epoch 7 of 20": the epoch being trained, or the last one where training is over. */
export function epochText(status: Status): string {
  const { epoch, total_epochs: epochs, state } = status;
  const over = state === "finished" || state === "idle" || epoch === epochs;
  const current = over ? epoch : epoch + 1;
  return epochs === null || current > epochs ? `epoch ${current}` : `epoch ${current} of ${epochs}`;
}

/** The run's own facts, in a sentence: what it runs on and what the tool has taken so far. */
export function runText(status: Status): string {
  const kernels = status.kernels === "" ? "" : `, the forecast's kernels: ${status.kernels}`;
  const maps = status.overlays_made === 0 ? "" : ` · ${plural(status.overlays_made, "map")}, ${duration(status.overlay_seconds)} of processor time`;
  const rests = status.rest_seconds > 0 ? `, training rested ${status.rest_seconds.toFixed(1)} s` : "";
  return `${status.run_id} on ${status.device}${kernels}${maps}${rests}`;
}

function fact(name: string, testid = ""): [HTMLElement, HTMLElement] {
  const shown = h("span", { class: "cw-fact-value", ...(testid === "" ? {} : { testid }) });
  return [h("span", { class: "cw-fact", title: name }, h("span", { class: "cw-sr" }, `${name} `), shown), shown];
}

export function createHeader({ actions, signal, announce, store }: Context, screen: Screen, openHelp: () => void): Part {
  const dot = h("span", { class: "cw-dot", "aria-hidden": "true" });
  const word = h("span", { class: "cw-state-word", testid: "cw-state" });
  const epoch = h("span", { class: "cw-epoch" });
  const step = h("span", { class: "cw-step", testid: "cw-step" });
  const position = h("span", { class: "cw-position" }, epoch, h("span", { class: "cw-sep", "aria-hidden": "true" }, " · "), step);
  const [left, leftValue] = fact("time left");
  const [loss, lossValue] = fact("newest loss of the training, and of the validation");
  const [accuracy, accuracyValue] = fact("newest accuracy in training, and in validation");
  const [pace, paceValue] = fact("speed");
  const [learning, learningValue] = fact("learning rate");
  const [cost, costValue] = fact("time of the training thread that went to this tool, in % of the training", "cw-tool-cost");
  const connection = h("span", { class: "cw-connection", testid: "cw-connection" });

  const named = (name: IconName, label: string, attributes: Record<string, string>): HTMLButtonElement =>
    button("", attributes, icon(name), h("span", { class: "cw-word" }, label));
  const pause = named("pause", "Pause", { class: "cw-button cw-primary cw-hold", testid: "cw-pause" });
  const stop = named("stop", "Stop", { class: "cw-button cw-stop", testid: "cw-stop" });
  const units = (["step", "epoch"] as const).map((unit) => {
    const one = button(unit === "step" ? "Step" : "Epoch", { class: "cw-button", testid: `cw-one-${unit}`, title: unit === "step" ? "Train one step, then hold (S)" : "Train to the end of the epoch, then hold (Shift+S)" });
    one.addEventListener("click", () => void actions.advance(unit), { signal });
    return one;
  });
  const save = named("save", "Save page", { class: "cw-button cw-bare", testid: "cw-save", title: "Save page: this run as one file that anybody can open, without a kernel" });
  save.addEventListener("click", () => void actions.save(), { signal });
  const full = named("full", "Full screen", { class: "cw-button cw-bare", testid: "cw-full", title: "Full screen" });
  full.addEventListener("click", screen.toggle, { signal });
  full.hidden = !screen.possible;
  const help = named("help", "Keys and help", { class: "cw-button cw-bare", title: "Keys and help (?)", testid: "cw-help" });
  help.addEventListener("click", openHelp, { signal });
  const opener = button("⋯", { class: "cw-button cw-icon cw-opener", testid: "cw-more", "aria-label": "More", title: "More" });
  const more = createPopover(opener, "More", "cw-more", signal, ...units, save, full, help);
  more.panel.addEventListener("click", () => {
    more.close();
  }, { signal });
  const bar = h("div", { class: "cw-progress", role: "progressbar", "aria-label": "Training progress", "aria-valuemin": 0, "aria-valuemax": 100 },
    h("div", { class: "cw-progress-fill" }));
  const el = h("header", { class: "cw-header" },
    h("span", { class: "cw-state" }, dot, word), position,
    h("span", { class: "cw-facts" }, left, loss, accuracy, cost, pace, learning),
    connection, h("span", { class: "cw-buttons" }, pause, stop, more.el), bar);

  pause.addEventListener("click", () => void actions.pauseOrResume(), { signal });
  stop.addEventListener("click", () => void actions.stop(), { signal });

  let announced = "";
  function showStatus(state: State): void {
    const { status } = state;
    const recorded = status?.state ?? "idle";
    // What trained in a kernel that is gone trains no more.
    const run = state.connection === "gone" && (recorded === "training" || recorded === "paused") ? "interrupted" : recorded;
    setAttr(el, "data-state", run);
    // A saved page knows what was under way when it was saved, not whether it still is.
    const past = state.connection === "saved" && (run === "training" || run === "paused");
    setText(word, status === null ? "Waiting" : past ? `Was ${run}` : STATE_WORDS[run]);
    setHidden(position, status === null);
    if (status === null) return;
    if (announced !== "" && announced !== run) announce(`${STATE_WORDS[run]} at step ${status.step}`);
    announced = run;
    const total = status.total_steps;
    setText(epoch, epochText(status));
    setAttr(epoch, "data-short", epoch.textContent.replace("epoch ", "").replace(" of ", "/"));
    setText(step, total === null ? `step ${status.step}` : `step ${status.step} of ${total}`);
    setAttr(step, "data-step", status.step);
    setAttr(position, "title", `${epoch.textContent}, ${step.textContent}. ${runText(status)}`);
    const done = total !== null && total > 0 ? Math.min(1, status.step / total) : 0;
    setAttr(bar, "aria-valuenow", Math.round(done * 100));
    setVar(bar, "--cw-done", done.toFixed(4));
    const running = run === "training" && !past;
    setText(leftValue, running && status.seconds_left !== null ? `${duration(status.seconds_left)} left` : "");
    setText(paceValue, running && status.steps_per_second !== null ? speed(status.steps_per_second) : "");
    setText(learningValue, status.learning_rate === null ? "" : `lr ${rate(status.learning_rate)}`);
    setText(costValue, status.cost_percent === null ? "" : `tool ${status.cost_percent.toFixed(1)} %`);
  }

  /** "loss 0.41 · 0.52": of the training, then of the validation. */
  function showNewest(state: State): void {
    const overlap = state.metrics.has("train/iou") || state.metrics.has("val/iou");
    const [quality, short] = overlap ? ["iou", "IoU"] : ["accuracy", "acc"];
    for (const [metric, word, shown] of [["loss", "loss", lossValue], [quality, short, accuracyValue]] as const) {
      const values = ["train", "val"].map((split) => state.metrics.get(`${split}/${metric}`)?.last() ?? null).filter((one) => one !== null);
      setText(shown, values.length === 0 ? "" : `${word} ${values.map(value).join(" · ")}`);
    }
  }

  function showButtons(state: State): void {
    const run = state.status?.state ?? "idle";
    const reachable = isReachable(state);
    const paused = run === "paused";
    const steerable = reachable && (paused || run === "training");
    const over = reachable && state.status !== null && goesOn(state.status);
    const label = state.asked === "pause" ? "Pausing" : state.asked === "resume" ? "Resuming" : state.asked === "continue" ? "Starting" : paused ? "Resume" : over ? "Continue" : "Pause";
    const [mark, name] = pause.children as unknown as [SVGElement, HTMLElement];
    setText(name, label);
    setAttr(pause, "aria-label", label);
    setIcon(mark, paused || over ? "play" : "pause");
    // What holds nothing says what would begin or go on.
    setAttr(pause, "title", paused ? "Go on (P)" : over ? (run === "finished" ? "Train one more epoch (P)" : "Train on from here (P)")
      : steerable ? "Hold at the next step (P)" : reachable ? "Nothing is training; session.train(epochs=…) begins, or goes on" : null);
    pause.disabled = !(steerable || over) || state.asked === "stop" || state.asked === "continue";
    const [, stopName] = stop.children as unknown as [SVGElement, HTMLElement];
    setText(stopName, state.asked === "stop" ? "Stopping" : state.sure ? "Stop now" : "Stop");
    setAttr(stop, "aria-label", stopName.textContent);
    setAttr(stop, "data-sure", state.sure);
    setAttr(stop, "title", state.sure ? "Press again to end the training" : "End the training and keep its weights; asks once");
    stop.disabled = !steerable;
    for (const one of units) one.disabled = !steerable || state.asked !== null;
    save.disabled = !reachable;
    setAttr(pause, "aria-busy", state.asked === "pause" || state.asked === "resume" ? "true" : null);
    const [text, title] = CONNECTION[state.connection];
    setText(connection, text);
    setAttr(connection, "title", title);
    setAttr(connection, "data-connection", state.connection);
  }

  // Who does not press again did not mean it.
  let doubt: ReturnType<typeof setTimeout> | null = null;
  signal.addEventListener("abort", () => {
    if (doubt !== null) clearTimeout(doubt);
  });
  return {
    el,
    keys: ["status", "asked", "connection", "metrics", "sure"],
    update(state, changed) {
      if (changed.has("status") || changed.has("connection")) showStatus(state);
      if (changed.has("metrics")) showNewest(state);
      if (["status", "asked", "connection", "sure"].some((key) => changed.has(key as keyof State))) showButtons(state);
      if (!changed.has("sure")) return;
      if (doubt !== null) clearTimeout(doubt);
      doubt = state.sure ? setTimeout(() => {
        store.patch({ sure: false });
      }, 6000) : null;
    },
  };
}
