import { MCR_LOOP } from "./uart16550a-registers.js";

/** CTS, DSR and DCD: a modem is always there. */
const MODEM_PRESENT = 0xb0;

/** Bits 7:4 of the MSR. In loopback RTS, DTR, OUT1 and OUT2 come back as CTS, DSR, RI and DCD. */
export function modemLines(mcr: number): number {
  if ((mcr & MCR_LOOP) === 0) return MODEM_PRESENT;
  return ((mcr & 2) << 3) | ((mcr & 1) << 5) | ((mcr & 4) << 4) | ((mcr & 8) << 4);
}

/** Bits 3:0 of the MSR that a change of the lines sets: they watch CTS, DSR, RI and DCD, RI on its trailing edge only. */
export function modemDelta(before: number, after: number): number {
  const changed = before ^ after;
  return ((changed >> 4) & 0x0b) | ((changed & before & 0x40) !== 0 ? 4 : 0);
}
