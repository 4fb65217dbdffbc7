import * as L from "../layout.js";

/** A range of guest-physical addresses as e820, multiboot and PVH describe it to the guest. */
export interface MemoryRange {
  readonly start: number;
  /** First address behind it. */
  readonly end: number;
  /** 1 is RAM, 2 is reserved, 3 holds ACPI tables, 4 is what the firmware keeps (NVS). */
  readonly type: 1 | 2 | 3 | 4;
}

/** What lies where in the address space of a guest with `ram` bytes of RAM. */
export const memoryMap = (ram: number): readonly MemoryRange[] => [
  { start: 0, end: L.LOW_RAM_END, type: 1 },
  { start: L.LOW_RAM_END, end: 0xa0000, type: 2 },
  { start: L.ACPI_TABLES, end: L.HIGH_RAM, type: 2 },
  { start: L.HIGH_RAM, end: ram, type: 1 },
];
