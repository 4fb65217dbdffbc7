import type { Clock, IrqLine, PortDevice, PortSize, Timer } from "./ports.js";

export interface Uart16550ADesc {
  /** INTRPT as the PC wires it: driven only while MCR.OUT2 is set. */
  readonly irq: IrqLine;
  /** Gets every byte the guest sends, 0-255, at the moment it is written. Called very often: keep it cheap. */
  readonly onTransmit: (byte: number) => void;
  /** With it THRE interrupts keep a distance: see {@link Uart16550A}. Without, each comes at once. */
  readonly clock?: Clock;
  /** The receiver is paced by the clock: see {@link Uart16550A}. Otherwise the FIFO is full again as soon as a byte is read. */
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

/** Register numbers, and their meaning where reading, writing and DLAB differ. */
const RBR_THR_DLL = 0;
const IER_DLM = 1;
const IIR_FCR = 2;
const LCR = 3;
const MCR = 4;
const LSR = 5;
const MSR = 6;

const IER_RX = 1;
const IER_TX = 2;
const IER_LINE = 4;
const IER_MODEM = 8;
const FCR_ENABLE = 1;
const FCR_CLEAR_RX = 2;
const LCR_DLAB = 0x80;
const MCR_RTS = 2;
const MCR_OUT2 = 8;
const MCR_LOOP = 0x10;
const LSR_DATA = 1;
const LSR_OVERRUN = 2;
const LSR_THR_EMPTY = 0x20;
const LSR_IDLE = 0x40;
/** CTS, DSR and DCD: a modem is always there. */
const MODEM_PRESENT = 0xb0;
const FIFO_SIZE = 16;
const TRIGGER_LEVELS = [1, 4, 8, 14] as const;
/** Shortest distance of two THRE interrupts, ns: 64 KB/s for a driver that sends 16 bytes an interrupt, more than any such line carries. */
const THRE_GAP = 250_000;
/** Shortest and longest pause between two loads of a paced receiver, ns. */
const MIN_GAP = 20_000;
const MAX_GAP = 1_000_000;

/**
 * A 16550A UART (National Semiconductor PC16550D datasheet), 8 ports.
 *
 * Registers: RBR/THR, IER, IIR/FCR, LCR, MCR, LSR, MSR, SCR, DLL/DLM behind LCR.DLAB.
 * The register is the low 3 bits of the port, so the base must be a multiple of 8 (COM1 is 0x3f8).
 *
 * Emulated: 16-byte receive FIFO with trigger levels, the four interrupt sources and their priorities, THRE interrupt,
 * loopback with modem lines, overrun (in loopback only, see below), MCR.OUT2 as interrupt gate.
 * Time: the line is infinitely fast. A written byte has left when the write returns; the receive time-out, four character
 * times on the chip, passes at once.
 * Host input is never dropped: it waits in a queue and moves to the FIFO while there is room, RTS is asserted (or the
 * guest has never written the MCR) and loopback is off. A receiver reset (FCR) puts what was not yet read back in front of
 * the queue, as if it were still on the line. So no typed-ahead byte is lost while a driver opens the port.
 * Interrupts: with a clock in the description, THRE interrupts are 250 us apart. LSR and IIR tell at once that the transmitter is empty, so
 * that a driver which looks again before it returns goes on sending; what it has to send by the next interrupt goes in one piece. A guest
 * that waits with nothing else to do does not wait for it (`hurry`).
 * Pace: a driver empties the FIFO until it finds it empty, in one interrupt. If the description says so, the FIFO is loaded again only
 * after a pause as long as the guest took to empty it, so that what the driver collected is also taken from the driver; `hurry` ends it.
 * Backpressure: while the far end does not take anything (`hold`), the transmit FIFO fills, THRE stays clear and what
 * is written beyond is lost, as on the chip.
 * Not emulated: baud rate and word format (stored), parity and framing errors, break, DMA pins.
 */
export class Uart16550A implements PortDevice {
  readonly ioWidth = 1;
  private ier = 0;
  private fcr = 0;
  private lcr = 0;
  private mcr = 0;
  private scr = 0;
  /** DLM:DLL; 12 is 9600 baud. */
  private divisor = 12;
  private modemDelta = 0;
  private overrun = false;
  /** The THRE interrupt condition: THR became empty, or its interrupt was enabled, since the last IIR read that said so. */
  private thrEmptied = false;
  /** The guest has written the MCR: from now on RTS means something. */
  private flowControl = false;
  private readonly fifo: number[] = [];
  /** Host input that has not reached the FIFO, oldest first from `head`. */
  private waiting: Uint8Array[] = [];
  private head = 0;
  private lineUp = false;
  /** The far end takes nothing; what the guest sends waits in `sending`. */
  private held = false;
  private readonly sending: number[] = [];
  /** Virtual time of the last load of the FIFO, and the end of the pause after it. */
  private loadedAt = 0;
  private gap: Timer | null = null;
  private gapEnd = 0;
  /** Virtual time before which there is no other THRE interrupt, and what waits for it. */
  private nextThre = 0;
  private quiet: Timer | null = null;

