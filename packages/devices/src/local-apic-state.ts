import { readTimer } from "./apic-timer.js";
import { readQueue } from "./interrupt-queue.js";
import type { LocalApicState } from "./local-apic-desc.js";
import { ApicError } from "./local-apic-registers.js";
import { readLvt } from "./local-vector-table.js";
import { at, read, StateError, type StateReader } from "./state.js";

const errors = read.bits(ApicError.SendIllegalVector | ApicError.ReceiveIllegalVector | ApicError.IllegalRegister);
/** Bits 27:0 of the destination format register read 1 (SDM 3A figure 11-19). */
const DFR_SET = 0x0fff_ffff;

const shape = read.record<LocalApicState>({
  xapicId: read.u8,
  baseLo: read.u32,
  baseHi: read.u32,
  ldr: read.bits(0xff00_0000),
  dfr: read.u32,
  svr: read.bits(0x1ff),
  esr: errors,
  errors,
  icrLo: read.bits(0xc_cfff),
  icrHi: read.u32,
  lvt: readLvt,
  queue: readQueue,
  timer: readTimer,
});

/** What a local APIC can be; what IA32_APIC_BASE can hold depends on the APIC. */
export const readLocalApic: StateReader<LocalApicState> = (value, path = "") => {
  const state = shape(value, path);
  if ((state.dfr & DFR_SET) !== DFR_SET)
    throw new StateError(at(path, "dfr"), `is ${state.dfr}, expected bits 0 to 27 to be set`);
  return state;
};
