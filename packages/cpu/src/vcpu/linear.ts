import type { CodeCache } from "../code/cache.js";
import { Access, type BusPort, Licence, type MmuPort, Status } from "../ports.js";
import * as S from "../state.js";
import { type Tlb } from "../tlb.js";
import { Vector } from "./constants.js";
import type { Vcpu } from "./vcpu.js";

/**
 * Linear memory of one vCPU: what happens when generated code misses its TLB, and the accesses made by TypeScript.
 * Every method that can fail returns 0 or false with an exception or exit pending in the vCPU.
 */
export class LinearMemory {
  readonly #vcpu: Vcpu;
  readonly #mmu: MmuPort;
  readonly #bus: BusPort;
  readonly #code: CodeCache;
  readonly #tlb: Tlb;
  readonly #u8: Uint8Array;
  readonly #view: DataView;
  readonly #scratch: number;
  /** Where the staged bytes of a `modify` go: linear address, and guest-physical when it is MMIO. */
  #commitLo = 0;
  #commitHi = 0;
  /** Last value read by `read`. */
  lo = 0;
  hi = 0;
  /** Guest frame number of the last `resolve`. */
  #gfn = 0;
  #licence = 0;

  constructor(vcpu: Vcpu, memory: WebAssembly.Memory, mmu: MmuPort, bus: BusPort, code: CodeCache, tlb: Tlb) {
    this.#vcpu = vcpu;
    this.#mmu = mmu;
    this.#bus = bus;
    this.#code = code;
    this.#tlb = tlb;
    this.#u8 = new Uint8Array(memory.buffer);
    this.#view = new DataView(memory.buffer);
    this.#scratch = vcpu.base + S.SCRATCH;
  }

  // Imports of generated code

