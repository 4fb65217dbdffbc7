import { CLASS_MASK, Class, MODE_MASK, Mode } from "../isa/opcodes.js";
import { isStructAt } from "./btf-walk.js";
import type { Access } from "./check-mem.js";
import type { Env } from "./env.js";
import { checkUnmodified } from "./memory.js";
import { Mod, markPrecise, pointer, type Reg, regTypeName } from "./reg.js";
import type { MapField } from "./request.js";

/** Pointers to kernel objects that maps hold. */

/** Structs whose objects RCU keeps while they may be seen (linux kernel/bpf/verifier.c, rcu_protected_types). */
const RCU_PROTECTED = ["prog_test_ref_kfunc", "cgroup", "bpf_cpumask", "task_struct", "bpf_crypto_ctx"];

const targetName = (field: MapField): string => {
  const shape = field.target?.btf.shape(field.target.id);
  return shape?.kind === "struct" ? shape.name : "";
};

/** What a load of the pointer gives. */
const loaded = (env: Env, field: MapField): Reg => {
  const isSafe =
    field.kind === "kptr_percpu" || (field.kind === "kptr_ref" && RCU_PROTECTED.includes(targetName(field)));
  const mods = isSafe && env.inRcu ? Mod.Rcu | (field.kind === "kptr_percpu" ? Mod.Percpu : 0) : Mod.Untrusted;
  return pointer("ptr_", {
    mods: mods | Mod.Null,
    id: env.newId(),
    btf: field.target?.btf,
    btfId: field.target?.id ?? 0,
  });
};

/** Refuses pointers to other structs, or not trusted as the map's type asks. */
export const checkKptrMatch = (env: Env, field: MapField, reg: Reg, index: number): void => {
  const allowed = Mod.Null | Mod.Trusted | Mod.Rcu | (field.kind === "kptr_unref" ? Mod.Untrusted : 0);
  const shape = reg.btf?.shape(reg.btfId);
  const name = shape?.kind === "struct" ? shape.name : "";
  const { target } = field;
  let matches = reg.kind === "ptr_" && (reg.mods & ~allowed) === 0 && field.kind !== "kptr_percpu";
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
export const checkKptrAccess = (env: Env, access: Access, field: MapField): Reg | undefined => {
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
