import type { Env } from "./env.js";
import { Mod, type Reg, unknown } from "./reg.js";
import { allBytes, Byte, byteKind, type Frame } from "./state.js";

/**
 * Objects on the stack that programs may not look into. Dynamic pointers take 16 bytes: both slots hold a register of kind `dynptr_ptr`, of
 * which `subprog` is 1 in the first (the one at the higher address... the kernel's `first_slot`) and `size` is the kind of dynptr.
 * Slots of open-coded iterators hold a register of kind `iter` (iterators.ts).
 */
export const DynptrKind = { local: 1, ringbuf: 2, skb: 3, xdp: 4 } as const;
export type DynptrName = keyof typeof DynptrKind;

/** The name of a kind of dynptr. */
export const dynptrName = (kind: number): DynptrName | undefined =>
  (Object.keys(DynptrKind) as DynptrName[]).find((name) => DynptrKind[name] === kind);

/** Whether a slot belongs to a dynptr. */
export const isDynptr = (frame: Frame, index: number): boolean =>
  byteKind(frame.stack[index], 0) === Byte.Dynptr && frame.stack[index]?.reg?.kind === "dynptr_ptr";

/** Whether a slot belongs to an iterator. */
export const isIterator = (frame: Frame, index: number): boolean =>
  byteKind(frame.stack[index], 0) === Byte.Dynptr && frame.stack[index]?.reg?.kind === "iter";

/** Ends one, whose first slot has this index. */
export const clearDynptr = (frame: Frame, index: number): void => {
  for (const at of [index, index - 1]) {
    frame.stack[at] = undefined;
    frame.setWritten(at);
  }
};

/**
 * A store over a dynptr ends it, and with it the slices of its data; one that must be released may not be overwritten. A store over a part
 * of an iterator makes it one that can be used, and released, no more.
 */
export const destroyDynptrAt = (env: Env, frame: Frame, index: number): void => {
  if (isIterator(frame, index)) {
    frame.stack[index] = { kinds: allBytes(Byte.Misc), reg: undefined };
    return;
  }
  if (!isDynptr(frame, index)) return;
  const reg = frame.stack[index]?.reg as Reg;
  const first = reg.subprog === 1 ? index : index + 1;
  if (reg.size === DynptrKind.ringbuf) env.fail("EINVAL", "cannot overwrite referenced dynptr");
  clearDynptr(frame, first);
  const isData = (other: Reg): boolean =>
    other.kind === "mem" && (other.mods & ~Mod.Null) === 0 && other.dynptr === reg.id;
  env.state.replace((other) => (isData(other) ? unknown() : undefined));
};
