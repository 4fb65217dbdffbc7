import type { CodeCache } from "../../code/cache.js";
import { Access } from "../../ports.js";
import * as S from "../../state.js";
import type { Tlb } from "../../tlb.js";
import type { VcpuContext } from "../context/context.js";
import type { FrameWords, LinearAccess } from "../context/linear-access.js";
import type { Halves } from "../registers/halves.js";
import { carried, crosses, nextPage } from "./address.js";
import type { Copies } from "./copies.js";
import type { HostBytes } from "./host-bytes.js";
import type { Pages } from "./pages.js";

/** What TypeScript asks of linear memory. For results see `Pages`. */
export class LinearMemory implements LinearAccess {
  readonly #vcpu: VcpuContext;
  readonly #tlb: Tlb;
  readonly #code: CodeCache;
  readonly #pages: Pages;
  readonly #copies: Copies;
  readonly #host: HostBytes;
  readonly #scratch: number;
  readonly #byte: Halves = { lo: 0, hi: 0 };

  constructor(vcpu: VcpuContext, code: CodeCache, pages: Pages, copies: Copies, host: HostBytes) {
    this.#vcpu = vcpu;
    this.#tlb = vcpu.tlb;
    this.#code = code;
    this.#pages = pages;
    this.#copies = copies;
    this.#host = host;
    this.#scratch = vcpu.base + S.SCRATCH;
  }

  // At the current privilege

  read(lo: number, hi: number, size: number, out: Halves): boolean {
    const host = this.#hostForRead(lo, hi, size);
    if (host < 0) return false;
    this.#host.read(host, size, out);
    return true;
  }

