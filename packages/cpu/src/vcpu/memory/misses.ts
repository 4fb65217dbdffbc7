import { Miss, SlowAccess } from "../../calls.js";
import type { CodeCache } from "../../code/cache.js";
import * as S from "../../state.js";
import type { Gfn } from "../../units.js";
import type { VcpuContext } from "../context/context.js";
import { carried, crosses, nextPage } from "./address.js";
import type { Copies } from "./copies.js";
import type { Pages } from "./pages.js";

/** An access that a TLB entry leads to `stage` for one instruction. */
interface Staged {
  lo: number;
  hi: number;
  size: number;
  store: boolean;
  stage: number;
  /** The TLB entry. */
  entry: number;
  /** Host address and number of the frame that a store is for, if it is one frame of RAM; else 0. */
  page: number;
  gfn: Gfn;
}

const nothing = (): Staged => ({ lo: 0, hi: 0, size: 0, store: false, stage: 0, entry: 0, page: 0, gfn: 0 });

/**
 * What generated code misses. A TLB is filled; or, if there is no host memory that can be touched directly (a device, two pages, a page with
 * decoded code), the access is staged: a TLB entry leads it to `SCRATCH` for one instruction, and `finish` carries it out.
 */
export class Misses {
  readonly #vcpu: VcpuContext;
  readonly #code: CodeCache;
  readonly #pages: Pages;
  readonly #copies: Copies;
  readonly #scratch: number;
  /** Accesses of the instruction in progress that lead to `SCRATCH`. */
  readonly #staged: Staged[] = Array.from({ length: 4 }, nothing);
  #count = 0;
  /** Record of the instruction in progress. */
  #record = 0;

  constructor(vcpu: VcpuContext, code: CodeCache, pages: Pages, copies: Copies) {
    this.#vcpu = vcpu;
    this.#code = code;
    this.#pages = pages;
    this.#copies = copies;
    this.#scratch = vcpu.base + S.SCRATCH;
  }

  /** Generated code missed a TLB with the access that `SLOW_ADDRESS` and `SLOW_ACCESS` tell. Unless it faults, the record starts again. */
  miss(): Miss {
    const vcpu = this.#vcpu;
    const lo = vcpu.i32(S.SLOW_ADDRESS);
    const hi = vcpu.i32(S.SLOW_ADDRESS + 4);
    const access = vcpu.i32(S.SLOW_ACCESS) & 0xf00;
    const size = vcpu.i32(S.SLOW_ACCESS) & 0xff;
    if (!this.#pages.aligned(lo, hi, size)) return Miss.Fault;
    if (access === SlowAccess.Load) return this.#load(lo, hi, size);
    return this.#store(lo, hi, size, access === SlowAccess.Modify);
  }

  #load(lo: number, hi: number, size: number): Miss {
    const pages = this.#pages;
    if (!crosses(lo, size) && !pages.watched(lo, hi)) {
      const page = pages.resolveRead(lo, hi);
      if (page !== 0) return page > 0 ? Miss.Filled : Miss.Fault;
    }
    if (!this.#loadStage(lo, hi, size)) return Miss.Fault;
    this.#stage(lo, hi, size, false, 0, 0);
    return Miss.Staged;
  }

  #store(lo: number, hi: number, size: number, modify: boolean): Miss {
    const pages = this.#pages;
    const across = crosses(lo, size);
    const page = pages.resolveWrite(lo, hi);
    if (page < 0) return Miss.Fault;
    const { gfn } = pages;
    if (!across && page > 0 && !pages.watched(lo, hi) && pages.writable) {
      if (!this.#code.isCode(gfn)) return Miss.Filled;
      if (!this.#code.holds(gfn, lo & 0xfff, size)) {
        this.#lead(lo, lo, hi, page - (lo & ~0xfff), true);
        return Miss.Staged;
      }
    }
    let device = page === 0;
    if (across) {
      const next = nextPage(lo);
      const second = pages.resolveWrite(next, carried(lo, hi, next));
      if (second < 0) return Miss.Fault;
      device ||= second === 0;
    }
    // An observer can leave such a store undone, but its value is known only when the instruction has retired.
    if (device && this.#vcpu.hooks.mmio !== undefined && !this.#vcpu.undoable) {
      this.#vcpu.repeatUndoable();
      return Miss.Fault;
    }
    if (modify && !this.#loadStage(lo, hi, size)) return Miss.Fault;
    this.#stage(lo, hi, size, true, across ? 0 : page, gfn);
    return Miss.Staged;
  }

  /** The piece of `SCRATCH` for the next staged access. */
  get #nextStage(): number {
    return this.#scratch + 16 * this.#count;
  }

  /** Reads what the next staged access will find, before there is an entry for it: a device that is read may have TLBs flushed. */
  #loadStage(lo: number, hi: number, size: number): boolean {
    if (this.#copies.load(lo, hi, size, this.#nextStage)) return true;
    this.discard();
    return false;
  }

  /** Makes the TLB lead this access to a piece of `SCRATCH`. */
  #stage(lo: number, hi: number, size: number, store: boolean, page: number, gfn: Gfn): void {
    const stage = this.#nextStage;
    const nextLo = nextPage(lo);
    const staged = crosses(lo, size)
      ? this.#lead(lo, nextLo, carried(lo, hi, nextLo), stage - lo, store)
      : this.#lead(lo, lo, hi, stage - lo, store);
    staged.lo = lo;
    staged.hi = hi;
    staged.size = size;
    staged.store = store;
    staged.stage = stage;
    staged.page = page;
    staged.gfn = gfn;
  }

  /** Makes the entry for `lo` lead an access whose last byte is in the page of `lastHi:lastLo` to `value` + address for one instruction. */
  #lead(lo: number, lastLo: number, lastHi: number, value: number, store: boolean): Staged {
    const { tlb, tlbBases } = this.#vcpu;
    const entry = tlb.entry(tlbBases.tlb[store ? 1 : 0], lo);
    tlb.override(entry, lastLo, lastHi, value | 0);
    const staged = this.#staged[this.#count++] as Staged;
    staged.entry = entry;
    staged.store = false;
    this.#record = this.#vcpu.i32(S.REC);
    this.#vcpu.endSlice();
    return staged;
  }

  /**
   * The instruction with staged accesses has retired: its stores are carried out.
   * @returns false if one was not, with an exception or exit pending
   */
  finish(): boolean {
    const count = this.#count;
    if (count === 0) return true;
    const vcpu = this.#vcpu;
    this.discard();
    vcpu.setI32(S.REC, this.#record);
    for (let k = 0; k < count; k++) {
      const { lo, hi, size, store, stage, page, gfn } = this.#staged[k] as Staged;
      if (!store) continue;
      // Beside another access, which may have been to a device, nothing is taken for granted.
      if (count > 1 || page <= 0) {
        if (!this.#copies.store(lo, hi, size, stage)) return false;
      } else {
        vcpu.debugTrap(vcpu.breakpoints.data(lo, hi, size, true));
        this.#copies.copyOut(page, gfn, lo & 0xfff, size, stage);
      }
    }
    return true;
  }

  /** The instruction with staged accesses did not retire. */
  discard(): void {
    for (let k = 0; k < this.#count; k++) this.#vcpu.tlb.drop((this.#staged[k] as Staged).entry);
    this.#count = 0;
  }
}
