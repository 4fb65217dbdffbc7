import type { IrqLine, PortDevice, PortSize } from "./ports.js";
import { read } from "./state.js";

export interface I8259State {
  readonly levels: number;
  readonly irr: number;
  readonly isr: number;
  readonly imr: number;
  readonly elcr: number;
  readonly base: number;
  readonly top: number;
  readonly flags: readonly boolean[];
  readonly expected: number;
}

export const readI8259 = read.record<I8259State>({
  levels: read.u8,
  irr: read.u8,
  isr: read.u8,
  imr: read.u8,
  elcr: read.u8,
  base: read.bits(0xf8),
  top: read.integer(0, 7),
  flags: read.list(read.flag, 9),
  expected: read.oneOf(0, 2, 3, 4),
});

/** ICW1 and OCW bits (8259A datasheet, "Programming the 8259A"). */
const ICW1 = 0x10;
const ICW1_NEEDS_ICW4 = 0x01;
const ICW1_SINGLE = 0x02;
const ICW1_LEVEL = 0x08;
const ICW4_AUTO_EOI = 0x02;
const ICW4_SPECIAL_FULLY_NESTED = 0x10;
const OCW3 = 0x08;
const OCW3_POLL = 0x04;
const OCW3_READ = 0x02;
const OCW3_READ_ISR = 0x01;
const OCW3_SET_SPECIAL_MASK = 0x40;
const OCW3_SPECIAL_MASK = 0x20;
/** The line on which a chip without a request answers an acknowledge cycle. */
const SPURIOUS = 7;

/**
 * An 8259A interrupt controller (Intel 8259A datasheet, order number 231468).
 *
 * Ports: command (even: ICW1, OCW2, OCW3; reads IRR, ISR or the poll word) and data (odd: ICW2-4, OCW1; reads IMR).
 *
 * Emulated: edge and level inputs (the whole chip by ICW1, single lines by the chipset's ELCR), masks, fully nested and special fully
 * nested mode, specific and non-specific EOI, automatic EOI, rotation of all four kinds, special mask mode, poll, and the
 * spurious request 7 where a request vanished before it was acknowledged.
 * Not emulated: the MCS-80/85 mode and the buffer pins (ICW4 bits 0, 2 and 3). An edge stays latched when its line falls before the
 * acknowledge, as in PC chipsets of today; the original chip made it spurious.
 */
export class I8259 implements PortDevice {
  readonly ioWidth = 1;
  /** Base of its vectors, a multiple of 8 (ICW2). */
  base = 0;
  readonly #lines: readonly IrqLine[];
  #levels = 0;
  #irr = 0;
  #isr = 0;
  #imr = 0;
  #elcr = 0;
  /** The line of highest priority. */
  #top = 0;
  #levelTriggered = false;
  #single = false;
  #autoEoi = false;
  #rotateOnAutoEoi = false;
  #specialFullyNested = false;
  #specialMask = false;
  #readIsr = false;
  #poll = false;
  #needsIcw4 = false;
  /** The ICW that a write to the data port is next: 2 to 4, or 0 outside initialisation. */
  #expected = 0;
  readonly #cascade: number;
  readonly #onOutput: (level: boolean) => void;

