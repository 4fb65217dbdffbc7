import type { BtfShape } from "./btf-port.js";
import { pushPath } from "./check-jump.js";
import { destroyDynptrAt, isIterator } from "./dynptr-slots.js";
import type { Env } from "./env.js";
import { iteratorSlot, putIterator, Stage, stageOf } from "./iterator-slots.js";
import type { Callee } from "./kfunc-callee.js";
import { acquire, release } from "./references.js";
import { known, Mod, type Reg } from "./reg.js";
import { constOf, isConst } from "./scalar.js";
import { checkStackBounds } from "./stack-bounds.js";
import type { Frame, State } from "./state.js";
import { findEntry, widen } from "./widen.js";

/** Open-coded iterators: objects on the stack that are made, asked for the next element until there is none, and ended. */

const PREFIX = "bpf_iter_";

/** Where an iterator is. */
export interface IteratorPlace {
  readonly frame: number;
  /** Its first slot. */
  readonly slot: number;
}

/** The first slot that the register points to. */
const slotOf = (env: Env, index: number, slots: number): number => {
  const reg = env.reg(index);
  if (!isConst(reg.v)) env.fail("EINVAL", "iter has to be at a constant offset");
  const off = reg.off + constOf(reg.v);
  const slot = (-off - 1) >> 3;
  if (off % 8 !== 0 || slot + 1 < slots) env.fail("EINVAL", `cannot pass in iter at an offset=${off}`);
  return slot;
};

/** The struct of the iterator that an argument of a kfunc is. */
const iteratorStruct = (
  env: Env,
  { btf, proto }: Callee,
  position: number,
): { readonly id: number; readonly name: string; readonly slots: number } => {
  const shape = btf.shape(btf.params(proto)[position]?.type ?? 0);
  const struct: BtfShape | undefined = shape?.kind === "pointer" ? btf.shape(shape.to) : undefined;
  if (shape?.kind !== "pointer" || struct?.kind !== "struct" || !struct.name.startsWith(PREFIX))
    return env.fail("EINVAL", `expected valid iter pointer as arg #${position}`);
  return { id: btf.resolve(shape.to), name: struct.name.slice(PREFIX.length), slots: struct.size / 8 };
};

const make = (env: Env, callee: Callee, index: number, struct: { id: number; slots: number }, slot: number): void => {
  const frame = env.state.frames[env.reg(index).frame] as Frame;
  const ref = acquire(env, env.pc);
  const mods = callee.kfunc.rcuProtected ? (env.inRcu ? Mod.Rcu : Mod.Untrusted) : 0;
  for (let k = 0; k < struct.slots; k++) {
    const reg = iteratorSlot({ btf: callee.btf, btfId: struct.id }, mods, Stage.Active, k, k === 0 ? ref : 0);
    putIterator(frame, slot - k, reg);
    frame.setWritten(slot - k);
  }
};

/** Checks the iterator that an argument (`position` from 0) of a kfunc is: makes it, finds it, or ends it. */
export const checkIteratorArg = (env: Env, position: number, callee: Callee): IteratorPlace => {
  const index = position + 1;
  const reg = env.reg(index);
  const { kfunc, btf } = callee;
  if (reg.kind !== "fp") env.fail("EINVAL", `arg#${position} expected pointer to an iterator on stack`);
  const struct = iteratorStruct(env, callee, position);
  const { slots, id } = struct;
  const slot = slotOf(env, index, slots);
  const frame = env.state.frames[reg.frame] as Frame;
  const place = { frame: reg.frame, slot };
  const range = Array.from({ length: slots }, (_, k) => slot - k);
  if (kfunc.iterator === "new") {
    if (range.some((at) => isIterator(frame, at)))
      env.fail("EINVAL", `expected uninitialized iter_${struct.name} as arg #${position}`);
    checkStackBounds(env, index, reg.off, slots * 8, "direct", true);
    for (const at of range) destroyDynptrAt(env, frame, at);
    make(env, callee, index, struct, slot);
    return place;
  }
  const isThere = range.every((at, k) => {
    const held = isIterator(frame, at) ? frame.stack[at]?.reg : undefined;
    return (
      held !== undefined &&
      held.btf === btf &&
      held.btfId === id &&
      held.subprog === k &&
      (held.ref !== 0) === (k === 0)
    );
  });
  const untrusted = isIterator(frame, slot) && ((frame.stack[slot]?.reg?.mods ?? 0) & Mod.Untrusted) !== 0;
  if (untrusted) env.fail("EPROTO", `expected an RCU CS when using ${kfunc.name}`);
  if (!isThere) env.fail("EINVAL", `expected an initialized iter_${struct.name} as arg #${position}`);
  for (const at of range) env.state.markRead(frame.index, at);
  if (kfunc.iterator === "destroy") {
    const ref = frame.stack[slot]?.reg?.ref ?? 0;
    if (!release(env, ref)) env.fail("EINVAL", `iter_${struct.name} was made by who called the callback`);
    for (const at of range) {
      frame.stack[at] = undefined;
      frame.setWritten(at);
    }
  }
  return place;
};

const registerAt = (state: State, { frame, slot }: IteratorPlace): Reg => state.frames[frame]?.stack[slot]?.reg as Reg;

/** The reference that stands for the iterator, and whether RCU protects what it shows. */
export const iteratorAt = (env: Env, place: IteratorPlace): { readonly ref: number; readonly isRcu: boolean } => {
  const { ref, mods } = registerAt(env.state, place);
  return { ref, isRcu: (mods & Mod.Rcu) !== 0 };
};

/** Whether the iterator that R1 points to has elements left, as far as is known. */
export const isActive = (env: Env): boolean => {
  const reg = env.reg(1);
  if (reg.kind !== "fp" || !isConst(reg.v)) return false;
  const frame = env.state.frames[reg.frame] as Frame;
  const slot = (-(reg.off + constOf(reg.v)) - 1) >> 3;
  return isIterator(frame, slot) && stageOf(frame.stack[slot]?.reg as Reg) === Stage.Active;
};

const drain = (state: State, place: IteratorPlace): void => {
  const frame = state.frames[place.frame] as Frame;
  const reg = registerAt(state, place);
  putIterator(frame, place.slot, iteratorSlot(reg, reg.mods, Stage.Drained, 0, reg.ref));
};

/**
 * The next element: on one path there is one, in R0, and the numbers that differ from the last round and on which nothing rests are
 * forgotten; on the other there is none, and there never will be.
 */
export const nextElement = (env: Env, place: IteratorPlace): void => {
  const { state } = env;
  if (stageOf(registerAt(state, place)) === Stage.Active) {
    const entry = findEntry(env, state.parent, env.pc);
    const queued = pushPath(env, env.pc + 1);
    queued.callbackDepth++;
    if (entry !== undefined) widen(entry, queued);
    const element = queued.frame.regs[0] as Reg;
    queued.frame.regs[0] = element.with({ mods: element.mods & ~Mod.Null, id: 0 });
  }
  drain(state, place);
  env.set(0, known(0));
};