  constructor(private readonly desc: Uart16550ADesc) {}

  /** Host input: takes all of `bytes` (a copy), however many wait already. */
  receive(bytes: Uint8Array): void {
    if (bytes.length > 0) this.waiting.push(bytes.slice());
    this.refill();
  }

  /** The guest has nothing to do but wait: pauses before the next load and the next THRE interrupt end now. */
  hurry(): void {
    if (this.gap === null && this.quiet === null) return;
    this.stopTimers();
    this.nextThre = 0;
    this.refill();
  }

  private stopTimers(): void {
    this.gap?.cancel();
    this.quiet?.cancel();
    this.gap = null;
    this.quiet = null;
  }

  /** Whether the far end takes nothing for now. When it does again, it first gets what has waited. */
  hold(held: boolean): void {
    if (held === this.held) return;
    this.held = held;
    this.send();
  }

  /** Bytes of host input the guest has not read yet. */
  get backlog(): number {
    return this.waiting.reduce((sum, chunk) => sum + chunk.length, this.fifo.length) - this.head;
  }

  ioRead(port: number, _size: PortSize): number {
    switch (port & 7) {
      case RBR_THR_DLL:
        return (this.lcr & LCR_DLAB) !== 0 ? this.divisor & 0xff : this.readData();
      case IER_DLM:
        return (this.lcr & LCR_DLAB) !== 0 ? this.divisor >> 8 : this.ier;
      case IIR_FCR:
        return this.readIir();
      case LCR:
        return this.lcr;
      case MCR:
        return this.mcr;
      case LSR:
        return this.readLsr();
      case MSR:
        return this.readMsr();
      default:
        return this.scr;
    }
  }

  ioWrite(port: number, _size: PortSize, value: number): void {
    const byte = value & 0xff;
    switch (port & 7) {
      case RBR_THR_DLL:
        if ((this.lcr & LCR_DLAB) !== 0) this.divisor = (this.divisor & 0xff00) | byte;
        else this.transmit(byte);
        return;
      case IER_DLM:
        if ((this.lcr & LCR_DLAB) !== 0) this.divisor = (this.divisor & 0xff) | (byte << 8);
        else this.writeIer(byte);
        return;
      case IIR_FCR:
        this.writeFcr(byte);
        return;
      case LCR:
        this.lcr = byte;
        return;
      case MCR:
        this.writeMcr(byte);
        return;
      case LSR:
      case MSR:
        return;
      default:
        this.scr = byte;
    }
  }

  save(): Uart16550AState {
    const { ier, fcr, lcr, mcr, scr, divisor, modemDelta, overrun, thrEmptied, nextThre, flowControl } = this;
    const waiting = new Uint8Array(this.backlog - this.fifo.length);
    let at = 0;
    this.waiting.forEach((chunk, i) => {
      const rest = i === 0 ? chunk.subarray(this.head) : chunk;
      waiting.set(rest, at);
      at += rest.length;
    });
    const { lineUp, loadedAt } = this;
    const gapEnd = this.gap === null ? null : this.gapEnd;
    const registers = { ier, fcr, lcr, mcr, scr, divisor, modemDelta, overrun, thrEmptied, nextThre, flowControl };
    const pace = { lineUp, loadedAt, gapEnd };
    return { ...registers, ...pace, fifo: [...this.fifo], sending: [...this.sending], waiting };
  }

