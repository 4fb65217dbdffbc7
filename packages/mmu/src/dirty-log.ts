/** Which pages of a memslot were written since the log was last read; bit i of word i >>> 5 is page i. */
export class DirtyLog {
  #words: Uint32Array;

  constructor(readonly pages: number) {
    this.#words = new Uint32Array((pages + 31) >>> 5);
  }

  /** Whether `page` is marked. */
  has(page: number): boolean {
    return (((this.#words[page >>> 5] ?? 0) >>> (page & 31)) & 1) === 1;
  }

  mark(page: number): void {
    const word = page >>> 5;
    this.#words[word] = (this.#words[word] ?? 0) | (1 << (page & 31));
  }

  /** The bitmap so far; the log starts again empty. */
  drain(): Uint32Array {
    const drained = this.#words;
    this.#words = new Uint32Array(drained.length);
    return drained;
  }
}

/** Calls `visit(first, count)` for every maximal run of set bits, in ascending order. */
export function forEachRun(bitmap: Uint32Array, visit: (first: number, count: number) => void): void {
  let start = -1;
  const bits = bitmap.length * 32;
  for (let page = 0; page < bits; page++) {
    const word = bitmap[page >>> 5] ?? 0;
    if (word === 0 && start < 0) {
      page |= 31;
      continue;
    }
    const set = ((word >>> (page & 31)) & 1) === 1;
    if (set && start < 0) start = page;
    if (!set && start >= 0) {
      visit(start, page - start);
      start = -1;
    }
  }
  if (start >= 0) visit(start, bits - start);
}
