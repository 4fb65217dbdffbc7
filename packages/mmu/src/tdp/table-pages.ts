/** Words of a page. */
const WORDS = 1024;

/**
 * Page-table pages: 512 entries of two words each. A page has a number, as a frame has; 0 is none, and the entries there are never present.
 * The host gives memory to those in use only.
 */
export class TablePages {
  readonly u32: Uint32Array;
  readonly #free: number[] = [];
  #next = 1;

  /** @param capacity how many there can be */
  constructor(readonly capacity: number) {
    this.u32 = new Uint32Array((capacity + 1) * WORDS);
  }

  /** Pages not in use. */
  get available(): number {
    return this.capacity + 1 - this.#next + this.#free.length;
  }

  /** A page without a present entry. @throws RangeError if none is available */
  allocate(): number {
    const reused = this.#free.pop();
    if (reused !== undefined) return reused;
    if (this.#next > this.capacity) throw new RangeError(`all ${this.capacity} page-table pages are in use`);
    return this.#next++;
  }

  /** Takes a page back. */
  release(table: number): void {
    this.u32.fill(0, table * WORDS, (table + 1) * WORDS);
    this.#free.push(table);
  }

  /** Replaces an entry if it still is what it was read as. Only the low half tells: no two states of an entry differ in the high half alone. */
  compareExchange(at: number, oldLo: number, lo: number, hi: number): boolean {
    if (this.u32[at] !== oldLo >>> 0) return false;
    this.set(at, lo, hi);
    return true;
  }

  /** Replaces an entry that nobody else can be changing. */
  set(at: number, lo: number, hi: number): void {
    this.u32[at] = lo;
    this.u32[at + 1] = hi;
  }
}
