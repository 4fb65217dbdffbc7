import { accessBtf } from "./btf-walk.js";
import { accessMemory, byteStore } from "./check-mem.js";
import { CONTEXTS } from "./ctx-fields.js";
import { isDynptr } from "./dynptr-slots.js";
import type { Env } from "./env.js";
import * as i64 from "./int64.js";
import { checkBuffer, checkMapPermission, checkMapValue, checkPacket, checkRegion } from "./memory.js";
import { Mod, regTypeName } from "./reg.js";
import type { VerifierMap } from "./request.js";
import { isConst } from "./scalar.js";
import { checkStackBounds, checkStackReadable } from "./stack-bounds.js";

/** Memory that a program hands to a helper. */

/** Greatest length that is followed, bytes. */
const MAX_VAR_SIZE = 1 << 29;

/** What of a call's memory is filled by the helper: written once all arguments are checked. */
export interface RawMemory {
  readonly index: number;
  readonly size: number;
}

/**
 * `size` bytes behind the register may be read, or written. Uninitialised stack that the helper fills is returned: the caller writes it.
 */
export const checkHelperMemory = (
  env: Env,
  index: number,
  size: number,
  isWrite: boolean,
  zeroAllowed: boolean,
  raw: boolean,
): RawMemory | undefined => {
  const reg = env.reg(index);
  const refuseWrite = (): void => {
    if (isWrite) env.fail("EACCES", `R${index} cannot write into ${regTypeName(reg)}`);
  };
  switch (reg.kind) {
    case "pkt":
    case "pkt_meta":
      checkPacket(env, index, reg.off, size, zeroAllowed);
      return undefined;
    case "map_key":
      refuseWrite();
      checkRegion(env, index, reg.off, size, (reg.map as VerifierMap).keySize, false);
      return undefined;
    case "map_value":
      checkMapPermission(env, index, reg.off, size, isWrite);
      checkMapValue(env, index, reg.off, size, zeroAllowed, "helper");
      return undefined;
    case "mem":
      if ((reg.mods & Mod.Rdonly) !== 0) refuseWrite();
      checkRegion(env, index, reg.off, size, reg.size, zeroAllowed);
      return undefined;
    case "buf":
      if ((reg.mods & Mod.Rdonly) !== 0) refuseWrite();
      checkBuffer(env, index, reg.off, size, (reg.mods & Mod.Rdonly) !== 0 ? "rdonly" : "rdwr");
      return undefined;
    case "fp":
      return checkStackArgument(env, index, size, zeroAllowed, raw);
    case "ptr_":
      accessBtf(env, index, reg.off, size, false);
      return undefined;
    case "ctx":
      // Contexts that are plain memory (syscall programs) may be handed on; those with fields of their own may not.
      if (CONTEXTS.has(env.type) === false) {
        if (size === 0) return zeroAllowed ? undefined : env.fail("EACCES");
        accessMemory(env, { ...byteStore(index, size - 1), isWrite });
        return undefined;
      }
      break;
  }
  if (zeroAllowed && size === 0 && reg.isNull) return undefined;
  return env.fail("EACCES", `R${index} type=${regTypeName(reg)} expected=fp`);
};

const checkStackArgument = (
  env: Env,
  index: number,
  size: number,
  zeroAllowed: boolean,
  raw: boolean,
): RawMemory | undefined => {
  const reg = env.reg(index);
  if (!raw || !isConst(reg.v)) {
    checkStackReadable(env, index, reg.off, size, zeroAllowed, "helper");
    return undefined;
  }
  if (size === 0 && !zeroAllowed) env.fail("EACCES", "invalid zero-sized read");
  const { frame, min } = checkStackBounds(env, index, reg.off, size, "helper", true);
  for (let at = min; at < min + size; at++)
    if (isDynptr(frame, (-at - 1) >> 3)) env.fail("EACCES", `potential write to dynptr at off=${at} disallowed`);
  return { index, size };
};

/** The helper fills the memory: as if the program had stored bytes of no known value. */
export const fillRawMemory = (env: Env, { index, size }: RawMemory): void => {
  for (let k = 0; k < size; k++) accessMemory(env, byteStore(index, k));
};

/** A register with the length of the memory in the register before it. */
export const checkSizedMemory = (
  env: Env,
  index: number,
  isWrite: boolean,
  zeroAllowed: boolean,
  raw: boolean,
): RawMemory | undefined => {
  const reg = env.reg(index);
  const { v } = reg;
  if (i64.isNegative(v.smin))
    env.fail("EACCES", `R${index} min value is negative, either use unsigned or 'var &= const'`);
  if (i64.isZero(v.umin) && !zeroAllowed)
    env.fail("EACCES", `R${index} invalid zero-sized read: u64=[0,${i64.toBigIntU(v.umax)}]`);
  const most = i64.toNumberU(v.umax);
  if (most >= MAX_VAR_SIZE)
    env.fail("EACCES", `R${index} unbounded memory access, use 'var &= const' or 'if (var < const)'`);
  const filled = checkHelperMemory(env, index - 1, most, isWrite, zeroAllowed, raw && isConst(v));
  env.precise(index);
  return filled;
};
