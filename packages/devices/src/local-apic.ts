import { type ApicMessage, type ApicTarget, BROADCAST, DeliveryMode } from "./apic-bus.js";
import { matchesLogical } from "./apic-destination.js";
import { type Ipi, selfIpi } from "./apic-icr.js";
import { ApicTimer } from "./apic-timer.js";
import { InterruptQueue } from "./interrupt-queue.js";
import { ApicBase } from "./local-apic-base.js";
import type { LocalApicDesc, LocalApicMode, LocalApicState } from "./local-apic-desc.js";
import { ApicRegisterFile } from "./local-apic-file.js";
import {
  ApicError,
  MSR_APIC_BASE,
  MSR_TSC_DEADLINE,
  MSR_X2APIC_FIRST,
  MSR_X2APIC_LAST,
  Reg,
} from "./local-apic-registers.js";
import { readLocalApic } from "./local-apic-state.js";
import { LocalVectorTable } from "./local-vector-table.js";
import type { ExternalInterrupts } from "./pic-pair.js";
import type { MmioDevice, MmioSize } from "./ports.js";
import { X2APIC_WRITABLE } from "./x2apic-msrs.js";

/** Interrupt sources of the CPU package itself, each with an LVT entry. */
export type LocalSource = "thermal" | "perf" | "lint0" | "lint1";

const SOURCE_REG = { thermal: Reg.LvtThermal, perf: Reg.LvtPerf, lint0: Reg.LvtLint0, lint1: Reg.LvtLint1 } as const;

/**
 * A local APIC, one per CPU (SDM 3A chapter 11).
 *
 * Registers: ID, version (0x14, 6 LVT entries), TPR, PPR, EOI, LDR, DFR, SVR, ISR, TMR, IRR, ESR, ICR, LVT timer, thermal,
 * perf, LINT0, LINT1 and error, initial, current and divide count, self IPI; as the 4 KiB xAPIC page and as x2APIC MSRs
 * 0x800-0x8ff; IA32_APIC_BASE (0x1b) and IA32_TSC_DEADLINE (0x6e0).
 *
 * Emulated: all of their bits and the transitions between disabled, xAPIC and x2APIC; IPIs of every mode and shorthand;
 * physical, flat, cluster and x2APIC logical destinations; the timer; error reporting of illegal vectors and registers; an 8259A pair
 * on LINT0 as ExtINT, and past the APIC while that is disabled.
 * Not emulated: SMI, and ExtINT from anywhere but LINT0 (accepted from nobody), level-triggered LINT pins (each assertion is an edge), APR and RRD
 * (read 0), CMCI, EOI-broadcast suppression, delivery status (always idle).
 */
export class LocalApic implements ApicTarget, MmioDevice {
  readonly id: number;
  /** High half of the last successful {@link readMsr}. */
  hi = 0;
  readonly #base: ApicBase;
  readonly #lvt = new LocalVectorTable();
  readonly #queue: InterruptQueue;
  readonly #timer: ApicTimer;
  readonly #registers: ApicRegisterFile;
  readonly #desc: LocalApicDesc;
  readonly #external: ExternalInterrupts | undefined;

