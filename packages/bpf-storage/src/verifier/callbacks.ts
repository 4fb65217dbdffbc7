import type { Prototype } from "../helpers/notation.js";
import { MapType } from "../uapi/map-types.js";
import { pushPath } from "./check-jump.js";
import { DynptrKind } from "./dynptr-slots.js";
import type { Env } from "./env.js";
import { callGlobal } from "./global-functions.js";
import type { CallArgs } from "./helper-args.js";
import { Helper } from "./helper-traits.js";
import * as i64 from "./int64.js";
import { asNonOwning, nodePointer } from "./owning.js";
import { markPrecise, pointer, type Reg, UNINIT, unknown } from "./reg.js";
import type { ObjectField } from "./request.js";
import { Frame, MAX_FRAMES, SLEEPING_CALLSITE, State } from "./state.js";
import { findEntry, widen } from "./widen.js";

/** Calls of functions of the program: by itself, by helpers that run a callback, and by timers. */

const enter = (env: Env, state: State, subprog: number, callsite: number): Frame => {
  if (state.frames.length >= MAX_FRAMES)
    env.fail("E2BIG", `the call stack of ${state.frames.length + 1} frames is too deep`);
  const frame = new Frame(subprog, callsite, state.frames.length);
  state.frames.push(frame);
  return frame;
};

/** A call of a function of the program: goes on in it. Gives where. */
export const callLocal = (env: Env): number => {
  const target = env.pc + 1 + env.insn.imm;
  const index = env.subprogramAt(target);
  const subprogram = env.subprograms[index];
  if (subprogram === undefined) return env.fail("EFAULT", `verifier bug. No program starts at insn ${target}`);
  if (subprogram.info?.linkage === "global") {
    callGlobal(env, index, subprogram);
    return env.pc + 1;
  }
  const caller = env.frame;
  const callee = enter(env, env.state, index, env.pc);
  for (let k = 1; k <= 5; k++) callee.regs[k] = caller.regs[k] as Reg;
  for (let k = 0; k <= 5; k++) caller.regs[k] = UNINIT;
  return target;
};

const ZERO_OR_ONE = [0, 1] as const;

/** Arguments of a callback by the helper that runs it. */
const callbackArguments = (env: Env, prototype: Prototype, args: CallArgs, caller: Frame): readonly Reg[] => {
  const { regs } = caller;
  const r = (index: number): Reg => regs[index] as Reg;
  switch (prototype.id) {
    case Helper.loop:
      return [unknown(), r(3)];
    case Helper.forEachMapElem: {
      const map = r(1).map;
      const { mapUid } = r(1);
      return [r(1), pointer("map_key", { map, mapUid }), pointer("map_value", { map, mapUid }), r(3)];
    }
    case Helper.findVma: {
      const { kernelBtf: btf } = env.request;
      const vma = btf?.structByName("vm_area_struct");
      if (btf === undefined || vma === undefined)
        return env.fail("EOPNOTSUPP", "bpf_find_vma needs struct vm_area_struct in the kernel's types");
      return [r(1), pointer("ptr_", { btf, btfId: vma }), r(4)];
    }
    default:
      void args;
      return [pointer("dynptr_ptr", { size: DynptrKind.local, id: env.newId() }), r(3)];
  }
};

const FOR_EACH: readonly MapType[] = [
  ...[MapType.Hash, MapType.PercpuHash, MapType.LruHash, MapType.LruPercpuHash, MapType.Array, MapType.PercpuArray],
];

const checkCallback = (env: Env, index: number): void => {
  const subprogram = env.subprograms[index];
  if (subprogram === undefined) env.fail("EFAULT", "verifier bug. No program starts there");
  else subprogram.isCallback = true;
};

/** One path goes through the callback, and comes back to the call. */
const pushCallback = (env: Env, subprog: number, parameters: readonly Reg[]): void => {
  const caller = env.frame;
  const state = pushPath(env, env.subprograms[subprog]?.start ?? 0);
  const calling = state.frame;
  const callee = enter(env, state, subprog, env.pc);
  callee.callback = { returns: ZERO_OR_ONE, isAsync: false };
  parameters.forEach((reg, k) => {
    callee.regs[k + 1] = reg;
  });
  state.callbackDepth++;
  calling.callbackDepth++;
  caller.callbackDepth = 0;
};

