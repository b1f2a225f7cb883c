// Names of classes, cut where all of them begin alike: "n02085620-Chihuahua" is "Chihuahua".

const cut = new WeakMap<readonly string[], readonly string[]>();

/** The names without what all of them begin with, up to a separator; each keeps some of its own. */
export function shortNames(names: readonly string[]): readonly string[] {
  const known = cut.get(names);
  if (known !== undefined) return known;
  const length = names.length < 2 ? 0 : commonStart(names);
  const short = length === 0 ? withoutIds(names) : names.map((name) => name.slice(length));
  cut.set(names, short);
  return short;
}

/** The names without an identifier that each begins with, as "n02085620-" or "017."; all of them, or none. */
function withoutIds(names: readonly string[]): readonly string[] {
  const rest = names.map((name) => /^[a-z]{0,3}\d+[\s\-_.:|]+(?=\S*[^\d\s])/i.exec(name)?.[0].length ?? 0);
  if (names.length < 2 || rest.includes(0)) return names;
  const short = names.map((name, i) => name.slice(rest[i]));
  return new Set(short).size === new Set(names).size ? short : names;
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
