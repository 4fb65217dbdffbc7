/**
 * The breakpoints that DR0-DR3 and DR7 describe: SDM vol. 3, 17.2. Masks have bit n set for DRn, as B0-B3 of DR6 do. And those of the host,
 * which the guest has no means to see.
 */
interface Point {
  /** Bit of DR6. */
  readonly mask: number;
  readonly lo: number;
  readonly hi: number;
  /** Bytes, from `lo` on: 1, 2, 4 or 8. */
  readonly length: number;
}

/** R/W field of DR7. */
enum Kind {
  Execute = 0,
  Write = 1,
  Io = 2,
  ReadWrite = 3,
}

/** Length by LEN field of DR7. */
const LENGTHS: readonly number[] = [1, 2, 8, 4];

const overlaps = (p: Point, lo: number, hi: number, size: number): boolean => {
  const first = lo >>> 0;
  const start = p.lo >>> 0;
  return hi === p.hi && first < start + p.length && first + size > start;
};

const masksOf = (points: readonly Point[], lo: number, hi: number, size: number): number =>
  points.reduce((mask, p) => (overlaps(p, lo, hi, size) ? mask | p.mask : mask), 0);

export class Breakpoints {
  #code: readonly Point[] = [];
  #writes: readonly Point[] = [];
  #reads: readonly Point[] = [];
  #io: readonly Point[] = [];
  /** Addresses the host watches, as offsets by page and by high half. */
  readonly #watched = new Map<number, Map<number, Set<number>>>();

  /**
   * @param dr DR0-DR7 as pairs of halves
   * @param debuggingExtensions CR4.DE: without it, R/W = 10 is undefined and taken as no breakpoint
   */
  update(dr: Int32Array, debuggingExtensions: boolean): void {
    const dr7 = dr[14] as number;
    const points: Record<Kind, Point[]> = { [Kind.Execute]: [], [Kind.Write]: [], [Kind.Io]: [], [Kind.ReadWrite]: [] };
    for (let n = 0; n < 4; n++) {
      if (((dr7 >>> (2 * n)) & 3) === 0) continue;
      const field = (dr7 >>> (16 + 4 * n)) & 15;
      const length = LENGTHS[field >> 2] as number;
      // Low bits that the length covers are ignored.
      points[(field & 3) as Kind].push({
        mask: 1 << n,
        lo: (dr[2 * n] as number) & ~(length - 1),
        hi: dr[2 * n + 1] as number,
        length,
      });
    }
    this.#code = points[Kind.Execute];
    this.#writes = [...points[Kind.Write], ...points[Kind.ReadWrite]];
    this.#reads = points[Kind.ReadWrite];
    this.#io = debuggingExtensions ? points[Kind.Io] : [];
  }

  /** Has the host see (or no longer see) the instruction at `hi:lo`. */
  watch(lo: number, hi: number, on: boolean): void {
    const pages = this.#watched.get(hi) ?? new Map<number, Set<number>>();
    const page = lo >>> 12;
    const offsets = pages.get(page) ?? new Set<number>();
    if (on) offsets.add(lo & 0xfff);
    else offsets.delete(lo & 0xfff);
    if (offsets.size > 0) pages.set(page, offsets);
    else pages.delete(page);
    if (pages.size > 0) this.#watched.set(hi, pages);
    else this.#watched.delete(hi);
  }

  /** The host watches no instruction any more. */
  unwatch(): void {
    this.#watched.clear();
  }

  /** The host watches the instruction at `hi:lo`. */
  watched(lo: number, hi: number): boolean {
    return (
      this.#watched.size > 0 &&
      this.#watched
        .get(hi)
        ?.get(lo >>> 12)
        ?.has(lo & 0xfff) === true
    );
  }

  /** Some instruction in the page of `hi:lo` has a breakpoint or is watched. */
  onCodePage(lo: number, hi: number): boolean {
    if (this.#watched.size > 0 && this.#watched.get(hi)?.has(lo >>> 12)) return true;
    return this.#code.length > 0 && masksOf(this.#code, lo & ~0xfff, hi, 4096) !== 0;
  }

  /** Breakpoints of the instruction at `hi:lo`. */
  code(lo: number, hi: number): number {
    return this.#code.length > 0 ? masksOf(this.#code, lo, hi, 1) : 0;
  }

  /** Data in the page of `hi:lo` has a breakpoint. */
  onDataPage(lo: number, hi: number): boolean {
    return this.#writes.length > 0 && masksOf(this.#writes, lo & ~0xfff, hi, 4096) !== 0;
  }

  data(lo: number, hi: number, size: number, write: boolean): number {
    return this.#writes.length > 0 ? masksOf(write ? this.#writes : this.#reads, lo, hi, size) : 0;
  }

  io(port: number, size: number): number {
    return this.#io.length > 0 ? masksOf(this.#io, port, 0, size) : 0;
  }
}