  constructor(desc: LocalApicDesc) {
    this.#desc = desc;
    this.id = desc.id >>> 0;
    this.#base = new ApicBase(desc);
    this.#external = desc.external;
    if (desc.external !== undefined) this.#lvt.set(Reg.LvtLint0, DeliveryMode.ExtInt << 8, false);
    this.#queue = new InterruptQueue(() => desc.cpu.interrupt());
    this.#timer = new ApicTimer(desc.clock, desc.tsc, () => this.#local(Reg.LvtTimer));
    this.#registers = new ApicRegisterFile({
      id: this.id,
      base: this.#base,
      lvt: this.#lvt,
      queue: this.#queue,
      timer: this.#timer,
      effects: {
        send: (ipi) => this.#send(ipi),
        eoi: (vector) => desc.bus.eoi(vector),
        lint0Changed: () => this.externalChanged(),
      },
    });
  }

  // ---- towards the CPU

  /** True if an interrupt of higher priority than PPR is pending, or one of the 8259A. Costs a compare or two. */
  hasInterrupt(): boolean {
    return this.#queue.deliverable >= 0 || this.#hasExternal();
  }

  /**
   * Interrupt acknowledge: the vector of the 8259A if it asks for one, else moves the deliverable vector from IRR to ISR and returns it;
   * -1 if there is none.
   */
  acknowledge(): number {
    if (this.#hasExternal()) return this.#external?.acknowledge() ?? -1;
    return this.#queue.acknowledge();
  }

  /** The request of the 8259A rose. */
  externalChanged(): void {
    if (this.#hasExternal()) this.#desc.cpu.interrupt();
  }

  /** The 8259A asks, and LINT0 lets it through: as ExtINT, or by itself while there is no APIC (SDM 3A 11.4.3). */
  #hasExternal(): boolean {
    if (this.#external === undefined || !this.#external.requested) return false;
    if (this.mode === "disabled") return true;
    return !this.#lvt.isMasked(Reg.LvtLint0) && ((this.#lvt.get(Reg.LvtLint0) >> 8) & 7) === DeliveryMode.ExtInt;
  }

  /** CR8: TPR bits 7:4, 0-15 (SDM 3A 11.8.6). */
  get cr8(): number {
    return this.#queue.tpr >> 4;
  }

  set cr8(value: number) {
    this.#queue.tpr = (value & 15) << 4;
  }

  get mode(): LocalApicMode {
    return this.#base.mode;
  }

  /** Guest-physical address of the register page; null unless in xAPIC mode. */
  get pageBase(): number | null {
    return this.#base.page;
  }

  /** An interrupt source of the package fires; LINT1 is where a board wires its NMI button. */
  assertLocal(source: LocalSource): void {
    const reg = SOURCE_REG[source];
    this.#local(reg);
    if (reg === Reg.LvtPerf) this.#lvt.mask(reg);
  }

  /** The guest has written its TSC: the TSC deadline lies at another virtual time now. */
  tscChanged(): void {
    this.#timer.tscChanged();
  }

  // ---- MSRs

  /** True for the MSRs this device owns. */
  ownsMsr(msr: number): boolean {
    return msr === MSR_APIC_BASE || msr === MSR_TSC_DEADLINE || (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST);
  }

  /** RDMSR: returns the low half, unsigned, and leaves the high half in `hi`; -1 means #GP(0). */
  readMsr(msr: number): number {
    this.hi = 0;
    if (msr === MSR_APIC_BASE) {
      this.hi = this.#base.hi;
      return this.#base.lo;
    }
    if (msr === MSR_TSC_DEADLINE) {
      this.hi = this.#timer.deadlineHi;
      return this.#timer.deadlineLo;
    }
    if (this.mode !== "x2apic" || !this.ownsMsr(msr)) return -1;
    const reg = msr - MSR_X2APIC_FIRST;
    if (reg === Reg.Dfr || reg === Reg.IcrHigh || reg === Reg.Apr || reg === Reg.Rrd) return -1;
    if (reg === Reg.IcrLow) this.hi = this.#registers.icrHi;
    return this.#registers.read(reg);
  }

  /** WRMSR: false means #GP(0), and that nothing has changed. */
  writeMsr(msr: number, lo: number, hi: number): boolean {
    if (msr === MSR_APIC_BASE) return this.#writeBase(lo >>> 0, hi >>> 0);
    if (msr === MSR_TSC_DEADLINE) {
      this.#timer.setDeadline(lo >>> 0, hi >>> 0);
      return true;
    }
    if (this.mode !== "x2apic" || !this.ownsMsr(msr)) return false;
    const reg = msr - MSR_X2APIC_FIRST;
    const writable = X2APIC_WRITABLE.get(reg);
    if (writable === undefined || (lo & ~writable) !== 0) return false;
    if (reg === Reg.IcrLow) this.#registers.icrHi = hi >>> 0;
    else if (hi !== 0) return false;
    if (reg === Reg.SelfIpi) this.#send(selfIpi(lo & 0xff));
    else this.#registers.write(reg, lo >>> 0);
    return true;
  }

  // ---- the xAPIC page

  /** Registers are the low 4 bytes of each 16; the rest reads 0. All ones unless in xAPIC mode. */
  mmioRead(offset: number, size: MmioSize): number {
    const ones = size === 4 ? 0xffffffff : (1 << (8 * size)) - 1;
    if (this.mode !== "xapic") return ones;
    if ((offset & 0xf) >= 4) return 0;
    const reg = offset >> 4;
    const value = reg === Reg.SelfIpi ? -1 : this.#registers.read(reg);
    if (value >= 0) return ((value >>> (8 * (offset & 3))) & ones) >>> 0;
    this.#error(ApicError.IllegalRegister);
    return 0;
  }

  /** Takes aligned 4-byte writes; SDM 3A 11.4.1 leaves others undefined, here they do nothing. */
  mmioWrite(offset: number, size: MmioSize, value: number): void {
    if (this.mode !== "xapic" || (offset & 0xf) !== 0 || size !== 4) return;
    if (!this.#registers.write(offset >> 4, value >>> 0)) this.#error(ApicError.IllegalRegister);
  }

  // ---- from the bus

  matches(destination: number, logical: boolean): boolean {
    const mode = this.mode;
    if (mode === "disabled") return false;
    if (destination === BROADCAST) return true;
    const { visibleId, logicalId, dfr } = this.#registers;
    return logical ? matchesLogical(destination, mode, logicalId, dfr) : destination === visibleId;
  }

  get acceptsFixed(): boolean {
    return this.mode !== "disabled" && this.#registers.enabled;
  }

  get priority(): number {
    return this.#queue.ppr;
  }

  accept(message: ApicMessage): boolean {
    if (this.mode === "disabled") return false;
    switch (message.mode) {
      case DeliveryMode.Fixed:
      case DeliveryMode.LowestPriority:
        return this.acceptsFixed && this.#request(message.vector, message.level);
      case DeliveryMode.Nmi:
        this.#desc.cpu.nmi();
        return true;
      case DeliveryMode.Init:
        this.#registers.reset();
        this.#desc.cpu.init();
        return true;
      case DeliveryMode.StartUp:
        this.#desc.cpu.sipi(message.vector);
        return true;
      default:
        return false;
    }
  }

  // ---- state

  save(): LocalApicState {
    return { baseLo: this.#base.lo, baseHi: this.#base.hi, ...this.#registers.save() };
  }

  /** Takes a saved state; the clock must already show the time of the save. @throws {StateError} */
  restore(saved: LocalApicState): void {
    const { baseLo, baseHi, ...registers } = readLocalApic(saved);
    this.#base.restore(baseLo, baseHi);
    this.#registers.restore(registers);
    this.#desc.onRelocate?.(this.pageBase);
  }

  // ---- inside

  /** A fixed interrupt arrives: vectors 0-15 are illegal (SDM 3A 11.5.2). */
  #request(vector: number, level: boolean): boolean {
    if (vector < 16) {
      this.#error(ApicError.ReceiveIllegalVector);
      return false;
    }
    this.#queue.request(vector, level);
    return true;
  }

  /** The source of an LVT entry fires. */
  #local(reg: number): void {
    if (this.#lvt.isMasked(reg)) return;
    const entry = this.#lvt.get(reg);
    this.accept({ destination: this.id, logical: false, mode: (entry >> 8) & 7, vector: entry & 0xff, level: false });
  }

  /** Records an error; its interrupt comes with the first of a kind, which also ends an illegal error vector's recursion. */
  #error(bit: number): void {
    if (this.#registers.noteError(bit)) this.#local(Reg.LvtError);
  }

  #send(ipi: Ipi | null): void {
    if (!ipi) return;
    const { message, shorthand } = ipi;
    const fixed = message.mode === DeliveryMode.Fixed || message.mode === DeliveryMode.LowestPriority;
    if (fixed && message.vector < 16) this.#error(ApicError.SendIllegalVector);
    else if (shorthand === "none") this.#desc.bus.send(message);
    else if (shorthand === "self") this.accept(message);
    else this.#desc.bus.broadcast(message, shorthand === "others" ? this : null);
  }

  #writeBase(lo: number, hi: number): boolean {
    if (!this.#base.write(lo, hi)) return false;
    const { mode } = this;
    if (mode !== "xapic") this.#registers.xapicId = this.id & 0xff;
    if (mode === "disabled") {
      this.#registers.reset();
      this.externalChanged();
    }
    this.#desc.onRelocate?.(this.pageBase);
    return true;
  }
}
