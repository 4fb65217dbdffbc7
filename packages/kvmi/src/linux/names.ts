/** Names that are told where none was found. */
const NEAREST = 4;

/** The names that `pattern` covers, in which `*` stands for any characters and `?` for one. */
export function matching(names: Iterable<string>, pattern: string): string[] {
  const parts = pattern.split(/([*?])/).map((part) => (part === "*" ? ".*" : part === "?" ? "." : literal(part)));
  const shape = new RegExp(`^${parts.join("")}$`, "s");
  return [...names].filter((name) => shape.test(name));
}

const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");

/** Up to four names that `name` may have been meant for: with few letters different, or with all of it in them. Best first. */
export function nearest(names: Iterable<string>, name: string): string[] {
  const most = Math.max(1, Math.floor(name.length / 4));
  const found: { readonly name: string; readonly rank: number }[] = [];
  for (const candidate of names) {
    const rank = rankOf(candidate, name, most);
    if (rank !== null) found.push({ name: candidate, rank });
  }
  return found
    .sort((a, b) => a.rank - b.rank || a.name.length - b.name.length)
    .slice(0, NEAREST)
    .map((each) => each.name);
}

/** How far apart they are; null: too far. */
function rankOf(candidate: string, name: string, most: number): number | null {
  const longer = candidate.length - name.length;
  // Who errs does so behind the first letter.
  if (Math.abs(longer) <= most && candidate[0] === name[0]) {
    const steps = distance(candidate, name);
    if (steps <= most) return steps;
  }
  return name.length > 3 && candidate.includes(name) ? most + longer : null;
}

/** Letters to put in, leave out, change or swap with their neighbour (optimal string alignment). */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, k) => k);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let k = 1; k <= b.length; k++) {
      const same = a[i - 1] === b[k - 1] ? 0 : 1;
      let least = Math.min(at(previous, k) + 1, at(row, k - 1) + 1, at(previous, k - 1) + same);
      if (i > 1 && k > 1 && a[i - 1] === b[k - 2] && a[i - 2] === b[k - 1])
        least = Math.min(least, at(before, k - 2) + 1);
      row.push(least);
    }
    before = previous;
    previous = row;
  }
  return at(previous, b.length);
}

const at = (row: readonly number[], k: number): number => row[k] ?? 0;
