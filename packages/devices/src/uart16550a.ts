import { ByteQueue } from "./byte-queue.js";
import type { Clock, PortDevice, PortSize, Timer } from "./ports.js";
import { FIFO_SIZE, readUart, type Uart16550ADesc, type Uart16550AState } from "./uart16550a-desc.js";
import { modemDelta, modemLines } from "./uart16550a-modem.js";
import * as R from "./uart16550a-registers.js";
import { ThreGap } from "./uart16550a-thre.js";

const TRIGGER_LEVELS = [1, 4, 8, 14] as const;
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
  #ier = 0;
  #fcr = 0;
  #lcr = 0;
  #mcr = 0;
  #scr = 0;
  /** DLM:DLL; 12 is 9600 baud. */
  #divisor = 12;
  #modemDelta = 0;
  #overrun = false;
  /** The THRE interrupt condition: THR became empty, or its interrupt was enabled, since the last IIR read that said so. */
  #thrEmptied = false;
  /** The guest has written the R.MCR: from now on RTS means something. */
  #flowControl = false;
  readonly #fifo: number[] = [];
  /** Host input that has not reached the FIFO. */
  readonly #waiting = new ByteQueue();
  #lineUp = false;
  /** The far end takes nothing; what the guest sends waits in `sending`. */
  #held = false;
  readonly #sending: number[] = [];
  /** Virtual time of the last load of the FIFO, and the end of the pause after it. */
  #loadedAt = 0;
  #gap: Timer | null = null;
  #gapEnd = 0;
  readonly #thre: ThreGap;
  readonly #desc: Uart16550ADesc;

  constructor(desc: Uart16550ADesc) {
    this.#desc = desc;
    this.#thre = new ThreGap(desc.clock, () => this.#update());
  }

  /** Host input: takes all of `bytes` (a copy), however many wait already. */
  receive(bytes: Uint8Array): void {
    this.#waiting.push(bytes.slice());
    this.#refill();
  }

  /** The guest has nothing to do but wait: pauses before the next load and the next THRE interrupt end now. */
  hurry(): void {
    if (this.#gap === null && !this.#thre.waiting) return;
    this.#stopTimers();
    this.#thre.next = 0;
    this.#refill();
  }

  #stopTimers(): void {
    this.#gap?.cancel();
    this.#gap = null;
    this.#thre.stop();
  }

  /** Whether the far end takes nothing for now. When it does again, it first gets what has waited. */
  hold(held: boolean): void {
    if (held === this.#held) return;
    this.#held = held;
    this.#send();
  }

  /** Bytes of host input the guest has not read yet. */
  get backlog(): number {
    return this.#waiting.length + this.#fifo.length;
  }

  ioRead(port: number, _size: PortSize): number {
    switch (port & 7) {
      case R.RBR_THR_DLL:
        return (this.#lcr & R.LCR_DLAB) !== 0 ? this.#divisor & 0xff : this.#readData();
      case R.IER_DLM:
        return (this.#lcr & R.LCR_DLAB) !== 0 ? this.#divisor >> 8 : this.#ier;
      case R.IIR_FCR:
        return this.#readIir();
      case R.LCR:
        return this.#lcr;
      case R.MCR:
        return this.#mcr;
      case R.LSR:
        return this.#readLsr();
      case R.MSR:
        return this.#readMsr();
      default:
        return this.#scr;
    }
  }

  ioWrite(port: number, _size: PortSize, value: number): void {
    const byte = value & 0xff;
    switch (port & 7) {
      case R.RBR_THR_DLL:
        if ((this.#lcr & R.LCR_DLAB) !== 0) this.#divisor = (this.#divisor & 0xff00) | byte;
        else this.#transmit(byte);
        return;
      case R.IER_DLM:
        if ((this.#lcr & R.LCR_DLAB) !== 0) this.#divisor = (this.#divisor & 0xff) | (byte << 8);
        else this.#writeIer(byte);
        return;
      case R.IIR_FCR:
        this.#writeFcr(byte);
        return;
      case R.LCR:
        this.#lcr = byte;
        return;
      case R.MCR:
        this.#writeMcr(byte);
        return;
      case R.LSR:
      case R.MSR:
        return;
      default:
        this.#scr = byte;
    }
  }

  save(): Uart16550AState {
    const [ier, fcr, lcr, mcr, scr, divisor, modemDelta, overrun, thrEmptied, flowControl] = [
      this.#ier,
      this.#fcr,
      this.#lcr,
      this.#mcr,
      this.#scr,
      this.#divisor,
      this.#modemDelta,
      this.#overrun,
      this.#thrEmptied,
      this.#flowControl,
    ];
    const nextThre = this.#thre.next;
    const waiting = this.#waiting.peek(this.#waiting.length);
    const [lineUp, loadedAt] = [this.#lineUp, this.#loadedAt];
    const gapEnd = this.#gap === null ? null : this.#gapEnd;
    const registers = { ier, fcr, lcr, mcr, scr, divisor, modemDelta, overrun, thrEmptied, nextThre, flowControl };
    const pace = { lineUp, loadedAt, gapEnd };
    return { ...registers, ...pace, fifo: [...this.#fifo], sending: [...this.#sending], waiting };
  }

  /** Takes a saved state; the clock must already show the time of the save. @throws {StateError} */
  restore(saved: Uart16550AState): void {
    const state = readUart(saved);
    this.#ier = state.ier;
    this.#fcr = state.fcr;
    this.#lcr = state.lcr;
    this.#mcr = state.mcr;
    this.#scr = state.scr;
    this.#divisor = state.divisor;
    this.#modemDelta = state.modemDelta;
    this.#overrun = state.overrun;
    this.#thrEmptied = state.thrEmptied;
    this.#thre.next = state.nextThre;
    this.#flowControl = state.flowControl;
    this.#fifo.splice(0, this.#fifo.length, ...state.fifo);
    this.#sending.splice(0, this.#sending.length, ...state.sending);
    this.#waiting.clear();
    this.#waiting.push(state.waiting);
    this.#stopTimers();
    this.#loadedAt = state.loadedAt;
    if (state.gapEnd !== null && this.#desc.clock !== undefined) this.#pauseUntil(this.#desc.clock, state.gapEnd);
    this.#lineUp = state.lineUp;
    this.#desc.irq.set(state.lineUp);
    this.#send();
    this.#update();
  }

  get #fifoEnabled(): boolean {
    return (this.#fcr & R.FCR_ENABLE) !== 0;
  }

  get #fifoSize(): number {
    return this.#fifoEnabled ? FIFO_SIZE : 1;
  }

  get #loopback(): boolean {
    return (this.#mcr & R.MCR_LOOP) !== 0;
  }

  #readData(): number {
    const byte = this.#fifo.shift() ?? 0;
    if (this.#desc.clock === undefined || this.#desc.paced !== true) this.#refill();
    else this.#rest(this.#desc.clock);
    return byte;
  }

  /** The guest took a byte; after the last of a load the line pauses. */
  #rest(clock: Clock): void {
    if (this.#fifo.length === 0 && this.#waiting.length > 0 && this.#gap === null) {
      const now = clock.now();
      const ns = Math.min(MAX_GAP, Math.max(MIN_GAP, now - this.#loadedAt));
      this.#pauseUntil(clock, now + ns);
    }
    this.#update();
  }

  #pauseUntil(clock: Clock, ns: number): void {
    this.#gapEnd = ns;
    this.#gap = clock.schedule(ns, () => {
      this.#gap = null;
      this.#refill();
    });
  }

  /** What waits for the far end leaves, if that takes it. */
  #send(): void {
    if (this.#held || this.#sending.length === 0) return;
    for (const byte of this.#sending.splice(0)) this.#desc.onTransmit(byte);
    this.#thrEmptied = true;
    this.#update();
  }

  #transmit(byte: number): void {
    if (this.#held && !this.#loopback) {
      if (this.#sending.length < this.#fifoSize) this.#sending.push(byte);
      this.#thrEmptied = false;
      this.#update();
      return;
    }
    if (this.#loopback) {
      // Without FIFOs the newcomer overwrites RBR, with them it is lost in the shift register.
      const full = this.#fifo.length >= this.#fifoSize;
      if (full) this.#overrun = true;
      if (full && !this.#fifoEnabled) this.#fifo[0] = byte;
      else if (!full) this.#fifo.push(byte);
    } else this.#desc.onTransmit(byte);
    this.#thrEmptied = true;
    this.#update();
  }

  #writeIer(byte: number): void {
    if ((byte & ~this.#ier & R.IER_TX) !== 0) this.#thrEmptied = this.#sending.length === 0;
    this.#ier = byte & 0x0f;
    this.#update();
  }

  #writeFcr(byte: number): void {
    const toggled = ((byte ^ this.#fcr) & R.FCR_ENABLE) !== 0;
    this.#fcr = (byte & R.FCR_ENABLE) !== 0 ? byte & 0xc9 : 0;
    if (toggled || (byte & R.FCR_CLEAR_RX) !== 0) this.#resetReceiver();
    this.#refill();
  }

  #resetReceiver(): void {
    if (!this.#loopback) this.#waiting.unshift(Uint8Array.from(this.#fifo));
    this.#fifo.length = 0;
  }

  #writeMcr(byte: number): void {
    const before = modemLines(this.#mcr);
    this.#mcr = byte & 0x1f;
    this.#flowControl = true;
    this.#modemDelta |= modemDelta(before, modemLines(this.#mcr));
    this.#refill();
  }

  #readLsr(): number {
    const data = this.#fifo.length > 0 ? R.LSR_DATA : 0;
    const overrun = this.#overrun ? R.LSR_OVERRUN : 0;
    if (this.#overrun) {
      this.#overrun = false;
      this.#update();
    }
    const empty = this.#sending.length === 0 ? R.LSR_THR_EMPTY | R.LSR_IDLE : 0;
    return empty | data | overrun;
  }

  #readMsr(): number {
    const value = modemLines(this.#mcr) | this.#modemDelta;
    this.#modemDelta = 0;
    this.#update();
    return value;
  }

  #readIir(): number {
    const source = this.#source();
    if (source === 0x02) {
      this.#thrEmptied = false;
      this.#update();
    }
    return source | (this.#fifoEnabled ? 0xc0 : 0);
  }

  /** IIR bits 3:0: the highest of the pending, enabled sources (datasheet table V); 1 if none. */
  #source(): number {
    if (this.#overrun && (this.#ier & R.IER_LINE) !== 0) return 0x06;
    if (this.#fifo.length > 0 && (this.#ier & R.IER_RX) !== 0) {
      const trigger = this.#fifoEnabled ? (TRIGGER_LEVELS[this.#fcr >> 6] ?? 1) : 1;
      return this.#fifo.length >= trigger ? 0x04 : 0x0c;
    }
    if (this.#thrEmptied && (this.#ier & R.IER_TX) !== 0) return 0x02;
    if (this.#modemDelta !== 0 && (this.#ier & R.IER_MODEM) !== 0) return 0x00;
    return 0x01;
  }

  /** Moves host input into the FIFO as far as it may flow, then updates the interrupt. */
  #refill(): void {
    const open = this.#gap === null && !this.#loopback && (!this.#flowControl || (this.#mcr & R.MCR_RTS) !== 0);
    const room = this.#fifoSize;
    if (open && this.#fifo.length < room) this.#loadedAt = this.#desc.clock?.now() ?? 0;
    while (open && this.#fifo.length < room && this.#waiting.length > 0) this.#fifo.push(this.#waiting.shift());
    this.#update();
  }

  /** Drives INTRPT. Loopback forces the OUT2 pin inactive, and with it the gate. */
  #update(): void {
    const source = this.#source();
    const open = source !== 0x01 && (this.#mcr & (R.MCR_OUT2 | R.MCR_LOOP)) === R.MCR_OUT2;
    const up = open && (source !== 0x02 || this.#lineUp || this.#thre.isDue());
    if (up === this.#lineUp) return;
    this.#lineUp = up;
    this.#desc.irq.set(up);
  }
}
