import type { MmioSize } from "../ports.js";

/** One function of a PCI device, as its configuration space. Offsets are bytes, 0-4095; no access crosses a multiple of 4. */
export interface PciFunction {
  /** Reads `size` bytes at `offset`, little-endian, as an unsigned number. */
  configRead(offset: number, size: MmioSize): number;
  /** Writes the low `size` bytes of `value` (unsigned) at `offset`. */
  configWrite(offset: number, size: MmioSize, value: number): void;
}

/** Where a function is on bus 0: device 0-31, function 0-7. */
export interface PciAddress {
  readonly device: number;
  readonly function: number;
}
