/** What lies behind guest frames changes between these two calls. Linux: kvm_handle_gfn_range and its users. */
import type { Task } from "@vm/lockdep";
import type { VmLocks } from "./locks.js";
import type { GfnRange, GfnRangeTarget } from "./ports.js";

/** A VM whose mappings are taken away. */
export interface Mapped {
  readonly locks: VmLocks;
  readonly target: GfnRangeTarget;
}

/** Guest frames `[start, end)`. */
export type Gfns = Pick<GfnRange, "start" | "end">;

/** Kinds of mappings. */
export type Filter = Pick<GfnRange, "private" | "shared">;

export const BOTH: Filter = { private: true, shared: true };
export const PRIVATE: Filter = { private: true, shared: false };
export const SHARED: Filter = { private: false, shared: true };

/** Unmaps `ranges`, and lets no fault map again what it looked up before {@link invalidateEnd}. */
export function invalidateBegin(task: Task, { target, locks }: Mapped, ranges: readonly Gfns[], filter: Filter): void {
  if (ranges.length === 0) return;
  locks.mmuLock.write(task, () => {
    target.invalidateBegin(task);
    let flush = false;
    for (const { start, end } of ranges) {
      target.invalidateRangeAdd(task, start, end);
      flush = target.unmapGfnRange(task, { start, end, ...filter }) || flush;
    }
    if (flush) target.flushRemoteTlbs(task);
  });
}

/** The same ranges as in {@link invalidateBegin} have changed. */
export function invalidateEnd(task: Task, { target, locks }: Mapped, ranges: readonly Gfns[]): void {
  if (ranges.length > 0) locks.mmuLock.write(task, () => target.invalidateEnd(task));
}
