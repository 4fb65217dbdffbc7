import { I8259, type I8259State, readI8259 } from "./i8259.js";
import type { IrqLine, PortDevice } from "./ports.js";
import { read } from "./state.js";

/** Ports of each 8259A: command, data. */
export const PIC_PORTS = 2;
/** Ports of the edge/level control registers: master, slave. */
export const ELCR_PORTS = 2;
/** Interrupt requests of the pair. */
export const PIC_LINES = 16;

const CASCADE = 2;
/** Lines whose trigger can be chosen; timer, keyboard, cascade, clock and coprocessor are always edges (82371SB datasheet, 2.3.9). */
const ELCR_WRITABLE = [0xf8, 0xde] as const;

export interface PicPairDesc {
  /** INTR of the pair rose. */
  readonly onRequest: () => void;
}

export interface PicPairState {
  readonly master: I8259State;
  readonly slave: I8259State;
}

const readPair = read.record<PicPairState>({ master: readI8259, slave: readI8259 });

/** What the processor asks of a controller that is not an APIC: the interrupt-acknowledge cycle. */
export interface ExternalInterrupts {
  /** INTR. */
  readonly requested: boolean;
  /** Acknowledges and returns the vector, 0-255. */
  acknowledge(): number;
}

/**
 * The two 8259A of a PC, the second on input 2 of the first, and their edge/level control registers (Intel 82371SB datasheet, 2.3).
 * IRQ 2 is the cascade: a device on it would not be heard.
 */
export class PicPair implements ExternalInterrupts {
  /** IRQ 0-7; ports 0x20 and 0x21 of a PC. */
  readonly master: I8259;
  /** IRQ 8-15; ports 0xa0 and 0xa1. */
  readonly slave: I8259;
  /** The registers that choose the trigger of each line; ports 0x4d0 and 0x4d1. */
  readonly elcr: PortDevice;
  #raised = false;

  constructor(desc: PicPairDesc) {
    this.master = new I8259(1 << CASCADE, (level) => {
      const rising = level && !this.#raised;
      this.#raised = level;
      if (rising) desc.onRequest();
    });
    const cascade = this.master.line(CASCADE);
    this.slave = new I8259(0, (level) => cascade.set(level));
    const chip = (port: number): I8259 => ((port & 1) === 0 ? this.master : this.slave);
    this.elcr = {
      ioWidth: 1,
      ioRead: (port) => chip(port).edgeLevelControl,
      ioWrite: (port, _size, value) => {
        chip(port).edgeLevelControl = value & ELCR_WRITABLE[(port & 1) as 0 | 1];
      },
    };
  }

  /** @throws {RangeError} unless `irq` is 0-15 */
  line(irq: number): IrqLine {
    return irq < 8 ? this.master.line(irq) : this.slave.line(irq - 8);
  }

  get requested(): boolean {
    return this.#raised;
  }

  acknowledge(): number {
    const line = this.master.acknowledge();
    if (!this.master.isCascaded(line)) return this.master.base | line;
    const behind = this.slave.acknowledge();
    return this.slave.base | behind;
  }

  save(): PicPairState {
    return { master: this.master.save(), slave: this.slave.save() };
  }

  /** @throws {StateError} */
  restore(saved: PicPairState): void {
    const { master, slave } = readPair(saved);
    this.master.restore(master);
    this.slave.restore(slave);
    this.#raised = this.master.output;
  }
}
