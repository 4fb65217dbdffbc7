const PAGE = 4096;
/** Pages of zeros in a row that are worth a range of their own. */
const LONG = 16;

/** Whole pages in a row. */
interface Run {
  readonly gpa: number;
  readonly bytes: Uint8Array;
}

/** Pages of zeros in a row: bytes of a run from `start` to before `end`. */
interface Zeros {
  readonly run: Run;
  readonly start: number;
  readonly end: number;
}

/**
 * Runs without what is nothing but zeros for long: a page that is accepted instead of added is zero as well, and costs a fraction. Shorter ones stay.
 * @param most as many are left out at most, the longest; each is a range more that has to be accepted
 */
export function withoutZeros<T extends Run>(runs: readonly T[], most: number): T[] {
  const longest = runs
    .flatMap(zerosOf)
    .filter(({ start, end }) => end - start >= LONG * PAGE)
    .sort((a, b) => b.end - b.start - (a.end - a.start))
    .slice(0, most);
  return runs.flatMap((run) => {
    const kept: T[] = [];
    let from = 0;
    const keep = (end: number): void => {
      if (end > from) kept.push({ ...run, gpa: run.gpa + from, bytes: run.bytes.subarray(from, end) });
    };
    for (const { start, end } of longest.filter((zeros) => zeros.run === run).sort((a, b) => a.start - b.start)) {
      keep(start);
      from = end;
    }
    keep(run.bytes.length);
    return kept;
  });
}

function zerosOf(run: Run): Zeros[] {
  const { bytes } = run;
  const found: Zeros[] = [];
  let start = -1;
  for (let page = 0; page <= bytes.length; page += PAGE) {
    const isZero = page < bytes.length && isZeroPage(bytes, page);
    if (isZero && start < 0) start = page;
    if (isZero || start < 0) continue;
    found.push({ run, start, end: page });
    start = -1;
  }
  return found;
}

function isZeroPage(bytes: Uint8Array, page: number): boolean {
  for (let at = page; at < page + PAGE; at++) if (bytes[at] !== 0) return false;
  return true;
}
