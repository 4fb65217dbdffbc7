import type { Gfn } from "../units.js";

/** Why an external call changed nothing: EBUSY asks to try again; the guest does, by faulting again. */
export type ExternalErrno = "EBUSY" | "EIO";

/**
 * The page tables that a mirror root mirrors, kept by somebody who trusts nobody (the S-EPT of a TDX module). Calls are made with mmu_lock held, shared for what adds
 * and exclusively for what removes, while the mirror's entry is frozen; they return null or why nothing has changed.
 * Source: linux, arch/x86/include/asm/kvm-x86-ops.h (link_external_spt and others).
 */
export interface ExternalPageTable {
  /** Hangs the empty table number `table` of `level` where it covers `gfn`. */
  linkSpt(gfn: Gfn, level: number, table: number): ExternalErrno | null;
  /** Maps the page `pfn` of `level` at `gfn`. */
  setSpte(gfn: Gfn, level: number, pfn: number): ExternalErrno | null;
  /** Ends the mapping; does not fail. */
  removeSpte(gfn: Gfn, level: number, pfn: number): void;
  /** The tree is gone and the table that covered `gfn` free. */
  freeSpt(gfn: Gfn, level: number, table: number): void;
  /**
   * How the guest's processor translates addresses without the shared bit; it is called at every TLB miss. Where it is absent, the mirror's entries do.
   * @param gfn any guest frame below that of the shared bit
   * @param want the one {@link Licence} bit of the access
   * @returns more than 0: the frame of the wasm memory, which may be read, written and executed; 0: an EPT violation; -1: one because the guest has not accepted the page
   * (PENDING). Of the last two the guest is left with Status.Exit.
   */
  walk?(gfn: Gfn, want: number): number;
}

/** An {@link ExternalPageTable} that translates for the processor itself. */
export type ExternalWalk = Required<Pick<ExternalPageTable, "walk">>;

/** Whether `external` translates for the processor. */
export const walks = (external: ExternalPageTable | null): external is ExternalPageTable & ExternalWalk =>
  external?.walk !== undefined;

/**
 * How a guest that can have private memory says which memory it means: by nothing, so that it gets what there is ("attributes", as KVM_X86_SW_PROTECTED_VM), or by
 * an address without the shared bit, which other page tables map (TDX).
 */
export type PrivateMemory =
  | "attributes"
  | {
      readonly external: ExternalPageTable;
      /** Frame number of the shared bit. */
      readonly sharedFrom: number;
    };
