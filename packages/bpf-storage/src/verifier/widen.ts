import type { Env } from "./env.js";
import { type Reg, scalar } from "./reg.js";
import { sameScalar, UNKNOWN } from "./scalar.js";
import { isSpill, type State } from "./state.js";

/** Loops that end by themselves (callbacks, may_goto) converge when numbers that nothing rested on are forgotten from round to round. */

const sameCalls = (a: State, b: State): boolean =>
  a.frames.length === b.frames.length && a.frames.every((frame, k) => frame.callsite === b.frames[k]?.callsite);

/** A checkpoint at `pc` whose paths are open and on which the path of `state` runs, in the same calls. */
export const findEntry = (env: Env, state: State | undefined, pc: number): State | undefined => {
  if (state === undefined) return undefined;
  for (const { state: old } of env.explored.get(env.place(pc, state.frame)) ?? [])
    if (old.branches > 0 && old.depth < state.depth && sameCalls(old, state)) return old;
  return undefined;
};

const widened = (old: Reg | undefined, now: Reg): Reg => {
  if (old === undefined || old.kind !== "scalar" || now.kind !== "scalar" || old.precise || now.precise) return now;
  return sameScalar(old.v, now.v) ? now : scalar(UNKNOWN);
};

/** Forgets numbers of `now` that differ from those of the last round and that no decision rested on. */
export const widen = (old: State, now: State): void => {
  now.frames.forEach((frame, index) => {
    const was = old.frames[index];
    if (was === undefined) return;
    for (let k = 0; k < 10; k++) frame.regs[k] = widened(was.regs[k], frame.regs[k] as Reg);
    for (let k = 0; k < frame.stack.length; k++) {
      const slot = frame.stack[k];
      const before = was.stack[k];
      if (!isSpill(slot) || !isSpill(before)) continue;
      const reg = widened(before.reg, slot.reg);
      if (reg !== slot.reg) frame.stack[k] = { kinds: slot.kinds, reg };
    }
  });
};
