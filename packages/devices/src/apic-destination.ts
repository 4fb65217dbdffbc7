/** The logical ID of an x2APIC: its cluster in the high half, one bit for it in the low half (SDM 3A 11.12.10.2). */
export function x2apicLogicalId(id: number): number {
  return (((id >>> 4) << 16) | (1 << (id & 15))) >>> 0;
}

/**
 * Whether a logical destination other than broadcast names an APIC (SDM 3A 11.6.2.2, 11.12.10.2).
 * @param ldr the logical destination register
 * @param dfr the destination format register; its model, flat (15) or cluster (0), is in bits 31:28
 */
export function matchesLogical(destination: number, mode: "xapic" | "x2apic", ldr: number, dfr: number): boolean {
  if (mode === "x2apic") return destination >>> 16 === ldr >>> 16 && (destination & ldr & 0xffff) !== 0;
  if (destination > 0xff) return false;
  const mine = ldr >>> 24;
  if (dfr >>> 28 === 0xf) return (destination & mine) !== 0;
  return dfr >>> 28 === 0 && destination >> 4 === mine >> 4 && (destination & mine & 0xf) !== 0;
}
