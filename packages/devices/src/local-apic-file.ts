import { x2apicLogicalId } from "./apic-destination.js";
import { decodeIcr, type Ipi } from "./apic-icr.js";
import type { ApicTimer } from "./apic-timer.js";
import type { InterruptQueue } from "./interrupt-queue.js";
import type { ApicBase } from "./local-apic-base.js";
import type { LocalApicState } from "./local-apic-desc.js";
import { Reg, SVR_ENABLE, VERSION } from "./local-apic-registers.js";
import type { LocalVectorTable } from "./local-vector-table.js";

/** What writes of registers lead to. */
export interface RegisterEffects {
  /** The ICR was written; null for what it does not have sent. */
  send(ipi: Ipi | null): void;
  /** A level-triggered interrupt has been handled. */
  eoi(vector: number): void;
  /** LINT0 may let the 8259A through now. */
  lint0Changed(): void;
}

export interface ApicRegisterFileDesc {
  /** x2APIC ID. */
  readonly id: number;
  readonly base: ApicBase;
  readonly lvt: LocalVectorTable;
  readonly queue: InterruptQueue;
  readonly timer: ApicTimer;
  readonly effects: RegisterEffects;
}

/** The registers of a local APIC by number, as its page and its MSRs show them (SDM 3A table 11-1). */
export class ApicRegisterFile {
  readonly id: number;
  readonly #base: ApicBase;
  readonly #lvt: LocalVectorTable;
  readonly #queue: InterruptQueue;
  readonly #timer: ApicTimer;
  readonly #effects: RegisterEffects;
  /** What the xAPIC ID register holds, 8 bits: at first the low bits of `id`, then what software makes of it. */
  xapicId: number;
  /** High half of the ICR. */
  icrHi = 0;
  dfr = 0xffffffff;
  svr = 0xff;
  #icrLo = 0;
  #ldr = 0;
  #esr = 0;
  /** Errors since the last write of the ESR, which is when they become readable. */
  #errors = 0;

  constructor({ id, base, lvt, queue, timer, effects }: ApicRegisterFileDesc) {
    this.id = id;
    this.xapicId = id & 0xff;
    this.#base = base;
    this.#lvt = lvt;
    this.#queue = queue;
    this.#timer = timer;
    this.#effects = effects;
  }

  /** ID of the current mode. */
  get visibleId(): number {
    return this.#base.mode === "x2apic" ? this.id : this.xapicId;
  }

  /** Logical destinations the APIC answers to. */
  get logicalId(): number {
    return this.#base.mode === "x2apic" ? x2apicLogicalId(this.id) : this.#ldr;
  }

  get enabled(): boolean {
    return (this.svr & SVR_ENABLE) !== 0;
  }

