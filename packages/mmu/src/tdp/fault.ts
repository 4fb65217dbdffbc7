import type { Memslot } from "../memslots.js";
import type { Gfn } from "../units.js";
import type { View } from "../views.js";
import type { TdpRoot } from "./root.js";

/** An access that no SPTE lets through. */
export interface GuestAccess {
  readonly view: View;
  /** The guest frame as it seems in the view, without the shared bit. */
  readonly gfn: Gfn;
  /** The one Licence bit of the access. */
  readonly want: number;
  /** Whether it is to private memory; undefined: to what there is. */
  readonly isPrivate: boolean | undefined;
  /** Nobody watches it: the page walk's own access to a page table, or a prefault. */
  readonly quiet: boolean;
}

/** The same, when it is known that there is memory. */
export interface PageFault {
  readonly view: View;
  readonly root: TdpRoot;
  readonly slot: Memslot;
  /** As it seems. */
  readonly gfn: Gfn;
  /** The guest frame that is meant. */
  readonly target: number;
  readonly want: number;
  readonly isPrivate: boolean;
  /** Licence bits that somebody withholds. */
  readonly withheld: number;
  /** Snapshot of the invalidation sequence. */
  readonly seq: number;
}
