import type { MmioBus } from "../bus.js";
import type { MmioDevice } from "../ports.js";

/** Guest-physical addresses: `size` bytes from `base` on. */
export interface PciRange {
  readonly base: number;
  readonly size: number;
}

/** What a function decodes, and can move. */
export interface PciWindow {
  /** Decodes `range`, or nothing (null). As long as the range cannot be had, it is not decoded. */
  move(range: PciRange | null): void;
}

/** The guest-physical addresses that functions of a bus can decode. */
export interface PciMemory {
  /** A window to `device`, which decodes nothing yet. Of windows that overlap, the one that was asked for first decodes. */
  window(device: MmioDevice): PciWindow;
}

export interface PciWindowsDesc {
  readonly mmio: MmioBus;
  /** Whether the bus is there, and not RAM. Devices that are on `mmio` already need not be looked for. */
  readonly allowed: (range: PciRange) => boolean;
}

interface Entry {
  readonly device: MmioDevice;
  range: PciRange | null;
  undo: (() => void) | null;
}

/**
 * The windows of a PCI bus into guest-physical memory. A guest may put them anywhere: what is decoded follows from where they all are, whatever was before, and
 * never is what another device or RAM has.
 */
export class PciWindows implements PciMemory {
  readonly #desc: PciWindowsDesc;
  readonly #entries: Entry[] = [];

  constructor(desc: PciWindowsDesc) {
    this.#desc = desc;
  }

  window(device: MmioDevice): PciWindow {
    const entry: Entry = { device, range: null, undo: null };
    this.#entries.push(entry);
    return {
      move: (range) => {
        if (range?.base === entry.range?.base && range?.size === entry.range?.size) return;
        entry.range = range;
        this.#settle();
      },
    };
  }

  /** All anew, in their order: one that moves may make room for others, or take it. */
  #settle(): void {
    for (const entry of this.#entries) {
      entry.undo?.();
      entry.undo = null;
    }
    const { mmio, allowed } = this.#desc;
    for (const entry of this.#entries) {
      const { range, device } = entry;
      if (range === null || !allowed(range)) continue;
      const { base, size } = range;
      if (mmio.free(size, base, base + size) === base) entry.undo = mmio.attach(base, size, device);
    }
  }
}
