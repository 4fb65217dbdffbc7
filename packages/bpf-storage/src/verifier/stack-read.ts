import type { Env } from "./env.js";
import { known, type Reg, scalar, unknown } from "./reg.js";
import { isZero, width } from "./scalar.js";
import { zeroExtend } from "./scalar-alu.js";
import { Byte, byteKind, type Frame, isSpill, type Slot } from "./state.js";

/** Bytes of the spill in a slot: those of the lowest addresses, without a gap. */
const spillSize = (slot: Slot): number => {
  let size = 1;
  for (let byte = 6; byte >= 0 && byteKind(slot, byte) === Byte.Spill; byte--) size++;
  return size;
};

/** All bytes of a load are there; what is uninitialised is unknown data to a privileged program. */
const checkBytes = (env: Env, slot: Slot | undefined, off: number, size: number): { spills: number; zeros: number } => {
  let spills = 0;
  let zeros = 0;
  for (let k = 0; k < size; k++) {
    const kind = byteKind(slot, (-off - 1 - k) & 7);
    if (kind === Byte.Spill) spills++;
    else if (kind === Byte.Zero) zeros++;
    else if (kind === Byte.Dynptr) env.fail("EACCES", `invalid read from stack off ${off}+${k} size ${size}`);
  }
  return { spills, zeros };
};

/**
 * A load from a known place of the stack; `off` is in bytes from the frame pointer. Gives what the destination then holds.
 * Loads of the stack are aligned to their size, so one never reaches into a second slot.
 */
export const readFixed = (env: Env, frame: Frame, off: number, size: number): Reg => {
  const index = (-off - 1) >> 3;
  const slot = frame.stack[index];
  env.state.markRead(frame.index, index);
  if (!isSpill(slot)) return checkBytes(env, slot, off, size).zeros === size ? known(0) : unknown();
  const { reg } = slot;
  const spilled = spillSize(slot);
  if (size === 8 && spilled === 8) {
    env.noteStep();
    return reg;
  }
  if (reg.kind !== "scalar") env.fail("EACCES", "invalid size of register fill");
  if (size <= spilled && off % 8 === 0) {
    env.noteStep();
    const to = scalar(zeroExtend(reg.v, size), reg);
    if (width(reg.v) <= size * 8) to.linkAs(reg);
    return to;
  }
  const { spills, zeros } = checkBytes(env, slot, off, size);
  if (spills === size && isZero(reg.v)) return scalar(reg.v, reg);
  return zeros === size ? known(0) : unknown();
};

/** A load from somewhere between `min` and `max` (bytes from the frame pointer, `max` past the end). */
export const readVariable = (env: Env, frame: Frame, min: number, max: number): Reg => {
  let zeros = true;
  for (let at = min; at < max; at++) {
    const index = (-at - 1) >> 3;
    env.state.markRead(frame.index, index);
    const kind = byteKind(frame.stack[index], (-at - 1) & 7);
    if (kind !== Byte.Zero) zeros = false;
  }
  return zeros ? known(0) : unknown();
};
