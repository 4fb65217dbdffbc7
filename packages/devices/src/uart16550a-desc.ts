import type { Clock, IrqLine } from "./ports.js";
import { at, read, StateError, type StateReader } from "./state.js";

/** Bytes of a FIFO. */
export const FIFO_SIZE = 16;

export interface Uart16550ADesc {
  /** INTRPT as the PC wires it: driven only while MCR.OUT2 is set. */
  readonly irq: IrqLine;
  /** Gets every byte the guest sends, 0-255, at the moment it is written. Called very often: keep it cheap. */
  readonly onTransmit: (byte: number) => void;
  /** With it THRE interrupts keep a distance: see `Uart16550A`. Without, each comes at once. */
  readonly clock?: Clock;
  /** The receiver is paced by the clock: see `Uart16550A`. Otherwise the FIFO is full again as soon as a byte is read. */
  readonly paced?: boolean;
}

export interface Uart16550AState {
  readonly ier: number;
  readonly fcr: number;
  readonly lcr: number;
  readonly mcr: number;
  readonly scr: number;
  readonly divisor: number;
  readonly modemDelta: number;
  readonly overrun: boolean;
  readonly thrEmptied: boolean;
  readonly nextThre: number;
  readonly lineUp: boolean;
  readonly loadedAt: number;
  /** Virtual time at which the pause before the next load ends, null if there is none. */
  readonly gapEnd: number | null;
  readonly flowControl: boolean;
  readonly fifo: readonly number[];
  readonly sending: readonly number[];
  readonly waiting: Uint8Array;
}

const shape = read.record<Uart16550AState>({
  ier: read.bits(0x0f),
  fcr: read.bits(0xc9),
  lcr: read.u8,
  mcr: read.bits(0x1f),
  scr: read.u8,
  divisor: read.u16,
  modemDelta: read.bits(0x0f),
  overrun: read.flag,
  thrEmptied: read.flag,
  nextThre: read.time,
  lineUp: read.flag,
  loadedAt: read.time,
  gapEnd: read.nullOr(read.time),
  flowControl: read.flag,
  fifo: read.list(read.u8, 0, FIFO_SIZE),
  sending: read.list(read.u8, 0, FIFO_SIZE),
  waiting: read.bytes(0, Number.POSITIVE_INFINITY),
});

/** Without FIFOs (FCR bit 0) one byte is received. */
export const readUart: StateReader<Uart16550AState> = (value, path = "") => {
  const state = shape(value, path);
  if (state.fifo.length > 1 && (state.fcr & 1) === 0)
    throw new StateError(at(path, "fifo"), `is a list of ${state.fifo.length}, expected 0 to 1 while FIFOs are off`);
  return state;
};
