import * as S from "./state.js";

/** Log entries after which a flush clears the TLBs wholesale. */
const LOG = 8192;

/** Number of the GiB an address is in; as wide as a page can be. */
const gibOf = (lo: number, hi: number): number => (hi << 2) | (lo >>> 30);

/**
 * The software TLBs of one vCPU: read, write and fetch for each mmu index, direct-mapped, probed by generated code.
 * An entry licences accesses of one kind to one linear page. Fills are logged, so that a flush costs what was filled.
 */
export class Tlb {
  readonly #i32: Int32Array;
  readonly #start: number;
  readonly #bytes = S.MMU_INDEXES * 3 * S.TLB_BYTES;
  readonly #log = new Int32Array(LOG);
  #logged = 0;
  readonly #globalLog = new Int32Array(LOG);
  #globalLogged = 0;
  #overflow = false;
  /** Where pieces of large pages were entered, by GiB. */
  readonly #large = new Map<number, number[]>();
  #largeLogged = 0;
  /** Fills so far. */
  misses = 0;

  /** @param start first byte of the range, `Tlb.bytes` long */
  constructor(memory: WebAssembly.Memory, start: number) {
    this.#i32 = new Int32Array(memory.buffer);
    this.#start = start;
    this.#clear();
  }

  static readonly bytes = 4096 * Math.ceil((S.MMU_INDEXES * 3 * S.TLB_BYTES) / 4096);

  /** Address of a TLB; `kind` 0 read, 1 write, 2 fetch. */
  base(index: S.MmuIndex, kind: number): number {
    return this.#start + (index * 3 + kind) * S.TLB_BYTES;
  }

  /** Address of the entry for a linear page in the TLB at `base`. */
  entry(base: number, lo: number): number {
    return base + ((lo >>> 8) & ((S.TLB_ENTRIES - 1) * S.TLB_ENTRY));
  }

  /**
   * Enters the page of `hi:lo`.
   * @param value what generated code adds to the low half of the address (read, write), or the page's map (fetch)
   * @param global it stays when CR3 is written
   * @param large it is a piece of a large page
   */
  fill(base: number, lo: number, hi: number, value: number, global: boolean, large: boolean): void {
    const entry = this.entry(base, lo);
    const at = entry >> 2;
    this.#i32[at] = lo & ~0xfff;
    this.#i32[at + 1] = hi;
    this.#i32[at + 2] = value;
    this.misses++;
    if (large) this.#noteLarge(gibOf(lo, hi), at);
    if (global) {
      if (this.#globalLogged < LOG) this.#globalLog[this.#globalLogged++] = at;
      else this.#overflow = true;
    } else if (this.#logged < LOG) this.#log[this.#logged++] = at;
    else this.#overflow = true;
  }

  #noteLarge(gib: number, at: number): void {
    if (this.#largeLogged++ === LOG) this.#overflow = true;
    const pieces = this.#large.get(gib);
    if (pieces === undefined) this.#large.set(gib, [at]);
    else if (!this.#overflow) pieces.push(at);
  }

  /** Host address for [`lo`, `lo` + size) of the TLB at `base`, or 0. */
  probe(base: number, lo: number, hi: number, size: number): number {
    if ((lo & 0xfff) + size > 4096) return 0;
    const at = this.entry(base, lo) >> 2;
    if (this.#i32[at] !== (lo & ~0xfff) || this.#i32[at + 1] !== hi) return 0;
    return ((this.#i32[at + 2] as number) + lo) >>> 0;
  }

  /** What the entry for the page of `hi:lo` in the TLB at `base` says, or 0 if there is none. */
  entryValue(base: number, lo: number, hi: number): number {
    const at = this.entry(base, lo) >> 2;
    return this.#i32[at] === (lo & ~0xfff) && this.#i32[at + 1] === hi ? (this.#i32[at + 2] as number) : 0;
  }

  /** Makes `entry` lead the accesses whose last byte is in the page of `hi:lo` to `value` + address, until `drop`. */
  override(entry: number, lo: number, hi: number, value: number): void {
    const at = entry >> 2;
    this.#i32[at] = lo & ~0xfff;
    this.#i32[at + 1] = hi;
    this.#i32[at + 2] = value;
  }

  /** Forgets one entry. */
  drop(entry: number): void {
    this.#i32[entry >> 2] = S.TLB_INVALID;
  }

  /** Forgets the page at `hi:lo`, and with a large page all its pieces (INVLPG; SDM vol. 3, 4.10.4.1). */
  flushPage(lo: number, hi: number): void {
    if (this.#large.size > 0) this.#flushGib(gibOf(lo, hi));
    const page = lo & ~0xfff;
    for (let at = this.entry(this.#start, lo) >> 2, n = S.MMU_INDEXES * 3; n > 0; n--, at += S.TLB_BYTES >> 2) {
      if (this.#i32[at] === page && this.#i32[at + 1] === hi) this.#i32[at] = S.TLB_INVALID;
    }
  }

  #flushGib(gib: number): void {
    const pieces = this.#large.get(gib);
    if (pieces === undefined) return;
    if (this.#overflow) {
      this.#clear();
      return;
    }
    for (const at of pieces) {
      if (gibOf(this.#i32[at] as number, this.#i32[at + 1] as number) === gib) this.#i32[at] = S.TLB_INVALID;
    }
    this.#largeLogged -= pieces.length;
    this.#large.delete(gib);
  }

  /** Forgets every page, or every page that is not global. */
  flush(global = true): void {
    if (this.#overflow) {
      this.#clear();
      return;
    }
    for (let k = 0; k < this.#logged; k++) this.#i32[this.#log[k] as number] = S.TLB_INVALID;
    this.#logged = 0;
    if (!global) return;
    this.#large.clear();
    this.#largeLogged = 0;
    for (let k = 0; k < this.#globalLogged; k++) this.#i32[this.#globalLog[k] as number] = S.TLB_INVALID;
    this.#globalLogged = 0;
  }

  #clear(): void {
    for (let at = this.#start >> 2; at < (this.#start + this.#bytes) >> 2; at += S.TLB_ENTRY / 4)
      this.#i32[at] = S.TLB_INVALID;
    this.#logged = 0;
    this.#globalLogged = 0;
    this.#overflow = false;
    this.#large.clear();
    this.#largeLogged = 0;
  }
}
