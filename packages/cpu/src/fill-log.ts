/** Fills that are logged. */
const LOG = 8192;
/** Chains; a power of two. */
const CHAINS = 1024;

/**
 * Which TLB entries were filled since the log was cleared, and with what in their fourth word. Fills of one word are found through a chain, so
 * that forgetting one frame costs what was entered of that frame; clearing costs nothing, because the heads of chains are only believed as far
 * as the log confirms them.
 */
export class FillLog {
  readonly #entries = new Int32Array(LOG);
  /** Chain of each fill, and the fill before it in that chain, -1 if it is the first. */
  readonly #chains = new Uint16Array(LOG);
  readonly #before = new Int16Array(LOG);
  /** The last fill of each chain, if it is one. */
  readonly #heads = new Uint16Array(CHAINS);
  /** Fills in the log. */
  length = 0;

  /** Notes that entry `at` was filled, with `word`. @returns false if there is no room */
  add(at: number, word: number): boolean {
    const n = this.length;
    if (n === LOG) return false;
    const chain = word & (CHAINS - 1);
    this.#entries[n] = at;
    this.#chains[n] = chain;
    this.#before[n] = this.last(word);
    this.#heads[chain] = n;
    this.length = n + 1;
    return true;
  }

  /** Entry of fill `n`. */
  entry(n: number): number {
    return this.#entries[n] as number;
  }

  /** The last fill with a word whose chain is that of `word`; -1 if there is none. */
  last(word: number): number {
    const chain = word & (CHAINS - 1);
    const head = this.#heads[chain] as number;
    return head < this.length && this.#chains[head] === chain ? head : -1;
  }

  /** The fill before `n` in its chain; -1 if there is none. */
  before(n: number): number {
    return this.#before[n] as number;
  }

  clear(): void {
    this.length = 0;
  }
}
