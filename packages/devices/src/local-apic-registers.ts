/**
 * Register numbers of the local APIC: MMIO offset / 16, and MSR - 0x800 (SDM 3A tables 11-1 and 11-6).
 */
export const Reg = {
  Id: 0x02,
  Version: 0x03,
  Tpr: 0x08,
  Apr: 0x09,
  Ppr: 0x0a,
  Eoi: 0x0b,
  Rrd: 0x0c,
  Ldr: 0x0d,
  Dfr: 0x0e,
  Svr: 0x0f,
  Isr: 0x10,
  Tmr: 0x18,
  Irr: 0x20,
  Esr: 0x28,
  IcrLow: 0x30,
  IcrHigh: 0x31,
  LvtTimer: 0x32,
  LvtThermal: 0x33,
  LvtPerf: 0x34,
  LvtLint0: 0x35,
  LvtLint1: 0x36,
  LvtError: 0x37,
  InitialCount: 0x38,
  CurrentCount: 0x39,
  DivideConfig: 0x3e,
  SelfIpi: 0x3f,
} as const;

/** Version 0x14 (integrated, xAPIC/x2APIC), six LVT entries, no EOI-broadcast suppression (SDM 3A 11.4.8). */
export const VERSION = 0x0005_0014;

/** Spurious-interrupt vector register bit 8: the software enable (SDM 3A 11.9). */
export const SVR_ENABLE = 1 << 8;

/** Error status bits (SDM 3A 11.5.3). */
export const ApicError = {
  SendIllegalVector: 1 << 5,
  ReceiveIllegalVector: 1 << 6,
  IllegalRegister: 1 << 7,
} as const;

/** IA32_APIC_BASE bits (SDM 3A 11.4.4, 11.12.1). */
export const BASE_BSP = 1 << 8;
export const BASE_X2APIC = 1 << 10;
export const BASE_ENABLE = 1 << 11;
export const BASE_RESERVED = 0x2ff;

/** MSRs of the local APIC. */
export const MSR_APIC_BASE = 0x1b;
export const MSR_TSC_DEADLINE = 0x6e0;
export const MSR_X2APIC_FIRST = 0x800;
export const MSR_X2APIC_LAST = 0x8ff;
