import { clearDynptr, DynptrKind, type DynptrName, destroyDynptrAt, isDynptr } from "./dynptr-slots.js";
import type { Env } from "./env.js";
import { acquire, release } from "./references.js";
import { pointer, type Reg } from "./reg.js";
import { constOf, isConst } from "./scalar.js";
import { checkStackBounds } from "./stack-bounds.js";
import { allBytes, Byte, type Frame } from "./state.js";

/** The slot of a dynptr that a register points to. */
const slotOf = (env: Env, reg: Reg): number => {
  if (!isConst(reg.v)) env.fail("EINVAL", "dynptr has to be at a constant offset");
  const off = reg.off + constOf(reg.v);
  const index = (-off - 1) >> 3;
  if (off % 8 !== 0 || index < 1) env.fail("EINVAL", `cannot pass in dynptr at an offset=${off}`);
  return index;
};

const frameOf = (env: Env, reg: Reg): Frame => env.state.frames[reg.frame] as Frame;

/** What a dynptr argument is, of which the runtime and the result need to know. */
export interface DynptrArg {
  readonly id: number;
  readonly ref: number;
  readonly kind: number;
}

/** What a call asks of a dynptr. */
export interface DynptrSpec {
  /** Makes one. */
  readonly uninit: boolean;
  /** Takes one back. */
  readonly release: boolean;
  /** The kind that is made, or asked for. */
  readonly dynptr: DynptrName | undefined;
  /** The reference of the one it is a copy of, 0 for none. */
  readonly cloneOf?: number;
}

/** An argument that is a dynptr: makes one, or checks that it is one. */
export const checkDynptrArg = (env: Env, index: number, spec: DynptrSpec): DynptrArg => {
  const reg = env.reg(index);
  if (reg.kind !== "fp" && reg.kind !== "dynptr_ptr")
    env.fail("EINVAL", `arg#${index - 1} expected pointer to stack or const struct bpf_dynptr`);
  const mutates = spec.uninit || spec.release;
  if (spec.uninit) {
    if (reg.kind === "dynptr_ptr") env.fail("EINVAL", "Dynptr has to be an uninitialized dynptr");
    const first = slotOf(env, reg);
    checkStackBounds(env, index, reg.off, 16, "direct", true);
    return make(env, reg, first, spec.dynptr ?? "local", spec.cloneOf ?? 0);
  }
  if (reg.kind === "dynptr_ptr") {
    if (mutates) env.fail("EINVAL", "cannot pass pointer to const bpf_dynptr, the helper mutates it");
    return { id: reg.id, ref: reg.ref, kind: reg.size };
  }
  const first = slotOf(env, reg);
  const frame = frameOf(env, reg);
  const held = frame.stack[first]?.reg;
  if (spec.release && !(isDynptr(frame, first) && held?.ref !== 0))
    env.fail("EINVAL", `arg ${index} is an unacquired reference`);
  if (!isDynptr(frame, first) || !isDynptr(frame, first - 1) || held?.subprog !== 1)
    env.fail("EINVAL", `Expected an initialized dynptr as arg #${index - 1}`);
  const wanted = spec.dynptr;
  if (wanted !== undefined && held.size !== DynptrKind[wanted])
    env.fail("EINVAL", `Expected a dynptr of type ${wanted} as arg #${index - 1}`);
  env.state.markRead(frame.index, first);
  env.state.markRead(frame.index, first - 1);
  return { id: held.id, ref: held.ref, kind: held.size };
};

const make = (env: Env, reg: Reg, first: number, kind: DynptrName, cloneOf: number): DynptrArg => {
  const frame = frameOf(env, reg);
  destroyDynptrAt(env, frame, first);
  destroyDynptrAt(env, frame, first - 1);
  const id = env.newId();
  const ref = kind !== "ringbuf" ? 0 : cloneOf !== 0 ? cloneOf : acquire(env, env.pc);
  for (const at of [first, first - 1]) {
    frame.stack[at] = {
      kinds: allBytes(Byte.Dynptr),
      reg: pointer("dynptr_ptr", { subprog: at === first ? 1 : 0, size: DynptrKind[kind], id, ref }),
    };
    frame.setWritten(at);
  }
  return { id, ref, kind: DynptrKind[kind] };
};

/** Gives back a dynptr, with all slices of it. */
export const releaseDynptr = (env: Env, index: number): void => {
  const reg = env.reg(index);
  const frame = frameOf(env, reg);
  const first = slotOf(env, reg);
  const held = frame.stack[first]?.reg;
  if (held === undefined || held.ref === 0) env.fail("EINVAL", `arg ${index} is an unacquired reference`);
  release(env, held.ref);
  for (const each of env.state.frames)
    for (let at = 1; at < each.stack.length; at++)
      if (isDynptr(each, at) && each.stack[at]?.reg?.ref === held.ref && each.stack[at]?.reg?.subprog === 1)
        clearDynptr(each, at);
};
