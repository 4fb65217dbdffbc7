import type { Mmu } from "@vm/mmu";
import * as L from "../layout.js";

/** Words of the BIOS data area: the segment of its extension, and the KiB of memory below that. */
const EBDA_SEGMENT = 0x40e;
const MEMORY_KIB = 0x413;

/** Leaves in low memory what a BIOS would have: where conventional memory ends, and the size of what is behind, in KiB, at its start. */
export function writeBiosData(mmu: Mmu): void {
  const word = (value: number): Uint8Array => Uint8Array.of(value & 0xff, value >>> 8);
  mmu.write(EBDA_SEGMENT, word(L.LOW_RAM_END >>> 4));
  mmu.write(MEMORY_KIB, word(L.LOW_RAM_END / 1024));
  mmu.write(L.LOW_RAM_END, Uint8Array.of((0xa0000 - L.LOW_RAM_END) / 1024));
}
