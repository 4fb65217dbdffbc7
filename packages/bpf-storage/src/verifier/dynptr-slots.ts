import type { Env } from "./env.js";
import { type Reg, unknown } from "./reg.js";
import { Byte, byteKind, type Frame } from "./state.js";

/**
 * Dynamic pointers: objects of 16 bytes on the stack that programs may not look into. Both slots hold a register of kind `dynptr_ptr`:
 * `subprog` is 1 in the first (the one at the higher address... the kernel's `first_slot`), `size` is the kind of dynptr.
 */
export const DynptrKind = { local: 1, ringbuf: 2 } as const;

/** Whether a slot belongs to one. */
export const isDynptr = (frame: Frame, index: number): boolean => byteKind(frame.stack[index], 0) === Byte.Dynptr;

/** Ends one, whose first slot has this index. */
export const clearDynptr = (frame: Frame, index: number): void => {
  for (const at of [index, index - 1]) {
    frame.stack[at] = undefined;
    frame.setWritten(at);
  }
};

/** A store over a dynptr ends it, and with it the slices of its data; one that must be released may not be overwritten. */
export const destroyDynptrAt = (env: Env, frame: Frame, index: number): void => {
  if (!isDynptr(frame, index)) return;
  const reg = frame.stack[index]?.reg as Reg;
  const first = reg.subprog === 1 ? index : index + 1;
  if (reg.size === DynptrKind.ringbuf) env.fail("EINVAL", "cannot overwrite referenced dynptr");
  clearDynptr(frame, first);
  env.state.replace((other) => (other.kind === "mem" && other.dynptr === reg.id ? unknown() : undefined));
};
