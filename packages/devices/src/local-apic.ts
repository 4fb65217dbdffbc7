import { type ApicMessage, type ApicTarget, BROADCAST, DeliveryMode } from "./apic-bus.js";
import { matchesLogical, x2apicLogicalId } from "./apic-destination.js";
import { decodeIcr, type Ipi, selfIpi } from "./apic-icr.js";
import { ApicTimer } from "./apic-timer.js";
import { InterruptQueue } from "./interrupt-queue.js";
import type { LocalApicDesc, LocalApicMode, LocalApicState } from "./local-apic-desc.js";
import {
  ApicError,
  BASE_BSP,
  BASE_ENABLE,
  BASE_RESERVED,
  BASE_X2APIC,
  MSR_APIC_BASE,
  MSR_TSC_DEADLINE,
  MSR_X2APIC_FIRST,
  MSR_X2APIC_LAST,
  Reg,
  SVR_ENABLE,
  VERSION,
} from "./local-apic-registers.js";
import { LocalVectorTable } from "./local-vector-table.js";
import type { ExternalInterrupts } from "./pic-pair.js";
import type { MmioDevice, MmioSize } from "./ports.js";
import { X2APIC_WRITABLE } from "./x2apic-msrs.js";

/** Interrupt sources of the CPU package itself, each with an LVT entry. */
export type LocalSource = "thermal" | "perf" | "lint0" | "lint1";

