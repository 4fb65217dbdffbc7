import { read } from "./state.js";

/** Bytes of the counter a program reads and writes (8254 datasheet, RW field). */
export const Access = { Low: 1, High: 2, Both: 3 } as const;

export interface CounterState {
  readonly mode: number;
  readonly access: number;
  readonly bcd: boolean;
  readonly gate: boolean;
  readonly count: number;
  readonly start: number;
  readonly held: number | null;
  readonly next: number;
  readonly nextAt: number;
  readonly low: number;
  readonly flipFlops: readonly boolean[];
  readonly latched: number | null;
  readonly latchedStatus: number | null;
}

const NEVER = Number.POSITIVE_INFINITY;

const count = read.integer(0, 0x10000);
/** Of the input clock: one that a half period was counted back from may lie before the beginning. */
const tick = read.integer(-0x20000, Number.MAX_SAFE_INTEGER);
const tickOrNever = (value: unknown, path?: string): number => (value === NEVER ? NEVER : tick(value, path));

export const readCounter = read.record<CounterState>({
  mode: read.integer(0, 5),
  access: read.oneOf<number>(Access.Low, Access.High, Access.Both),
  bcd: read.flag,
  gate: read.flag,
  count,
  start: tickOrNever,
  held: read.nullOr(tick),
  next: count,
  nextAt: tickOrNever,
  low: read.u8,
  flipFlops: read.list(read.flag, 2),
  latched: read.nullOr(read.u16),
  latchedStatus: read.nullOr(read.u8),
});

/**
 * One counter of an 8254 (Intel 8254 datasheet, order number 231164). It knows no clock: every call is given `tick`, the number of
 * input clock pulses so far, and what it shows follows from when it was loaded.
 */
export class I8254Counter {
  /** 0-5. */
  mode = 0;
  #access: number = Access.Both;
  #bcd = false;
  #gate = true;
  /** The count in force, 1 to 65536 (10000 in BCD); 0 before the first. */
  #count = 0;
  /** Tick at which it was loaded. Modes 1 and 5 load it at the trigger. */
  #start = NEVER;
  /** Ticks counted when the gate went low, null while it counts. */
  #held: number | null = null;
  /** A count that takes over at tick `nextAt`; for modes 1 and 5 with the next trigger. */
  #next = 0;
  #nextAt = NEVER;
  #low = 0;
  #writeHigh = false;
  #readHigh = false;
  #latched: number | null = null;
  #latchedStatus: number | null = null;

  /** The control word: the output goes to the mode's first level and nothing is counted until a count is written. */
  control(word: number): void {
    this.#access = (word >> 4) & 3;
    const mode = (word >> 1) & 7;
    this.mode = mode > 5 ? mode - 4 : mode;
    this.#bcd = (word & 1) !== 0;
    this.#count = this.#next = 0;
    this.#start = this.#nextAt = NEVER;
    this.#held = this.#latched = this.#latchedStatus = null;
    this.#writeHigh = this.#readHigh = false;
  }

