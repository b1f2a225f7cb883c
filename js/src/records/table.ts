// A row a run or a trial; a click on a head sorts, the row under the pointer stands out everywhere.

import { button, h, isolated, setAttr, setHidden } from "../dom";
import { shortName, type Cell, type Column } from "./data";
import type { Link } from "./link";
import { plain } from "./scatter";

export interface Row {
  name: string;
  /** Beside the name, as "best". */
  note?: string;
}

export interface Table {
  el: HTMLElement;
  show(rows: readonly Row[], columns: readonly Column[]): void;
}

/** `actions` makes what stands at the end of a row. */
export function createTable(
  label: string, what: string, link: Link, colours: () => readonly string[], signal: AbortSignal, actions?: (row: number) => HTMLElement[],
): Table {
  const head = h("tr");
  const body = h("tbody");
  const el = h("div", { class: "cr-scroll", tabindex: 0, role: "region", "aria-label": label }, h("table", { class: "cr-table" }, h("thead", {}, head), body));
  let sorted: { name: string; down: boolean } | null = null;
  let shown: { rows: readonly Row[]; columns: readonly Column[] } = { rows: [], columns: [] };
  let lines: HTMLTableRowElement[] = []; // by row, however they are sorted

  function sort(name: string): void {
    const better = shown.columns.find((one) => one.name === name)?.better;
    sorted = sorted?.name !== name ? { name, down: better === "higher" } : { name, down: !sorted.down };
    draw();
  }

  function order(): number[] {
    const rows = [...shown.rows.keys()];
    if (sorted === null) return rows;
    const { name, down } = sorted;
    const values: readonly Cell[] = name === "" ? shown.rows.map((one) => one.name) : (shown.columns.find((one) => one.name === name)?.values ?? []);
    return rows.sort((a, b) => {
      const [p, q] = [values[a] ?? null, values[b] ?? null];
      if (p === null || q === null) return Number(p === null) - Number(q === null); // what is missing comes last
      const by = typeof p === "number" && typeof q === "number" ? p - q : String(p).localeCompare(String(q), "en", { numeric: true });
      return down ? -by : by;
    });
  }

  function draw(): void {
    const held = focusKey();
    const { rows, columns } = shown;
    const heads = [{ name: "", title: what }, ...columns.map((one) => ({ name: one.name, title: shortName(one.name) }))].map(({ name, title }) => {
      const on = sorted?.name === name;
      const sorter = button(title, { class: "cr-sort", "data-focus": `head ${name}`, title: name || title }, on ? (sorted?.down ? " ▾" : " ▴") : "");
      sorter.addEventListener("click", () => {
        sort(name);
      });
      const numbers = columns.find((one) => one.name === name)?.values.some((one) => typeof one === "number") ?? false;
      return h("th", { scope: "col", class: numbers ? "cr-number" : false, "aria-sort": on ? (sorted?.down ? "descending" : "ascending") : "none" }, sorter);
    });
    head.replaceChildren(...heads, ...(actions ? [h("th", { scope: "col" }, h("span", { class: "cr-sr" }, "Actions"))] : []));
    lines = rows.map((row, i) => {
      const swatch = h("span", { class: "cr-swatch", "aria-hidden": "true" });
      swatch.style.background = colours()[i] ?? "";
      const name = isolated();
      name.textContent = row.name;
      const line = h("tr", { "data-row": i }, h("th", { scope: "row", title: row.name }, swatch, name, ...(row.note ? [h("span", { class: "cr-note" }, row.note)] : [])));
      for (const one of columns) {
        const value = one.values[i] ?? null;
        const cell = h("td", typeof value === "number" ? { class: "cr-number" } : typeof value === "string" ? { title: value } : {});
        cell.textContent = value === null ? "" : plain(value);
        line.append(cell);
      }
      if (actions) line.append(h("td", { class: "cr-actions" }, ...actions(i)));
      return line;
    });
    body.replaceChildren(...order().map((i) => lines[i] as HTMLTableRowElement));
    highlight();
    if (held !== null) el.querySelector<HTMLElement>(`[data-focus="${CSS.escape(held)}"]`)?.focus({ preventScroll: true });
  }

  function focusKey(): string | null {
    const tree = el.getRootNode() as Document | ShadowRoot;
    const focused = tree.activeElement as HTMLElement | null;
    return focused && el.contains(focused) ? (focused.dataset["focus"] ?? null) : null;
  }

  function highlight(): void {
    lines.forEach((line, i) => {
      setAttr(line, "class", link.hovered === i ? "cr-on" : null);
      setHidden(line, !link.keeps(i));
    });
  }

  body.addEventListener("pointerover", (event) => {
    const row = (event.target as Element).closest<HTMLElement>("[data-row]")?.dataset["row"];
    link.hover(row === undefined ? null : Number(row));
  }, { signal });
  body.addEventListener("pointerleave", () => {
    link.hover(null);
  }, { signal });
  link.listen(highlight);
  return {
    el,
    show(rows, columns) {
      // A column may take another name, as one that says a threshold does: its place tells which it is.
      const at = shown.columns.findIndex((one) => one.name === sorted?.name);
      const now = columns[at];
      if (sorted !== null && now !== undefined && columns.length === shown.columns.length && columns.every((one) => one.name !== sorted?.name)) sorted = { ...sorted, name: now.name };
      shown = { rows, columns };
      draw();
    },
  };
}
