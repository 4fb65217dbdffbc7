import { ProgramType } from "../uapi/program-types.js";
import type { BtfShape } from "./btf-port.js";
import { sizeOfType } from "./btf-size.js";
import { DynptrKind } from "./dynptr-slots.js";
import type { Env } from "./env.js";
import { mayHoldLock, structFields } from "./fields.js";
import { iteratorAt } from "./iterators.js";
import { isPlainStruct } from "./kfunc-arg-kinds.js";
import type { KfuncArgs } from "./kfunc-args.js";
import type { Callee } from "./kfunc-callee.js";
import { structText } from "./kfunc-structs.js";
import { mayAccessPacket } from "./memory.js";
import { asNonOwning, nodePointer } from "./owning.js";
import { acquire } from "./references.js";
import { Mod, pointer, type Reg, UNINIT, unknown } from "./reg.js";

/** What functions of the kernel return. */

/** Most bytes of an object that every CPU has its own of (BPF_GLOBAL_PERCPU_MA_MAX_SIZE). */
const MOST_PERCPU = 512;

/** An object of the program, of the struct whose number in its types was given. */
const newObject = (env: Env, { kfunc }: Callee, { constant: id = 0 }: KfuncArgs): Reg => {
  if (id > 0xffff_ffff) env.fail("EINVAL", "local type ID argument must be in range [0, U32_MAX]");
  const { programBtf: btf } = env.request;
  if (btf === undefined) return env.fail("EINVAL", "bpf_obj_new/bpf_percpu_obj_new requires prog BTF");
  const shape = btf.resolve(id) === id ? btf.shape(id) : undefined;
  if (shape?.kind !== "struct")
    return env.fail("EINVAL", "bpf_obj_new/bpf_percpu_obj_new type ID argument must be of a struct");
  if (kfunc.name !== "bpf_percpu_obj_new_impl") return pointer("ptr_", { mods: Mod.Alloc, btf, btfId: id });
  if (shape.size > MOST_PERCPU)
    env.fail("EINVAL", `bpf_percpu_obj_new type size (${shape.size}) is greater than ${MOST_PERCPU}`);
  if (!isPlainStruct(env, btf, id))
    env.fail("EINVAL", "bpf_percpu_obj_new type ID argument must be of a struct of scalars");
  if (structFields(env, btf, id).length > 0)
    env.fail("EINVAL", "bpf_percpu_obj_new type ID argument must not contain special fields");
  return pointer("ptr_", { mods: Mod.Alloc | Mod.Percpu, btf, btfId: id });
};

/** Structs of the kernel that are behind the context. Source: linux 6.12, linux/bpf_types.h. */
const KERNEL_CONTEXTS: ReadonlyMap<ProgramType, string> = new Map<ProgramType, string>([
  ...(
    [
      ...[ProgramType.SocketFilter, ProgramType.SchedCls, ProgramType.SchedAct, ProgramType.CgroupSkb],
      ...[ProgramType.LwtIn, ProgramType.LwtOut, ProgramType.LwtXmit, ProgramType.LwtSeg6local, ProgramType.SkSkb],
    ] as const
  ).map((type): [ProgramType, string] => [type, "sk_buff"]),
  [ProgramType.Xdp, "xdp_buff"],
  [ProgramType.CgroupSock, "sock"],
  [ProgramType.CgroupSockAddr, "bpf_sock_addr_kern"],
  [ProgramType.SockOps, "bpf_sock_ops_kern"],
  [ProgramType.SkMsg, "sk_msg"],
  [ProgramType.FlowDissector, "bpf_flow_dissector"],
  [ProgramType.Kprobe, "pt_regs"],
  [ProgramType.PerfEvent, "bpf_perf_event_data_kern"],
  [ProgramType.CgroupDevice, "bpf_cgroup_dev_ctx"],
  [ProgramType.CgroupSysctl, "bpf_sysctl_kern"],
  [ProgramType.CgroupSockopt, "bpf_sockopt_kern"],
  [ProgramType.SkLookup, "bpf_sk_lookup_kern"],
  [ProgramType.SkReuseport, "sk_reuseport_kern"],
  [ProgramType.Netfilter, "bpf_nf_ctx"],
]);

const kernelContext = (env: Env, { btf }: Callee): Reg => {
  const id = btf.structByName(KERNEL_CONTEXTS.get(env.type) ?? "");
  if (id === undefined) return env.fail("EINVAL", `kern ctx type id of program type ${env.type} is not a struct`);
  return pointer("ptr_", { mods: Mod.Trusted, btf, btfId: id });
};

const castTo = (env: Env, { btf }: Callee, { constant: id = 0 }: KfuncArgs): Reg => {
  const shape = btf.resolve(id) === id ? btf.shape(id) : undefined;
  if (shape?.kind !== "struct" && shape?.kind !== "union")
    return env.fail("EINVAL", "kfunc bpf_rdonly_cast type ID argument must be of a struct");
  return pointer("ptr_", { mods: Mod.Untrusted, btf, btfId: id });
};