  write(tick: number, byte: number): void {
    this.#settle(tick);
    if (this.#access === Access.Low) this.#setCount(tick, byte);
    else if (this.#access === Access.High) this.#setCount(tick, byte << 8);
    else if (this.#writeHigh) {
      this.#writeHigh = false;
      this.#setCount(tick, this.#low | (byte << 8));
    } else {
      this.#low = byte;
      this.#writeHigh = true;
      // The first byte stops mode 0, and its output goes low.
      if (this.mode === 0) {
        this.#start = NEVER;
        this.#held = null;
      }
    }
  }

  read(tick: number): number {
    if (this.#latchedStatus !== null) {
      const status = this.#latchedStatus;
      this.#latchedStatus = null;
      return status;
    }
    const value = this.#latched === null ? this.#visible(tick) : this.#latched;
    const high = this.#access === Access.High || (this.#access === Access.Both && this.#readHigh);
    if (this.#access === Access.Both) this.#readHigh = !this.#readHigh;
    if (this.#access !== Access.Both || high) this.#latched = null;
    return high ? value >> 8 : value & 0xff;
  }

  /** Keeps the count for the next read; one that is kept already stays. */
  latch(tick: number): void {
    if (this.#latched === null) this.#latched = this.#visible(tick);
  }

  /** Keeps the status byte for the next read: OUT, null count, and the control word's access, mode and BCD. */
  latchStatus(tick: number): void {
    if (this.#latchedStatus !== null) return;
    this.#settle(tick);
    const isNull = this.#nextAt !== NEVER || this.#next !== 0 || this.#count === 0 || tick < this.#start;
    this.#latchedStatus =
      (this.output(tick) ? 0x80 : 0) |
      (isNull ? 0x40 : 0) |
      (this.#access << 4) |
      (this.mode << 1) |
      (this.#bcd ? 1 : 0);
  }

  /** The GATE input. */
  setGate(tick: number, level: boolean): void {
    if (this.#gate === level) return;
    this.#settle(tick);
    this.#gate = level;
    if (!level) {
      // One-shots, once triggered, go on.
      if (this.mode !== 1 && this.mode !== 5 && this.#start !== NEVER) this.#held = tick - this.#start;
      return;
    }
    if (this.mode === 0 || this.mode === 4) {
      if (this.#held !== null) this.#start = tick - this.#held;
      this.#held = null;
      return;
    }
    // A rising gate is the trigger: the count is loaded with the next clock pulse.
    if (this.#next !== 0) this.#count = this.#next;
    this.#next = 0;
    this.#nextAt = NEVER;
    this.#held = null;
    if (this.#count !== 0) this.#start = tick + 1;
  }

  /** The OUT output. */
  output(tick: number): boolean {
    this.#settle(tick);
    const elapsed = this.#elapsed(tick);
    if (this.#count === 0 || elapsed < 0) return this.mode !== 0;
    switch (this.mode) {
      case 0:
      case 1:
        return elapsed >= this.#count;
      case 2:
        return !this.#gate || elapsed % this.#count !== this.#count - 1;
      case 3:
        return !this.#gate || elapsed % this.#count < Math.ceil(this.#count / 2);
      default:
        return elapsed !== this.#count;
    }
  }

  /** The first tick after `tick` at which the output rises, Infinity if none is in sight. */
  nextRise(tick: number): number {
    this.#settle(tick);
    if (this.#count === 0 || this.#start === NEVER || this.#held !== null) return NEVER;
    const later = (at: number): number => (at > tick ? at : NEVER);
    switch (this.mode) {
      case 0:
      case 1:
        return later(this.#start + this.#count);
      case 2:
      case 3: {
        const rise = this.#start + (Math.max(0, Math.floor((tick - this.#start) / this.#count)) + 1) * this.#count;
        // A new mode 3 count may take over for the low half of a period.
        return this.#nextAt < rise ? this.#nextAt + Math.floor(this.#next / 2) : rise;
      }
      default:
        return later(this.#start + this.#count + 1);
    }
  }

  save(): CounterState {
    const { mode } = this;
    const [access, bcd, gate, count, start, held, next, nextAt, low, latched, latchedStatus] = [
      this.#access,
      this.#bcd,
      this.#gate,
      this.#count,
      this.#start,
      this.#held,
      this.#next,
      this.#nextAt,
      this.#low,
      this.#latched,
      this.#latchedStatus,
    ];
    const flipFlops = [this.#writeHigh, this.#readHigh];
    return { mode, access, bcd, gate, count, start, held, next, nextAt, low, flipFlops, latched, latchedStatus };
  }

  restore(saved: CounterState): void {
    const state = readCounter(saved);
    this.mode = state.mode;
    this.#access = state.access;
    this.#bcd = state.bcd;
    this.#gate = state.gate;
    this.#count = state.count;
    this.#start = state.start;
    this.#held = state.held;
    this.#next = state.next;
    this.#nextAt = state.nextAt;
    this.#low = state.low;
    this.#latched = state.latched;
    this.#latchedStatus = state.latchedStatus;
    [this.#writeHigh = false, this.#readHigh = false] = state.flipFlops;
  }

  #setCount(tick: number, written: number): void {
    const value = this.#bcd ? fromBcd(written) : written;
    const count = value === 0 ? this.#modulus : value;
    switch (this.mode) {
      case 1:
      case 5:
        this.#next = count;
        return;
      case 2:
      case 3:
        if (this.#count !== 0) {
          this.#next = count;
          this.#nextAt = this.#held === null ? this.#boundary(tick) : NEVER;
          return;
        }
    }
    this.#count = count;
    this.#start = tick + 1;
    this.#held = this.#gate ? null : 0;
  }

  /** End of the current period (mode 2) or half period (mode 3). */
  #boundary(tick: number): number {
    const elapsed = Math.max(0, tick - this.#start);
    const begin = this.#start + Math.floor(elapsed / this.#count) * this.#count;
    const half = begin + Math.ceil(this.#count / 2);
    return this.mode === 3 && tick < half ? half : begin + this.#count;
  }

  /** Lets a count that waited take over. */
  #settle(tick: number): void {
    if (tick < this.#nextAt) return;
    const low = this.mode === 3 && (this.#nextAt - this.#start) % this.#count !== 0;
    this.#count = this.#next;
    // A half period that begins low is the second of its period.
    this.#start = low ? this.#nextAt - Math.ceil(this.#count / 2) : this.#nextAt;
    this.#next = 0;
    this.#nextAt = NEVER;
  }

  get #modulus(): number {
    return this.#bcd ? 10000 : 0x10000;
  }

  /** Ticks since the count was loaded; negative before that. */
  #elapsed(tick: number): number {
    return this.#held === null ? tick - this.#start : this.#held;
  }

  /** The counting element as it reads. */
  #visible(tick: number): number {
    this.#settle(tick);
    const value = this.#counting(this.#elapsed(tick)) % this.#modulus;
    return this.#bcd ? toBcd(value) : value;
  }

  #counting(elapsed: number): number {
    const [count, modulus] = [this.#count, this.#modulus];
    if (count === 0) return 0;
    if (elapsed < 0) return count;
    if (this.mode === 2) return count - (elapsed % count);
    if (this.mode === 3) {
      const half = Math.ceil(count / 2);
      const inPeriod = elapsed % count;
      const inHalf = inPeriod < half ? inPeriod : inPeriod - half;
      // An odd count is loaded less one; it counts by two.
      return count - (count & 1) - 2 * inHalf;
    }
    return modulus + ((count - elapsed) % modulus);
  }
}

const fromBcd = (value: number): number =>
  (value >> 12) * 1000 + ((value >> 8) & 15) * 100 + ((value >> 4) & 15) * 10 + (value & 15);

const toBcd = (value: number): number =>
  (Math.floor(value / 1000) << 12) |
  ((Math.floor(value / 100) % 10) << 8) |
  ((Math.floor(value / 10) % 10) << 4) |
  (value % 10);
