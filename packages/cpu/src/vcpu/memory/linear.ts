import { SlowAccess } from "../../calls.js";
import type { CodeCache } from "../../code/cache.js";
import { Access, type BusPort, Licence, type MmuPort, Status } from "../../ports.js";
import * as S from "../../state.js";
import type { Tlb } from "../../tlb.js";
import type { VcpuContext } from "../context/context.js";
import type { FrameWords, LinearAccess } from "../context/linear-access.js";
import { canonical } from "../registers/canonical.js";
import { Vector } from "../registers/constants.js";
import type { Halves } from "../registers/halves.js";
import { u64 } from "../registers/u64.js";

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
  gfn: number;
}

const nothing = (): Staged => ({ lo: 0, hi: 0, size: 0, store: false, stage: 0, entry: 0, page: 0, gfn: 0 });

/**
 * Linear memory of one vCPU: what happens when generated code misses its TLB, and the accesses made by TypeScript.
 * Every method that can fail returns 0 or false with an exception or exit pending in the vCPU.
 */
export class LinearMemory implements LinearAccess {
  readonly #vcpu: VcpuContext;
  readonly #mmu: MmuPort;
  readonly #bus: BusPort;
  readonly #code: CodeCache;
  readonly #tlb: Tlb;
  readonly #u8: Uint8Array;
  readonly #view: DataView;
  readonly #scratch: number;
  /** Accesses of the instruction in progress that lead to `SCRATCH`; see `miss`. */
  readonly #staged: Staged[] = Array.from({ length: 4 }, nothing);
  #stagedCount = 0;
  /** Last value read by `read`. */
  lo = 0;
  hi = 0;
  /** Guest frame number of the last `resolve`. */
  #gfn = 0;
  #licence = 0;

  constructor(vcpu: VcpuContext, memory: WebAssembly.Memory, mmu: MmuPort, bus: BusPort, code: CodeCache, tlb: Tlb) {
    this.#vcpu = vcpu;
    this.#mmu = mmu;
    this.#bus = bus;
    this.#code = code;
    this.#tlb = tlb;
    this.#u8 = new Uint8Array(memory.buffer);
    this.#view = new DataView(memory.buffer);
    this.#scratch = vcpu.base + S.SCRATCH;
  }

  // Generated code

  /**
   * Generated code missed a TLB: fills it, or stages the access if there is no host memory that can be touched directly (MMIO, two
   * pages, a page with decoded code). A staged access is a TLB entry that leads to `SCRATCH` for one instruction; `finish` carries it out.
   * @returns 1 to start the record again, 0 with an exception or exit pending
   */
  readonly miss = (): number => {
    const vcpu = this.#vcpu;
    const lo = vcpu.i32(S.SLOW_ADDRESS);
    const hi = vcpu.i32(S.SLOW_ADDRESS + 4);
    const access = vcpu.i32(S.SLOW_ACCESS) & 0xf00;
    const size = vcpu.i32(S.SLOW_ACCESS) & 0xff;
    if (access === SlowAccess.Load) return this.#missLoad(lo, hi, size) ? 1 : 0;
    return this.#missStore(lo, hi, size, access === SlowAccess.Modify) ? 1 : 0;
  };

  #missLoad(lo: number, hi: number, size: number): boolean {
    if (this.misaligned(lo, hi, size)) return false;
    if ((lo & 0xfff) + size <= 4096 && !this.#watched(lo, hi)) {
      const page = this.#resolveRead(lo, hi);
      if (page !== 0) return page > 0;
    }
    const stage = this.#stage(lo, hi, size, false, 0);
    if (this.#loadTo(lo, hi, size, stage)) return true;
    this.discard();
    return false;
  }

