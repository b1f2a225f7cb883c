// Which stretches of a long text are folded: what is far from all that the map, or a person, marks.

const LONG = 90; // words of a text that is folded
const AROUND = 10; // words that stay beside a telling one
const LEAST = 12; // words that are worth folding
const TELLING = 0.35; // share of the strongest

/** Stretches of words, half open; none where a text is short or nothing in it tells. */
export function foldsOf(values: readonly number[], marked: readonly boolean[]): [number, number][] {
  const most = Math.max(0, ...values);
  if (values.length < LONG || (most === 0 && !marked.includes(true))) return [];
  const kept = new Array<boolean>(values.length).fill(false);
  values.forEach((value, i) => {
    if ((most > 0 && value >= TELLING * most) || marked[i] === true) kept.fill(true, Math.max(0, i - AROUND), i + AROUND + 1);
  });
  const folds: [number, number][] = [];
  for (let i = 0; i < kept.length;) {
    let end = i;
    while (end < kept.length && kept[end] === kept[i]) end++;
    if (kept[i] !== true && end - i >= LEAST) folds.push([i, end]);
    i = end;
  }
  return folds;
}
