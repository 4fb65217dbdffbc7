import type { CodeCache } from "../../code/cache.js";
import { Access, Licence, type MmuPort, Status, type Translation } from "../../ports.js";
import type { Tlb } from "../../tlb.js";
import type { VcpuContext } from "../context/context.js";
import { canonical } from "../registers/canonical.js";
import { Vector } from "../registers/constants.js";

/**
 * Linear pages: where they lead, what must be seen of accesses to them, and when they get TLB entries.
 *
 * Results here, and in all of this room, are of one kind. A method that does something returns false if it could not, with an exception or
 * exit pending in the vCPU. One that finds a number returns it if it is positive; 0 says that there is none, with nothing pending; less
 * than 0 is false.
 */
export class Pages {
  readonly #vcpu: VcpuContext;
  readonly #mmu: MmuPort;
  /** The answer of the port: one object, overwritten by every call. */
  readonly #translation: Translation;
  readonly #tlb: Tlb;
  readonly #code: CodeCache;

  constructor(vcpu: VcpuContext, code: CodeCache) {
    this.#vcpu = vcpu;
    this.#mmu = vcpu.ports.mmu;
    this.#translation = vcpu.ports.mmu.translation;
    this.#tlb = vcpu.tlb;
    this.#code = code;
  }

  /**
   * Host address of the frame behind the page of `hi:lo`; 0 for a device (see `gfn`); -1 with #PF, #GP or an exit pending.
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
      const translation = this.#translation;
      switch (status) {
        case Status.Ok:
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

  /** Guest frame number of the page resolved last: what the MMU's port says until it is asked again. */
  get gfn(): number {
    return this.#translation.gfn;
  }

  /** `resolve` for reading at the current privilege; memory gets its TLB entry. */
  resolveRead(lo: number, hi: number): number {
    const page = this.resolve(lo, hi, this.#vcpu.accessMode);
    if (page > 0) this.fill(this.#vcpu.tlbBases.tlb[0], lo, hi, page);
    return page;
  }

  /** `resolve` for writing at the current privilege; memory without code in it gets its TLB entry. */
  resolveWrite(lo: number, hi: number): number {
    const page = this.resolve(lo, hi, this.#vcpu.accessMode | Access.Write);
    if (page > 0 && this.writable && !this.#code.isCode(this.gfn) && !this.watched(lo, hi)) {
      this.fill(this.#vcpu.tlbBases.tlb[1], lo, hi, page);
    }
    return page;
  }

  /** The page resolved last may be written without asking. */
  get writable(): boolean {
    return (this.#translation.licence & Licence.Write) !== 0;
  }

  /** Enters the frame at `host`, just resolved, into the TLB at `base`. */
  fill(base: number, lo: number, hi: number, host: number): void {
    const { gfn, global, large } = this.#translation;
    this.#tlb.fill(base, lo, hi, (host - (lo & ~0xfff)) | 0, gfn | 0, global, large);
  }

  /** Every access to the page must be seen: a data breakpoint is there, or alignment is checked. It gets no TLB entries. */
  watched(lo: number, hi: number): boolean {
    return this.#vcpu.alignmentChecked || this.#vcpu.breakpoints.onDataPage(lo, hi);
  }

  /** See `LinearAccess.aligned`. */
  aligned(lo: number, hi: number, size: number): boolean {
    const vcpu = this.#vcpu;
    if (!vcpu.alignmentChecked || (lo & (size - 1)) === 0 || size > 8) return true;
    return (vcpu.mode === 64 && !canonical(vcpu, hi)) || vcpu.raiseError(Vector.AC, 0);
  }
}
