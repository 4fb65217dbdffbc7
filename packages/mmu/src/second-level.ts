import type { Status } from "./access.js";
import type { Gfn } from "./units.js";

/**
 * The second level of translation: guest frame -> frame of the wasm memory, and what it allows. It is asked once per TLB fill, after the guest's
 * own page tables have allowed the access.
 */
export interface SecondLevel {
  /** After `resolve` returned Ok: the frame, as {@link Pfn}. */
  readonly pfn: number;
  /** After `resolve` returned Ok: the guest frame number the frame has by itself, whatever it seems to be in the view in use. */
  readonly gfn: Gfn;
  /** After `resolve` returned Ok: what this level lets through unseen. Contains at least the bit that was asked for. */
  readonly licence: number;
  /** After `resolve` returned Exit, or with `refused`: {@link ExitFlag} bits. */
  readonly flags: number;
  /**
   * Other than Ok, the walk ended because a page table could not be had: an Exit at `gfn`, or a Fault because the address of the table has a reserved bit set.
   * Ok again by who has seen it.
   */
  refused: Status;
  /** The guest frame that `gfn`, as the guest's page tables name it, is in the view in use: without the bit that says shared, and as the view has it. */
  frame(gfn: Gfn): Gfn;
  /** From now on translates as view number `view` has it. */
  use(view: number): void;
  /**
   * Resolves one page for one access.
   * @param gfn guest frame number
   * @param want the one {@link Licence} bit of the access
   * @returns Ok, Mmio or Exit; Fault for an address that such an access must not have: a reserved bit is set
   */
  resolve(gfn: Gfn, want: number): Status;
  /**
   * The frame of a guest page table for reading: a {@link Pfn}, 0 if it was never touched (all zero), -1 if nothing is there (all ones), -2 with {@link refused} (not
   * present).
   */
  table(gfn: Gfn): number;
  /** The walker is about to set A or D in a table that {@link table} found. False: leave it alone (read-only memory). */
  mayMark(gfn: Gfn): boolean;
}
