import { FillLog } from "./fill-log.js";
import * as S from "./state.js";

/** Pieces of large pages after which INVLPG clears the TLBs wholesale. */
const LARGE_LOG = 8192;
/** Fourth word of an entry that leads elsewhere for one instruction. */
const NOBODY = -1;

/** Number of the GiB an address is in; as wide as a page can be. */
const gibOf = (lo: number, hi: number): number => (hi << 2) | (lo >>> 30);

/**
 * The software TLBs of one vCPU: read, write and fetch for each mmu index, direct-mapped, probed by generated code.
 * An entry licences accesses of one kind to one linear page. Fills are logged, so that a flush costs what was filled. Where more was filled
 * than a log holds, the next flush that needs that log clears all.
 */
export class Tlb {
  readonly #i32: Int32Array;
  readonly #start: number;
  readonly #bytes = S.MMU_INDEXES * 3 * S.TLB_BYTES;
  readonly #log = new FillLog();
  readonly #globalLog = new FillLog();
  /** The logs do not hold all that was filled. */
  #overflow = false;
  #globalOverflow = false;
  /** Where pieces of large pages were entered, by GiB; those of the GiB met last. */
  readonly #large = new Map<number, number[]>();
  #gib = NaN;
  #pieces: number[] = [];
  #largeLogged = 0;
  /** There were more of them: not all are known. */
  #largeOverflow = false;
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
   * @param owner for whom `flushOwner` finds it: low half of the guest frame number (read, write), or serial number of the `CodePage` (fetch)
   * @param global it stays when CR3 is written
   * @param large it is a piece of a large page
   */
  fill(base: number, lo: number, hi: number, value: number, owner: number, global: boolean, large: boolean): void {
    const entry = this.entry(base, lo);
    const at = entry >> 2;
    this.#i32[at] = lo & ~0xfff;
    this.#i32[at + 1] = hi;
    this.#i32[at + 2] = value;
    this.#i32[at + 3] = owner;
    this.misses++;
    if (large) this.#noteLarge(gibOf(lo, hi), at);
    if (global) {
      if (!this.#globalLog.add(at, owner)) this.#globalOverflow = true;
    } else if (!this.#log.add(at, owner)) this.#overflow = true;
  }

  #noteLarge(gib: number, at: number): void {
    if (this.#largeOverflow) return;
    if (this.#largeLogged++ === LARGE_LOG) {
      this.#forgetLarge();
      this.#largeOverflow = true;
      return;
    }
    if (gib !== this.#gib) {
      this.#gib = gib;
      this.#pieces = this.#large.get(gib) ?? [];
      if (this.#pieces.length === 0) this.#large.set(gib, this.#pieces);
    }
    this.#pieces.push(at);
  }

  #forgetLarge(): void {
    this.#large.clear();
    this.#gib = NaN;
    this.#largeLogged = 0;
    this.#largeOverflow = false;
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
    this.#i32[at + 3] = NOBODY;
  }

  /** Forgets one entry. */
  drop(entry: number): void {
    this.#i32[entry >> 2] = S.TLB_INVALID;
  }

  /** Forgets the page at `hi:lo`, and with a large page all its pieces (INVLPG; SDM vol. 3, 4.10.4.1). */
  flushPage(lo: number, hi: number): void {
    if (this.#largeLogged > 0 || this.#largeOverflow) this.#flushGib(gibOf(lo, hi));
    const page = lo & ~0xfff;
    for (let at = this.entry(this.#start, lo) >> 2, n = S.MMU_INDEXES * 3; n > 0; n--, at += S.TLB_BYTES >> 2) {
      if (this.#i32[at] === page && this.#i32[at + 1] === hi) this.#i32[at] = S.TLB_INVALID;
    }
  }

  #flushGib(gib: number): void {
    if (this.#largeOverflow) {
      this.#clear();
      return;
    }
    const pieces = this.#large.get(gib);
    if (pieces === undefined) return;
    for (const at of pieces) {
      if (gibOf(this.#i32[at] as number, this.#i32[at + 1] as number) === gib) this.#i32[at] = S.TLB_INVALID;
    }
    this.#largeLogged -= pieces.length;
    this.#large.delete(gib);
    this.#gib = NaN;
  }

  /** Forgets what was entered for `owner` in the TLBs of one kind: 0 read, 1 write, 2 fetch. */
  flushOwner(kind: number, owner: number): void {
    if (this.#overflow || this.#globalOverflow) {
      this.#clear();
      return;
    }
    this.#forgetOwner(this.#log, kind, owner | 0);
    this.#forgetOwner(this.#globalLog, kind, owner | 0);
  }

  #forgetOwner(log: FillLog, kind: number, owner: number): void {
    for (let n = log.last(owner); n >= 0; n = log.before(n)) {
      const at = log.entry(n);
      if (this.#i32[at + 3] === owner && this.#kindOf(at) === kind) this.#i32[at] = S.TLB_INVALID;
    }
  }

  #kindOf(at: number): number {
    return Math.floor((4 * at - this.#start) / S.TLB_BYTES) % 3;
  }

  /** Forgets every page, or every page that is not global. */
  flush(global = true): void {
    if (this.#overflow || (global && this.#globalOverflow)) {
      this.#clear();
      return;
    }
    this.#forgetAll(this.#log);
    if (!global) return;
    this.#forgetLarge();
    this.#forgetAll(this.#globalLog);
  }

  #forgetAll(log: FillLog): void {
    for (let n = 0; n < log.length; n++) this.#i32[log.entry(n)] = S.TLB_INVALID;
    log.clear();
  }

  #clear(): void {
    // What is not a tag has no meaning without one.
    this.#i32.fill(S.TLB_INVALID, this.#start >> 2, (this.#start + this.#bytes) >> 2);
    this.#log.clear();
    this.#globalLog.clear();
    this.#overflow = false;
    this.#globalOverflow = false;
    this.#forgetLarge();
  }
}
