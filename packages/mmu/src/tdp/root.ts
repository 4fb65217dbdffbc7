import type { Gfn } from "../units.js";
import { Ept, framesAt, indexAt, isLeaf } from "./ept.js";
import type { ExternalErrno, ExternalPageTable } from "./external.js";
import { RetPf } from "./ret-pf.js";
import { isPresent, Spte, tableLo } from "./spte.js";
import type { TablePages } from "./table-pages.js";

/** Frames below this have their lowest tables remembered: 8 GiB. */
const CACHED = 2 ** 21;

/**
 * One tree of SPTEs. A tree with an `external` is a mirror: each change of an entry is made there first, while the entry is frozen, and tables stay until
 * the tree goes. Adding is safe under mmu_lock held shared (entries change by compare and exchange), removing asks for it exclusively.
 * Source: linux, arch/x86/kvm/mmu/tdp_mmu.c.
 */
export class TdpRoot {
  readonly table: number;
  /**
   * By `gfn >>> 9`, the word where the lowest table starts, 0 if it was not met before: what a processor's paging-structure caches are for, SDM 3C
   * 29.4.1. Tables for higher addresses are found from the top.
   */
  readonly #lowest = new Int32Array(CACHED / 512);

  constructor(
    readonly pages: TablePages,
    readonly levels: number,
    readonly external: ExternalPageTable | null = null,
  ) {
    this.table = pages.allocate();
  }

  /** The word of the lowest entry for `gfn` if its table was {@link remember}ed; otherwise one that is never present. */
  cached(gfn: Gfn): number {
    return gfn < CACHED ? (this.#lowest[gfn >>> 9] as number) + ((gfn & 511) << 1) : 0;
  }

  /** `at` is the word of the level 1 entry for `gfn`. */
  remember(gfn: Gfn, at: number): void {
    if (gfn < CACHED) this.#lowest[gfn >>> 9] = at & ~1023;
  }

  /** The word of the leaf or MMIO entry for `gfn`; 0 without one. */
  find(gfn: Gfn): number {
    const { u32 } = this.pages;
    let table = this.table;
    for (let level = this.levels; ; level--) {
      const at = table * 1024 + indexAt(gfn, level) * 2;
      const lo = u32[at] as number;
      if (level === 1 || (isPresent(lo) && isLeaf(lo, level))) return lo === 0 ? 0 : at;
      if (!isPresent(lo)) return 0;
      table = lo >>> 12;
    }
  }

  /** Whether the 2 MiB page around `gfn` has a table of its own. */
  isSplit(gfn: Gfn): boolean {
    const { u32 } = this.pages;
    let table = this.table;
    for (let level = this.levels; level > 1; level--) {
      const lo = u32[table * 1024 + indexAt(gfn, level) * 2] as number;
      if (!isPresent(lo) || isLeaf(lo, level)) return false;
      table = lo >>> 12;
    }
    return true;
  }

  /** Makes `lo`, `hi` the entry for `gfn` at `level`, with the tables on the way. */
  map(gfn: Gfn, level: number, lo: number, hi: number): RetPf {
    const { pages } = this;
    let table = this.table;
    for (let here = this.levels; here > level; here--) {
      const at = table * 1024 + indexAt(gfn, here) * 2;
      const old = pages.u32[at] as number;
      if (old === Spte.Frozen) return RetPf.Retry;
      if (isPresent(old)) {
        if (isLeaf(old, here)) return RetPf.Spurious;
        table = old >>> 12;
        continue;
      }
      const child = pages.allocate();
      const first = gfn - (gfn % framesAt(here));
      const failed = this.#change(at, old, tableLo(child), 0, (to) => to.linkSpt(first, here - 1, child));
      if (failed !== null) {
        pages.release(child);
        if (failed === "EIO") return RetPf.MemoryFault;
        return RetPf.Retry;
      }
      table = child;
    }
    const at = table * 1024 + indexAt(gfn, level) * 2;
    return this.#mapLeaf(at, gfn, level, lo, hi);
  }

  #mapLeaf(at: number, gfn: Gfn, level: number, lo: number, hi: number): RetPf {
    const old = this.pages.u32[at] as number;
    if (old === Spte.Frozen) return RetPf.Retry;
    if (isPresent(old)) {
      if (!isLeaf(old, level)) return RetPf.Retry;
      if (this.external !== null || ((old ^ lo) & (lo | ~Ept.Rwx)) === 0) return RetPf.Spurious;
    }
    const failed = this.#change(at, old, lo, hi, (to) => to.setSpte(gfn, level, lo >>> 12));
    if (failed === "EIO") return RetPf.MemoryFault;
    if (failed === "EBUSY") return RetPf.Retry;
    if (level === 1) this.remember(gfn, at);
    return RetPf.Fixed;
  }

