import { destroyDynptrAt } from "./dynptr-slots.js";
import type { Env } from "./env.js";
import { known, markPrecise, type Reg } from "./reg.js";
import { isConst, isZero, width } from "./scalar.js";
import { Byte, byteKind, type Frame, isScalarSpill, MAX_STACK, makeSlot, type Slot, withByte } from "./state.js";

/** Kinds of pointers whose spill keeps what they are; all but what is not even a value. */
const isSpillable = (reg: Reg): boolean => reg.isPointer;

/** Stack of a frame is as large as the lowest access asks for; the subprogram's depth follows. `below` is in bytes, at most 512. */
export const growStack = (env: Env, frame: Frame, below: number): void => {
  const bytes = Math.min(MAX_STACK, (below + 7) & ~7);
  while (frame.stack.length < bytes / 8) frame.stack.push(undefined);
  const subprogram = env.subprograms[frame.subprog];
  if (subprogram !== undefined && subprogram.stackDepth < bytes) subprogram.stackDepth = bytes;
};

/** Gives a number an id before it is copied, so that what is learned of one copy holds for the other. */
export const shareId = (env: Env, reg: Reg): Reg => {
  if (reg.kind !== "scalar" || isConst(reg.v)) return reg;
  if (reg.shifted) return shareId(env, reg.with({ id: 0, shifted: false, off: 0 }));
  return reg.id !== 0 ? reg : reg.with({ id: env.newId() });
};

/** A spill of `size` bytes: the bytes above stay what they are, as unknown data. */
const spill = (env: Env, frame: Frame, index: number, reg: Reg, size: number): void => {
  env.noteStep();
  const old = frame.stack[index];
  let kinds = 0;
  for (let byte = 0; byte < 8; byte++) {
    if (byte >= 8 - size) kinds = withByte(kinds, byte, Byte.Spill);
    else {
      const was = byteKind(old, byte);
      kinds = withByte(kinds, byte, was === Byte.Zero || was === Byte.Invalid ? was : Byte.Misc);
    }
  }
  frame.stack[index] = { kinds, reg };
  if (size === 8) frame.setWritten(index);
};

/** What is left of a slot whose spilled register is partly overwritten: bytes of no known value. */
const scrubbed = (slot: Slot | undefined): number => {
  let kinds = 0;
  for (let byte = 0; byte < 8; byte++) {
    const was = byteKind(slot, byte);
    kinds = withByte(kinds, byte, was === Byte.Spill ? Byte.Misc : was);
  }
  return kinds;
};

/** A store to a known place. `value` is the register, or undefined for an immediate or data of no known value. */
export const writeFixed = (
  env: Env,
  frame: Frame,
  off: number,
  size: number,
  valueIndex: number,
  immediate: number | undefined,
): void => {
  const first = -off - 1;
  const index = first >> 3;
  let reg = valueIndex >= 0 ? env.reg(valueIndex) : undefined;
  destroyDynptrAt(env, frame, index);
  const aligned = off % 8 === 0;
  if (reg !== undefined && aligned && reg.kind === "scalar") {
    const fits = width(reg.v) <= 8 * size;
    if (fits) {
      reg = shareId(env, reg);
      env.set(valueIndex, reg);
    }
    spill(env, frame, index, fits ? reg : reg.with({ id: 0, shifted: false, off: 0 }), size);
    return;
  }
  if (reg === undefined && aligned && immediate !== undefined) {
    spill(env, frame, index, known(immediate), size);
    return;
  }
  if (reg !== undefined && isSpillable(reg)) {
    if (size !== 8) env.fail("EACCES", "invalid size of register spill");
    if (frame !== env.frame && reg.kind === "fp")
      env.fail("EINVAL", "cannot spill pointers to stack into stack frame of the caller");
    spill(env, frame, index, reg, size);
    return;
  }
  let kinds = scrubbed(frame.stack[index]);
  if (size === 8) frame.setWritten(index);
  let kind: number = Byte.Misc;
  if (reg?.isNull === true || (reg === undefined && immediate === 0)) {
    if (reg !== undefined) markPrecise(reg);
    kind = Byte.Zero;
  }
  for (let k = 0; k < size; k++) kinds = withByte(kinds, (first - k) & 7, kind);
  frame.stack[index] = makeSlot(kinds, undefined);
};

/** A store somewhere between `min` and `max` (bytes from the frame pointer; `max` is past the end). */
export const writeVariable = (
  env: Env,
  frame: Frame,
  min: number,
  max: number,
  valueIndex: number,
  immediate: number | undefined,
): void => {
  const reg = valueIndex >= 0 ? env.reg(valueIndex) : undefined;
  const writesZero = reg?.isNull === true || (reg === undefined && immediate === 0);
  let zeroCounts = false;
  for (let at = min; at < max; at++) destroyDynptrAt(env, frame, (-at - 1) >> 3);
  for (let at = min; at < max; at++) {
    const first = -at - 1;
    const index = first >> 3;
    const slot = frame.stack[index];
    const was = byteKind(slot, first & 7);
    // A zero over a spilled zero changes nothing.
    if (writesZero && was === Byte.Spill && isScalarSpill(slot) && isZero(slot.reg.v)) {
      zeroCounts = true;
      markPrecise(slot.reg);
      continue;
    }
    let kind: number = Byte.Misc;
    if (writesZero && was === Byte.Zero) {
      kind = Byte.Zero;
      zeroCounts = true;
    }
    frame.stack[index] = makeSlot(withByte(scrubbed(slot), first & 7, kind), undefined);
  }
  if (zeroCounts && reg !== undefined) markPrecise(reg);
};

/** A helper fills the bytes: nothing is known of them any more. */
export const clobber = (frame: Frame, index: number, byte: number): void => {
  const slot = frame.stack[index];
  const was = byteKind(slot, byte);
  if (was === Byte.Spill) frame.stack[index] = makeSlot(scrubbed(slot), undefined);
  else if (was !== Byte.Misc) frame.stack[index] = makeSlot(withByte(slot?.kinds ?? 0, byte, Byte.Misc), slot?.reg);
};
