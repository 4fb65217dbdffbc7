import { Reg } from "./local-apic-registers.js";
import { LVT_READ_ONLY, LVT_WRITABLE } from "./local-vector-table.js";

/**
 * Bits a WRMSR may set in each x2APIC register; any other bit, and any bit of the high half, raises #GP (SDM 3A 11.12.1.2,
 * table 11-6). Registers not listed cannot be written. The ICR is listed with its low half; all of its high half may be set.
 */
export const X2APIC_WRITABLE: ReadonlyMap<number, number> = new Map([
  [Reg.Tpr, 0xff],
  [Reg.Eoi, 0],
  [Reg.Svr, 0x1ff],
  [Reg.Esr, 0],
  [Reg.IcrLow, 0xc_dfff],
  ...LVT_WRITABLE.map((bits, i): [number, number] => [Reg.LvtTimer + i, bits | LVT_READ_ONLY]),
  [Reg.InitialCount, 0xffff_ffff],
  [Reg.DivideConfig, 0xb],
  [Reg.SelfIpi, 0xff],
]);
