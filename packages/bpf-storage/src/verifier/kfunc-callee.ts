import { type Kfunc, kfuncFor, kfuncNamed, unsupportedKfunc } from "../helpers/kfuncs.js";
import type { Insn } from "../isa/insn.js";
import { CALL, CallKind } from "../isa/opcodes.js";
import type { VerifierBtf } from "./btf-port.js";
import type { Env } from "./env.js";

/** Which function of the kernel a call calls. */
export interface Callee {
  readonly kfunc: Kfunc;
  readonly btf: VerifierBtf;
  readonly proto: number;
  readonly id: number;
}

export const isKfuncCall = (insn: Insn): boolean => insn.code === CALL && insn.src === CallKind.Kfunc;

/** The name of the function that an instruction calls; empty where it calls none of the kernel's own. */
export const kfuncName = (env: Env, insn: Insn): string => {
  if (!isKfuncCall(insn) || insn.off !== 0) return "";
  const shape = env.request.kernelBtf?.shape(insn.imm);
  return shape?.kind === "func" ? shape.name : "";
};

/** What is known of the function that an instruction calls, whether the program may call it or not. */
export const kfuncOf = (env: Env, insn: Insn): Kfunc | undefined => kfuncNamed(kfuncName(env, insn));

/** How many arguments the function takes. */
export const kfuncArity = (env: Env, insn: Insn): number => {
  const { kernelBtf: btf } = env.request;
  const shape = btf?.shape(insn.imm);
  return insn.off === 0 && btf !== undefined && shape?.kind === "func" ? btf.params(shape.proto).length : 5;
};

/** Looks up every function of the kernel that the program names, reached or not; number 0 is left to the instruction that is reached. */
export const checkKfuncNames = (env: Env): void => {
  const { kernelBtf: btf, gpl } = env.request;
  for (const insn of env.insns) {
    if (!isKfuncCall(insn)) continue;
    if (btf === undefined)
      env.fail("ENOTSUPP", "calling kernel function is not supported without CONFIG_DEBUG_INFO_BTF");
    if (gpl === false) env.fail("EINVAL", "cannot call kernel function from non-GPL compatible program");
    if (insn.imm === 0 && insn.off === 0) continue;
    if (insn.off !== 0) {
      // Functions of modules, whose types would come with the program.
      env.say(
        insn.off < 0
          ? "negative offset disallowed for kernel module function call"
          : "kfunc offset > 0 without fd_array is invalid",
      );
      env.fail(insn.off < 0 ? "EINVAL" : "EPROTO", "failed to find BTF for kernel function");
    }
    if (btf.shape(insn.imm)?.kind !== "func") env.fail("EINVAL", `kernel btf_id ${insn.imm} is not a function`);
  }
};

/** The function that the instruction at hand calls. Refuses those that the program may not call. */
export const calleeOf = (env: Env): Callee => {
  const { insn } = env;
  const { kernelBtf: btf } = env.request;
  if (insn.imm === 0) env.fail("EINVAL", "invalid kernel function call not eliminated in verifier pass");
  const shape = btf?.shape(insn.imm);
  if (btf === undefined || shape?.kind !== "func")
    return env.fail("EINVAL", `kernel btf_id ${insn.imm} is not a function`);
  const { name, proto } = shape;
  const why = unsupportedKfunc(name);
  if (why !== undefined)
    env.fail("EOPNOTSUPP", `calling kernel function ${name} is not supported by this verifier: it is for ${why}`);
  const kfunc = kfuncFor(env.type, env.attachType, name);
  if (kfunc === undefined) return env.fail("EACCES", `calling kernel function ${name} is not allowed`);
  return { kfunc, btf, proto, id: insn.imm };
};

const LIST = ["bpf_list_push_front_impl", "bpf_list_push_back_impl", "bpf_list_pop_front", "bpf_list_pop_back"];
const TREE = ["bpf_rbtree_add_impl", "bpf_rbtree_remove", "bpf_rbtree_first"];

export const isListKfunc = (name: string): boolean => LIST.includes(name);
export const isTreeKfunc = (name: string): boolean => TREE.includes(name);

/** Whether the function may be called while a lock is held. */
export const mayHoldLockDuring = (name: string): boolean =>
  isListKfunc(name) || isTreeKfunc(name) || name === "bpf_refcount_acquire_impl";

/** Puts an object into a list or tree. */
export const addsNode = (name: string): boolean => name.startsWith("bpf_list_push_") || name === "bpf_rbtree_add_impl";

/** Calls the function it is given before it returns. */
export const kfuncRunsCallback = (name: string): boolean => name === "bpf_rbtree_add_impl";
/** Keeps the function it is given for later. */
export const kfuncDefers = (name: string): boolean => name === "bpf_wq_set_callback_impl";
export const THROW = "bpf_throw";

/** Whether the code at hand is the function by which a tree orders its elements, or called by it. */
export const inTreeCallback = (env: Env): boolean =>
  env.state.frames.some(
    ({ callback, callsite }) =>
      callback !== undefined && callsite >= 0 && isTreeKfunc(kfuncName(env, env.insnAt(callsite))),
  );
