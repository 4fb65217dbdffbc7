import { ProgramType } from "../uapi/program-types.js";
import { checkArgOffset, checkConstString, checkMemoryArg, withoutNull } from "./arg-rules.js";
import { sizeOfType } from "./btf-size.js";
import { isStructAt } from "./btf-walk.js";
import { checkDynptrArg, type DynptrArg } from "./dynptr.js";
import { type DynptrName, dynptrName } from "./dynptr-slots.js";
import type { Env } from "./env.js";
import { fieldsOf } from "./fields.js";
import { checkNode, checkRoot } from "./graph.js";
import { checkSizedMemory } from "./helper-memory.js";
import { fitsLow, toNumberU } from "./int64.js";
import { checkIteratorArg, type IteratorPlace } from "./iterators.js";
import { type ArgKind, kindOf, type Param, paramsOf } from "./kfunc-arg-kinds.js";
import type { Callee } from "./kfunc-callee.js";
import { structOf, structText } from "./kfunc-structs.js";
import { checkDeferred } from "./locks.js";
import { Mod, type Reg, regTypeName, TRUSTED_MODS, typeName } from "./reg.js";
import type { ObjectField, VerifierMap } from "./request.js";
import { isConst } from "./scalar.js";

/** The arguments of functions of the kernel, by their types and by what the ends of their names say. */

/** What the arguments were found to be. */
export class KfuncArgs {
  /** The register whose reference is given back, 0 for none. */
  releases = 0;
  ref = 0;
  /** The argument whose value had to be known: a type or a size. */
  constant: number | undefined = undefined;
  /** Bytes of the buffer that is returned, where an argument says so. */
  bufferSize = 0;
  bufferReadOnly = false;
  subprog = 0;
  /** An object of the program, and whether the pointer owns it. */
  object: Reg | undefined = undefined;
  owns = false;
  map: VerifierMap | undefined = undefined;
  mapUid = 0;
  dynptr: DynptrArg | undefined = undefined;
  /** The list or tree. */
  root: ObjectField | undefined = undefined;
  iterator: IteratorPlace | undefined = undefined;
}

/** Whether a pointer is good in itself: held, or known to be trusted. */
export const isTrusted = (env: Env, reg: Reg): boolean => {
  if (reg.ref !== 0) return true;
  const unsafe = (reg.mods & ~TRUSTED_MODS) !== 0;
  if (structOf(env, reg) !== undefined && reg.kind !== "ptr_" && !unsafe) return true;
  return (reg.mods & TRUSTED_MODS) !== 0 && !unsafe;
};

const checkScalar = (env: Env, { index, name }: Param, args: KfuncArgs): void => {
  const reg = env.reg(index);
  if (reg.kind !== "scalar") env.fail("EINVAL", `R${index} is not a scalar`);
  if (name.endsWith("__k")) {
    if (!isConst(reg.v)) env.fail("EINVAL", `R${index} must be a known constant`);
    env.precise(index);
    args.constant = toNumberU(reg.v.bits.value);
    return;
  }
  if (name !== "rdonly_buf_size" && name !== "rdwr_buf_size") return;
  if (args.bufferSize !== 0) env.fail("EINVAL", "2 or more rdonly/rdwr_buf_size parameters for kfunc");
  if (!isConst(reg.v)) env.fail("EINVAL", `R${index} is not a const`);
  if (!fitsLow(reg.v.bits.value)) env.fail("EINVAL", `R${index} rdonly/rdwr_buf_size exceeds u32 max`);
  env.precise(index);
  args.bufferSize = toNumberU(reg.v.bits.value);
  args.bufferReadOnly = name === "rdonly_buf_size";
};

const checkTrust = (env: Env, { kfunc }: Callee, index: number): void => {
  const reg = env.reg(index);
  if ((!kfunc.wantsTrusted && !kfunc.acceptsRcu) || isTrusted(env, reg)) return;
  if (!kfunc.acceptsRcu) env.fail("EINVAL", `R${index} must be referenced or trusted`);
  if ((reg.mods & Mod.Rcu) === 0) env.fail("EINVAL", `R${index} must be a rcu pointer`);
};

