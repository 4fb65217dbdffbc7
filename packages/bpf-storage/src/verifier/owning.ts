import type { Env } from "./env.js";
import { fieldsOf, structFields } from "./fields.js";
import { forgetReference } from "./references.js";
import { Mod, pointer, type Reg, unknown } from "./reg.js";
import type { ObjectField } from "./request.js";

/**
 * Objects that programs make: a pointer owns its object until that is dropped, or put into a list or tree. Then it does not own it any
 * more, and is good only as long as the lock is held.
 */

/** The pointer as one that does not own its object. Objects with a count of references stay for a while after the lock is given back. */
export const asNonOwning = (env: Env, reg: Reg): Reg => {
  if (env.state.lock === undefined) env.fail("EFAULT", "verifier internal error: ref_set_non_owning w/o active lock");
  const counted = fieldsOf(env, reg).some(({ kind }) => kind === "bpf_refcount");
  return reg.with({ ref: 0, mods: reg.mods | Mod.NonOwn | (counted ? Mod.Rcu : 0) });
};

/** What was owned by the reference is owned by a list or tree now. False where the reference was not held here. */
export const giveAway = (env: Env, ref: number): boolean => {
  env.state.replace((reg) => (reg.ref === ref && reg.kind !== "scalar" ? asNonOwning(env, reg) : undefined));
  return forgetReference(env, ref);
};

/** The lock is given back: pointers that do not own their objects are numbers like any other. */
export const forgetNonOwning = (env: Env): void => {
  env.state.replace((reg) => ((reg.mods & Mod.NonOwn) !== 0 && reg.kind === "ptr_" ? unknown() : undefined));
};

/** Pointer to the node of an element of the list or tree. */
export const nodePointer = (env: Env, root: ObjectField): Reg => {
  const { target } = root;
  if (target === undefined) return env.fail("EFAULT", "the list or tree does not say what it contains");
  return pointer("ptr_", { mods: Mod.Alloc, btf: target.btf, btfId: target.id, off: root.nodeOffset ?? 0 });
};

/** Whether structs of that type can be in lists or trees. */
export const hasNode = (env: Env, { target }: ObjectField): boolean =>
  target !== undefined &&
  structFields(env, target.btf, target.id).some(({ kind }) => kind === "bpf_list_node" || kind === "bpf_rb_node");
