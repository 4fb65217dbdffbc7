import { isStructAt } from "./btf-walk.js";
import type { Env } from "./env.js";
import { fieldsOf, offsetOf } from "./fields.js";
import { type Callee, inTreeCallback, isListKfunc } from "./kfunc-callee.js";
import { Mod, type Reg } from "./reg.js";
import type { ObjectField } from "./request.js";
import { isConst } from "./scalar.js";

/** Lists and trees of objects that programs make: the root, its lock, and the nodes. */

const isOwnObject = (reg: Reg): boolean => reg.kind === "ptr_" && reg.mods === Mod.Alloc;

const nameOf = (btf: { shape(id: number): unknown } | undefined, id: number): string => {
  const shape = btf?.shape(id) as { readonly name?: string } | undefined;
  return shape?.name ?? "";
};

const checkConstant = (env: Env, index: number, kind: string): number => {
  const reg = env.reg(index);
  if (!isConst(reg.v))
    env.fail("EINVAL", `R${index} doesn't have constant offset. ${kind} has to be at the constant offset`);
  return offsetOf(reg);
};

/** The lock of the same value or object is held. */
const isLocked = (env: Env, reg: Reg): boolean => {
  const { lock } = env.state;
  if (lock === undefined) return false;
  if (lock.map === (reg.map ?? reg.btf) && lock.id === reg.id) return true;
  env.say("held lock and object are not in the same allocation");
  return false;
};

/** The list or tree that a register points to; its lock is held. */
export const checkRoot = (env: Env, index: number, kind: "bpf_list_head" | "bpf_rb_root"): ObjectField => {
  const reg = env.reg(index);
  const isValue = reg.kind === "map_value" && reg.mods === 0;
  if (!isValue && !isOwnObject(reg))
    env.fail("EINVAL", `arg#${index - 1} expected pointer to map value or allocated object`);
  if (!isValue && reg.ref === 0) env.fail("EINVAL", "allocated object must be referenced");
  const off = checkConstant(env, index, kind);
  const fields = fieldsOf(env, reg);
  const root = fields.find((field) => field.kind === kind && field.offset === off);
  if (root === undefined) return env.fail("EINVAL", `${kind} not found at offset=${off}`);
  if (!isLocked(env, reg)) {
    const lock = fields.find((field) => field.kind === "bpf_spin_lock");
    env.fail("EINVAL", `bpf_spin_lock at off=${lock?.offset ?? -22} must be held for ${kind}`);
  }
  if (root.target === undefined) env.fail("EINVAL", `${kind} does not say what it contains`);
  return root;
};

const checkOwner = (env: Env, index: number, kind: string, name: string): void => {
  const reg = env.reg(index);
  if (kind === "bpf_rb_node" && name === "bpf_rbtree_remove") {
    if ((reg.mods & Mod.NonOwn) === 0 || reg.ref !== 0)
      env.fail("EINVAL", "rbtree_remove node input must be non-owning ref");
    if (inTreeCallback(env)) env.fail("EINVAL", "rbtree_remove not allowed in rbtree cb");
    return;
  }
  if (!isOwnObject(reg)) env.fail("EINVAL", `arg#${index - 1} expected pointer to allocated object`);
  if (reg.ref === 0) env.fail("EINVAL", "allocated object must be referenced");
};

/** A node that is put into, or taken out of, the list or tree: of the struct that this consists of, and its right member. */
export const checkNode = (
  env: Env,
  index: number,
  kind: "bpf_list_node" | "bpf_rb_node",
  { kfunc }: Callee,
  root: ObjectField | undefined,
): void => {
  const reg = env.reg(index);
  checkOwner(env, index, kind, kfunc.name);
  const off = checkConstant(env, index, kind);
  const field = fieldsOf(env, reg).find((each) => each.kind === kind && each.offset === off);
  if (field === undefined) env.fail("EINVAL", `${kind} not found at offset=${off}`);
  const target = root?.target;
  const nodeOffset = root?.nodeOffset ?? 0;
  if (target === undefined || reg.btf === undefined) env.fail("EFAULT", "a node without a list or tree");
  const struct = nameOf(target.btf, target.id);
  const head = isListKfunc(kfunc.name) ? "bpf_list_head" : "bpf_rb_root";
  if (reg.btf !== target.btf || !isStructAt(target.btf, reg.btfId, 0, target.id, true))
    env.fail(
      "EINVAL",
      `operation on ${head} expects arg#1 ${kind} at offset=${nodeOffset} in struct ${struct}, but arg is at offset=${off} in struct ${nameOf(reg.btf, reg.btfId)}`,
    );
  if (off !== nodeOffset)
    env.fail("EINVAL", `arg#1 offset=${off}, but expected ${kind} at offset=${nodeOffset} in struct ${struct}`);
};
