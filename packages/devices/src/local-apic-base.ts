import type { LocalApicMode } from "./local-apic-desc.js";
import { BASE_BSP, BASE_ENABLE, BASE_RESERVED, BASE_X2APIC } from "./local-apic-registers.js";
import { StateError } from "./state.js";

const DEFAULT_BASE = 0xfee0_0000;

export interface ApicBaseDesc {
  readonly bootstrap: boolean;
  /** Whether there is an x2APIC mode (default true). */
  readonly x2apic?: boolean;
  /** MAXPHYADDR, default 52. */
  readonly physicalAddressBits?: number;
}

/** IA32_APIC_BASE: where the page of registers lies, and which of its modes the APIC is in (SDM 3A 11.4.4, 11.12.5). */
export class ApicBase {
  /** The register, as unsigned halves. */
  lo: number;
  hi = 0;
  readonly #x2apic: boolean;
  readonly #addressBits: number;

  constructor({ bootstrap, x2apic = true, physicalAddressBits = 52 }: ApicBaseDesc) {
    this.lo = (DEFAULT_BASE | BASE_ENABLE | (bootstrap ? BASE_BSP : 0)) >>> 0;
    this.#x2apic = x2apic;
    this.#addressBits = physicalAddressBits;
  }

  get mode(): LocalApicMode {
    if ((this.lo & BASE_ENABLE) === 0) return "disabled";
    return (this.lo & BASE_X2APIC) !== 0 ? "x2apic" : "xapic";
  }

  /** Guest-physical address of the register page; null unless in xAPIC mode. */
  get page(): number | null {
    return this.mode === "xapic" ? this.hi * 2 ** 32 + ((this.lo & 0xffff_f000) >>> 0) : null;
  }

  /** Takes a saved register. @throws {StateError} for one that no write leads to */
  restore(lo: number, hi: number): void {
    this.check(lo, hi);
    this.lo = lo;
    this.hi = hi;
  }

  /** @throws {StateError} as {@link restore} does */
  check(lo: number, hi: number): void {
    const extended = (lo & BASE_X2APIC) !== 0;
    if ((lo & BASE_RESERVED) !== 0 || (extended && (!this.#x2apic || (lo & BASE_ENABLE) === 0)))
      throw new StateError("baseLo", `is ${lo}, which IA32_APIC_BASE cannot hold`);
    if (hi >= 2 ** (this.#addressBits - 32))
      throw new StateError("baseHi", `is ${hi}, expected an address of ${this.#addressBits} bits`);
  }

  /** WRMSR. False: reserved bits, or a transition that figure 11-27 lacks; nothing has changed. */
  write(lo: number, hi: number): boolean {
    if ((lo & BASE_RESERVED) !== 0 || hi >= 2 ** (this.#addressBits - 32)) return false;
    const enable = (lo & BASE_ENABLE) !== 0;
    const extended = (lo & BASE_X2APIC) !== 0;
    if (extended && !this.#x2apic) return false;
    if (extended && (!enable || this.mode === "disabled")) return false;
    if (!extended && enable && this.mode === "x2apic") return false;
    this.lo = lo;
    this.hi = hi;
    return true;
  }
}
