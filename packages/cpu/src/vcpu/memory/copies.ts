import type { CodeCache } from "../../code/cache.js";
import type { Gfn } from "../../units.js";
import type { VcpuContext } from "../context/context.js";
import { carried, nextPage } from "./address.js";
import { DeviceMemory } from "./device-memory.js";
import type { HostBytes } from "./host-bytes.js";
import type { Pages } from "./pages.js";

/** Copies between linear memory of whatever kind, on one page or two, and host memory. For results see `Pages`. */
export class Copies {
  readonly #vcpu: VcpuContext;
  readonly #code: CodeCache;
  readonly #pages: Pages;
  readonly #host: HostBytes;
  readonly #devices: DeviceMemory;

  constructor(vcpu: VcpuContext, code: CodeCache, pages: Pages, host: HostBytes) {
    this.#vcpu = vcpu;
    this.#code = code;
    this.#pages = pages;
    this.#host = host;
    this.#devices = new DeviceMemory(vcpu, host);
  }

  /** Copies `size` readable bytes to host address `to`. */
  load(lo: number, hi: number, size: number, to: number): boolean {
    const vcpu = this.#vcpu;
    vcpu.debugTrap(vcpu.breakpoints.data(lo, hi, size, false));
    const offset = lo & 0xfff;
    const first = Math.min(size, 4096 - offset);
    const pages = this.#pages;
    const a = pages.resolve(lo, hi, vcpu.accessMode);
    if (a < 0) return false;
    const aGfn = pages.gfn;
    let b = 0;
    if (first < size) {
      const next = nextPage(lo);
      b = pages.resolve(next, carried(lo, hi, next), vcpu.accessMode);
      if (b < 0) return false;
    }
    const bGfn = pages.gfn;
    if (!this.#copyIn(a, aGfn, lo, hi, first, to)) return false;
    if (first === size) return true;
    const next = nextPage(lo);
    return this.#copyIn(b, bGfn, next, carried(lo, hi, next), size - first, to + first);
  }

  /** Copies the `size` bytes at linear address `hi:lo`, of the frame at host address `page` or of device frame `gfn` if that is 0. */
  #copyIn(page: number, gfn: Gfn, lo: number, hi: number, size: number, to: number): boolean {
    const offset = lo & 0xfff;
    if (page === 0) return this.#devices.load(gfn * 4096 + offset, lo, hi, size, to);
    this.#host.copy(to, page + offset, size);
    return true;
  }

  /** Writes the `size` bytes at host address `from`. Nothing is written if a page is not writable, or an observer of devices objects. */
  store(lo: number, hi: number, size: number, from: number): boolean {
    const vcpu = this.#vcpu;
    vcpu.debugTrap(vcpu.breakpoints.data(lo, hi, size, true));
    const offset = lo & 0xfff;
    const first = Math.min(size, 4096 - offset);
    const pages = this.#pages;
    const a = pages.resolveWrite(lo, hi);
    if (a < 0) return false;
    const { gfn } = pages;
    const decision = a === 0 ? this.#devices.mayStore(gfn * 4096 + offset, lo, hi, first, from) : 1;
    if (decision < 0) return false;
    if (first < size) {
      const next = nextPage(lo);
      const nextHi = carried(lo, hi, next);
      const b = pages.resolveWrite(next, nextHi);
      if (b < 0) return false;
      const nextGfn = pages.gfn;
      const second = b === 0 ? this.#devices.mayStore(nextGfn * 4096, next, nextHi, size - first, from + first) : 1;
      if (second < 0) return false;
      if (second > 0) this.copyOut(b, nextGfn, 0, size - first, from + first);
    }
    if (decision > 0) this.copyOut(a, gfn, offset, first, from);
    return true;
  }

  /** Writes `size` bytes at `offset` of the frame at host address `page`, or of device frame `gfn` if that is 0. */
  copyOut(page: number, gfn: Gfn, offset: number, size: number, from: number): void {
    if (page === 0) {
      this.#devices.store(gfn * 4096 + offset, size, from);
      return;
    }
    if (this.#code.isCode(gfn) && this.#host.same(page + offset, from, size)) return;
    this.#host.copy(page + offset, from, size);
    if (this.#code.wrote(gfn, offset, size)) this.#vcpu.endSlice();
  }
}
