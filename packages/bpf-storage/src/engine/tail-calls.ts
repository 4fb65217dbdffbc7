/** Program arrays as tail calls find them in memory (bpf_tail_call, helper 12). */

/** Helper number of bpf_tail_call. */
export const TAIL_CALL = 12;

/** Tail calls that a run may make, all of its functions together (MAX_TAIL_CALL_CNT, linux/bpf.h). */
export const MAX_TAIL_CALLS = 33;

/**
 * What the second argument of a tail call points to, a map as `src/maps/layout.ts` has it, offsets in bytes: the number of slots, u32, and from `slots` on as many u32, each
 * `Executable.entry` of a program, or 0 if the slot is empty. A program that is in a slot must not be disposed of.
 */
export const ProgArray = { maxEntries: 12, slots: 24 } as const;
