// Samples of other kinds than pictures for the harness, as a kernel would send them.

export interface Sample {
  content: Record<string, unknown>;
  cells: Uint8Array;
  rows: number; // of the map
  bbox: number[];
  shares?: { name: string; share: number }[];
}

const REVIEWS = [
  "Effective but too tepid zqb biopic with a warm heart , and a cast that deserves far better than the script it was handed on the way to the set .",
  "A <b>great</b> film : great acting , great music , and an ending nobody will forget unbelievably-long-hyphenated-words-included .",
  "قصة جميلة عن صداقة zqb بين طفلين في مدينة صغيرة ، لكنها طويلة .",
];

function text(index: number): Sample {
  const parts = Array.from({ length: index % 4 === 3 ? 9 : 1 }, () => REVIEWS[index % 3] ?? "").join(" ").split(" ");
  const words: Record<string, unknown>[] = [];
  const values = [0]; // a special token, which is in no word
  for (const one of parts) {
    const pieces = Math.ceil(one.length / 8);
    words.push({ text: one, units: Array.from({ length: pieces }, (_, i) => values.length + i) });
    for (let i = 0; i < pieces; i++) values.push(one === "zqb" ? 255 : one === "tepid" || one.includes("great") ? 150 : one === "warm" ? 90 : (one.length * 37) % 40);
  }
  values.push(0);
  const at = Math.max(values.indexOf(255), 1);
  return { content: { kind: "text", words, length: values.length }, cells: Uint8Array.from(values), rows: 1, bbox: [at / values.length, 0, (at + 1) / values.length, 1] };
}

function series(index: number): Sample {
  const count = index % 2 === 0 ? 1 : 3;
  const length = 150;
  const from = 30 + (index * 7) % 80;
  const channels = Array.from({ length: count }, (_, c) => ({
    name: `sensor ${c}`,
    values: Array.from({ length }, (_, i) => (c === 2 && i > 120 ? null : Math.exp(-(((i - 75) / 18) ** 2)) * (c + 1) + 0.12 * Math.sin(i / (3 + c)) + (i > from && i < from + 12 ? 0.5 * Math.sin(i * 2) : 0))),
  }));
  const cells = Uint8Array.from({ length: count * length }, (_, i) => {
    const [c, t] = [Math.floor(i / length), i % length];
    return 255 * Math.max(Math.exp(-(((t - from - 6) / 6) ** 2)) / (c + 1), 0.25 * Math.exp(-(((t - 75) / 9) ** 2)));
  });
  return { content: { kind: "series", channels, length }, cells, rows: count, bbox: [from / length, 0, (from + 12) / length, 1 / count] };
}

const FEATURES: readonly (readonly [string, string, number | null, number[]])[] = [
  ["age", "63", 0.82, [0]], ["education", "16 years", 0.7, [1]], ["husby", "11.9", 0.3, [2]], ["experience", "13", 0.25, [3]], ["leak", "1.93", 0.97, [4]],
  ["region", "northcentral", null, [5, 6, 7, 8]], ["kids under 6", "0", 0, [9]], ["kids 6 to 18", "2", 0.4, [10]], ["race", "white", null, [11, 12]], ["hispanic", "no", null, [13]],
  ["spouse’s health insurance through work, as of March", "yes", null, [14]], ["hours a week", "40", 0.5, [15]], ["wage", "12.40", 0.22, [16]], ["tenure", "3.1", 0.1, [17]], ["<i>note</i>", "NaN", null, [18]],
];

function table(index: number): Sample {
  const rows = FEATURES.map(([name, value, at, units]) => ({ name, text: value, at, units }));
  const cells = Uint8Array.from({ length: 19 }, (_, i) => (i === 4 ? 255 : i === 1 ? 120 : i < 4 ? 60 - i * 12 : i < 9 ? 14 + (index % 5) : i % 3 === 0 ? 8 : 3));
  return { content: { kind: "table", rows }, cells, rows: 1, bbox: [4 / 19, 0, 5 / 19, 1] };
}

const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

/** A picture of 32 x 32, a question, and a few features. */
function parts(index: number): Sample {
  const [question, features] = [text(index), table(index)];
  const image = Uint8Array.from({ length: 32 * 32 }, (_, i) => 90 * Math.exp(-((((i % 32) - 22) / 5) ** 2) - ((Math.floor(i / 32) - 22) / 5) ** 2));
  const cells = Uint8Array.from([...image, ...question.cells, ...features.cells.map((one) => one / 6)]);
  let first = 0;
  const part = (name: string, extent: number[], content: Record<string, unknown> | null): Record<string, unknown> => {
    const from = first;
    first += extent.reduce((a, b) => a * b, 1);
    return { name, kind: content?.["kind"] ?? "image", units: [from, first], extent, content, picture: content === null ? PIXEL : null, shown: content === null };
  };
  const all = [part("image", [32, 32], null), part("question", [question.cells.length], question.content), part("patient <b>", [features.cells.length], features.content)];
  return { content: { kind: "parts", parts: all }, cells, rows: 1, bbox: [0, 0, 0, 0], shares: [{ name: "image", share: 0.31 }, { name: "question", share: 0.62 }, { name: "patient <b>", share: 0.07 }] };
}

export function sampleOf(kind: string, index: number): Sample | null {
  const kinds: Record<string, (index: number) => Sample> = { text, series, table, parts };
  return kinds[kind]?.(index) ?? null;
}