  /**
   * @param cascade lines that have another 8259A behind them, as bits
   * @param onOutput hears the level of INT after everything that may have changed it
   */
  constructor(cascade: number, onOutput: (level: boolean) => void) {
    this.#cascade = cascade;
    this.#onOutput = onOutput;
    this.#lines = Array.from({ length: 8 }, (_, line) => ({
      set: (level: boolean) => this.#setLine(1 << line, level),
    }));
  }

  /** Input `n`, 0-7. @throws {RangeError} if there is no such input */
  line(n: number): IrqLine {
    const line = this.#lines[n];
    if (!line) throw new RangeError(`an 8259A has no input ${n}: it has 0-7`);
    return line;
  }

  /** INT: a request of higher priority than what is in service. */
  get output(): boolean {
    return this.#request() >= 0;
  }

  /** Whether a slave on input `n` is asked for the vector. */
  isCascaded(n: number): boolean {
    return !this.#single && (this.#cascade & (1 << n)) !== 0;
  }

  /** Lines that are level-triggered whatever ICW1 says (ELCR), as bits. */
  get edgeLevelControl(): number {
    return this.#elcr;
  }

  set edgeLevelControl(lines: number) {
    this.#elcr = lines;
    this.#irr = (this.#irr & ~lines) | (this.#levels & lines);
    this.#update();
  }

  /** The acknowledge cycle: puts the request of highest priority in service and returns its line, 7 if there is none any more. */
  acknowledge(): number {
    const line = this.#request();
    if (line < 0) return SPURIOUS;
    this.#serve(line);
    this.#update();
    return line;
  }

  ioRead(port: number, _size: PortSize): number {
    if (this.#poll) {
      this.#poll = false;
      const line = this.#request();
      if (line < 0) return 0;
      this.#serve(line);
      this.#update();
      return 0x80 | line;
    }
    if ((port & 1) !== 0) return this.#imr;
    return this.#readIsr ? this.#isr : this.#irr;
  }

  ioWrite(port: number, _size: PortSize, value: number): void {
    if ((port & 1) !== 0) this.#writeData(value);
    else if ((value & ICW1) !== 0) this.#initialise(value);
    else if ((value & OCW3) !== 0) this.#writeOcw3(value);
    else this.#writeOcw2(value >> 5, value & 7);
    this.#update();
  }

  save(): I8259State {
    const { base } = this;
    const [levels, irr, isr, imr, elcr, top, expected] = [
      this.#levels,
      this.#irr,
      this.#isr,
      this.#imr,
      this.#elcr,
      this.#top,
      this.#expected,
    ];
    const flags = [this.#levelTriggered, this.#single, this.#autoEoi, this.#rotateOnAutoEoi, this.#specialFullyNested];
    return {
      levels,
      irr,
      isr,
      imr,
      elcr,
      base,
      top,
      flags: [...flags, this.#specialMask, this.#readIsr, this.#poll, this.#needsIcw4],
      expected,
    };
  }

  /** @throws {StateError} */
  restore(saved: I8259State): void {
    const state = readI8259(saved);
    this.#levels = state.levels;
    this.#irr = state.irr;
    this.#isr = state.isr;
    this.#imr = state.imr;
    this.#elcr = state.elcr;
    this.base = state.base;
    this.#top = state.top;
    this.#expected = state.expected;
    [
      this.#levelTriggered = false,
      this.#single = false,
      this.#autoEoi = false,
      this.#rotateOnAutoEoi = false,
      this.#specialFullyNested = false,
      this.#specialMask = false,
      this.#readIsr = false,
      this.#poll = false,
      this.#needsIcw4 = false,
    ] = state.flags;
  }

  #update(): void {
    this.#onOutput(this.output);
  }

  #setLine(bit: number, level: boolean): void {
    const before = (this.#levels & bit) !== 0;
    if (before === level) return;
    this.#levels ^= bit;
    if (level) this.#irr |= bit;
    else if (this.#isLevel(bit)) this.#irr &= ~bit;
    this.#update();
  }

  #isLevel(bit: number): boolean {
    return this.#levelTriggered || (this.#elcr & bit) !== 0;
  }

  /** The line of highest priority among `lines`, -1 if there is none. */
  #first(lines: number): number {
    for (let k = 0; k < 8; k++) {
      const line = (this.#top + k) & 7;
      if ((lines & (1 << line)) !== 0) return line;
    }
    return -1;
  }

  /** The line whose request INT stands for, -1 if none is of higher priority than what is in service. */
  #request(): number {
    const line = this.#first(this.#irr & ~this.#imr);
    if (line < 0) return -1;
    let blocking = this.#isr;
    if (this.#specialMask) blocking &= ~this.#imr;
    // A slave may ask again while one of its requests is in service.
    if (this.#specialFullyNested) blocking &= ~this.#cascade;
    const busy = this.#first(blocking);
    const rank = (n: number): number => (n - this.#top) & 7;
    return busy < 0 || rank(line) < rank(busy) ? line : -1;
  }

  #serve(line: number): void {
    const bit = 1 << line;
    if (!this.#isLevel(bit)) this.#irr &= ~bit;
    if (!this.#autoEoi) this.#isr |= bit;
    else if (this.#rotateOnAutoEoi) this.#top = (line + 1) & 7;
  }

  #initialise(icw1: number): void {
    this.#levelTriggered = (icw1 & ICW1_LEVEL) !== 0;
    this.#single = (icw1 & ICW1_SINGLE) !== 0;
    this.#needsIcw4 = (icw1 & ICW1_NEEDS_ICW4) !== 0;
    // An edge input must rise again; a level is there as long as it is.
    this.#irr = this.#levelTriggered ? this.#levels : this.#levels & this.#elcr;
    this.#isr = this.#imr = this.#top = 0;
    this.#autoEoi = this.#rotateOnAutoEoi = this.#specialFullyNested = false;
    this.#specialMask = this.#readIsr = this.#poll = false;
    this.#expected = 2;
  }

  #writeData(value: number): void {
    switch (this.#expected) {
      case 2:
        this.base = value & 0xf8;
        this.#expected = this.#single ? (this.#needsIcw4 ? 4 : 0) : 3;
        return;
      case 3:
        this.#expected = this.#needsIcw4 ? 4 : 0;
        return;
      case 4:
        this.#autoEoi = (value & ICW4_AUTO_EOI) !== 0;
        this.#specialFullyNested = (value & ICW4_SPECIAL_FULLY_NESTED) !== 0;
        this.#expected = 0;
        return;
      default:
        this.#imr = value & 0xff;
    }
  }

  /** @param command rotate, specific, EOI as bits 2, 1, 0 */
  #writeOcw2(command: number, line: number): void {
    switch (command) {
      case 0b000:
      case 0b100:
        this.#rotateOnAutoEoi = command === 0b100;
        return;
      case 0b001:
      case 0b101: {
        const served = this.#first(this.#specialMask ? this.#isr & ~this.#imr : this.#isr);
        if (served < 0) return;
        this.#isr &= ~(1 << served);
        if (command === 0b101) this.#top = (served + 1) & 7;
        return;
      }
      case 0b011:
      case 0b111:
        this.#isr &= ~(1 << line);
        if (command === 0b111) this.#top = (line + 1) & 7;
        return;
      case 0b110:
        this.#top = (line + 1) & 7;
        return;
      default:
    }
  }

  #writeOcw3(value: number): void {
    this.#poll = (value & OCW3_POLL) !== 0;
    if ((value & OCW3_READ) !== 0) this.#readIsr = (value & OCW3_READ_ISR) !== 0;
    if ((value & OCW3_SET_SPECIAL_MASK) !== 0) this.#specialMask = (value & OCW3_SPECIAL_MASK) !== 0;
  }
}