  /** Takes a saved state; the clock must already show the time of the save. */
  restore(state: Uart16550AState): void {
    this.ier = state.ier;
    this.fcr = state.fcr;
    this.lcr = state.lcr;
    this.mcr = state.mcr;
    this.scr = state.scr;
    this.divisor = state.divisor;
    this.modemDelta = state.modemDelta;
    this.overrun = state.overrun;
    this.thrEmptied = state.thrEmptied;
    this.nextThre = state.nextThre;
    this.flowControl = state.flowControl;
    this.fifo.splice(0, this.fifo.length, ...state.fifo);
    this.sending.splice(0, this.sending.length, ...state.sending);
    this.waiting = state.waiting.length > 0 ? [state.waiting.slice()] : [];
    this.head = 0;
    this.stopTimers();
    this.loadedAt = state.loadedAt;
    if (state.gapEnd !== null && this.desc.clock !== undefined) this.pauseUntil(this.desc.clock, state.gapEnd);
    this.lineUp = state.lineUp;
    this.desc.irq.set(state.lineUp);
    this.send();
    this.update();
  }

  private get fifoEnabled(): boolean {
    return (this.fcr & FCR_ENABLE) !== 0;
  }

  private get fifoSize(): number {
    return this.fifoEnabled ? FIFO_SIZE : 1;
  }

  private get loopback(): boolean {
    return (this.mcr & MCR_LOOP) !== 0;
  }

  private readData(): number {
    const byte = this.fifo.shift() ?? 0;
    if (this.desc.clock === undefined || this.desc.paced !== true) this.refill();
    else this.rest(this.desc.clock);
    return byte;
  }

  /** The guest took a byte; after the last of a load the line pauses. */
  private rest(clock: Clock): void {
    if (this.fifo.length === 0 && this.waiting.length > 0 && this.gap === null) {
      const now = clock.now();
      const ns = Math.min(MAX_GAP, Math.max(MIN_GAP, now - this.loadedAt));
      this.pauseUntil(clock, now + ns);
    }
    this.update();
  }

  private pauseUntil(clock: Clock, ns: number): void {
    this.gapEnd = ns;
    this.gap = clock.schedule(ns, () => {
      this.gap = null;
      this.refill();
    });
  }

  /** What waits for the far end leaves, if that takes it. */
  private send(): void {
    if (this.held || this.sending.length === 0) return;
    for (const byte of this.sending.splice(0)) this.desc.onTransmit(byte);
    this.thrEmptied = true;
    this.update();
  }

  private transmit(byte: number): void {
    if (this.held && !this.loopback) {
      if (this.sending.length < this.fifoSize) this.sending.push(byte);
      this.thrEmptied = false;
      this.update();
      return;
    }
    if (this.loopback) {
      // Without FIFOs the newcomer overwrites RBR, with them it is lost in the shift register.
      const full = this.fifo.length >= this.fifoSize;
      if (full) this.overrun = true;
      if (full && !this.fifoEnabled) this.fifo[0] = byte;
      else if (!full) this.fifo.push(byte);
    } else this.desc.onTransmit(byte);
    this.thrEmptied = true;
    this.update();
  }

  private writeIer(byte: number): void {
    if ((byte & ~this.ier & IER_TX) !== 0) this.thrEmptied = this.sending.length === 0;
    this.ier = byte & 0x0f;
    this.update();
  }

  private writeFcr(byte: number): void {
    const toggled = ((byte ^ this.fcr) & FCR_ENABLE) !== 0;
    this.fcr = (byte & FCR_ENABLE) !== 0 ? byte & 0xc9 : 0;
    if (toggled || (byte & FCR_CLEAR_RX) !== 0) this.resetReceiver();
    this.refill();
  }

  private resetReceiver(): void {
    if (!this.loopback && this.fifo.length > 0) {
      const first = this.waiting[0];
      if (first) this.waiting[0] = first.subarray(this.head);
      this.head = 0;
      this.waiting.unshift(Uint8Array.from(this.fifo));
    }
    this.fifo.length = 0;
  }