  /** Freezes the entry while the external tree follows. EBUSY also if somebody else was faster. */
  #change(
    at: number,
    old: number,
    lo: number,
    hi: number,
    follow: (to: ExternalPageTable) => ExternalErrno | null,
  ): ExternalErrno | null {
    if (this.external === null) return this.pages.compareExchange(at, old, lo, hi) ? null : "EBUSY";
    const oldHi = this.pages.u32[at + 1] as number;
    if (!this.pages.compareExchange(at, old, Spte.Frozen, 0)) return "EBUSY";
    const failed = follow(this.external);
    if (failed === null) this.pages.set(at, lo, hi);
    else this.pages.set(at, old, oldHi);
    return failed;
  }

  /** Takes W from the pages `[start, end)`. A large page that has some of them goes. @returns whether that changed anything */
  writeProtect(start: number, end: number): boolean {
    return this.#writeProtect(this.table, this.levels, 0, start, end);
  }

  #writeProtect(table: number, level: number, base: number, start: number, end: number): boolean {
    const { u32 } = this.pages;
    const span = framesAt(level);
    const first = Math.max(0, Math.floor((start - base) / span));
    const last = Math.min(511, Math.ceil((end - base) / span) - 1);
    let changed = false;
    for (let index = first; index <= last; index++) {
      const at = table * 1024 + index * 2;
      const lo = u32[at] as number;
      if (!isPresent(lo)) continue;
      const gfn = base + index * span;
      if (!isLeaf(lo, level)) changed = this.#writeProtect(lo >>> 12, level - 1, gfn, start, end) || changed;
      else if ((lo & Ept.W) !== 0) {
        changed = true;
        if (level > 1) this.zap(gfn, gfn + 1);
        else u32[at] = lo & ~Ept.W;
      }
    }
    return changed;
  }

  /** Removes what maps frames `[start, end)`, whole large pages if they have some of them. @returns whether there was anything */
  zap(start: number, end: number): boolean {
    return this.#zap(this.table, this.levels, 0, start, end);
  }

  #zap(table: number, level: number, base: number, start: number, end: number): boolean {
    const { u32 } = this.pages;
    const span = framesAt(level);
    const first = Math.max(0, Math.floor((start - base) / span));
    const last = Math.min(511, Math.ceil((end - base) / span) - 1);
    let any = false;
    for (let index = first; index <= last; index++) {
      const at = table * 1024 + index * 2;
      const lo = u32[at] as number;
      if (lo === 0) continue;
      const gfn = base + index * span;
      if (isPresent(lo) && !isLeaf(lo, level)) {
        any = this.#zap(lo >>> 12, level - 1, gfn, start, end) || any;
        if (this.external === null && start <= gfn && gfn + span <= end) this.#unlink(at, lo >>> 12);
        continue;
      }
      any ||= isPresent(lo);
      if (this.external !== null && isPresent(lo)) {
        this.pages.set(at, Spte.Frozen, 0);
        this.external.removeSpte(gfn, level, lo >>> 12);
      }
      this.pages.set(at, 0, 0);
    }
    return any;
  }

  #unlink(at: number, table: number): void {
    this.pages.set(at, 0, 0);
    this.pages.release(table);
    this.#lowest.fill(0);
  }

  /** Ends the tree: no entry is left, and this object is of no more use. */
  free(): void {
    this.zap(0, framesAt(this.levels + 1));
    this.#free(this.table, this.levels, 0);
    this.#lowest.fill(0);
  }

  #free(table: number, level: number, base: number): void {
    for (let index = 0; index < 512; index++) {
      const lo = this.pages.u32[table * 1024 + index * 2] as number;
      if (!isPresent(lo)) continue;
      const gfn = base + index * framesAt(level);
      this.#free(lo >>> 12, level - 1, gfn);
      this.external?.freeSpt(gfn, level - 1, lo >>> 12);
    }
    this.pages.release(table);
  }
}
