import type { Env } from "./env.js";
import { toNumberS } from "./int64.js";
import { constOf, isConst } from "./scalar.js";
import { clobber, growStack } from "./stack-write.js";
import { Byte, byteKind, type Frame, isSpill, MAX_STACK } from "./state.js";
import { tnumText } from "./tnum.js";

/** Greatest variable part of an offset that is followed, bytes. */
export const MAX_VAR_OFF = 1 << 29;

export type AccessSource = "direct" | "helper";

/** The bytes that an access through a stack pointer may touch, from the frame pointer; `max` is the greatest start. */
export interface StackRange {
  readonly frame: Frame;
  readonly min: number;
  readonly max: number;
  readonly isFixed: boolean;
}

/** Refuses accesses that may leave the stack; grows it down to the lowest byte. `off` includes the pointer's fixed part. */
export const checkStackBounds = (
  env: Env,
  index: number,
  off: number,
  size: number,
  source: AccessSource,
  isWrite: boolean,
): StackRange => {
  const reg = env.reg(index);
  const frame = env.state.frames[reg.frame] as Frame;
  const what = source === "helper" ? " indirect access to" : isWrite ? " write to" : " read from";
  const isFixed = isConst(reg.v);
  let min: number;
  let max: number;
  if (isFixed) {
    min = max = constOf(reg.v) + off;
  } else {
    const least = toNumberS(reg.v.smin);
    const greatest = toNumberS(reg.v.smax);
    if (greatest >= MAX_VAR_OFF || least <= -MAX_VAR_OFF)
      env.fail("EACCES", `invalid unbounded variable-offset${what} stack R${index}`);
    min = least + off;
    max = greatest + off;
  }
  if (min < -MAX_STACK || min > -1 || max + size > 0 || size < 0) {
    const code = min < -MAX_STACK || min > -1 ? "EACCES" : size < 0 ? "EFAULT" : "EINVAL";
    if (isFixed) env.fail(code, `invalid${what} stack R${index} off=${off} size=${size}`);
    env.fail(
      code,
      `invalid variable-offset${what} stack R${index} var_off=${tnumText(reg.v.bits)} off=${off} size=${size}`,
    );
  }
  growStack(env, frame, -min);
  return { frame, min, max, isFixed };
};

/**
 * Refuses reads of what may not be read as data (dynptrs), and notes the reads. A helper's read may be a write as well, so that what was
 * known of the bytes is forgotten.
 */
export const checkStackReadable = (
  env: Env,
  index: number,
  off: number,
  size: number,
  zeroSizeAllowed: boolean,
  source: AccessSource,
): void => {
  if (size === 0 && !zeroSizeAllowed) env.fail("EACCES", "invalid zero-sized read");
  const { frame, min, max, isFixed } = checkStackBounds(env, index, off, size, source, source === "helper");
  for (let at = min; at < max + size; at++) {
    const slotIndex = (-at - 1) >> 3;
    const slot = frame.stack[slotIndex];
    const kind = byteKind(slot, (-at - 1) & 7);
    const readable = kind !== Byte.Dynptr && (kind !== Byte.Spill || isSpill(slot));
    if (!readable) {
      const where = isFixed ? `off ${min}+${at - min}` : `var_off ${tnumText(env.reg(index).v.bits)}+${at - min}`;
      env.fail(
        "EACCES",
        `invalid${source === "helper" ? " indirect" : ""} read from stack R${index} ${where} size ${size}`,
      );
    }
    env.state.markRead(frame.index, slotIndex);
    if (source === "helper") clobber(frame, slotIndex, (-at - 1) & 7);
  }
};
