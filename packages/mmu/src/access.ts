import type { Gfn } from "./units.js";

/**
 * The vocabulary between the CPU's TLBs and this package: what is asked, what is answered.
 *
 * Signatures use plain numbers, so a CPU can declare the same port structurally without importing this package.
 */

/** What kind of access is translated; bits, 0 = explicit supervisor data read. */
export enum Access {
  /** Data write (also the read half of a read-modify-write). */
  Write = 1,
  /** User-mode access: CPL 3 and not one of the implicit supervisor accesses. */
  User = 2,
  /** Instruction fetch. Never together with Write. */
  Fetch = 4,
  /** EFLAGS.AC is set: an explicit supervisor access may touch user pages under CR4.SMAP. */
  Ac = 8,
  /** Implicit supervisor access (GDT, LDT, IDT, TSS): SMAP applies whatever AC is, and User is ignored. SDM 3A 4.6. */
  Implicit = 16,
}

/** What may be done with a page without asking again; bits. */
export enum Licence {
  Read = 1,
  Write = 2,
  Fetch = 4,
  All = 7,
}

/** The outcome of a translation. */
export enum Status {
  /** The access may proceed at `translation.host`. */
  Ok = 0,
  /** Deliver #PF with `translation.errorCode`. */
  Fault = 1,
  /** Nothing is mapped at `translation.gfn` (or it is a write to a read-only memslot): a device access. */
  Mmio = 2,
  /** Leave the guest: the access at `translation.gfn` is withheld; `translation.errorCode` is its {@link Licence} bit and {@link ExitFlag}s. */
  Exit = 3,
}

/** More about an exit; bits beside those of {@link Licence}. */
export enum ExitFlag {
  /** The access was to private memory (KVM_MEMORY_EXIT_FLAG_PRIVATE). */
  Private = 8,
  /** Something is in the way for a moment: wait with `Mmu.faultIn` and enter the guest again. */
  Retry = 16,
  /** Nobody watches the page: it is not there, or of the other kind, private or shared. */
  Absent = 32,
  /** With Private: the guest has not accepted the page yet (PENDING in the S-EPT). */
  Pending = 64,
}

/** The registers that control paging, each a u32 (or the same bits as an i32). */
export interface PagingControls {
  /** Number of the second-level view; 0 if absent. */
  view?: number;
  cr0: number;
  cr3Lo: number;
  cr3Hi: number;
  cr4: number;
  /** Low half of IA32_EFER: NXE (11) and LMA (10) matter. */
  efer: number;
  /** Protection-key rights of user pages: AD and WD of key k in bits 2k and 2k+1; they count under CR4.PKE. SDM 3A 4.6.2. */
  pkru: number;
}

/** The result of a translation. Fields not named for a status hold no meaning. */
export interface Translation {
  /** Ok: byte offset of the 4 KiB frame in the wasm memory. */
  host: number;
  /**
   * Ok, Mmio, Exit: guest frame number of the 4 KiB page, also inside a large page. Ok: the number the frame has by itself; otherwise as it seems in the view.
   */
  gfn: Gfn;
  /**
   * Ok: {@link Licence} bits that hold for this page at the privilege of the request (its User, Ac and Implicit bits).
   * Write only if the PTE's D is set and the second level lets writes through unseen.
   */
  licence: number;
  /** Ok: the leaf entry has G set and CR4.PGE is on. */
  global: boolean;
  /** Ok: the leaf entry maps more than this page, so that INVLPG of another address may end the translation. */
  large: boolean;
  /** Fault: the #PF error code (SDM 3A 4.7). Exit: the {@link Licence} bit that was refused and {@link ExitFlag}s. */
  errorCode: number;
}
