/** Fills that are logged. */
const LOG = 8192;
/** Fills that there is room for at first, and how much more there is each time that it is not enough. */
const FIRST = 512;
const GROWTH = 4;
/** Chains; a power of two. */
const CHAINS = 1024;
/** The heads of a log without fills. */
const NO_HEADS = new Uint16Array(CHAINS);

/**
 * Which TLB entries were filled since the log was cleared, and with what in their fourth word. Fills of one word are found through a chain, so
 * that forgetting one frame costs what was entered of that frame; clearing costs nothing, because the heads of chains are only believed as far
 * as the log confirms them. A log that nothing was ever filled in has no memory of its own: most of the processors that are made do not run for long.
 */
export class FillLog {
  #entries = new Int32Array(0);
  /** Chain of each fill, and the fill before it in that chain, -1 if it is the first. */
  #chains = new Uint16Array(0);
  #before = new Int16Array(0);
  /** The last fill of each chain, if it is one. */
  #heads = NO_HEADS;
  /** Fills in the log. */
  length = 0;

  /** Notes that entry `at` was filled, with `word`. @returns false if there is no room */
  add(at: number, word: number): boolean {
    const n = this.length;
    if (n === this.#entries.length && !this.#grow()) return false;
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

  /** @returns false if the log is as long as it can be */
  #grow(): boolean {
    const { length } = this.#entries;
    if (length === LOG) return false;
    if (length === 0) this.#heads = new Uint16Array(CHAINS);
    const room = Math.max(FIRST, GROWTH * length);
    const [entries, chains, before] = [this.#entries, this.#chains, this.#before];
    this.#entries = new Int32Array(room);
    this.#entries.set(entries);
    this.#chains = new Uint16Array(room);
    this.#chains.set(chains);
    this.#before = new Int16Array(room);
    this.#before.set(before);
    return true;
  }
}
