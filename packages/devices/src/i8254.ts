import { type CounterState, I8254Counter, readCounter } from "./i8254-counter.js";
import type { Clock, IrqLine, PortDevice, PortSize, Timer } from "./ports.js";
import { read } from "./state.js";

/** Ports: counters 0 to 2, control. */
export const PIT_PORTS = 4;

/** The input clock is 105/88 MHz, a third of the colour burst's 315/88 MHz. */
const TICKS = 105;
const PER_NS = 88_000;
const CONTROL = 3;
const LATCH_COMMAND = 0;
const READ_BACK = 3;

export interface I8254Desc {
  readonly clock: Clock;
  /** OUT of counter 0: IRQ 0. */
  readonly irq: IrqLine;
}

export interface I8254State {
  readonly counters: readonly CounterState[];
}

const readPit = read.record<I8254State>({ counters: read.list(readCounter, 3) });

/**
 * The 8254 programmable interval timer of a PC (Intel 8254 datasheet, order number 231164), at 1.193182 MHz.
 *
 * Ports from a base that is a multiple of 4 (0x40): counters 0-2, control word.
 *
 * Emulated: three counters, modes 0 to 5, binary and BCD, every access mode, count latch and read-back, gates, null count, and new
 * counts that take over at the end of a period (mode 2) or half period (mode 3).
 * Not emulated: the one clock pulse between a trigger and the load in modes 1 and 5 as a level on OUT; interrupts whose time passed
 * while the host was late (the next one comes in time).
 */
export class I8254 implements PortDevice {
  readonly ioWidth = 1;
  readonly #counters = [new I8254Counter(), new I8254Counter(), new I8254Counter()] as const;
  #timer: Timer | null = null;
  readonly #desc: I8254Desc;

  constructor(desc: I8254Desc) {
    this.#desc = desc;
    // Nobody has programmed it yet; the gate of counter 2 is port 0x61's.
    this.#counters[2].setGate(0, false);
    for (const counter of this.#counters) counter.control(0x30);
  }

  ioRead(port: number, _size: PortSize): number {
    const counter = this.#counters[port & 3];
    return counter === undefined ? 0xff : counter.read(this.#tick);
  }

  ioWrite(port: number, _size: PortSize, value: number): void {
    const byte = value & 0xff;
    const index = (port & 3) === CONTROL ? byte >> 6 : port & 3;
    if (index === READ_BACK) {
      this.#readBack(byte);
      return;
    }
    const counter = this.#counters[index as 0 | 1 | 2];
    if ((port & 3) !== CONTROL) counter.write(this.#tick, byte);
    else if (((byte >> 4) & 3) === LATCH_COMMAND) {
      counter.latch(this.#tick);
      return;
    } else counter.control(byte);
    if (index === 0) this.#drive();
  }

  /** The gate of counter 2: port 0x61 bit 0. */
  setGate2(level: boolean): void {
    this.#counters[2].setGate(this.#tick, level);
  }

  /** OUT of counter 2, the tone. */
  get output2(): boolean {
    return this.#counters[2].output(this.#tick);
  }

  save(): I8254State {
    return { counters: this.#counters.map((counter) => counter.save()) };
  }

  /** Takes a saved state; the clock must already show the time of the save. @throws {StateError} */
  restore(saved: I8254State): void {
    readPit(saved).counters.forEach((state, k) => {
      this.#counters[k]?.restore(state);
    });
    this.#schedule();
  }

  get #tick(): number {
    return Math.floor((this.#desc.clock.now() * TICKS) / PER_NS);
  }

  #readBack(command: number): void {
    this.#counters.forEach((counter, k) => {
      if ((command & (2 << k)) === 0) return;
      if ((command & 0x20) === 0) counter.latch(this.#tick);
      if ((command & 0x10) === 0) counter.latchStatus(this.#tick);
    });
  }

  /** Puts counter 0's output on IRQ 0 and sees to its next rise. */
  #drive(): void {
    this.#desc.irq.set(this.#counters[0].output(this.#tick));
    this.#schedule();
  }

  #schedule(): void {
    this.#timer?.cancel();
    this.#timer = null;
    const { clock, irq } = this.#desc;
    const rise = this.#counters[0].nextRise(this.#tick);
    if (rise === Number.POSITIVE_INFINITY) return;
    const at = Math.max(Math.ceil((rise * PER_NS) / TICKS), clock.now() + 1);
    this.#timer = clock.schedule(at, () => {
      // It has been low since its last rise, if only for one tick.
      if (this.#tick >= rise) {
        irq.set(false);
        irq.set(true);
      }
      this.#schedule();
    });
  }
}
