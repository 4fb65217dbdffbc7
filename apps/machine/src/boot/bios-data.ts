import type { Mmu } from "@vm/mmu";
import * as L from "../layout.js";

/** Words of the BIOS data area: the segment of its extension, and the KiB of memory below that. */
const EBDA_SEGMENT = 0x40e;
const MEMORY_KIB = 0x413;
const VECTORS = 256;
/** First vectors that firmware gives the two 8259A, eight each. */
const IRQ_VECTORS = [0x08, 0x70];

/** iret */
const RETURN = [0xcf];
/** push bp; mov bp, sp; or word [bp + 6], 1; pop bp; iret: returns with the carry flag set, which is how a BIOS says no. */
const REFUSE = [0x55, 0x89, 0xe5, 0x83, 0x4e, 0x06, 0x01, 0x5d, 0xcf];

/**
 * Leaves in low memory what a program expects that asks a BIOS: where conventional memory ends, and the size of what is behind, in KiB,
 * at its start; interrupt vectors, all of whose functions say that there is no such function.
 */
export function writeBiosData(mmu: Mmu): void {
  const word = (value: number): Uint8Array => Uint8Array.of(value & 0xff, value >>> 8);
  mmu.write(EBDA_SEGMENT, word(L.LOW_RAM_END >>> 4));
  mmu.write(MEMORY_KIB, word(L.LOW_RAM_END / 1024));
  mmu.write(L.LOW_RAM_END, Uint8Array.of((0xa0000 - L.LOW_RAM_END) / 1024));

  mmu.write(L.BIOS_STUBS, Uint8Array.of(...RETURN, ...REFUSE));
  const table = new DataView(new ArrayBuffer(4 * VECTORS));
  for (let vector = 0; vector < VECTORS; vector++) {
    const irq = IRQ_VECTORS.some((first) => vector >= first && vector < first + 8);
    const handler = L.BIOS_STUBS + (irq ? 0 : RETURN.length);
    table.setUint16(4 * vector, handler & 0xffff, true);
    table.setUint16(4 * vector + 2, (handler >>> 16) << 12, true);
  }
  mmu.write(0, new Uint8Array(table.buffer));
}
