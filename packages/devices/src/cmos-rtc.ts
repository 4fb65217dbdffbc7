import type { PortDevice, PortSize } from "./ports.js";
import { read } from "./state.js";

/** The time outside the machine. */
export interface WallClock {
  /** Seconds since 1970-01-01T00:00:00Z; fractions are cut off. */
  unixTime(): number;
}

export interface CmosRtcDesc {
  readonly clock: WallClock;
}

export interface CmosRtcState {
  readonly index: number;
  readonly ram: readonly number[];
  readonly offset: number;
}

/** Seconds: more than from the year 0 to the last that the registers can say, 25755. */
const FARTHEST = 1e12;
const readRtc = read.record<CmosRtcState>({
  index: read.integer(0, 0x7f),
  ram: read.list(read.u8, 128),
  offset: read.integer(-FARTHEST, FARTHEST),
});

const SECONDS = 0x00;
const MINUTES = 0x02;
const HOURS = 0x04;
const WEEKDAY = 0x06;
const DAY = 0x07;
const MONTH = 0x08;
const YEAR = 0x09;
const REG_A = 0x0a;
const REG_B = 0x0b;
const REG_C = 0x0c;
const REG_D = 0x0d;
const CENTURY = 0x32;
const TIME_REGISTERS: readonly number[] = [SECONDS, MINUTES, HOURS, WEEKDAY, DAY, MONTH, YEAR, CENTURY];

const B_24_HOURS = 0x02;
const B_BINARY = 0x04;
const B_SET = 0x80;
const HOUR_PM = 0x80;

/**
 * The MC146818-compatible real-time clock and its CMOS RAM (Motorola MC146818A datasheet; century register as in ACPI's FADT).
 *
 * Ports: index (even; bit 7 is the NMI mask of old chipsets, ignored) and data (odd), so the base must be even: 0x70.
 * Registers: 0x00-0x09 time, 0x0a-0x0d A-D, 0x32 century, the rest of 0x0e-0x7f RAM.
 *
 * Emulated: UTC time of the wall clock plus what the guest set it off by; BCD and binary, 24 and 12 hours as register B
 * says; register B's SET bit freezes the time registers. The battery is good (D = 0x80). UIP always reads 0.
 * Not emulated: alarm, periodic and update interrupts (their registers are RAM, register C reads 0), square wave, the
 * divider chain, daylight saving. A weekday the guest writes does not change the date.
 */
export class CmosRtc implements PortDevice {
  readonly ioWidth = 1;
  #index = 0;
  readonly #ram = new Uint8Array(128);
  /** Seconds the guest's clock is ahead of the wall clock. */
  #offset = 0;
  readonly #desc: CmosRtcDesc;

  constructor(desc: CmosRtcDesc) {
    this.#desc = desc;
    this.#ram[REG_A] = 0x26;
    this.#ram[REG_B] = B_24_HOURS;
    this.#ram[REG_D] = 0x80;
  }

  ioRead(port: number, _size: PortSize): number {
    // The index register is write-only.
    if ((port & 1) === 0) return 0xff;
    if (!this.#frozen && TIME_REGISTERS.includes(this.#index)) this.#latch();
    return this.#ram[this.#index] ?? 0xff;
  }

  ioWrite(port: number, _size: PortSize, value: number): void {
    const byte = value & 0xff;
    if ((port & 1) === 0) this.#index = byte & 0x7f;
    else if (this.#index === REG_A) this.#ram[REG_A] = byte & 0x7f;
    else if (this.#index === REG_B) this.#writeB(byte);
    else if (this.#index !== REG_C && this.#index !== REG_D) this.#writeRam(byte);
  }

  save(): CmosRtcState {
    return { index: this.#index, ram: [...this.#ram], offset: this.#offset };
  }

  /** @throws {StateError} */
  restore(saved: CmosRtcState): void {
    const state = readRtc(saved);
    this.#index = state.index;
    this.#ram.set(state.ram);
    this.#offset = state.offset;
  }

  get #frozen(): boolean {
    return ((this.#ram[REG_B] ?? 0) & B_SET) !== 0;
  }

  #writeRam(byte: number): void {
    const time = !this.#frozen && TIME_REGISTERS.includes(this.#index);
    if (time) this.#latch();
    this.#ram[this.#index] = byte;
    if (time) this.#setTime();
  }

  #writeB(byte: number): void {
    const before = this.#frozen;
    if (!before) this.#latch();
    this.#ram[REG_B] = byte;
    if (before && !this.#frozen) this.#setTime();
  }

  /** Writes the current time into the time registers. */
  #latch(): void {
    const date = new Date((Math.floor(this.#desc.clock.unixTime()) + this.#offset) * 1000);
    const year = date.getUTCFullYear();
    this.#put(SECONDS, date.getUTCSeconds());
    this.#put(MINUTES, date.getUTCMinutes());
    this.#putHours(date.getUTCHours());
    this.#put(WEEKDAY, date.getUTCDay() + 1);
    this.#put(DAY, date.getUTCDate());
    this.#put(MONTH, date.getUTCMonth() + 1);
    this.#put(YEAR, year % 100);
    this.#put(CENTURY, Math.floor(year / 100));
  }

  /** Takes the time registers as the guest's time. Values out of range carry over, as calendars do. */
  #setTime(): void {
    const year = this.#get(CENTURY) * 100 + this.#get(YEAR);
    const day = Date.UTC(year, this.#get(MONTH) - 1, this.#get(DAY)) / 1000;
    const time = this.#getHours() * 3600 + this.#get(MINUTES) * 60 + this.#get(SECONDS);
    this.#offset = day + time - Math.floor(this.#desc.clock.unixTime());
  }

  get #binary(): boolean {
    return ((this.#ram[REG_B] ?? 0) & B_BINARY) !== 0;
  }

  #put(register: number, value: number): void {
    this.#ram[register] = this.#binary ? value : (Math.floor(value / 10) << 4) | (value % 10);
  }

  #get(register: number): number {
    return this.#decode(this.#ram[register] ?? 0);
  }

  #decode(raw: number): number {
    return this.#binary ? raw : (raw >> 4) * 10 + (raw & 15);
  }

  #putHours(hours: number): void {
    const whole = ((this.#ram[REG_B] ?? 0) & B_24_HOURS) !== 0;
    this.#put(HOURS, whole ? hours : hours % 12 === 0 ? 12 : hours % 12);
    if (!whole && hours >= 12) this.#ram[HOURS] = (this.#ram[HOURS] ?? 0) | HOUR_PM;
  }

  #getHours(): number {
    if (((this.#ram[REG_B] ?? 0) & B_24_HOURS) !== 0) return this.#get(HOURS);
    const raw = this.#ram[HOURS] ?? 0;
    return (this.#decode(raw & 0x7f) % 12) + ((raw & HOUR_PM) !== 0 ? 12 : 0);
  }
}
