import { CLASS_MASK, Class, MODE_MASK, Mode } from "../isa/opcodes.js";
import { isStructAt } from "./btf-walk.js";
import type { Access } from "./check-mem.js";
import type { Env } from "./env.js";
import { fieldsOf, offsetOf } from "./fields.js";
import { checkUnmodified } from "./memory.js";
import { hasNode } from "./owning.js";
import { Mod, markPrecise, pointer, type Reg, type RegChange, regTypeName } from "./reg.js";
import type { ObjectField } from "./request.js";
import { isConst } from "./scalar.js";

/** Pointers to objects of the kernel or of the program that maps and objects hold. */

/** Structs whose objects RCU keeps while they may be seen (linux kernel/bpf/verifier.c, rcu_protected_types). */
const RCU_PROTECTED = ["prog_test_ref_kfunc", "cgroup", "bpf_cpumask", "task_struct", "bpf_crypto_ctx"];

const targetName = (field: ObjectField): string => {
  const shape = field.target?.btf.shape(field.target.id);
  return shape?.kind === "struct" ? shape.name : "";
};

/** Whether the pointer leads to a struct of the kernel, not of the program. */
const isOfKernel = (env: Env, field: ObjectField): boolean => env.isKernelBtf(field.target?.btf);

const modsOfLoaded = (env: Env, field: ObjectField): number => {
  const ofKernel = isOfKernel(env, field);
  const isProtected = !ofKernel || RCU_PROTECTED.includes(targetName(field));
  const isSafe = field.kind === "kptr_percpu" || (field.kind === "kptr_ref" && isProtected);
  if (!isSafe || !env.inRcu) return Mod.Untrusted;
  if (field.kind === "kptr_percpu") return Mod.Rcu | Mod.Percpu;
  if (ofKernel) return Mod.Rcu;
  return Mod.Rcu | Mod.Alloc | (hasNode(env, field) ? Mod.NonOwn : 0);
};

/** What a load of the pointer gives. */
const loaded = (env: Env, field: ObjectField): Reg =>
  pointer("ptr_", {
    mods: modsOfLoaded(env, field) | Mod.Null,
    id: env.newId(),
    btf: field.target?.btf,
    btfId: field.target?.id ?? 0,
  });

/** Refuses pointers to other structs, or not trusted as the map's type asks. */
export const checkKptrMatch = (env: Env, field: ObjectField, reg: Reg, index: number): void => {
  const shape = reg.btf?.shape(reg.btfId);
  const name = shape?.kind === "struct" ? shape.name : "";
  const { target } = field;
  const isPercpu = field.kind === "kptr_percpu";
  const allowed = env.isKernelBtf(reg.btf)
    ? Mod.Null | Mod.Trusted | Mod.Rcu | (field.kind === "kptr_unref" ? Mod.Untrusted : 0)
    : Mod.Null | Mod.Alloc | (isPercpu ? Mod.Percpu : 0);
  let matches = reg.kind === "ptr_" && (reg.mods & ~allowed) === 0 && isPercpu === ((reg.mods & Mod.Percpu) !== 0);
  if (matches) {
    checkUnmodified(env, reg, index, true);
    matches =
      target !== undefined &&
      reg.btf === target.btf &&
      isStructAt(target.btf, reg.btfId, reg.off, target.id, field.kind !== "kptr_unref");
  }
  if (matches) return;
  const unref = field.kind === "kptr_unref" ? ` or untrusted_ptr_${targetName(field)}` : "";
  env.say(
    `invalid kptr access, R${index} type=${regTypeName(reg)}${reg.kind === "ptr_" ? name : ""} expected=ptr_${targetName(field)}${unref}`,
  );
  env.fail("EACCES");
};

/** A load or store of such a pointer by an instruction; gives what a load gives. */
export const checkKptrAccess = (env: Env, access: Access, field: ObjectField): Reg | undefined => {
  const { insn } = env;
  if ((insn.code & MODE_MASK) !== Mode.Mem)
    env.fail("EACCES", "kptr in map can only be accessed using BPF_MEM instruction mode");
  const isLoad = (insn.code & CLASS_MASK) === Class.Ldx;
  if (!isLoad && field.kind !== "kptr_unref") env.fail("EACCES", "store to referenced kptr disallowed");
  if (isLoad) return loaded(env, field);
  if (access.value < 0) {
    if (access.immediate !== 0) env.fail("EACCES", `BPF_ST imm must be 0 when storing to kptr at off=${field.offset}`);
    return undefined;
  }
  const value = env.reg(access.value);
  if (value.isNull) markPrecise(value);
  else checkKptrMatch(env, field, value, access.value);
  return undefined;
};

/** The place that bpf_kptr_xchg puts a pointer into: one in a map's value, or in an object of the program. */
export const checkKptrDest = (env: Env, index: number): ObjectField => {
  const reg = env.reg(index);
  const { map } = reg;
  if (map !== undefined && map.fields === undefined)
    env.fail("EINVAL", `map '${map.name ?? ""}' has to have BTF in order to use bpf_kptr_xchg`);
  if (!isConst(reg.v))
    env.fail("EINVAL", `R${index} doesn't have constant offset. kptr has to be at the constant offset`);
  const fields = fieldsOf(env, reg).filter(({ kind }) => kind.startsWith("kptr"));
  if (fields.length === 0) env.fail("EINVAL", `R${index} has no valid kptr`);
  const off = offsetOf(reg);
  const field = fields.find(({ offset }) => offset === off);
  if (field === undefined) return env.fail("EACCES", `off=${off} doesn't point to kptr`);
  if (field.kind === "kptr_unref") env.fail("EACCES", `off=${off} kptr isn't referenced kptr`);
  return field;
};

/** What bpf_kptr_xchg gives back: what was there. */
export const exchanged = (env: Env, field: ObjectField | undefined): RegChange => {
  const target = { btf: field?.target?.btf, btfId: field?.target?.id ?? 0 };
  if (field === undefined || isOfKernel(env, field)) return target;
  return { ...target, mods: Mod.Null | Mod.Alloc | (field.kind === "kptr_percpu" ? Mod.Percpu : 0) };
};
