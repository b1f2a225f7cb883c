// Names of classes, cut where all of them begin alike: "n02085620-Chihuahua" is "Chihuahua".

const cut = new WeakMap<readonly string[], readonly string[]>();

/** The names without what all of them begin with, up to a separator; each keeps some of its own. */
export function shortNames(names: readonly string[]): readonly string[] {
  const known = cut.get(names);
  if (known !== undefined) return known;
  const length = names.length < 2 ? 0 : commonStart(names);
  const short = length === 0 ? names : names.map((name) => name.slice(length));
  cut.set(names, short);
  return short;
}

/** Length of the longest common start that ends in a separator and leaves no name empty. */
function commonStart(names: readonly string[]): number {
  const [first = "", ...rest] = names;
  let same = first.length;
  for (const name of rest) {
    let i = 0;
    while (i < same && name[i] === first[i]) i++;
    same = i;
  }
  const end = /^[\s\S]*[\s\-_./:|]/.exec(first.slice(0, same))?.[0].length ?? 0;
  return end < 3 || names.some((name) => name.length <= end) ? 0 : end;
}
