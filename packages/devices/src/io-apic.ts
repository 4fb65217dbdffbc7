import { type ApicFabric, BROADCAST, DeliveryMode, type EoiListener } from "./apic-bus.js";
import type { IrqLine, MmioDevice, MmioSize } from "./ports.js";
import { read } from "./state.js";

/** Interrupt inputs of the chip. */
export const IO_APIC_PINS = 24;

export interface IoApicDesc {
  readonly bus: ApicFabric;
  /** IO-APIC ID as the ID register shows it after reset (0-15, default 0). */
  readonly id?: number;
}

export interface IoApicState {
  readonly id: number;
  readonly select: number;
  readonly levels: readonly boolean[];
  readonly entriesLo: readonly number[];
  readonly entriesHi: readonly number[];
}

const REMOTE_IRR = 1 << 14;
const LEVEL = 1 << 15;
const MASKED = 1 << 16;
const LOGICAL = 1 << 11;
/** Vector, delivery and destination mode, polarity, trigger, mask; the rest is read-only or reserved. */
const WRITABLE_LO = 0x1_afff;
const readIoApic = read.record<IoApicState>({
  id: read.integer(0, 15),
  select: read.u8,
  levels: read.list(read.flag, IO_APIC_PINS),
  entriesLo: read.list(read.bits(WRITABLE_LO | REMOTE_IRR), IO_APIC_PINS),
  entriesHi: read.list(read.bits(0xff00_0000), IO_APIC_PINS),
});
/** Version 0x20: the first with an EOI register; index of the last pin in bits 23:16. */
const VERSION = ((IO_APIC_PINS - 1) << 16) | 0x20;

/**
 * The IO-APIC (Intel 82093AA datasheet; version 0x20 adds the EOI register).
 *
 * MMIO: IOREGSEL 0x00, IOWIN 0x10, EOI 0x40. Behind IOWIN: ID 0x00, version 0x01, arbitration 0x02 and 24 redirection
 * entries of two words from 0x10.
 *
 * Emulated: edge and level entries, mask, remote IRR, all delivery modes, EOI from the bus and through the register.
 * An edge on a masked pin is lost, as the datasheet says; a level is delivered when its pin is unmasked.
 * Not emulated: polarity (stored; lines are given by meaning, not voltage), delivery status (reads idle), arbitration.
 */
export class IoApic implements MmioDevice, EoiListener {
  readonly #lines: readonly IrqLine[];
  readonly #levels: boolean[] = Array.from({ length: IO_APIC_PINS }, () => false);
  readonly #lo = new Uint32Array(IO_APIC_PINS).fill(MASKED);
  readonly #hi = new Uint32Array(IO_APIC_PINS);
  readonly #bus: ApicFabric;
  #id: number;
  #select = 0;

  constructor(desc: IoApicDesc) {
    this.#bus = desc.bus;
    this.#id = (desc.id ?? 0) & 15;
    this.#lines = this.#levels.map((_, pin) => ({ set: (level: boolean) => this.#setLine(pin, level) }));
  }

  /**
   * The input pin of `gsi`.
   * @throws {RangeError} if there is no such pin.
   */
  line(gsi: number): IrqLine {
    const line = this.#lines[gsi];
    if (!line) throw new RangeError(`GSI ${gsi} does not exist: this IO-APIC has 0-${IO_APIC_PINS - 1}`);
    return line;
  }

  mmioRead(offset: number, size: MmioSize): number {
    const shift = 8 * (offset & 3);
    const mask = size === 4 ? 0xffffffff : (1 << (8 * size)) - 1;
    const reg = offset & ~3;
    const value = reg === 0x00 ? this.#select : reg === 0x10 ? this.#readWindow() : 0;
    return ((value >>> shift) & mask) >>> 0;
  }

  mmioWrite(offset: number, _size: MmioSize, value: number): void {
    if (offset === 0x00) this.#select = value & 0xff;
    else if (offset === 0x10) this.#writeWindow(value);
    else if (offset === 0x40) this.eoi(value & 0xff);
  }

  /** Some CPU completed `vector`: entries with it may fire again, and do if their line is still up. */
  eoi(vector: number): void {
    for (let pin = 0; pin < IO_APIC_PINS; pin++) {
      const entry = this.#lo[pin] ?? 0;
      if ((entry & 0xff) !== vector || (entry & REMOTE_IRR) === 0) continue;
      this.#lo[pin] = entry & ~REMOTE_IRR;
      this.#serviceLevel(pin);
    }
  }

  save(): IoApicState {
    const [id, select] = [this.#id, this.#select];
    return { id, select, levels: [...this.#levels], entriesLo: [...this.#lo], entriesHi: [...this.#hi] };
  }

  /** @throws {StateError} */
  restore(saved: IoApicState): void {
    const state = readIoApic(saved);
    this.#id = state.id;
    this.#select = state.select;
    for (let pin = 0; pin < IO_APIC_PINS; pin++) this.#levels[pin] = state.levels[pin] ?? false;
    this.#lo.set(state.entriesLo);
    this.#hi.set(state.entriesHi);
  }

  #setLine(pin: number, level: boolean): void {
    if (this.#levels[pin] === level) return;
    this.#levels[pin] = level;
    if (!level) return;
    const entry = this.#lo[pin] ?? MASKED;
    if ((entry & LEVEL) !== 0) this.#serviceLevel(pin);
    else if ((entry & MASKED) === 0) this.#deliver(pin);
  }

  #serviceLevel(pin: number): void {
    const entry = this.#lo[pin] ?? MASKED;
    if (!this.#levels[pin] || (entry & LEVEL) === 0 || (entry & (MASKED | REMOTE_IRR)) !== 0) return;
    const mode = (entry >> 8) & 7;
    if (this.#deliver(pin) && (mode === DeliveryMode.Fixed || mode === DeliveryMode.LowestPriority))
      this.#lo[pin] = entry | REMOTE_IRR;
  }

  #deliver(pin: number): boolean {
    const entry = this.#lo[pin] ?? 0;
    const eight = (this.#hi[pin] ?? 0) >>> 24;
    return this.#bus.send({
      destination: eight === 0xff ? BROADCAST : eight,
      logical: (entry & LOGICAL) !== 0,
      mode: (entry >> 8) & 7,
      vector: entry & 0xff,
      level: (entry & LEVEL) !== 0,
    });
  }

  #readWindow(): number {
    if (this.#select === 0x00 || this.#select === 0x02) return this.#id << 24;
    if (this.#select === 0x01) return VERSION;
    const pin = (this.#select - 0x10) >> 1;
    return ((this.#select & 1) === 0 ? this.#lo[pin] : this.#hi[pin]) ?? 0;
  }

  #writeWindow(value: number): void {
    if (this.#select === 0x00) this.#id = (value >>> 24) & 15;
    const pin = (this.#select - 0x10) >> 1;
    if (pin < 0 || pin >= IO_APIC_PINS) return;
    if ((this.#select & 1) === 1) {
      this.#hi[pin] = value & 0xff00_0000;
      return;
    }
    // Turning an entry to edge clears its remote IRR: how software without an EOI register frees a stuck entry.
    const kept = (value & LEVEL) !== 0 ? (this.#lo[pin] ?? 0) & REMOTE_IRR : 0;
    this.#lo[pin] = (value & WRITABLE_LO) | kept;
    this.#serviceLevel(pin);
  }
}