/** A pointer to a struct of the kernel, or one that stands for such (a socket, a map). */
const checkObject = (env: Env, callee: Callee, param: Param, wanted: number): void => {
  const { index } = param;
  const reg = env.reg(index);
  const { kfunc, btf } = callee;
  const unsafe = (reg.mods & ~TRUSTED_MODS) !== 0 && (reg.mods & Mod.Rcu) === 0;
  const given = structOf(env, reg);
  if (given === undefined || (reg.kind === "ptr_" && unsafe)) {
    const expected = typeName(reg.kind, reg.mods & TRUSTED_MODS);
    env.fail("EINVAL", `arg#${index - 1} is ${regTypeName(reg)} expected ${expected} or socket`);
  }
  const shape = btf.shape(wanted);
  const name = shape?.kind === "struct" ? shape.name : "";
  const strict = (kfunc.releases && reg.ref !== 0) || isNoCast(given.name, name);
  const same = given.btf === btf && isStructAt(btf, given.id, reg.off, wanted, strict);
  if (!same && !isProjection(name, given.name))
    env.fail(
      "EINVAL",
      `kernel function ${kfunc.name} args#${index - 1} expected pointer to ${structText(shape)} but R${index} has a pointer to ${structText(given.btf.shape(given.id))}`,
    );
};

/** What programs see of a packet stands for what the kernel has of it. */
const isProjection = (wanted: string, given: string): boolean =>
  (wanted === "__sk_buff" && given === "sk_buff") || (wanted === "xdp_md" && given === "xdp_buff");

/** A struct with `___init` after its name is the same before it is made: neither will do for the other. */
const isNoCast = (a: string, b: string): boolean => {
  const suffix = "___init";
  if (a.endsWith(suffix) === b.endsWith(suffix)) return false;
  return a.replace(suffix, "") === b.replace(suffix, "");
};

const checkDropped = (env: Env, { kfunc }: Callee, index: number, args: KfuncArgs): void => {
  const reg = env.reg(index);
  const isPercpu = reg.kind === "ptr_" && reg.mods === (Mod.Alloc | Mod.Percpu);
  if (!isPercpu && !(reg.kind === "ptr_" && reg.mods === Mod.Alloc))
    env.fail("EINVAL", `arg#${index - 1} expected pointer to allocated object`);
  const wanted = isPercpu ? "bpf_percpu_obj_drop_impl" : "bpf_obj_drop_impl";
  if (kfunc.name !== wanted) env.fail("EINVAL", `arg#${index - 1} expected for ${wanted}()`);
  if (reg.ref === 0) env.fail("EINVAL", "allocated object must be referenced");
  args.object = reg;
};

const checkCounted = (env: Env, index: number, args: KfuncArgs): void => {
  const reg = env.reg(index);
  if (reg.kind !== "ptr_" || (reg.mods & Mod.Alloc) === 0)
    env.fail("EINVAL", `arg#${index - 1} is neither owning or non-owning ref`);
  args.owns = (reg.mods & Mod.NonOwn) === 0 && reg.ref !== 0;
  if (!fieldsOf(env, reg).some(({ kind }) => kind === "bpf_refcount"))
    env.fail("EINVAL", `arg#${index - 1} doesn't point to a type with bpf_refcount field`);
  args.object = reg;
};

const dynptrKind = (name: string, args: KfuncArgs): DynptrName | undefined => {
  if (name === "bpf_dynptr_from_skb") return "skb";
  if (name === "bpf_dynptr_from_xdp") return "xdp";
  return args.dynptr === undefined ? undefined : dynptrName(args.dynptr.kind);
};

const checkDynptr = (env: Env, { kfunc }: Callee, { index, name }: Param, args: KfuncArgs): void => {
  const makes = name.endsWith("__uninit");
  const found = checkDynptrArg(env, index, {
    ...{ uninit: makes, release: false, dynptr: makes ? dynptrKind(kfunc.name, args) : undefined },
    ...(kfunc.name === "bpf_dynptr_clone" ? { cloneOf: args.dynptr?.ref ?? 0 } : {}),
  });
  if (!makes) args.dynptr = found;
};

const checkMap = (env: Env, index: number, args: KfuncArgs): void => {
  const { map, mapUid } = env.reg(index);
  if (map === undefined) env.fail("EINVAL", `pointer in R${index} isn't map pointer`);
  const hasQueue = map.fields?.some(({ kind }) => kind === "bpf_wq") === true;
  if (args.map !== undefined && hasQueue && (args.map !== map || args.mapUid !== mapUid))
    env.fail(
      "EINVAL",
      `workqueue pointer in R1 map_uid=${args.mapUid} doesn't match map pointer in R2 map_uid=${mapUid}`,
    );
  args.map = map;
  args.mapUid = mapUid;
};

