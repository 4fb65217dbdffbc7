import type { Env } from "./env.js";
import { type Kind, type Reg, unknown } from "./reg.js";
import { contains, sameScalar } from "./scalar.js";
import { allBytes, Byte, byteKind, type Frame, isScalarSpill, isSpill, type Slot, type State } from "./state.js";

/**
 * Whether what was explored from an old state covers a new one.
 *
 * - `needed`: registers that no path reads do not count, numbers only where a decision rested on them. For old states all of whose paths
 *   are at their end.
 * - `within`: everything counts, numbers must lie in the old ranges. For loops that converge, where paths of the old state are open.
 * - `same`: both are equal. That is how an endless loop is found.
 */
export type Strictness = "needed" | "within" | "same";

/** Pairs ids of the old state with those of the new: what was one there must be one here. */
class IdPairs {
  /** Few, so that looking through them is quicker than a table. */
  private readonly olds: number[] = [];
  private readonly news: number[] = [];

  /** Ids of pointers: both none, or a pair. */
  match(old: number, now: number): boolean {
    if ((old === 0) !== (now === 0)) return false;
    return old === 0 || this.pair(old, now);
  }

  /** Ids of numbers: where the old one was linked to nothing, the new one may be linked to anything. */
  matchScalar(old: number, now: number): boolean {
    if (old === 0) return true;
    return now === 0 ? this.pair(old, -old) : this.pair(old, now);
  }

  private pair(old: number, now: number): boolean {
    const at = this.olds.indexOf(old);
    if (at >= 0) return this.news[at] === now && now > 0;
    if (this.news.includes(now)) return false;
    this.olds.push(old);
    this.news.push(now);
    return true;
  }
}

const sameIdentity = (old: Reg, now: Reg): boolean =>
  old.off === now.off &&
  old.size === now.size &&
  old.map === now.map &&
  old.mapUid === now.mapUid &&
  old.frame === now.frame &&
  old.btf === now.btf &&
  old.btfId === now.btfId &&
  old.subprog === now.subprog &&
  old.dynptr === now.dynptr;

const WITH_RANGES: readonly Kind[] = ["map_key", "map_value", "mem", "buf", "tp_buffer"];

const scalarSafe = (old: Reg, now: Reg, ids: IdPairs, how: Strictness): boolean => {
  if (how === "same") return sameScalar(old.v, now.v) && old.shifted === now.shifted && ids.match(old.id, now.id);
  if (how === "needed" && !old.precise) return true;
  if (old.id !== 0 && (old.shifted !== now.shifted || (old.shifted && old.off !== now.off))) return false;
  return contains(old.v, now.v) && ids.matchScalar(old.id, now.id);
};

const regSafe = (old: Reg, now: Reg, ids: IdPairs, how: Strictness): boolean => {
  if (old === now && old.id === 0 && old.ref === 0) return true;
  if (old.kind === "?") return how !== "same" || now.kind === "?";
  if (old.kind === "scalar") return now.kind === "scalar" && scalarSafe(old, now, ids, how);
  if (old.kind !== now.kind || old.mods !== now.mods) return false;
  if (old.kind === "pkt" || old.kind === "pkt_meta") {
    const range = how === "same" || old.size < 0 || now.size < 0 ? old.size === now.size : old.size <= now.size;
    return range && old.off === now.off && ids.match(old.id, now.id) && inRange(old, now, how);
  }
  if (!sameIdentity(old, now) || !ids.match(old.id, now.id) || !ids.match(old.ref, now.ref)) return false;
  return inRange(old, now, WITH_RANGES.includes(old.kind) ? how : "same");
};

const inRange = (old: Reg, now: Reg, how: Strictness): boolean =>
  how === "same" ? sameScalar(old.v, now.v) : contains(old.v, now.v);

const ANY = unknown();

/** Whether all bytes are data of no known value, or not even that: no bit of any byte's kind is set but that of `Misc`. */
const isAllMisc = (slot: Slot | undefined): boolean => slot === undefined || (slot.kinds & ~allBytes(Byte.Misc)) === 0;

/** A slot as a number: what was spilled whole, or any number where the bytes are data of no known value. */
const slotScalar = (slot: Slot | undefined): Reg | undefined => {
  if (isScalarSpill(slot) && byteKind(slot, 0) === Byte.Spill) return slot.reg;
  return isAllMisc(slot) ? ANY : undefined;
};

