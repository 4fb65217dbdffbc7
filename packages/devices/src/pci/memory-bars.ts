import type { MmioDevice } from "../ports.js";
import { Command, type ConfigSpace, Header } from "./config-space.js";
import type { PciMemory, PciWindow } from "./windows.js";

/** A base address register: 32-bit, memory, not prefetchable. */
export interface MemoryBar {
  /** 0-5. */
  readonly index: number;
  /** Bytes, a power of two from 16 on. */
  readonly size: number;
  readonly device: MmioDevice;
}

/** The memory that a function decodes (PCI 3.0, 6.2.5.1): what its base address registers say while the command register's memory bit is 1. */
export class MemoryBars {
  readonly #config: ConfigSpace;
  readonly #windows: readonly { readonly at: number; readonly size: number; readonly window: PciWindow }[];

  constructor(config: ConfigSpace, memory: PciMemory, bars: readonly MemoryBar[]) {
    this.#config = config;
    this.#windows = bars.map(({ index, size, device }) => {
      const at = Header.Bar0 + 4 * index;
      config.put(at, 4, 0, -size);
      return { at, size, window: memory.window(device) };
    });
  }

  /** Follows the registers: to be called when they may have changed. */
  update(): void {
    const config = this.#config;
    const enabled = (config.read(Header.Command, 2) & Command.Memory) !== 0;
    for (const { at, size, window } of this.#windows) window.move(enabled ? { base: config.read(at, 4), size } : null);
  }
}
