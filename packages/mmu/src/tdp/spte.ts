import { Ept } from "./ept.js";

/**
 * What an EPT entry means to this package beyond what it means to a processor: the bits that the processor ignores. Names and places are KVM's
 * (linux, arch/x86/kvm/mmu/spte.h).
 *
 * Frames are below 2^20, so the high half holds no address. Accessed and dirty flags are off in the EPTP: a TLB of ours asks at fills only, so A could say
 * nothing, and D nothing that W does not.
 */
export enum Spte {
  /** Low half: made by the MMU, not MMIO and not frozen (SPTE_MMU_PRESENT). */
  Present = 1 << 11,
  /** High half: whoever backs the page lets it be written. */
  HostWritable = 1 << 25,
  /** High half: only that it would be the first write keeps W clear, so a write fault sets it without looking anything up. */
  MmuWritable = 1 << 26,
  /** Low half of an entry that is being changed: not present, and nobody else may change it (FROZEN_SPTE). */
  Frozen = 0x5a0,
  /** Low half where no memslot is: a misconfiguration on purpose (VMX_EPT_MISCONFIG_WX_VALUE). */
  Mmio = 0b110,
}

/** Low half of the entry that maps a page of `level`. @param rights {@link Ept} R, W, X. W without R cannot be expressed: then each access is a violation */
export function leafLo(pfn: number, rights: number, level: number): number {
  const expressible = (rights & (Ept.R | Ept.W)) === Ept.W ? 0 : rights;
  return (pfn << 12) | expressible | Ept.WriteBack | Ept.IgnorePat | Spte.Present | (level > 1 ? Ept.Large : 0);
}

/** Low half of the entry that refers to `table`. */
export function tableLo(table: number): number {
  return (table << 12) | Ept.Rwx | Spte.Present;
}

export function isPresent(lo: number): boolean {
  return (lo & Spte.Present) !== 0;
}
