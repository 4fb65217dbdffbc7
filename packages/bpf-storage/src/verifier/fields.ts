import type { VerifierBtf } from "./btf-port.js";
import type { Env } from "./env.js";
import { objectFields } from "./map-fields.js";
import { Mod, type Reg } from "./reg.js";
import type { ObjectField } from "./request.js";
import { constOf } from "./scalar.js";

/** Fields of what a register points to, where that is a map's value or an object of the program. */

const fieldsOfStruct = (env: Env, btf: VerifierBtf, id: number): readonly ObjectField[] => {
  if (env.isKernelBtf(btf)) return [];
  let known = env.objectFields.get(btf);
  if (known === undefined) {
    known = new Map();
    env.objectFields.set(btf, known);
  }
  let fields = known.get(id);
  if (fields === undefined) {
    fields = objectFields(btf, id, env.request.kernelBtf);
    known.set(id, fields);
  }
  return fields;
};

/** What is at which offset of what the register points to; empty where that holds nothing of the kind. */
export const fieldsOf = (env: Env, reg: Reg): readonly ObjectField[] => {
  if (reg.kind === "map_value") return reg.map?.fields ?? [];
  if (reg.kind !== "ptr_" || (reg.mods & Mod.Alloc) === 0 || reg.btf === undefined) return [];
  return fieldsOfStruct(env, reg.btf, reg.btfId);
};

/** Fields of a struct of the program. */
export const structFields = fieldsOfStruct;

const NAMES: Readonly<Partial<Record<ObjectField["kind"], string>>> = {
  kptr_unref: "kptr",
  kptr_ref: "kptr",
  kptr_percpu: "percpu_kptr",
};

/** A kind of field as messages have it. */
export const fieldName = (kind: ObjectField["kind"]): string => NAMES[kind] ?? kind;

/** The constant offset into what the register points to, bytes. */
export const offsetOf = (reg: Reg): number => reg.off + constOf(reg.v);

/** Whether there is a spin lock where the register points to: two pointers to different objects are then told apart. */
export const mayHoldLock = (env: Env, reg: Reg): boolean =>
  fieldsOf(env, reg).some(({ kind }) => kind === "bpf_spin_lock");