  /** Host address of `size` <= 16 readable bytes, copied to `SCRATCH` if they are not plain RAM in one page. */
  #hostForRead(lo: number, hi: number, size: number): number {
    const pages = this.#pages;
    const host = this.#tlb.probe(this.#vcpu.tlbBases.tlb[0], lo, hi, size);
    if (host !== 0) return host;
    if (!pages.aligned(lo, hi, size)) return -1;
    if (!crosses(lo, size) && !pages.watched(lo, hi)) {
      const page = pages.resolveRead(lo, hi);
      if (page !== 0) return page > 0 ? page + (lo & 0xfff) : -1;
    }
    return this.#copies.load(lo, hi, size, this.#scratch) ? this.#scratch : -1;
  }

  write(lo: number, hi: number, size: number, valueLo: number, valueHi: number): boolean {
    const host = this.#tlb.probe(this.#vcpu.tlbBases.tlb[1], lo, hi, size);
    if (host !== 0) {
      this.#host.write(host, size, valueLo, valueHi);
      return true;
    }
    if (!this.#pages.aligned(lo, hi, size)) return false;
    this.#host.write(this.#scratch, size, valueLo, valueHi);
    return this.#copies.store(lo, hi, size, this.#scratch);
  }

  readBytes(lo: number, hi: number, out: Uint8Array): boolean {
    for (let k = 0; k < out.length; ) {
      const at = (lo + k) | 0;
      const atHi = carried(lo, hi, at);
      const run = Math.min(out.length - k, 4096 - (at & 0xfff));
      const host = this.hostForPlainRead(at, atHi, run);
      if (host < 0 || (host === 0 && !this.#readEach(at, atHi, out, k, run))) return false;
      if (host > 0) out.set(this.#host.u8.subarray(host, host + run), k);
      k += run;
    }
    return true;
  }

  #readEach(lo: number, hi: number, out: Uint8Array, from: number, count: number): boolean {
    for (let k = 0; k < count; k++) {
      if (!this.read(lo + k, hi, 1, this.#byte)) return false;
      out[from + k] = this.#byte.lo;
    }
    return true;
  }

  writeBytes(lo: number, hi: number, bytes: Uint8Array): boolean {
    if (!this.probeWriteRange(lo, hi, bytes.length)) return false;
    for (let k = 0; k < bytes.length; ) {
      const at = (lo + k) | 0;
      const atHi = carried(lo, hi, at);
      const run = Math.min(bytes.length - k, 4096 - (at & 0xfff));
      const host = this.hostForWrite(at, atHi, run);
      if (host > 0) this.#host.u8.set(bytes.subarray(k, k + run), host);
      else if (!this.#writeEach(at, atHi, bytes, k, run)) return false;
      k += run;
    }
    return true;
  }

  #writeEach(lo: number, hi: number, bytes: Uint8Array, from: number, count: number): boolean {
    for (let k = 0; k < count; k++) if (!this.write(lo + k, hi, 1, bytes[from + k] as number, 0)) return false;
    return true;
  }

  hostForPlainRead(lo: number, hi: number, size: number): number {
    const host = this.hostForRead(lo, hi, size);
    if (host !== 0) return host;
    if (crosses(lo, size) || this.#pages.watched(lo, hi)) return 0;
    const page = this.#pages.resolveRead(lo, hi);
    return page <= 0 ? page : page + (lo & 0xfff);
  }

  hostForPlainWrite(lo: number, hi: number, size: number): number {
    const host = this.hostForWrite(lo, hi, size);
    if (host !== 0) return host;
    const page = this.#pages.resolveWrite(lo, hi);
    if (page <= 0) return page;
    if (crosses(lo, size) || !this.#pages.writable || this.#pages.watched(lo, hi)) return 0;
    if (this.#code.wrote(this.#pages.gfn, lo & 0xfff, size)) this.#vcpu.endSlice();
    return page + (lo & 0xfff);
  }

  hostForRead(lo: number, hi: number, size: number): number {
    return this.#tlb.probe(this.#vcpu.tlbBases.tlb[0], lo, hi, size);
  }

  hostForWrite(lo: number, hi: number, size: number): number {
    return this.#tlb.probe(this.#vcpu.tlbBases.tlb[1], lo, hi, size);
  }

  // As the processor itself

  readSystem(lo: number, hi: number, size: number, out: Halves): boolean {
    const vcpu = this.#vcpu;
    const { u8 } = this.#host;
    // Such accesses have the rights of explicit ones without AC.
    const base = vcpu.kernelTlb.tlb[0];
    const host = this.#tlb.probe(base, lo, hi, size);
    if (host !== 0) {
      this.#host.read(host, size, out);
      return true;
    }
    let page = this.#pages.resolve(lo, hi, Access.Implicit);
    if (page < 0) return false;
    vcpu.debugTrap(vcpu.breakpoints.data(lo, hi, size, false));
    if (page > 0 && !vcpu.breakpoints.onDataPage(lo, hi)) this.#pages.fill(base, lo, hi, page);
    for (let k = 0; k < size; k++) {
      const at = (lo + k) | 0;
      if (k > 0 && (at & 0xfff) === 0) page = this.#pages.resolve(at, carried(lo, hi, at), Access.Implicit);
      if (page < 0) return false;
      // Nothing answers there: all ones.
      u8[this.#scratch + k] = page === 0 ? 0xff : (u8[page + (at & 0xfff)] as number);
    }
    this.#host.read(this.#scratch, size, out);
    return true;
  }

  writeSystem(lo: number, hi: number, size: number, valueLo: number, valueHi = 0): boolean {
    const vcpu = this.#vcpu;
    vcpu.debugTrap(vcpu.breakpoints.data(lo, hi, size, true));
    for (let k = 0; k < size; k++) {
      const at = (lo + k) | 0;
      const page = this.#pages.resolve(at, carried(lo, hi, at), Access.Implicit | Access.Write);
      if (page < 0) return false;
      if (page > 0) {
        this.#host.u8[page + (at & 0xfff)] = (k < 4 ? valueLo >>> (8 * k) : valueHi >>> (8 * (k - 4))) & 0xff;
        if (this.#code.wrote(this.#pages.gfn, at & 0xfff, 1)) vcpu.endSlice();
      }
    }
    return true;
  }

  // Stacks of events

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

  peekKnown(offset: number, out: Halves): boolean {
    const vcpu = this.#vcpu;
    const rsp = vcpu.regLo(4);
    const lo = (rsp + offset) | 0;
    const host = this.#tlb.probe(vcpu.tlbBases.tlb[0], lo, carried(rsp, vcpu.regHi(4), lo), 8);
    if (host === 0) return false;
    this.#host.read(host, 8, out);
    return true;
  }

  pushKnown(lo: number, hi: number, { words, length }: FrameWords, user: boolean): boolean {
    const { tlb } = user ? this.#vcpu.userTlb : this.#vcpu.kernelTlb;
    let host = this.#tlb.probe(tlb[1], lo, hi, 8 * length);
    if (host === 0) return false;
    for (let k = 2 * length - 2; k >= 0; k -= 2, host += 8) {
      this.#host.write(host, 8, words[k] as number, words[k + 1] as number);
    }
    return true;
  }

  // Looking ahead

  probe(lo: number, hi: number, access: number): boolean {
    return this.#pages.resolve(lo, hi, access) >= 0;
  }

  probeWrite(lo: number, hi: number): boolean {
    return this.#pages.resolveWrite(lo, hi) >= 0;
  }

  probeWriteRange(lo: number, hi: number, size: number): boolean {
    if (!this.probeWrite(lo, hi)) return false;
    if (!crosses(lo, size)) return true;
    const next = nextPage(lo);
    return this.probeWrite(next, carried(lo, hi, next));
  }

  probeStack(size: number): boolean {
    const vcpu = this.#vcpu;
    const long = vcpu.mode === 64;
    const lo = long ? vcpu.regLo(4) : ((vcpu.regLo(4) & vcpu.i32(S.STACK_MASK)) + vcpu.i32(S.SEG_BASE + 16)) | 0;
    const hi = long ? vcpu.regHi(4) : 0;
    if (crosses(lo, size) && !this.probeWrite((lo + size - 1) | 0, hi)) return false;
    return this.probeWrite(lo, hi);
  }

  aligned(lo: number, hi: number, size: number): boolean {
    return this.#pages.aligned(lo, hi, size);
  }
}
