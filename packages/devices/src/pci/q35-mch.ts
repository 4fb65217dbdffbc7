import type { MmioSize } from "../ports.js";
import { ConfigSpace, type ConfigSpaceState, Header } from "./config-space.js";
import type { PciFunction } from "./function.js";
import type { PciRange } from "./windows.js";

export interface Q35MchDesc {
  /** Where configuration space is memory-mapped at first, as firmware leaves it: a multiple of 256 MiB below 64 GiB. Absent: nowhere. */
  readonly ecamBase?: number;
  /** The window, 1 MiB for each bus from bus 0 on, has moved, appeared or disappeared (null). Called once within the constructor as well. */
  readonly onEcam: (window: PciRange | null) => void;
}

/** Memory and bus master, which the bridge cannot do without. */
const COMMAND = 0x0006;
const PCIEXBAR = 0x60;
const PCIEXBAR_HIGH = 0x64;
const ENABLE = 1 << 0;
/** Length: 256, 128 or 64 MiB; 3 is reserved. */
const LENGTH_SHIFT = 1;
/** Base bits 31:26, length, enable; and base bits 35:32. */
const WRITABLE = { low: 0xfc00_0007, high: 0x0000_000f } as const;
const LARGEST = 2 ** 28;

/**
 * The host bridge of Intel's Q35: function 0 of device 0 (3 Series Express Chipset datasheet, 5.1).
 *
 * Emulated: its identity, by which firmware knows the machine, and PCIEXBAR (0x60), which moves the window of memory-mapped configuration space.
 * Not emulated: memory remapping, PAM and SMRAM (there is no BIOS memory to shadow and no SMM); their registers read 0.
 */
export class Q35Mch implements PciFunction {
  readonly #config = new ConfigSpace({ vendor: 0x8086, device: 0x29c0, classCode: 0x06_0000 });
  readonly #desc: Q35MchDesc;
  #window: PciRange | null = null;

  constructor(desc: Q35MchDesc) {
    this.#desc = desc;
    const { ecamBase: base } = desc;
    this.#config.put(Header.Command, 2, COMMAND);
    this.#config.put(PCIEXBAR, 4, base === undefined ? 0 : (base % 2 ** 32) + ENABLE, WRITABLE.low);
    this.#config.put(PCIEXBAR_HIGH, 4, Math.floor((base ?? 0) / 2 ** 32), WRITABLE.high);
    this.#window = this.#decoded();
    desc.onEcam(this.#window);
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
    const window = this.#decoded();
    if (window?.base === this.#window?.base && window?.size === this.#window?.size) return;
    this.#window = window;
    this.#desc.onEcam(window);
  }

  #decoded(): PciRange | null {
    const low = this.#config.read(PCIEXBAR, 4);
    const length = (low >>> LENGTH_SHIFT) & 3;
    if ((low & ENABLE) === 0 || length === 3) return null;
    const size = LARGEST >>> length;
    const base = this.#config.read(PCIEXBAR_HIGH, 4) * 2 ** 32 + low;
    return { base: base - (base % size), size };
  }
}