  /** Records an error. @returns whether it is the first of its kind since the ESR was read */
  noteError(bit: number): boolean {
    if ((this.#errors & bit) !== 0) return false;
    this.#errors |= bit;
    return true;
  }

  /** Register as read, unsigned; -1 if there is none or it cannot be read. */
  read(reg: number): number {
    if (reg >= Reg.Isr && reg < Reg.Tmr) return this.#queue.isr.word(reg - Reg.Isr);
    if (reg >= Reg.Tmr && reg < Reg.Irr) return this.#queue.tmr.word(reg - Reg.Tmr);
    if (reg >= Reg.Irr && reg < Reg.Esr) return this.#queue.irr.word(reg - Reg.Irr);
    if (this.#lvt.has(reg)) return this.#lvt.get(reg);
    switch (reg) {
      case Reg.Id:
        return this.#base.mode === "x2apic" ? this.id : (this.xapicId << 24) >>> 0;
      case Reg.Version:
        return VERSION;
      case Reg.Tpr:
        return this.#queue.tpr;
      case Reg.Ppr:
        return this.#queue.ppr;
      case Reg.Ldr:
        return this.logicalId;
      case Reg.Dfr:
        return this.dfr;
      case Reg.Svr:
        return this.svr;
      case Reg.Esr:
        return this.#esr;
      case Reg.IcrLow:
        return this.#icrLo;
      case Reg.IcrHigh:
        return this.icrHi;
      case Reg.InitialCount:
        return this.#timer.initialCount;
      case Reg.CurrentCount:
        return this.#timer.currentCount;
      case Reg.DivideConfig:
        return this.#timer.divideConfig;
      case Reg.Apr:
      case Reg.Rrd:
        return 0;
      case Reg.Eoi:
        return this.#base.mode === "x2apic" ? -1 : 0;
      default:
        return -1;
    }
  }

  /** Writes a register; false if there is none. Writes to read-only ones do nothing. */
  write(reg: number, value: number): boolean {
    if (reg >= Reg.Isr && reg < Reg.Esr) return true;
    if (this.#lvt.has(reg)) {
      this.#lvt.set(reg, value, (this.svr & SVR_ENABLE) === 0);
      if (reg === Reg.LvtTimer) this.#selectTimerMode(value);
      else if (reg === Reg.LvtLint0) this.#effects.lint0Changed();
      return true;
    }
    switch (reg) {
      case Reg.Id:
        this.xapicId = value >>> 24;
        return true;
      case Reg.Tpr:
        this.#queue.tpr = value & 0xff;
        return true;
      case Reg.Eoi:
        this.#endOfInterrupt();
        return true;
      case Reg.Ldr:
        this.#ldr = (value & 0xff00_0000) >>> 0;
        return true;
      case Reg.Dfr:
        this.dfr = (value | 0x0fff_ffff) >>> 0;
        return true;
      case Reg.Svr:
        this.svr = value & 0x1ff;
        if ((value & SVR_ENABLE) === 0) this.#lvt.maskAll();
        return true;
      case Reg.Esr:
        this.#esr = this.#errors;
        this.#errors = 0;
        return true;
      case Reg.IcrLow:
        this.#icrLo = value & 0xc_cfff;
        this.#effects.send(decodeIcr(value, this.icrHi, this.#base.mode === "x2apic"));
        return true;
      case Reg.IcrHigh:
        this.icrHi = (value & 0xff00_0000) >>> 0;
        return true;
      case Reg.InitialCount:
        this.#timer.setInitialCount(value);
        return true;
      case Reg.DivideConfig:
        this.#timer.setDivideConfig(value);
        return true;
      default:
        return reg === Reg.Version || reg === Reg.CurrentCount || (reg >= Reg.Apr && reg <= Reg.Rrd);
    }
  }

  #selectTimerMode(lvt: number): void {
    const mode = (lvt >> 17) & 3;
    this.#timer.setMode(mode === 1 ? "periodic" : mode === 2 ? "tsc-deadline" : "one-shot");
  }

  #endOfInterrupt(): void {
    const level = this.#queue.complete();
    if (level >= 0) this.#effects.eoi(level);
  }

  /** The power-up state (SDM 3A 11.4.7.1); IA32_APIC_BASE and the ID stay. */
  reset(): void {
    this.#ldr = this.#esr = this.#errors = this.#icrLo = this.icrHi = 0;
    this.dfr = 0xffffffff;
    this.svr = 0xff;
    this.#lvt.reset();
    this.#queue.reset();
    this.#timer.reset();
  }

  save(): Omit<LocalApicState, "baseLo" | "baseHi"> {
    const { xapicId, dfr, svr, icrHi } = this;
    const [ldr, esr, errors, icrLo] = [this.#ldr, this.#esr, this.#errors, this.#icrLo];
    const parts = { lvt: this.#lvt.save(), queue: this.#queue.save(), timer: this.#timer.save() };
    return { xapicId, ldr, dfr, svr, esr, errors, icrLo, icrHi, ...parts };
  }

  restore(state: Omit<LocalApicState, "baseLo" | "baseHi">): void {
    this.xapicId = state.xapicId;
    this.dfr = state.dfr;
    this.svr = state.svr;
    this.icrHi = state.icrHi;
    this.#ldr = state.ldr;
    this.#esr = state.esr;
    this.#errors = state.errors;
    this.#icrLo = state.icrLo;
    this.#lvt.restore(state.lvt);
    this.#queue.restore(state.queue);
    this.#timer.restore(state.timer);
  }
}
