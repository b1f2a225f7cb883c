// One sample in all runs: its newest map in each, as small pictures beside each other.

import { h, isolated, setAttr, setHidden, setText } from "../dom";
import { plural } from "../format";
import { showThumbnail } from "../thumbnails";
import type { Answer } from "./asking";
import { DataError, fields, list, number } from "./data";
import type { Link } from "./link";

interface Small {
  run: number;
  step: number | null;
  png: Uint8Array;
}

export interface Beside {
  sample: number;
  offered: number[];
  shown: Small[];
  without: number;
  more: number;
  alike: boolean;
}

/** Null where no run keeps a map. */
export function readBeside(data: unknown, runs: number): Beside | null {
  const given = fields(data ?? {}, "maps");
  if (given["sample"] === undefined) return null;
  return {
    sample: number(given["sample"], "maps.sample"), offered: list(given["offered"], "maps.offered", number),
    shown: list(given["shown"], "maps.shown", (one, what) => {
      const { run, step, png } = fields(one, what);
      const place = number(run, `${what}.run`);
      if (!(png instanceof DataView) || place < 0 || place >= runs) throw new DataError(`${what} is no picture of a run`);
      return { run: place, step: step === null ? null : number(step, `${what}.step`), png: new Uint8Array(png.buffer, png.byteOffset, png.byteLength) };
    }),
    without: number(given["without"], "maps.without"), more: number(given["more"], "maps.more"), alike: given["alike"] !== false,
  };
}

export interface Maps {
  el: HTMLElement;
  show(beside: Beside | null): void;
  connected(alive: boolean): void;
}

export function createMaps(names: readonly string[], link: Link, colours: readonly string[], ask: (sample: number) => Promise<Answer>, signal: AbortSignal): Maps {
  const offered = h("datalist", { id: `cr-samples-${crypto.getRandomValues(new Uint32Array(1))[0]}` });
  const field = h("input", { class: "cr-input", type: "number", min: 0, step: 1, list: offered.id, testid: "cr-sample", "aria-label": "Number of the sample" });
  const said = h("p", { class: "cr-said", "aria-live": "polite", testid: "cr-maps-said" });
  const row = h("div", { class: "cr-maps" });
  const el = h("section", { class: "cr-panel cr-form", "aria-label": "One sample in all runs", hidden: true },
    h("div", { class: "cr-tools" }, h("label", { class: "cr-label" }, "Sample ", field), offered), row, said);
  let figures: { run: number; el: HTMLElement }[] = [];

  function highlight(): void {
    for (const one of figures) {
      setAttr(one.el, "class", `cr-map${link.hovered === one.run ? " cr-on" : ""}`);
      setHidden(one.el, !link.keeps(one.run));
    }
  }

  field.addEventListener("change", () => {
    const asked = Number(field.value);
    if (field.value === "" || !Number.isInteger(asked) || asked < 0) return;
    ask(asked).then((answer) => {
      if (!answer.ok) setText(said, answer.text);
    }, (error: unknown) => {
      setText(said, error instanceof Error ? error.message : String(error));
    });
  }, { signal });
  row.addEventListener("pointerover", (event) => {
    const at = (event.target as Element).closest<HTMLElement>("[data-run]")?.dataset["run"];
    link.hover(at === undefined ? null : Number(at));
  }, { signal });
  row.addEventListener("pointerleave", () => {
    link.hover(null);
  }, { signal });
  link.listen(highlight);

  return {
    el,
    show(beside) {
      setHidden(el, beside === null);
      if (beside === null) return;
      field.value = String(beside.sample);
      offered.replaceChildren(...beside.offered.map((one) => h("option", { value: one })));
      figures = beside.shown.map((one) => {
        const name = names[one.run] ?? "";
        const what = one.step === null ? "no map" : `map of step ${one.step}`;
        const image = h("img", { alt: `Sample ${beside.sample} in ${name}, ${what}`, width: 96 });
        showThumbnail(image, one.png);
        const swatch = h("span", { class: "cr-swatch", "aria-hidden": "true" });
        swatch.style.background = colours[one.run] ?? "";
        const label = isolated();
        label.textContent = name;
        return { run: one.run, el: h("figure", { "data-run": one.run }, image, h("figcaption", {}, swatch, label, h("span", { class: "cr-note" }, ` ${what}`))) };
      });
      row.replaceChildren(...figures.map((one) => one.el));
      setText(said, [
        beside.shown.length === 0 ? "No run has a picture of this sample." : "",
        beside.without > 0 && beside.shown.length > 0 ? `${plural(beside.without, "run")} without a picture of it.` : "",
        beside.more > 0 ? `${plural(beside.more, "more run")} not shown.` : "",
        beside.alike ? "" : "The runs were trained on different data: the number may mean another sample in each.",
      ].filter(Boolean).join(" "));
      highlight();
    },
    connected(alive) {
      field.disabled = !alive;
    },
  };
}