/** Memory with its size in the next argument. */
const checkSized = (env: Env, { index, name }: Param, next: Param, args: KfuncArgs): void => {
  const size = index + 1;
  if (!env.reg(index).isNull || !name.endsWith("__opt"))
    env.within(`arg#${index - 1} arg#${index} memory, len pair leads to invalid memory access`, () => {
      withoutNull(env, index, () => {
        checkSizedMemory(env, size, false, true, false);
        checkSizedMemory(env, size, true, true, false);
      });
    });
  if (!next.name.endsWith("__szk")) return;
  const { v } = env.reg(size);
  if (!isConst(v)) env.fail("EINVAL", `R${size} must be a known constant`);
  env.precise(size);
  args.constant = toNumberU(v.bits.value);
};

/** Whether the lock that iterating the tasks of a cgroup takes cannot be held where the program runs. */
const mayIterateTasks = (env: Env): boolean => env.type === ProgramType.Lsm || env.isIterator || env.sleepable;

const checkPointer = (env: Env, callee: Callee, param: Param, kind: ArgKind, args: KfuncArgs, next?: Param): void => {
  const { index } = param;
  const reg = env.reg(index);
  switch (kind) {
    case "ctx":
      if (reg.kind !== "ctx")
        env.fail("EINVAL", `arg#${index - 1} expected pointer to ctx, but got ${regTypeName(reg)}`);
      return;
    case "alloc":
      checkDropped(env, callee, index, args);
      return;
    case "counted":
      checkCounted(env, index, args);
      return;
    case "dynptr":
      checkDynptr(env, callee, param, args);
      return;
    case "iterator":
      if (callee.kfunc.name === "bpf_iter_css_task_new" && !mayIterateTasks(env))
        env.fail("EINVAL", "css_task_iter is only allowed in bpf_lsm, bpf_iter and sleepable progs");
      args.iterator = checkIteratorArg(env, index - 1, callee);
      return;
    case "bpf_list_head":
    case "bpf_rb_root":
      args.root = checkRoot(env, index, kind);
      return;
    case "bpf_list_node":
    case "bpf_rb_node":
      checkNode(env, index, kind, callee, args.root);
      return;
    case "string":
      if (reg.kind !== "map_value") env.fail("EINVAL", `arg#${index - 1} doesn't point to a const string`);
      checkConstString(env, index);
      return;
    case "wq":
      if (reg.kind !== "map_value") env.fail("EINVAL", `arg#${index - 1} doesn't point to a map value`);
      args.map = checkDeferred(env, index, "bpf_wq");
      args.mapUid = reg.mapUid;
      return;
    case "map":
      checkObject(env, callee, param, callee.btf.structByName("bpf_map") ?? 0);
      return;
    case "struct":
      checkObject(env, callee, param, callee.btf.resolve(param.pointee));
      return;
    case "callback":
      if (reg.kind !== "func") env.fail("EINVAL", `arg${index - 1} expected pointer to func`);
      args.subprog = reg.subprog;
      return;
    case "memory":
      checkMemoryArg(env, index, sizeOfType(callee.btf, param.pointee));
      return;
    case "sized":
      if (next !== undefined) checkSized(env, param, next, args);
  }
};

/** Checks the arguments of a call, and tells what they are. */
export const checkKfuncArgs = (env: Env, callee: Callee): KfuncArgs => {
  const { kfunc } = callee;
  const args = new KfuncArgs();
  const params = paramsOf(env, callee);
  for (let k = 0; k < params.length; k++) {
    const param = params[k] as Param;
    const { index } = param;
    const reg = env.reg(index);
    if (param.name.endsWith("__ign")) continue;
    if (param.isScalar) {
      checkScalar(env, param, args);
      continue;
    }
    const nullable = param.name.endsWith("__nullable");
    if ((kfunc.wantsTrusted || kfunc.acceptsRcu) && (reg.isNull || reg.mayBeNull) && !nullable)
      env.fail("EACCES", `Possibly NULL pointer passed to trusted arg${k}`);
    if (reg.ref !== 0) {
      if (kfunc.releases && args.ref !== 0)
        env.fail(
          "EFAULT",
          `verifier internal error: more than one arg with ref_obj_id R${index} ${reg.ref} ${args.ref}`,
        );
      args.ref = reg.ref;
      if (kfunc.releases) args.releases = index;
    }
    const kind = kindOf(env, callee, params, k);
    if (kind === "null") {
      env.precise(index);
      continue;
    }
    if (kind === "map") checkMap(env, index, args);
    if (kind === "map" || kind === "alloc" || kind === "struct") checkTrust(env, callee, index);
    checkArgOffset(env, index, kfunc.releases && reg.ref !== 0);
    checkPointer(env, callee, param, kind, args, params[k + 1]);
    if (kind === "sized") k++;
  }
  if (kfunc.releases && args.releases === 0)
    env.fail("EINVAL", `release kernel function ${kfunc.name} expects refcounted PTR_TO_BTF_ID`);
  return args;
};
