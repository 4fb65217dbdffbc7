import type { VcpuPorts } from "../../ports.js";
import { CR4_LA57 } from "./constants.js";
import type { Registers } from "./registers.js";

/** Bit of an address's high half that the bits above repeat, with 48 and with 57 bits of linear address. */
const TOP_4_LEVEL = 15;
const TOP_5_LEVEL = 24;

/** Whether `hi` is the high half of an address that is canonical for the paging in force (SDM vol. 1, 3.3.7.1). */
export function canonical({ cr4 }: Pick<Registers, "cr4">, hi: number): boolean {
  const top = cr4 & CR4_LA57 ? TOP_5_LEVEL : TOP_4_LEVEL;
  return hi >> top === hi >> 31;
}

/** The same for addresses that are kept, not used: those are as wide as the processor can make them, whatever CR4.LA57 says (SDM vol. 3, 4.5.2). */
export function canonicalAtWidest({ ports }: { readonly ports: Pick<VcpuPorts, "cpuid"> }, hi: number): boolean {
  const la57 = (ports.cpuid.query(7, 0).ecx >>> 16) & 1;
  const top = la57 ? TOP_5_LEVEL : TOP_4_LEVEL;
  return hi >> top === hi >> 31;
}