  #missStore(lo: number, hi: number, size: number, modify: boolean): boolean {
    if (this.misaligned(lo, hi, size)) return false;
    const across = (lo & 0xfff) + size > 4096;
    const page = this.#resolveWrite(lo, hi);
    if (page < 0) return false;
    if (!across && page > 0 && !this.#watched(lo, hi) && this.#licence & Licence.Write) {
      if (!this.#code.isCode(this.#gfn)) return true;
      if (!this.#code.holds(this.#gfn, lo & 0xfff, size)) {
        this.#lead(lo, lo, hi, page - (lo & ~0xfff));
        return true;
      }
    }
    let device = page === 0;
    if (across) {
      const next = nextPage(lo, hi);
      const second = this.#resolveWrite(next.lo, next.hi);
      if (second < 0) return false;
      device ||= second === 0;
    }
    // An observer can leave such a store undone, but its value is known only when the instruction has retired.
    if (device && this.#vcpu.hooks.mmio !== undefined && !this.#vcpu.undoable) return this.#vcpu.repeatUndoable();
    const stage = this.#stage(lo, hi, size, true, across ? 0 : page);
    if (!modify || this.#loadTo(lo, hi, size, stage)) return true;
    this.discard();
    return false;
  }

  /** Makes the TLB lead this access to a piece of `SCRATCH`. */
  #stage(lo: number, hi: number, size: number, store: boolean, page: number): number {
    const stage = this.#scratch + 16 * this.#stagedCount;
    const across = (lo & 0xfff) + size > 4096;
    const nextLo = ((lo | 0xfff) + 1) | 0;
    const staged = across
      ? this.#lead(lo, nextLo, carried(lo, hi, nextLo), stage - lo, store)
      : this.#lead(lo, lo, hi, stage - lo, store);
    staged.lo = lo;
    staged.hi = hi;
    staged.size = size;
    staged.store = store;
    staged.stage = stage;
    staged.page = page;
    staged.gfn = this.#gfn;
    return stage;
  }

  /** Makes the entry for `lo` lead an access whose last byte is in the page of `lastHi:lastLo` to `value` + address for one instruction. */
  #lead(lo: number, lastLo: number, lastHi: number, value: number, store = true): Staged {
    const entry = this.#tlb.entry(this.#vcpu.tlbBases.tlb[store ? 1 : 0], lo);
    this.#tlb.override(entry, lastLo, lastHi, value | 0);
    const staged = this.#staged[this.#stagedCount++] as Staged;
    staged.entry = entry;
    staged.store = false;
    this.#vcpu.endSlice();
    return staged;
  }

  /**
   * The instruction with staged accesses has retired: its stores are carried out.
   * @returns false if one was not, with an exception or exit pending
   */
  finish(): boolean {
    const count = this.#stagedCount;
    if (count === 0) return true;
    this.discard();
    for (let k = 0; k < count; k++) {
      const { lo, hi, size, store, stage, page, gfn } = this.#staged[k] as Staged;
      if (!store) continue;
      // Beside another access, which may have been to a device, nothing is taken for granted.
      if (count > 1 || page <= 0) {
        if (!this.#storeFrom(lo, hi, size, stage)) return false;
      } else {
        this.#vcpu.debugTrap(this.#vcpu.breakpoints.data(lo, hi, size, true));
        this.#copyOut(page, gfn, lo & 0xfff, size, stage);
      }
    }
    return true;
  }

  /** The instruction with staged accesses did not retire. */
  discard(): void {
    for (let k = 0; k < this.#stagedCount; k++) this.#tlb.drop((this.#staged[k] as Staged).entry);
    this.#stagedCount = 0;
  }

  /** Every access to the page must be seen: a data breakpoint is there, or alignment is checked. It gets no TLB entries. */
  #watched(lo: number, hi: number): boolean {
    return this.#vcpu.alignmentChecked || this.#vcpu.breakpoints.onDataPage(lo, hi);
  }

  /**
   * #AC(0) for an address that is not a multiple of `size`, where alignment is checked (SDM vol. 3, table 6-7). It comes before page
   * faults, after #GP and #SS of the address, and never for operands of 16 bytes (recorded from hardware).
   */
  misaligned(lo: number, hi: number, size: number): boolean {
    const vcpu = this.#vcpu;
    if (!vcpu.alignmentChecked || (lo & (size - 1)) === 0 || size > 8) return false;
    return (vcpu.mode !== 64 || canonical(vcpu, hi)) && !vcpu.raiseError(Vector.AC, 0);
  }

  /** Copies `size` readable bytes, of whatever kind, to host address `to`. */
  #loadTo(lo: number, hi: number, size: number, to: number): boolean {
    this.#vcpu.debugTrap(this.#vcpu.breakpoints.data(lo, hi, size, false));
    const offset = lo & 0xfff;
    const first = Math.min(size, 4096 - offset);
    const mode = this.#vcpu.accessMode;
    const a = this.resolve(lo, hi, mode);
    if (a < 0) return false;
    const gfn = this.#gfn;
    let b = 0;
    if (first < size) {
      const next = nextPage(lo, hi);
      b = this.resolve(next.lo, next.hi, mode);
      if (b < 0) return false;
    }
    const second = this.#gfn;
    return (
      this.#copyIn(a, gfn, offset, first, to) &&
      (first === size || this.#copyIn(b, second, 0, size - first, to + first))
    );
  }

  #copyIn(page: number, gfn: number, offset: number, size: number, to: number): boolean {
    if (page === 0) return this.#deviceLoad(gfn * 4096 + offset, size, to);
    this.#u8.copyWithin(to, page + offset, page + offset + size);
    return true;
  }