  /** See `SlowPaths.load`. */
  readonly slowLoad = (lo: number, hi: number, size: number): number => {
    const offset = lo & 0xfff;
    if (offset + size > 4096) return this.#loadAcross(lo, hi, size);
    const page = this.resolve(lo, hi, this.#vcpu.accessMode);
    if (page > 0) {
      const { tlb } = this.#vcpu.tlbBases;
      this.#tlb.fill(tlb[0], lo, hi, (page - (lo & ~0xfff)) | 0, this.#mmu.translation.global);
      return page + offset;
    }
    if (page < 0) return 0;
    this.#mmioLoad(this.#gfn * 4096 + offset, size, this.#scratch);
    return this.#scratch;
  };

  /** See `SlowPaths.store`. */
  readonly slowStore = (lo: number, hi: number, size: number): number => {
    const offset = lo & 0xfff;
    if (offset + size > 4096) return this.#storeAcross(lo, hi, size) ? 1 : 0;
    const page = this.#resolveWrite(lo, hi);
    if (page < 0) return 0;
    if (page > 0) this.#copyOut(page + offset, size, offset);
    else this.#mmioStore(this.#gfn * 4096 + offset, size, this.#scratch);
    return 1;
  };

  /** See `SlowPaths.modify`. */
  readonly slowModify = (lo: number, hi: number, size: number): number => {
    const offset = lo & 0xfff;
    this.#commitLo = lo;
    this.#commitHi = hi;
    if (offset + size > 4096) {
      const first = 4096 - offset;
      const next = (lo + first) | 0;
      const nextHi = next >>> 0 < lo >>> 0 ? (hi + 1) | 0 : hi;
      if (this.#resolveWrite(lo, hi) < 0 || this.#resolveWrite(next, nextHi) < 0) return 0;
      return this.#loadAcross(lo, hi, size);
    }
    const page = this.#resolveWrite(lo, hi);
    if (page < 0) return 0;
    if (page === 0) {
      this.#mmioLoad(this.#gfn * 4096 + offset, size, this.#scratch);
      return this.#scratch;
    }
    if (!this.#code.isCode(this.#gfn)) return page + offset;
    // Stores into code pages must be seen: stage the operand.
    this.#u8.copyWithin(this.#scratch, page + offset, page + offset + size);
    return this.#scratch;
  };

  /** See `SlowPaths.commit`: the page was found writable by `slowModify` of the same instruction. */
  readonly commit = (size: number): void => {
    this.slowStore(this.#commitLo, this.#commitHi, size);
  };

  // Accesses from TypeScript

  /** Host address of [`hi:lo`, + size) within one page, for reading; 0 with something pending. MMIO is staged. */
  hostForRead(lo: number, hi: number, size: number): number {
    const host = this.#tlb.probe(this.#vcpu.tlbBases.tlb[0], lo, hi, size);
    return host !== 0 ? host : this.slowLoad(lo, hi, size);
  }

  /** Like `hostForRead` for more bytes than can be staged: 0 if it is not plain RAM (nothing is pending then), -1 with something pending. */
  hostForPlainRead(lo: number, hi: number, size: number): number {
    const host = this.#tlb.probe(this.#vcpu.tlbBases.tlb[0], lo, hi, size);
    if (host !== 0) return host;
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
    if (staged) host = this.#scratch;
    if (size === 1) this.#u8[host] = valueLo;
    else if (size === 2) this.#view.setUint16(host, valueLo, true);
    else {
      this.#view.setInt32(host, valueLo, true);
      if (size === 8) this.#view.setInt32(host + 4, valueHi, true);
    }
    return !staged || this.slowStore(lo, hi, size) !== 0;
  }

  /** Reads `out.length` bytes, each page checked before anything is read of it. */
  readBytes(lo: number, hi: number, out: Uint8Array): boolean {
    for (let k = 0; k < out.length; k++) {
      if (!this.read((lo + k) | 0, hi, 1)) return false;
      out[k] = this.lo;
    }
    return true;
  }

  /** Writes `bytes` after making sure that all of them can be written. */
  writeBytes(lo: number, hi: number, bytes: Uint8Array): boolean {
    if (!this.probeWrite((lo + bytes.length - 1) | 0, hi) || !this.probeWrite(lo, hi)) return false;
    for (let k = 0; k < bytes.length; k++) if (!this.write((lo + k) | 0, hi, 1, bytes[k] as number, 0)) return false;
    return true;
  }

  /** Reads as the processor itself: descriptor tables, TSS. */
  readSystem(lo: number, hi: number, size: number): boolean {
    for (let k = 0; k < size; k++) {
      const l = (lo + k) | 0;
      const h = l >>> 0 < lo >>> 0 ? (hi + 1) | 0 : hi;
      const page = k === 0 || (l & 0xfff) === 0 ? this.resolve(l, h, Access.Implicit) : 1;
      if (page < 0) return false;
      if (page === 0) {
        this.lo = this.hi = -1;
        return true;
      }
      if (k === 0 || (l & 0xfff) === 0) this.#systemPage = page;
      this.#u8[this.#scratch + k] = this.#u8[this.#systemPage + (l & 0xfff)] as number;
    }
    this.#take(this.#scratch, size);
    return true;
  }
  #systemPage = 0;

  /** Writes as the processor itself. */
  writeSystem(lo: number, hi: number, size: number, valueLo: number, valueHi = 0): boolean {
    for (let k = 0; k < size; k++) {
      const l = (lo + k) | 0;
      const h = l >>> 0 < lo >>> 0 ? (hi + 1) | 0 : hi;
      const page = this.resolve(l, h, Access.Implicit | Access.Write);
      if (page < 0) return false;
      if (page > 0) {
        this.#u8[page + (l & 0xfff)] = (k < 4 ? valueLo >>> (8 * k) : valueHi >>> (8 * (k - 4))) & 0xff;
        if (this.#code.wrote(this.#gfn, l & 0xfff, 1)) this.#vcpu.kick();
      }
    }
    return true;
  }

  /** Writes at the privilege an event handler will have: `user` or supervisor, as an explicit access. */
  writeAt(lo: number, hi: number, size: number, valueLo: number, valueHi: number, user: boolean): boolean {
    const vcpu = this.#vcpu;
    const { accessMode, tlbBases } = vcpu;
    const mode = user ? Access.User : 0;
    if (mode === accessMode) return this.write(lo, hi, size, valueLo, valueHi);
    vcpu.accessMode = mode;
    vcpu.tlbBases = user ? vcpu.userTlb : vcpu.kernelTlb;
    const done = this.write(lo, hi, size, valueLo, valueHi);
    vcpu.accessMode = accessMode;
    vcpu.tlbBases = tlbBases;
    return done;
  }

  /** Probes for writing without writing: false with something pending. */
  probeWrite(lo: number, hi: number): boolean {
    return this.#resolveWrite(lo, hi) >= 0;
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
   */
  resolve(lo: number, hi: number, access: number): number {
    const vcpu = this.#vcpu;
    if (vcpu.mode === 64 && hi >> 15 !== hi >> 31) {
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
          if (vcpu.withheld(translation.gfn, translation.errorCode, lo, hi)) continue;
          return -1;
      }
    }
  }

  get gfn(): number {
    return this.#gfn;
  }

  #resolveWrite(lo: number, hi: number): number {
    const page = this.resolve(lo, hi, this.#vcpu.accessMode | Access.Write);
    if (page > 0 && this.#licence & Licence.Write && !this.#code.isCode(this.#gfn)) {
      this.#tlb.fill(this.#vcpu.tlbBases.tlb[1], lo, hi, (page - (lo & ~0xfff)) | 0, this.#mmu.translation.global);
    }
    return page;
  }

  /** Staged bytes to RAM, telling the code cache. */
  #copyOut(host: number, size: number, offset: number, from = this.#scratch): void {
    this.#u8.copyWithin(host, from, from + size);
    if (this.#code.wrote(this.#gfn, offset, size)) this.#vcpu.kick();
  }

  #loadAcross(lo: number, hi: number, size: number): number {
    const first = 4096 - (lo & 0xfff);
    const next = (lo + first) | 0;
    const nextHi = next >>> 0 < lo >>> 0 ? (hi + 1) | 0 : hi;
    const mode = this.#vcpu.accessMode;
    const a = this.resolve(lo, hi, mode);
    if (a < 0) return 0;
    const gfn = this.#gfn;
    const b = this.resolve(next, nextHi, mode);
    if (b < 0) return 0;
    const stage = this.#scratch;
    if (a > 0) this.#u8.copyWithin(stage, a + (lo & 0xfff), a + 4096);
    else for (let k = 0; k < first; k++) this.#mmioLoad(gfn * 4096 + (lo & 0xfff) + k, 1, stage + k);
    if (b > 0) this.#u8.copyWithin(stage + first, b, b + size - first);
    else for (let k = first; k < size; k++) this.#mmioLoad(this.#gfn * 4096 + k - first, 1, stage + k);
    return stage;
  }

  #storeAcross(lo: number, hi: number, size: number): boolean {
    const offset = lo & 0xfff;
    const first = 4096 - offset;
    const next = (lo + first) | 0;
    const nextHi = next >>> 0 < lo >>> 0 ? (hi + 1) | 0 : hi;
    const stage = this.#scratch;
    const a = this.#resolveWrite(lo, hi);
    if (a < 0) return false;
    const gfn = this.#gfn;
    const b = this.#resolveWrite(next, nextHi);
    if (b < 0) return false;
    const second = this.#gfn;
    if (b > 0) this.#copyOut(b, size - first, 0, stage + first);
    else for (let k = first; k < size; k++) this.#mmioStore(second * 4096 + k - first, 1, stage + k);
    this.#gfn = gfn;
    if (a > 0) this.#copyOut(a + offset, first, offset);
    else for (let k = 0; k < first; k++) this.#mmioStore(gfn * 4096 + offset + k, 1, stage + k);
    return true;
  }

  #mmioLoad(gpa: number, size: number, to: number): void {
    if (size === 16) {
      this.#mmioLoad(gpa, 8, to);
      this.#mmioLoad(gpa + 8, 8, to + 8);
      return;
    }
    const low = this.#bus.mmioRead(gpa, size);
    const high = size === 8 ? this.#bus.mmioHigh : 0;
    this.#vcpu.hooks.mmio?.(gpa, size, false, low, high);
    if (size === 1) this.#u8[to] = low;
    else if (size === 2) this.#view.setUint16(to, low, true);
    else {
      this.#view.setInt32(to, low, true);
      if (size === 8) this.#view.setInt32(to + 4, high, true);
    }
  }

  #mmioStore(gpa: number, size: number, from: number): void {
    if (size === 16) {
      this.#mmioStore(gpa, 8, from);
      this.#mmioStore(gpa + 8, 8, from + 8);
      return;
    }
    this.#take(from, size);
    const { lo, hi } = this;
    this.#vcpu.hooks.mmio?.(gpa, size, true, lo, hi);
    this.#bus.mmioWrite(gpa, size, lo, hi);
  }
}