const slice = (env: Env, { kfunc }: Callee, { constant, dynptr }: KfuncArgs): Reg => {
  if (constant === undefined || dynptr === undefined)
    return env.fail("EFAULT", "verifier internal error: bpf_dynptr_slice(_rdwr) no constant size");
  const isPacket = dynptr.kind === DynptrKind.skb || dynptr.kind === DynptrKind.xdp;
  const readOnly = kfunc.name === "bpf_dynptr_slice";
  if (!readOnly && !mayAccessPacket(env, true)) env.fail("EINVAL", "the prog does not allow writes to packet data");
  const mods = (isPacket ? Mod.PacketSlice : Mod.Slice) | (readOnly ? Mod.Rdonly : 0);
  // Slices of a record of a ring buffer go with it: linux 6.12 forgets that.
  return pointer("mem", { mods, size: constant, dynptr: dynptr.id, ref: dynptr.ref });
};

/** Results that their types do not tell. */
const special = (env: Env, callee: Callee, args: KfuncArgs): Reg | undefined => {
  switch (callee.kfunc.name) {
    case "bpf_obj_new_impl":
    case "bpf_percpu_obj_new_impl":
      return newObject(env, callee, args);
    case "bpf_refcount_acquire_impl":
      return pointer("ptr_", { mods: Mod.Alloc, btf: args.object?.btf, btfId: args.object?.btfId ?? 0 });
    case "bpf_list_pop_front":
    case "bpf_list_pop_back":
    case "bpf_rbtree_remove":
    case "bpf_rbtree_first":
      return args.root === undefined ? undefined : nodePointer(env, args.root);
    case "bpf_cast_to_kern_ctx":
      return kernelContext(env, callee);
    case "bpf_rdonly_cast":
      return castTo(env, callee, args);
    case "bpf_dynptr_slice":
    case "bpf_dynptr_slice_rdwr":
      return slice(env, callee, args);
    default:
      return undefined;
  }
};

const memory = (env: Env, { kfunc, btf }: Callee, args: KfuncArgs, type: number): Reg => {
  const isCookie = kfunc.name === "bpf_session_cookie";
  const size = args.bufferSize !== 0 ? args.bufferSize : sizeOfType(btf, type);
  if (size === 0)
    return env.fail(
      "EINVAL",
      `kernel function ${kfunc.name} returns pointer type ${structText(btf.shape(type))} is not supported`,
    );
  const readOnly = args.bufferSize !== 0 ? args.bufferReadOnly : !isCookie;
  const ref = args.iterator === undefined ? args.ref : iteratorAt(env, args.iterator).ref;
  return pointer("mem", { mods: readOnly ? Mod.Rdonly : 0, size, ref });
};

const object = (env: Env, { kfunc, btf }: Callee, args: KfuncArgs, type: number): Reg => {
  const iterator = kfunc.iterator === "next" ? args.iterator : undefined;
  const mods = iterator === undefined ? 0 : iteratorAt(env, iterator).isRcu ? Mod.Rcu : Mod.Trusted;
  return pointer("ptr_", { mods, btf, btfId: btf.resolve(type) });
};

const ofPointer = (env: Env, callee: Callee, args: KfuncArgs, to: number, shape: BtfShape | undefined): Reg => {
  const found = special(env, callee, args);
  if (found !== undefined) return found;
  if (shape?.kind === "void") return unknown();
  return shape?.kind === "struct" ? object(env, callee, args, to) : memory(env, callee, args, to);
};

/** What the call gives, with the reference that stands for it. */
export const kfuncResult = (env: Env, callee: Callee, args: KfuncArgs): Reg => {
  const { kfunc, btf, proto } = callee;
  const shape = btf.shape(btf.returns(proto));
  if (shape?.kind === "int" || shape?.kind === "enum") return unknown();
  if (shape?.kind !== "pointer") return UNINIT;
  let reg = ofPointer(env, callee, args, shape.to, btf.shape(shape.to));
  if (reg.kind === "scalar") return reg;
  const nullable = kfunc.mayReturnNull && !(kfunc.name === "bpf_refcount_acquire_impl" && args.owns);
  if (nullable) reg = reg.with({ mods: reg.mods | Mod.Null, id: env.newId() });
  if (kfunc.acquires) {
    const ref = acquire(env, env.pc);
    reg = reg.with({ ref, ...(nullable ? { id: ref } : {}) });
  } else if (kfunc.name === "bpf_rbtree_first") reg = asNonOwning(env, reg);
  return mayHoldLock(env, reg) && reg.id === 0 ? reg.with({ id: env.newId() }) : reg;
};