  /** Writes the `size` bytes at host address `from`. Nothing is written if a page is not writable, or an observer of devices objects. */
  #storeFrom(lo: number, hi: number, size: number, from: number): boolean {
    this.#vcpu.debugTrap(this.#vcpu.breakpoints.data(lo, hi, size, true));
    const offset = lo & 0xfff;
    const first = Math.min(size, 4096 - offset);
    const a = this.#resolveWrite(lo, hi);
    if (a < 0) return false;
    const gfn = this.#gfn;
    const verdict = a === 0 ? this.#verdict(gfn * 4096 + offset, first, from) : true;
    if (verdict === null) return false;
    if (first < size) {
      const next = nextPage(lo, hi);
      const b = this.#resolveWrite(next.lo, next.hi);
      if (b < 0) return false;
      const second = b === 0 ? this.#verdict(this.#gfn * 4096, size - first, from + first) : true;
      if (second === null) return false;
      if (second) this.#copyOut(b, this.#gfn, 0, size - first, from + first);
    }
    if (verdict) this.#copyOut(a, gfn, offset, first, from);
    return true;
  }

  #copyOut(page: number, gfn: number, offset: number, size: number, from: number): void {
    if (page === 0) {
      this.#deviceStore(gfn * 4096 + offset, size, from);
      return;
    }
    if (this.#code.isCode(gfn) && this.#same(page + offset, from, size)) return;
    this.#u8.copyWithin(page + offset, from, from + size);
    if (this.#code.wrote(gfn, offset, size)) this.#vcpu.endSlice();
  }

  #same(a: number, b: number, size: number): boolean {
    let k = 0;
    while (k < size && this.#u8[a + k] === this.#u8[b + k]) k++;
    return k === size;
  }

  // Accesses from TypeScript

  /** Host address of `size` <= 16 readable bytes, copied to `SCRATCH` if they are not plain RAM in one page; 0 with something pending. */
  hostForRead(lo: number, hi: number, size: number): number {
    const host = this.#tlb.probe(this.#vcpu.tlbBases.tlb[0], lo, hi, size);
    if (host !== 0) return host;
    if (this.misaligned(lo, hi, size)) return 0;
    if ((lo & 0xfff) + size <= 4096 && !this.#watched(lo, hi)) {
      const page = this.#resolveRead(lo, hi);
      if (page !== 0) return page > 0 ? page + (lo & 0xfff) : 0;
    }
    return this.#loadTo(lo, hi, size, this.#scratch) ? this.#scratch : 0;
  }

  /** Like `hostForRead` for more bytes than can be staged: 0 if it is not plain RAM (nothing is pending then), -1 with something pending. */
  hostForPlainRead(lo: number, hi: number, size: number): number {
    const host = this.#tlb.probe(this.#vcpu.tlbBases.tlb[0], lo, hi, size);
    if (host !== 0) return host;
    if (this.#watched(lo, hi)) return 0;
    const page = this.resolve(lo, hi, this.#vcpu.accessMode);
    return page <= 0 ? page : page + (lo & 0xfff);
  }

  /** Host address for writing plain RAM without code in it, within one page; 0 if that is not to be had (nothing is pending then). */
  hostForWrite(lo: number, hi: number, size: number): number {
    return this.#tlb.probe(this.#vcpu.tlbBases.tlb[1], lo, hi, size);
  }

  /** Reads 1, 2, 4 or 8 bytes into `lo`, `hi` (zero-extended, signed halves). */
  read(lo: number, hi: number, size: number): boolean {
    const host = this.hostForRead(lo, hi, size);
    if (host === 0) return false;
    this.#take(host, size);
    return true;
  }

  /** Writes 1, 2, 4 or 8 bytes. */
  write(lo: number, hi: number, size: number, valueLo: number, valueHi: number): boolean {
    let host = this.#tlb.probe(this.#vcpu.tlbBases.tlb[1], lo, hi, size);
    const staged = host === 0;
    if (staged) {
      if (this.misaligned(lo, hi, size)) return false;
      host = this.#scratch;
    }
    if (size === 1) this.#u8[host] = valueLo;
    else if (size === 2) this.#view.setUint16(host, valueLo, true);
    else {
      this.#view.setInt32(host, valueLo, true);
      if (size === 8) this.#view.setInt32(host + 4, valueHi, true);
    }
    return !staged || this.#storeFrom(lo, hi, size, host);
  }

  /** Reads `out.length` bytes, each page checked before anything is read of it. */
  readBytes(lo: number, hi: number, out: Uint8Array): boolean {
    for (let k = 0; k < out.length; k++) {
      const at = (lo + k) | 0;
      if (!this.read(at, carried(lo, hi, at), 1)) return false;
      out[k] = this.lo;
    }
    return true;
  }

  /** Writes `bytes` after making sure that all of them can be written. */
  writeBytes(lo: number, hi: number, bytes: Uint8Array): boolean {
    if (!this.probeWriteRange(lo, hi, bytes.length)) return false;
    for (let k = 0; k < bytes.length; k++) {
      const at = (lo + k) | 0;
      if (!this.write(at, carried(lo, hi, at), 1, bytes[k] as number, 0)) return false;
    }
    return true;
  }

  /** Reads as the processor itself: descriptor tables, TSS. */
  readSystem(lo: number, hi: number, size: number): boolean {
    // Such accesses have the rights of explicit ones without AC.
    const base = this.#vcpu.kernelTlb.tlb[0];
    const host = this.#tlb.probe(base, lo, hi, size);
    if (host !== 0) {
      this.#take(host, size);
      return true;
    }
    let page = this.resolve(lo, hi, Access.Implicit);
    if (page < 0) return false;
    this.#vcpu.debugTrap(this.#vcpu.breakpoints.data(lo, hi, size, false));
    if (page > 0 && !this.#vcpu.breakpoints.onDataPage(lo, hi)) this.#fill(base, lo, hi, page);
    for (let k = 0; k < size; k++) {
      const at = (lo + k) | 0;
      if (k > 0 && (at & 0xfff) === 0) page = this.resolve(at, carried(lo, hi, at), Access.Implicit);
      if (page < 0) return false;
      // Nothing answers there: all ones.
      this.#u8[this.#scratch + k] = page === 0 ? 0xff : (this.#u8[page + (at & 0xfff)] as number);
    }
    this.#take(this.#scratch, size);
    return true;
  }

  /** Writes as the processor itself. */
  writeSystem(lo: number, hi: number, size: number, valueLo: number, valueHi = 0): boolean {
    this.#vcpu.debugTrap(this.#vcpu.breakpoints.data(lo, hi, size, true));
    for (let k = 0; k < size; k++) {
      const l = (lo + k) | 0;
      const page = this.resolve(l, carried(lo, hi, l), Access.Implicit | Access.Write);
      if (page < 0) return false;
      if (page > 0) {
        this.#u8[page + (l & 0xfff)] = (k < 4 ? valueLo >>> (8 * k) : valueHi >>> (8 * (k - 4))) & 0xff;
        if (this.#code.wrote(this.#gfn, l & 0xfff, 1)) this.#vcpu.endSlice();
      }
    }
    return true;
  }

  /** Writes at the privilege an event handler will have: `user` or supervisor, as an explicit access. */
  writeAt(lo: number, hi: number, size: number, valueLo: number, valueHi: number, user: boolean): boolean {
    const vcpu = this.#vcpu;
    const { accessMode, tlbBases, alignmentChecked } = vcpu;
    const mode = user ? Access.User : 0;
    if (mode === accessMode) return this.write(lo, hi, size, valueLo, valueHi);
    vcpu.accessMode = mode;
    vcpu.alignmentChecked = false;
    vcpu.tlbBases = user ? vcpu.userTlb : vcpu.kernelTlb;
    const done = this.write(lo, hi, size, valueLo, valueHi);
    vcpu.accessMode = accessMode;
    vcpu.tlbBases = tlbBases;
    vcpu.alignmentChecked = alignmentChecked;
    return done;
  }

  /** Reads the 8 bytes `offset` >= 0 bytes above RSP, where the read TLB in force has their page; else false, with nothing pending. */
  peekKnown(offset: number, out: Halves): boolean {
    const vcpu = this.#vcpu;
    const rsp = vcpu.regLo(4);
    const lo = (rsp + offset) | 0;
    const host = this.#tlb.probe(vcpu.tlbBases.tlb[0], lo, carried(rsp, vcpu.regHi(4), lo), 8);
    if (host === 0) return false;
    out.lo = this.#view.getInt32(host, true);
    out.hi = this.#view.getInt32(host + 4, true);
    return true;
  }

  /** Writes a frame upwards from `hi:lo`, where the write TLB of the level has its page; else false, with nothing written or pending. */
  pushKnown(lo: number, hi: number, { words, length }: FrameWords, user: boolean): boolean {
    const { tlb } = user ? this.#vcpu.userTlb : this.#vcpu.kernelTlb;
    let host = this.#tlb.probe(tlb[1], lo, hi, 8 * length);
    if (host === 0) return false;
    for (let k = 2 * length - 2; k >= 0; k -= 2, host += 8) {
      this.#view.setInt32(host, words[k] as number, true);
      this.#view.setInt32(host + 4, words[k + 1] as number, true);
    }
    return true;
  }

  /** Whether the byte at `hi:lo` can be accessed with the `Access` bits given: false with something pending. */
  probe(lo: number, hi: number, access: number): boolean {
    return this.resolve(lo, hi, access) >= 0;
  }

  /** Probes for writing without writing: false with something pending. */
  probeWrite(lo: number, hi: number): boolean {
    return this.#resolveWrite(lo, hi) >= 0;
  }

  /** Probes `size` bytes, at most a page, for writing: a fault names the first byte, or the start of the second page. */
  probeWriteRange(lo: number, hi: number, size: number): boolean {
    if (!this.probeWrite(lo, hi)) return false;
    if ((lo & 0xfff) + size <= 4096) return true;
    const next = nextPage(lo, hi);
    return this.probeWrite(next.lo, next.hi);
  }

  /** Probes the top of the stack of the current mode. */
  probeStack(size: number): boolean {
    const vcpu = this.#vcpu;
    const long = vcpu.mode === 64;
    const lo = long ? vcpu.regLo(4) : ((vcpu.regLo(4) & vcpu.i32(S.STACK_MASK)) + vcpu.i32(S.SEG_BASE + 16)) | 0;
    const hi = long ? vcpu.regHi(4) : 0;
    if ((lo & 0xfff) + size > 4096 && !this.probeWrite((lo + size - 1) | 0, hi)) return false;
    return this.probeWrite(lo, hi);
  }

  /** Value of `size` bytes at a host address, into `lo`, `hi`. */
  #take(host: number, size: number): void {
    this.hi = 0;
    if (size === 1) this.lo = this.#u8[host] as number;
    else if (size === 2) this.lo = this.#view.getUint16(host, true);
    else {
      this.lo = this.#view.getInt32(host, true);
      if (size === 8) this.hi = this.#view.getInt32(host + 4, true);
    }
  }

  /**
   * Host address of the frame behind a linear page; 0 for MMIO (see `#gfn`); -1 with #PF, #GP or an exit pending.
   * @param access `Access` bits
   * @param quiet a withheld page is -1 with nothing pending, and nobody is told
   */
  resolve(lo: number, hi: number, access: number, quiet = false): number {
    const vcpu = this.#vcpu;
    if (vcpu.mode === 64 && !canonical(vcpu, hi)) {
      vcpu.raiseNonCanonical();
      return -1;
    }
    for (;;) {
      const status = this.#mmu.translate(vcpu.paging, lo, hi, access);
      const { translation } = this.#mmu;
      this.#gfn = translation.gfn;
      switch (status) {
        case Status.Ok:
          this.#licence = translation.licence;
          return translation.host;
        case Status.Mmio:
          return 0;
        case Status.Fault:
          vcpu.raisePageFault(lo, hi, translation.errorCode);
          return -1;
        default:
          if (!quiet && vcpu.withheld(translation.gfn, translation.errorCode, lo, hi)) continue;
          return -1;
      }
    }
  }

  get gfn(): number {
    return this.#gfn;
  }

  /** `resolve` for reading; memory gets its TLB entry. */
  #resolveRead(lo: number, hi: number): number {
    const page = this.resolve(lo, hi, this.#vcpu.accessMode);
    if (page > 0) {
      this.#fill(this.#vcpu.tlbBases.tlb[0], lo, hi, page);
    }
    return page;
  }

  /** `resolve` for writing; memory without code in it gets its TLB entry. */
  #resolveWrite(lo: number, hi: number): number {
    const page = this.resolve(lo, hi, this.#vcpu.accessMode | Access.Write);
    if (page > 0 && this.#licence & Licence.Write && !this.#code.isCode(this.#gfn) && !this.#watched(lo, hi)) {
      this.#fill(this.#vcpu.tlbBases.tlb[1], lo, hi, page);
    }
    return page;
  }

  /** Enters the frame at `host`, just resolved, into the TLB at `base`. */
  #fill(base: number, lo: number, hi: number, host: number): void {
    const { global, large } = this.#mmu.translation;
    this.#tlb.fill(base, lo, hi, (host - (lo & ~0xfff)) | 0, global, large);
  }

  /**
   * Has observers decide about an access to a device, in pieces a bus knows.
   * @param from host address of what is written, null for a read
   * @returns whether it happens; null with an exception or exit pending
   */
  #verdict(gpa: number, size: number, from: number | null): boolean | null {
    const { hooks } = this.#vcpu;
    if (hooks.mmio === undefined) return true;
    const piece = pieceOf(size);
    let happens = true;
    for (let k = 0; k < size; k += piece) {
      if (from !== null) this.#take(from + k, piece);
      const value = from === null ? null : u64(this.lo, this.hi);
      if (hooks.mmio(gpa + k, piece, from !== null, value) === false) happens = false;
      if (this.#vcpu.leaving || this.#vcpu.pending !== null) return null;
    }
    return happens;
  }

  /** @returns false, with nothing read, if an exception or exit is pending */
  #deviceLoad(gpa: number, size: number, to: number): boolean {
    const verdict = this.#verdict(gpa, size, null);
    if (verdict === null) return false;
    if (!verdict) this.#u8.fill(0xff, to, to + size);
    const piece = pieceOf(size);
    if (verdict) for (let k = 0; k < size; k += piece) this.#mmioLoad(gpa + k, piece, to + k);
    return true;
  }

  #mmioLoad(gpa: number, size: number, to: number): void {
    const low = this.#bus.mmioRead(gpa, size);
    const high = size === 8 ? this.#bus.mmioHigh : 0;
    this.#vcpu.counts.mmio++;
    this.#vcpu.hooks.mmioRead?.(gpa, size, u64(low, high));
    if (size === 1) this.#u8[to] = low;
    else if (size === 2) this.#view.setUint16(to, low, true);
    else {
      this.#view.setInt32(to, low, true);
      if (size === 8) this.#view.setInt32(to + 4, high, true);
    }
  }

  #deviceStore(gpa: number, size: number, from: number): void {
    const piece = pieceOf(size);
    for (let k = 0; k < size; k += piece) {
      this.#take(from + k, piece);
      this.#vcpu.counts.mmio++;
      this.#bus.mmioWrite(gpa + k, piece, this.lo, this.hi);
    }
  }
}

/** How a bus carries `size` bytes: half of an access across pages, and vectors, in pieces of this size. */
function pieceOf(size: number): 1 | 2 | 4 | 8 {
  if (size === 1 || size === 2 || size === 4 || size === 8) return size;
  return size === 16 ? 8 : 1;
}

/** First byte of the page after that of `hi:lo`. */
function nextPage(lo: number, hi: number): { lo: number; hi: number } {
  const next = ((lo | 0xfff) + 1) | 0;
  return { lo: next, hi: next === 0 ? (hi + 1) | 0 : hi };
}

/** High half of the address whose low half is `at`, some bytes after `hi:lo`. */
function carried(lo: number, hi: number, at: number): number {
  return at >>> 0 < lo >>> 0 ? (hi + 1) | 0 : hi;
}