const SOURCE_REG = { thermal: Reg.LvtThermal, perf: Reg.LvtPerf, lint0: Reg.LvtLint0, lint1: Reg.LvtLint1 } as const;
const DEFAULT_BASE = 0xfee0_0000;

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
  /** What the xAPIC ID register holds, 8 bits: at first the low bits of `id`, then what software makes of it. */
  private xapicId: number;
  private baseLo: number;
  private baseHi = 0;
  private ldr = 0;
  private dfr = 0xffffffff;
  private svr = 0xff;
  private esr = 0;
  /** Errors since the last write of the ESR, which is when they become readable. */
  private errors = 0;
  private icrLo = 0;
  private icrHi = 0;
  private readonly lvt = new LocalVectorTable();
  private readonly queue: InterruptQueue;
  private readonly timer: ApicTimer;
  private readonly external: ExternalInterrupts | undefined;

  constructor(private readonly desc: LocalApicDesc) {
    this.id = desc.id >>> 0;
    this.xapicId = this.id & 0xff;
    this.external = desc.external;
    if (desc.external !== undefined) this.lvt.set(Reg.LvtLint0, DeliveryMode.ExtInt << 8, false);
    this.baseLo = (DEFAULT_BASE | BASE_ENABLE | (desc.bootstrap ? BASE_BSP : 0)) >>> 0;
    this.queue = new InterruptQueue(() => desc.cpu.interrupt());
    this.timer = new ApicTimer(desc.clock, desc.tsc, () => this.local(Reg.LvtTimer));
  }

  // ---- towards the CPU

  /** True if an interrupt of higher priority than PPR is pending, or one of the 8259A. Costs a compare or two. */
  hasInterrupt(): boolean {
    return this.queue.deliverable >= 0 || this.hasExternal();
  }

  /**
   * Interrupt acknowledge: the vector of the 8259A if it asks for one, else moves the deliverable vector from IRR to ISR and returns it;
   * -1 if there is none.
   */
  acknowledge(): number {
    if (this.hasExternal()) return this.external?.acknowledge() ?? -1;
    return this.queue.acknowledge();
  }

  /** The request of the 8259A rose. */
  externalChanged(): void {
    if (this.hasExternal()) this.desc.cpu.interrupt();
  }

  /** The 8259A asks, and LINT0 lets it through: as ExtINT, or by itself while there is no APIC (SDM 3A 11.4.3). */
  private hasExternal(): boolean {
    if (this.external === undefined || !this.external.requested) return false;
    if (this.mode === "disabled") return true;
    return !this.lvt.isMasked(Reg.LvtLint0) && ((this.lvt.get(Reg.LvtLint0) >> 8) & 7) === DeliveryMode.ExtInt;
  }

  /** CR8: TPR bits 7:4, 0-15 (SDM 3A 11.8.6). */
  get cr8(): number {
    return this.queue.tpr >> 4;
  }

  set cr8(value: number) {
    this.queue.tpr = (value & 15) << 4;
  }

  get mode(): LocalApicMode {
    if ((this.baseLo & BASE_ENABLE) === 0) return "disabled";
    return (this.baseLo & BASE_X2APIC) !== 0 ? "x2apic" : "xapic";
  }

  /** Guest-physical address of the register page; null unless in xAPIC mode. */
  get pageBase(): number | null {
    return this.mode === "xapic" ? this.baseHi * 2 ** 32 + ((this.baseLo & 0xffff_f000) >>> 0) : null;
  }

  /** An interrupt source of the package fires; LINT1 is where a board wires its NMI button. */
  assertLocal(source: LocalSource): void {
    const reg = SOURCE_REG[source];
    this.local(reg);
    if (reg === Reg.LvtPerf) this.lvt.mask(reg);
  }

  /** The guest has written its TSC: the TSC deadline lies at another virtual time now. */
  tscChanged(): void {
    this.timer.tscChanged();
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
      this.hi = this.baseHi;
      return this.baseLo;
    }
    if (msr === MSR_TSC_DEADLINE) {
      this.hi = this.timer.deadlineHi;
      return this.timer.deadlineLo;
    }
    if (this.mode !== "x2apic" || !this.ownsMsr(msr)) return -1;
    const reg = msr - MSR_X2APIC_FIRST;
    if (reg === Reg.Dfr || reg === Reg.IcrHigh || reg === Reg.Apr || reg === Reg.Rrd) return -1;
    if (reg === Reg.IcrLow) this.hi = this.icrHi;
    return this.readReg(reg);
  }

  /** WRMSR: false means #GP(0), and that nothing has changed. */
  writeMsr(msr: number, lo: number, hi: number): boolean {
    if (msr === MSR_APIC_BASE) return this.writeBase(lo >>> 0, hi >>> 0);
    if (msr === MSR_TSC_DEADLINE) {
      this.timer.setDeadline(lo >>> 0, hi >>> 0);
      return true;
    }
    if (this.mode !== "x2apic" || !this.ownsMsr(msr)) return false;
    const reg = msr - MSR_X2APIC_FIRST;
    const writable = X2APIC_WRITABLE.get(reg);
    if (writable === undefined || (lo & ~writable) !== 0) return false;
    if (reg === Reg.IcrLow) this.icrHi = hi >>> 0;
    else if (hi !== 0) return false;
    if (reg === Reg.SelfIpi) this.send(selfIpi(lo & 0xff));
    else this.writeReg(reg, lo >>> 0);
    return true;
  }

  // ---- the xAPIC page

  /** Registers are the low 4 bytes of each 16; the rest reads 0. All ones unless in xAPIC mode. */
  mmioRead(offset: number, size: MmioSize): number {
    const ones = size === 4 ? 0xffffffff : (1 << (8 * size)) - 1;
    if (this.mode !== "xapic") return ones;
    if ((offset & 0xf) >= 4) return 0;
    const reg = offset >> 4;
    const value = reg === Reg.SelfIpi ? -1 : this.readReg(reg);
    if (value >= 0) return ((value >>> (8 * (offset & 3))) & ones) >>> 0;
    this.error(ApicError.IllegalRegister);
    return 0;
  }

  /** Takes aligned 4-byte writes; SDM 3A 11.4.1 leaves others undefined, here they do nothing. */
  mmioWrite(offset: number, size: MmioSize, value: number): void {
    if (this.mode !== "xapic" || (offset & 0xf) !== 0 || size !== 4) return;
    if (!this.writeReg(offset >> 4, value >>> 0)) this.error(ApicError.IllegalRegister);
  }

  // ---- from the bus

  matches(destination: number, logical: boolean): boolean {
    const mode = this.mode;
    if (mode === "disabled") return false;
    if (destination === BROADCAST) return true;
    if (!logical) return destination === this.visibleId;
    return matchesLogical(destination, mode, this.visibleLdr, this.dfr);
  }

  get acceptsFixed(): boolean {
    return this.mode !== "disabled" && (this.svr & SVR_ENABLE) !== 0;
  }

  get priority(): number {
    return this.queue.ppr;
  }

  accept(message: ApicMessage): boolean {
    if (this.mode === "disabled") return false;
    switch (message.mode) {
      case DeliveryMode.Fixed:
      case DeliveryMode.LowestPriority:
        return this.acceptsFixed && this.request(message.vector, message.level);
      case DeliveryMode.Nmi:
        this.desc.cpu.nmi();
        return true;
      case DeliveryMode.Init:
        this.resetRegisters();
        this.desc.cpu.init();
        return true;
      case DeliveryMode.StartUp:
        this.desc.cpu.sipi(message.vector);
        return true;
      default:
        return false;
    }
  }

  // ---- state

  save(): LocalApicState {
    const { xapicId, baseLo, baseHi, ldr, dfr, svr, esr, errors, icrLo, icrHi } = this;
    const parts = { lvt: this.lvt.save(), queue: this.queue.save(), timer: this.timer.save() };
    return { xapicId, baseLo, baseHi, ldr, dfr, svr, esr, errors, icrLo, icrHi, ...parts };
  }

  /** Takes a saved state; the clock must already show the time of the save. */
  restore(state: LocalApicState): void {
    this.xapicId = state.xapicId;
    this.baseLo = state.baseLo;
    this.baseHi = state.baseHi;
    this.ldr = state.ldr;
    this.dfr = state.dfr;
    this.svr = state.svr;
    this.esr = state.esr;
    this.errors = state.errors;
    this.icrLo = state.icrLo;
    this.icrHi = state.icrHi;
    this.lvt.restore(state.lvt);
    this.queue.restore(state.queue);
    this.timer.restore(state.timer);
    this.desc.onRelocate?.(this.pageBase);
  }

  // ---- inside

  private get visibleId(): number {
    return this.mode === "x2apic" ? this.id : this.xapicId;
  }

  private get visibleLdr(): number {
    return this.mode === "x2apic" ? x2apicLogicalId(this.id) : this.ldr;
  }

  /** A fixed interrupt arrives: vectors 0-15 are illegal (SDM 3A 11.5.2). */
  private request(vector: number, level: boolean): boolean {
    if (vector < 16) {
      this.error(ApicError.ReceiveIllegalVector);
      return false;
    }
    this.queue.request(vector, level);
    return true;
  }

  /** The source of an LVT entry fires. */
  private local(reg: number): void {
    if (this.lvt.isMasked(reg)) return;
    const entry = this.lvt.get(reg);
    this.accept({ destination: this.id, logical: false, mode: (entry >> 8) & 7, vector: entry & 0xff, level: false });
  }

  /** Records an error; its interrupt comes with the first of a kind, which also ends an illegal error vector's recursion. */
  private error(bit: number): void {
    if ((this.errors & bit) !== 0) return;
    this.errors |= bit;
    this.local(Reg.LvtError);
  }

  private endOfInterrupt(): void {
    const level = this.queue.complete();
    if (level >= 0) this.desc.bus.eoi(level);
  }

  /** Register as read, unsigned; -1 if there is none or it cannot be read. */
  private readReg(reg: number): number {
    if (reg >= Reg.Isr && reg < Reg.Tmr) return this.queue.isr.word(reg - Reg.Isr);
    if (reg >= Reg.Tmr && reg < Reg.Irr) return this.queue.tmr.word(reg - Reg.Tmr);
    if (reg >= Reg.Irr && reg < Reg.Esr) return this.queue.irr.word(reg - Reg.Irr);
    if (this.lvt.has(reg)) return this.lvt.get(reg);
    switch (reg) {
      case Reg.Id:
        return this.mode === "x2apic" ? this.id : (this.xapicId << 24) >>> 0;
      case Reg.Version:
        return VERSION;
      case Reg.Tpr:
        return this.queue.tpr;
      case Reg.Ppr:
        return this.queue.ppr;
      case Reg.Ldr:
        return this.visibleLdr;
      case Reg.Dfr:
        return this.dfr;
      case Reg.Svr:
        return this.svr;
      case Reg.Esr:
        return this.esr;
      case Reg.IcrLow:
        return this.icrLo;
      case Reg.IcrHigh:
        return this.icrHi;
      case Reg.InitialCount:
        return this.timer.initialCount;
      case Reg.CurrentCount:
        return this.timer.currentCount;
      case Reg.DivideConfig:
        return this.timer.divideConfig;
      case Reg.Apr:
      case Reg.Rrd:
        return 0;
      case Reg.Eoi:
        return this.mode === "x2apic" ? -1 : 0;
      default:
        return -1;
    }
  }

  /** Writes a register; false if there is none. Writes to read-only ones do nothing. */
  private writeReg(reg: number, value: number): boolean {
    if (reg >= Reg.Isr && reg < Reg.Esr) return true;
    if (this.lvt.has(reg)) {
      this.lvt.set(reg, value, (this.svr & SVR_ENABLE) === 0);
      if (reg === Reg.LvtTimer) this.selectTimerMode(value);
      else if (reg === Reg.LvtLint0) this.externalChanged();
      return true;
    }
    switch (reg) {
      case Reg.Id:
        this.xapicId = value >>> 24;
        return true;
      case Reg.Tpr:
        this.queue.tpr = value & 0xff;
        return true;
      case Reg.Eoi:
        this.endOfInterrupt();
        return true;
      case Reg.Ldr:
        this.ldr = (value & 0xff00_0000) >>> 0;
        return true;
      case Reg.Dfr:
        this.dfr = (value | 0x0fff_ffff) >>> 0;
        return true;
      case Reg.Svr:
        this.svr = value & 0x1ff;
        if ((value & SVR_ENABLE) === 0) this.lvt.maskAll();
        return true;
      case Reg.Esr:
        this.esr = this.errors;
        this.errors = 0;
        return true;
      case Reg.IcrLow:
        this.icrLo = value & 0xc_cfff;
        this.send(decodeIcr(value, this.icrHi, this.mode === "x2apic"));
        return true;
      case Reg.IcrHigh:
        this.icrHi = (value & 0xff00_0000) >>> 0;
        return true;
      case Reg.InitialCount:
        this.timer.setInitialCount(value);
        return true;
      case Reg.DivideConfig:
        this.timer.setDivideConfig(value);
        return true;
      default:
        return reg === Reg.Version || reg === Reg.CurrentCount || (reg >= Reg.Apr && reg <= Reg.Rrd);
    }
  }

  private selectTimerMode(lvt: number): void {
    const mode = (lvt >> 17) & 3;
    this.timer.setMode(mode === 1 ? "periodic" : mode === 2 ? "tsc-deadline" : "one-shot");
  }

  private send(ipi: Ipi | null): void {
    if (!ipi) return;
    const { message, shorthand } = ipi;
    const fixed = message.mode === DeliveryMode.Fixed || message.mode === DeliveryMode.LowestPriority;
    if (fixed && message.vector < 16) this.error(ApicError.SendIllegalVector);
    else if (shorthand === "none") this.desc.bus.send(message);
    else if (shorthand === "self") this.accept(message);
    else this.desc.bus.broadcast(message, shorthand === "others" ? this : null);
  }

  /** SDM 3A 11.4.4, 11.12.5: reserved bits and the transitions figure 11-27 lacks raise #GP. */
  private writeBase(lo: number, hi: number): boolean {
    const bits = this.desc.physicalAddressBits ?? 52;
    if ((lo & BASE_RESERVED) !== 0 || hi >= 2 ** (bits - 32)) return false;
    const enable = (lo & BASE_ENABLE) !== 0;
    const extended = (lo & BASE_X2APIC) !== 0;
    if (extended && this.desc.x2apic === false) return false;
    if (extended && (!enable || this.mode === "disabled")) return false;
    if (!extended && enable && this.mode === "x2apic") return false;
    this.baseLo = lo;
    this.baseHi = hi;
    if (!enable || extended) this.xapicId = this.id & 0xff;
    if (!enable) {
      this.resetRegisters();
      this.externalChanged();
    }
    this.desc.onRelocate?.(this.pageBase);
    return true;
  }

  /** The power-up state (SDM 3A 11.4.7.1); IA32_APIC_BASE and the ID stay. */
  private resetRegisters(): void {
    this.ldr = this.esr = this.errors = this.icrLo = this.icrHi = 0;
    this.dfr = 0xffffffff;
    this.svr = 0xff;
    this.lvt.reset();
    this.queue.reset();
    this.timer.reset();
  }
}
