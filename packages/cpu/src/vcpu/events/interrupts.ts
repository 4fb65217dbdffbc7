import * as S from "../../state.js";
import type { VcpuContext } from "../context/context.js";
import type { Pending } from "../context/event.js";
import { Vector } from "../registers/constants.js";

const NMI: Pending = { vector: Vector.NMI, errorCode: null, kind: "interrupt" };

/** What comes from outside: an NMI, and what the local APIC has. */
export class Interrupts {
  readonly #vcpu: VcpuContext;
  #nmi = false;
  /** Interrupts end the present halt also while IF is clear. */
  wakeMasked = false;

  constructor(vcpu: VcpuContext) {
    this.#vcpu = vcpu;
  }

  /** No NMI has come. */
  reset(): void {
    this.#nmi = false;
    this.wakeMasked = false;
  }

  /** An NMI waits. */
  get nmiPending(): boolean {
    return this.#nmi;
  }

  /** What the local APIC has is looked for again. */
  restore(nmiPending: boolean, wakeMasked: boolean): void {
    this.#nmi = nmiPending;
    this.wakeMasked = wakeMasked;
    this.#vcpu.setI32(S.INTR_PENDING, 1);
  }

  nmi(): void {
    this.#nmi = true;
    this.arrived();
  }

  /** An interrupt may have become deliverable. */
  arrived(): void {
    const vcpu = this.#vcpu;
    vcpu.setI32(S.INTR_PENDING, 1);
    if (vcpu.flags & S.IF || this.#nmi) vcpu.endSlice();
  }

  /** Something is there that ends HLT. */
  get wakes(): boolean {
    const { ports, flags } = this.#vcpu;
    return this.#nmi || ((this.wakeMasked || (flags & S.IF) !== 0) && ports.apic.hasInterrupt());
  }

  /** Takes what the flags let through now; null if that is nothing. */
  take(): Pending | null {
    const vcpu = this.#vcpu;
    if (vcpu.i32(S.INTR_PENDING) === 0) return null;
    if (this.#nmi && !vcpu.nmiBlocked) {
      this.#nmi = false;
      vcpu.nmiBlocked = true;
      return NMI;
    }
    const { apic } = vcpu.ports;
    if (!apic.hasInterrupt()) {
      if (!this.#nmi) vcpu.setI32(S.INTR_PENDING, 0);
      return null;
    }
    if (!(vcpu.flags & S.IF)) return null;
    const vector = apic.acknowledge();
    if (!apic.hasInterrupt() && !this.#nmi) vcpu.setI32(S.INTR_PENDING, 0);
    if (vector < 0) return null;
    vcpu.counts.interrupts++;
    return { vector, errorCode: null, kind: "interrupt" };
  }
}