/** The function by which a tree orders its elements: it is shown two of them, which it does not own. */
export const callOrder = (env: Env, subprog: number, root: ObjectField | undefined): void => {
  checkCallback(env, subprog);
  if (root === undefined) return;
  const node = asNonOwning(env, nodePointer(env, root));
  pushCallback(env, subprog, [node, node]);
};

/** A helper that runs a callback: one path goes through it, and comes back to the call; another goes on after the call. */
export const callCallback = (env: Env, prototype: Prototype, args: CallArgs): void => {
  checkCallback(env, args.subprog);
  if (prototype.id === Helper.forEachMapElem && (args.map === undefined || !FOR_EACH.includes(args.map.type)))
    env.fail("ENOTSUPP", "callback function not allowed for map");
  const caller = env.frame;
  if (prototype.id === Helper.loop) {
    const count = env.reg(1);
    markPrecise(count);
    if (caller.callbackDepth >= i64.toNumberU(count.v.umax)) {
      caller.callbackDepth = 0;
      return;
    }
  }
  pushCallback(env, args.subprog, callbackArguments(env, prototype, args, caller));
};

/**
 * The function of a timer or of a work queue: runs later, on its own, knowing nothing of this call. R1 of the call points to the timer or
 * the queue; that of a queue may sleep.
 */
export const callDeferred = (env: Env, subprog: number, sleeps: boolean): void => {
  checkCallback(env, subprog);
  const subprogram = env.subprograms[subprog];
  if (subprogram === undefined) return;
  subprogram.isAsyncCallback = true;
  const state = new State();
  state.asyncEntry = env.state.asyncEntry + 1;
  const frame = new Frame(subprog, sleeps ? SLEEPING_CALLSITE : -1, 0);
  frame.callback = { returns: [0, 0], isAsync: true };
  const { map, mapUid } = env.reg(1);
  frame.regs[1] = pointer("map_ptr", { map, mapUid });
  frame.regs[2] = pointer("map_key", { map, mapUid });
  frame.regs[3] = pointer("map_value", { map, mapUid });
  state.frames = [frame];
  env.pending.push({ state, pc: subprogram.start, previous: env.pc, log: env.logPosition });
};

/** Returns from a function of the program; gives where the path goes on. */
export const returnLocal = (env: Env): number => {
  const { state } = env;
  const callee = state.frame;
  const result = callee.regs[0] as Reg;
  if (result.kind === "fp") env.fail("EINVAL", "cannot return stack pointer to the caller");
  const caller = state.frames[state.frames.length - 2] as Frame;
  if (callee.callback !== undefined) {
    if (result.kind !== "scalar") env.fail("EACCES", "R0 not a scalar value");
    markPrecise(result);
    const [least, greatest] = callee.callback.returns;
    if (i64.toNumberS(result.v.smin) < least || i64.toNumberS(result.v.smax) > greatest)
      env.fail("EINVAL", outOfRange(result, "At callback return", "R0", least, greatest));
  } else caller.regs[0] = result;
  state.frames.pop();
  // What pointed into the stack that is gone points nowhere.
  const gone = callee.index;
  state.replace((reg) => (reg.kind === "fp" && reg.frame >= gone ? UNINIT : undefined));
  if (callee.callback === undefined) return callee.callsite + 1;
  const entry = findEntry(env, state, callee.callsite);
  if (entry !== undefined) widen(entry, state);
  return callee.callsite;
};

/** How messages describe a result that is not in the range that is asked for. */
export const outOfRange = (reg: Reg, when: string, name: string, least: number, greatest: number): string => {
  const { v } = reg;
  const least64 = i64.eq(v.smin, i64.S_MIN) ? "" : ` smin=${i64.toBigIntS(v.smin)}`;
  const greatest64 = i64.eq(v.smax, i64.S_MAX) ? "" : ` smax=${i64.toBigIntS(v.smax)}`;
  const what = least64 + greatest64 || " unknown scalar value";
  return `${when} the register ${name} has${what} should have been in [${least}, ${greatest}]`;
};