  private writeMcr(byte: number): void {
    const before = this.modemLines;
    this.mcr = byte & 0x1f;
    this.flowControl = true;
    const changed = before ^ this.modemLines;
    // Delta bits 0-3 watch CTS, DSR, RI and DCD; RI is reported on its trailing edge only.
    this.modemDelta |= (changed >> 4) & 0x0b;
    if ((changed & before & 0x40) !== 0) this.modemDelta |= 4;
    this.refill();
  }

  /** MSR bits 7:4. In loopback RTS, DTR, OUT1 and OUT2 come back as CTS, DSR, RI and DCD. */
  private get modemLines(): number {
    if (!this.loopback) return MODEM_PRESENT;
    const { mcr } = this;
    return ((mcr & 2) << 3) | ((mcr & 1) << 5) | ((mcr & 4) << 4) | ((mcr & 8) << 4);
  }

  private readLsr(): number {
    const data = this.fifo.length > 0 ? LSR_DATA : 0;
    const overrun = this.overrun ? LSR_OVERRUN : 0;
    if (this.overrun) {
      this.overrun = false;
      this.update();
    }
    const empty = this.sending.length === 0 ? LSR_THR_EMPTY | LSR_IDLE : 0;
    return empty | data | overrun;
  }

  private readMsr(): number {
    const value = this.modemLines | this.modemDelta;
    this.modemDelta = 0;
    this.update();
    return value;
  }

  private readIir(): number {
    const source = this.source();
    if (source === 0x02) {
      this.thrEmptied = false;
      this.update();
    }
    return source | (this.fifoEnabled ? 0xc0 : 0);
  }

  /** IIR bits 3:0: the highest of the pending, enabled sources (datasheet table V); 1 if none. */
  private source(): number {
    if (this.overrun && (this.ier & IER_LINE) !== 0) return 0x06;
    if (this.fifo.length > 0 && (this.ier & IER_RX) !== 0) {
      const trigger = this.fifoEnabled ? (TRIGGER_LEVELS[this.fcr >> 6] ?? 1) : 1;
      return this.fifo.length >= trigger ? 0x04 : 0x0c;
    }
    if (this.thrEmptied && (this.ier & IER_TX) !== 0) return 0x02;
    if (this.modemDelta !== 0 && (this.ier & IER_MODEM) !== 0) return 0x00;
    return 0x01;
  }

  /** Moves host input into the FIFO as far as it may flow, then updates the interrupt. */
  private refill(): void {
    const open = this.gap === null && !this.loopback && (!this.flowControl || (this.mcr & MCR_RTS) !== 0);
    const room = this.fifoSize;
    if (open && this.fifo.length < room) this.loadedAt = this.desc.clock?.now() ?? 0;
    while (open && this.fifo.length < room) {
      const chunk = this.waiting[0];
      const byte = chunk?.[this.head];
      if (chunk === undefined || byte === undefined) break;
      this.fifo.push(byte);
      if (++this.head < chunk.length) continue;
      this.waiting.shift();
      this.head = 0;
    }
    this.update();
  }

  /** Drives INTRPT. Loopback forces the OUT2 pin inactive, and with it the gate. */
  private update(): void {
    const source = this.source();
    const open = source !== 0x01 && (this.mcr & (MCR_OUT2 | MCR_LOOP)) === MCR_OUT2;
    const up = open && (source !== 0x02 || this.lineUp || this.threIsDue());
    if (up === this.lineUp) return;
    this.lineUp = up;
    this.desc.irq.set(up);
  }

  /** Whether there may be a THRE interrupt now; if not, there will be one in time. */
  private threIsDue(): boolean {
    const { clock } = this.desc;
    if (clock === undefined) return true;
    if (this.quiet !== null) return false;
    const now = clock.now();
    if (now >= this.nextThre) {
      this.nextThre = now + THRE_GAP;
      return true;
    }
    this.quiet = clock.schedule(this.nextThre, this.endQuiet);
    return false;
  }

  private readonly endQuiet = (): void => {
    this.quiet = null;
    this.update();
  };
}
