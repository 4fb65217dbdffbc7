import type { I8254 } from "./i8254.js";
import type { Clock, PortDevice, PortSize } from "./ports.js";
import { read } from "./state.js";

const GATE_2 = 0x01;
const WRITABLE = 0x0f;
const readStored = read.bits(WRITABLE);
const REFRESH = 0x10;
const OUT_2 = 0x20;
/** A refresh cycle, which toggles its bit, ns. */
const REFRESH_NS = 15_085;

export interface SystemControlPortDesc {
  readonly clock: Clock;
  readonly pit: I8254;
}

/**
 * System control port B, 0x61 (Intel 82371SB datasheet, 2.5.5): bit 0 is the gate of the timer's counter 2, bit 1 lets the
 * tone through to the speaker, bits 2 and 3 are stored; bit 4 toggles with every memory refresh, bit 5 is counter 2's output.
 * There is no speaker; bits 6 and 7, the causes of an NMI, read 0.
 */
export class SystemControlPort implements PortDevice {
  readonly ioWidth = 1;
  #stored = 0;
  readonly #desc: SystemControlPortDesc;

  constructor(desc: SystemControlPortDesc) {
    this.#desc = desc;
  }

  ioRead(_port: number, _size: PortSize): number {
    const refresh = Math.floor(this.#desc.clock.now() / REFRESH_NS) % 2 === 1 ? REFRESH : 0;
    return this.#stored | refresh | (this.#desc.pit.output2 ? OUT_2 : 0);
  }

  ioWrite(_port: number, _size: PortSize, value: number): void {
    this.#stored = value & WRITABLE;
    this.#desc.pit.setGate2((value & GATE_2) !== 0);
  }

  save(): number {
    return this.#stored;
  }

  /** The timer keeps its gate itself. @throws {StateError} */
  restore(stored: number): void {
    this.#stored = readStored(stored);
  }
}
