import type { Clock, IrqLine } from "./ports.js";

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
