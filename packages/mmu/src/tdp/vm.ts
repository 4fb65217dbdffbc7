import type { Task } from "@vm/lockdep";
import type { VmLocks } from "../kvm/locks.js";
import type { PageSource } from "../kvm/ports.js";
import type { Listeners } from "../listeners.js";
import type { Memslots } from "../memslots.js";
import type { Gfn } from "../units.js";
import type { Views } from "../views.js";
import type { ExternalPageTable } from "./external.js";

/** What the page tables need of a VM. */
export interface TdpVm {
  readonly locks: VmLocks;
  /** Who does things without a task of its own. */
  readonly host: Task;
  /** Bits of guest-physical addresses. */
  readonly maxPhyAddr: number;
  readonly slots: Memslots;
  readonly source: PageSource;
  readonly views: Views;
  /** Page tables of private memory that are not ours. */
  readonly external: ExternalPageTable | null;
  /** Translations of pages `[gfn, gfn + pages)` are stale; `replaced`: so is what was derived from their bytes. */
  readonly invalidated: Listeners<[gfn: Gfn, pages: number, replaced: boolean]>;
}
