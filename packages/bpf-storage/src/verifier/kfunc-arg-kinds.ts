import { isContextStruct } from "./arg-rules.js";
import type { BtfShape, VerifierBtf } from "./btf-port.js";
import type { Env } from "./env.js";
import type { Callee } from "./kfunc-callee.js";
import { structOf, structText } from "./kfunc-structs.js";

/** Which kind of argument a parameter of a function of the kernel takes: its type and the end of its name say so. */

/** A parameter. */
export interface Param {
  /** The register. */
  readonly index: number;
  readonly name: string;
  readonly isScalar: boolean;
  /** What a pointer points to, 0 for void. */
  readonly pointee: number;
}

export type ArgKind =
  | "ctx"
  | "null"
  | "alloc"
  | "counted"
  | "dynptr"
  | "iterator"
  | "bpf_list_head"
  | "bpf_list_node"
  | "bpf_rb_root"
  | "bpf_rb_node"
  | "string"
  | "map"
  | "wq"
  | "struct"
  | "callback"
  | "memory"
  | "sized";

const MOST_ARGUMENTS = 5;

const isNumber = (shape: BtfShape | undefined): boolean => shape?.kind === "int" || shape?.kind === "enum";

/** The parameters of a function. Refuses types that no argument can have. */
export const paramsOf = (env: Env, { kfunc, btf, proto }: Callee): readonly Param[] => {
  const params = btf.params(proto);
  if (params.length > MOST_ARGUMENTS)
    env.fail("EINVAL", `Function ${kfunc.name} has ${params.length} > ${MOST_ARGUMENTS} args`);
  return params.map(({ name, type }, k) => {
    const shape = btf.shape(type);
    const isScalar = isNumber(shape);
    if (!isScalar && shape?.kind !== "pointer" && !name.endsWith("__ign"))
      env.fail("EINVAL", `Unrecognized arg#${k} type ${structText(shape).trim()}`);
    return { index: k + 1, name, isScalar, pointee: shape?.kind === "pointer" ? shape.to : 0 };
  });
};

/** Nested structs that are looked into. */
const MOST_NESTING = 3;

/** Whether a struct has nothing but numbers. */
const isPlain = (env: Env, btf: VerifierBtf, id: number, depth = 0): boolean => {
  const whole = btf.shape(id);
  if (whole?.kind !== "struct" && whole?.kind !== "union") return false;
  return btf.members(id).every(({ type }) => {
    const shape = btf.shape(type);
    if (shape?.kind === "struct" || shape?.kind === "union") {
      if (depth >= MOST_NESTING) {
        env.say("max struct nesting depth exceeded");
        return false;
      }
      return isPlain(env, btf, type, depth + 1);
    }
    if (shape?.kind === "array") return shape.count > 0 && isNumber(btf.shape(shape.of));
    return isNumber(shape);
  });
};
export const isPlainStruct = (env: Env, btf: VerifierBtf, id: number): boolean => isPlain(env, btf, id);

const BY_STRUCT: Readonly<Record<string, ArgKind>> = {
  bpf_list_head: "bpf_list_head",
  bpf_list_node: "bpf_list_node",
  bpf_rb_root: "bpf_rb_root",
  bpf_rb_node: "bpf_rb_node",
};

const isSize = (env: Env, param: Param | undefined): boolean =>
  param?.isScalar === true &&
  env.reg(param.index).kind === "scalar" &&
  (param.name.endsWith("__sz") || param.name.endsWith("__szk"));

/** The kind of the pointer argument at `position` (from 0). Refuses what points to nothing that can be checked. */
export const kindOf = (env: Env, callee: Callee, params: readonly Param[], position: number): ArgKind => {
  const { kfunc, btf } = callee;
  const param = params[position] as Param;
  const { name, index, pointee } = param;
  const reg = env.reg(index);
  const shape = btf.shape(pointee);
  const struct = shape?.kind === "struct" ? shape.name : "";
  if (kfunc.name === "bpf_cast_to_kern_ctx" || (struct !== "" && isContextStruct(env.type, struct))) return "ctx";
  if (name.endsWith("__nullable") && reg.isNull) return "null";
  if (name.endsWith("__alloc")) return "alloc";
  if (name.endsWith("__refcounted_kptr")) return "counted";
  // Linux 6.1 called it by the name that it has inside.
  if (struct === "bpf_dynptr" || struct === "bpf_dynptr_kern") return "dynptr";
  if (kfunc.iterator !== undefined ? position === 0 : name.endsWith("__iter")) return "iterator";
  const ofStruct = BY_STRUCT[struct];
  if (ofStruct !== undefined) return ofStruct;
  if (name.endsWith("__str")) return "string";
  if (name.endsWith("__map")) return "map";
  if (struct === "bpf_wq") return "wq";
  if (structOf(env, reg) !== undefined) {
    if (shape?.kind !== "struct" && shape?.kind !== "union")
      env.fail(
        "EINVAL",
        `kernel function ${kfunc.name} args#${position} pointer type ${structText(shape)} is not supported`,
      );
    return "struct";
  }
  if (shape?.kind === "proto") return "callback";
  const sized = isSize(env, params[position + 1]);
  const isVoid = shape?.kind === "void";
  if (!isNumber(shape) && !(sized && isVoid) && !isPlain(env, btf, pointee))
    env.fail(
      "EINVAL",
      `arg#${position} pointer type ${structText(shape)} must point to ${sized ? "void, " : ""}scalar, or struct with scalar`,
    );
  return sized ? "sized" : "memory";
};
