import type { MmioSize } from "../ports.js";
import { ConfigSpace, type ConfigSpaceState, Header } from "./config-space.js";
import type { PciFunction } from "./function.js";

export interface Ich9LpcDesc {
  /** First port of the power management block at first, as firmware leaves it: a multiple of 128. Absent: it is nowhere. */
  readonly pmBase?: number;
  /** The power management block has moved, appeared or disappeared (null). Called once within the constructor as well. */
  readonly onPmBase: (base: number | null) => void;
}

const PMBASE = { at: 0x40, io: 1, writable: 0xff80 } as const;
/** ACPI_EN, and which interrupt the SCI is. */
const ACPI_CNTL = { at: 0x44, enable: 1 << 7, writable: 0x87 } as const;
/** PIRQA-PIRQD and PIRQE-PIRQH: an interrupt of the 8259A, or with bit 7 none. */
const PIRQS = [0x60, 0x61, 0x62, 0x63, 0x68, 0x69, 0x6a, 0x6b] as const;
const PIRQ = { unrouted: 0x80, writable: 0x8f } as const;
const RCBA = { at: 0xf0, writable: 0xffff_c001 } as const;
/** I/O, memory and bus master, which the bridge cannot do without. */
const COMMAND = 0x0007;

/**
 * The LPC bridge of Intel's ICH9: function 0 of device 31 (ICH9 datasheet, 13.1).
 *
 * Emulated: its identity, PMBASE (0x40) and ACPI_CNTL (0x44), which move the power management block.
 * Stored, without effect: PIRQ routing (0x60-0x63, 0x68-0x6b), as functions have interrupts of their own, and RCBA (0xf0): nothing answers in the root
 * complex's register block. Not emulated: the decoding of ISA ranges; what is on the ISA bus is always there.
 */
export class Ich9Lpc implements PciFunction {
  readonly #config = new ConfigSpace({
    ...{ vendor: 0x8086, device: 0x2918, revision: 2, classCode: 0x06_0100 },
    multifunction: true,
  });
  readonly #desc: Ich9LpcDesc;
  #pmBase: number | null;

  constructor(desc: Ich9LpcDesc) {
    this.#desc = desc;
    const { pmBase } = desc;
    this.#config.put(Header.Command, 2, COMMAND);
    this.#config.put(PMBASE.at, 4, (pmBase ?? 0) | PMBASE.io, PMBASE.writable);
    this.#config.put(ACPI_CNTL.at, 1, pmBase === undefined ? 0 : ACPI_CNTL.enable, ACPI_CNTL.writable);
    for (const at of PIRQS) this.#config.put(at, 1, PIRQ.unrouted, PIRQ.writable);
    this.#config.put(RCBA.at, 4, 0, RCBA.writable);
    this.#pmBase = this.#decoded();
    desc.onPmBase(this.#pmBase);
  }

  configRead(offset: number, size: MmioSize): number {
    return this.#config.read(offset, size);
  }

  configWrite(offset: number, size: MmioSize, value: number): void {
    this.#config.write(offset, size, value);
    this.#update();
  }

  save(): ConfigSpaceState {
    return this.#config.save();
  }

  restore(state: ConfigSpaceState): void {
    this.#config.restore(state);
    this.#update();
  }

  #update(): void {
    const base = this.#decoded();
    if (base === this.#pmBase) return;
    this.#pmBase = base;
    this.#desc.onPmBase(base);
  }

  #decoded(): number | null {
    const enabled = (this.#config.read(ACPI_CNTL.at, 1) & ACPI_CNTL.enable) !== 0;
    return enabled ? this.#config.read(PMBASE.at, 2) & PMBASE.writable : null;
  }
}