/** Byte by byte: what is of no known value in the old slot stands for anything that programs may look into. */
const kindsSafe = (old: Slot | undefined, now: Slot | undefined): boolean => {
  for (let byte = 0; byte < 8; byte++) {
    const was = byteKind(old, byte);
    const is = byteKind(now, byte);
    if ((was === Byte.Invalid || was === Byte.Misc) && is !== Byte.Dynptr) continue;
    if (was !== is) return false;
  }
  return true;
};

const slotSafe = (old: Slot | undefined, now: Slot | undefined, ids: IdPairs, how: Strictness): boolean => {
  if (how === "same" && (old?.kinds ?? 0) !== (now?.kinds ?? 0)) return false;
  // Data of no known value stands for anything, spilled pointers among it: a privileged program may read all.
  if (how !== "same" && isAllMisc(old) && !hasDynptr(now)) return true;
  const oldNumber = slotScalar(old);
  const newNumber = slotScalar(now);
  if (oldNumber !== undefined && newNumber !== undefined) return regSafe(oldNumber, newNumber, ids, how);
  if ((old?.kinds ?? 0) !== (now?.kinds ?? 0) && !kindsSafe(old, now)) return false;
  if (isSpill(old)) return isSpill(now) && regSafe(old.reg, now.reg, ids, how);
  const oldReg = old?.reg;
  const newReg = now?.reg;
  if (byteKind(old, 7) !== Byte.Dynptr) return true;
  if (oldReg === undefined || newReg === undefined) return false;
  return (
    oldReg.size === newReg.size &&
    oldReg.subprog === newReg.subprog &&
    ids.match(oldReg.id, newReg.id) &&
    ids.match(oldReg.ref, newReg.ref)
  );
};

const hasDynptr = (slot: Slot | undefined): boolean =>
  byteKind(slot, 0) === Byte.Dynptr || byteKind(slot, 7) === Byte.Dynptr;

const frameSafe = (old: Frame, now: Frame, live: number, ids: IdPairs, how: Strictness): boolean => {
  if (old.callbackDepth > now.callbackDepth && how !== "same") return false;
  for (let k = 0; k < 10; k++) {
    // What no path reads can be anything.
    if ((live & (1 << k)) === 0) continue;
    if (!regSafe(old.regs[k] as Reg, now.regs[k] as Reg, ids, how)) return false;
  }
  const slots = Math.max(old.stack.length, how === "same" ? now.stack.length : 0);
  for (let k = 0; k < slots; k++) {
    if (how === "needed" && !old.isRead(k)) continue;
    if (!slotSafe(old.stack[k], now.stack[k], ids, how)) return false;
  }
  return true;
};

/** Registers that are read after the frame goes on: of callers, after their call. */
export const liveOf = (env: Env, state: State, index: number, pc: number): number => {
  if (index === state.frames.length - 1) return env.live[pc] ?? 0;
  const callee = state.frames[index + 1] as Frame;
  // A callback's call is looked at again when the callback returns.
  const at = callee.callback === undefined ? callee.callsite + 1 : callee.callsite;
  return (env.live[at] ?? 0) & ~(callee.callback === undefined ? 1 : 0);
};

/** Whether `old` covers `now`, both before the instruction at `pc`. */
export const statesMatch = (env: Env, old: State, now: State, pc: number, how: Strictness): boolean => {
  if (old.frames.length !== now.frames.length) return false;
  if (
    old.rcuDepth !== now.rcuDepth ||
    old.preemptDepth !== now.preemptDepth ||
    old.asyncEntry > 0 !== now.asyncEntry > 0
  )
    return false;
  const ids = new IdPairs();
  if (old.lock?.map !== now.lock?.map) return false;
  if (old.lock !== undefined && now.lock !== undefined && !ids.match(old.lock.id, now.lock.id)) return false;
  if (old.refs.length !== now.refs.length) return false;
  for (let k = 0; k < old.refs.length; k++) {
    const was = old.refs[k];
    const is = now.refs[k];
    if (was === undefined || is === undefined || was.callback !== is.callback || !ids.match(was.id, is.id))
      return false;
  }
  for (let k = 0; k < old.frames.length; k++) {
    const was = old.frames[k] as Frame;
    const is = now.frames[k] as Frame;
    if (was.callsite !== is.callsite || was.subprog !== is.subprog || was.callback?.isAsync !== is.callback?.isAsync)
      return false;
    if (!frameSafe(was, is, liveOf(env, old, k, pc), ids, how)) return false;
  }
  return true;
};
