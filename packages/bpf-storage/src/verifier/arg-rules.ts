import { MapFlag } from "../uapi/map-types.js";
import { ProgramType } from "../uapi/program-types.js";
import type { Env } from "./env.js";
import { checkHelperMemory } from "./helper-memory.js";
import { toNumberU } from "./int64.js";
import { checkMapValue, checkUnmodified, hasDirectValue } from "./memory.js";
import { type Kind, Mod, type Reg } from "./reg.js";
import type { VerifierMap } from "./request.js";
import { isConst } from "./scalar.js";

/** Rules that arguments of helpers, of functions of the kernel and of global functions share. */

const FREE_OFFSET: readonly Kind[] = ["fp", "pkt", "pkt_meta", "map_key", "map_value", "mem", "buf", "scalar"];
/** What holds of pointers to structs that may be pointed into. */
const FIXED_OFFSET: readonly number[] = [
  ...[0, Mod.Alloc, Mod.Trusted, Mod.Rcu, Mod.Alloc | Mod.NonOwn, Mod.Alloc | Mod.NonOwn | Mod.Rcu],
];

/** Offsets of pointers: memory may be pointed into, objects only where a struct starts; what is given back only at its start. */
export const checkArgOffset = (env: Env, index: number, releases: boolean): void => {
  const reg = env.reg(index);
  if (releases) {
    if (reg.off !== 0)
      env.fail("EINVAL", `R${index} must have zero offset when passed to release func or trusted arg to kfunc`);
    checkUnmodified(env, reg, index);
    return;
  }
  if (FREE_OFFSET.includes(reg.kind) && (reg.mods & ~(Mod.Rdonly | Mod.Ringbuf)) === 0) return;
  checkUnmodified(env, reg, index, reg.kind === "ptr_" && FIXED_OFFSET.includes(reg.mods));
};

/** A string that never changes, with its end. */
export const checkConstString = (env: Env, index: number): void => {
  const reg = env.reg(index);
  const map = reg.map as VerifierMap;
  if ((map.flags & MapFlag.RdonlyProg) === 0 || map.frozen === undefined)
    env.fail("EACCES", `R${index} does not point to a readonly map'`);
  if (!isConst(reg.v)) env.fail("EACCES", `R${index} is not a constant address'`);
  if (!hasDirectValue(map)) env.fail("EACCES", "no direct value access support for this map type");
  checkMapValue(env, index, reg.off, map.valueSize - reg.off, false, "helper");
  const start = reg.off + toNumberU(reg.v.bits.value);
  if (!map.frozen.subarray(start, map.valueSize).includes(0)) env.fail("EINVAL", "string is not zero-terminated");
};

/** Does something with the register as if it were not NULL: NULL is one of the values that will do as well. */
export const withoutNull = (env: Env, index: number, check: () => void): void => {
  const reg: Reg = env.reg(index);
  if (!reg.mayBeNull) {
    check();
    return;
  }
  env.set(index, reg.with({ mods: reg.mods & ~Mod.Null }));
  check();
  env.set(index, reg);
};

/** Memory of so many bytes that may be read and written, or NULL. */
export const checkMemoryArg = (env: Env, index: number, size: number): void => {
  if (env.reg(index).isNull) {
    env.precise(index);
    return;
  }
  withoutNull(env, index, () => {
    checkHelperMemory(env, index, size, false, true, false);
    checkHelperMemory(env, index, size, true, true, false);
  });
};

/** The struct that stands for the context in C, by kind of program. */
const CONTEXT_STRUCTS: ReadonlyMap<ProgramType, readonly string[]> = new Map<ProgramType, readonly string[]>([
  ...(
    [
      ...[ProgramType.SocketFilter, ProgramType.SchedCls, ProgramType.SchedAct, ProgramType.CgroupSkb],
      ...[ProgramType.LwtIn, ProgramType.LwtOut, ProgramType.LwtXmit, ProgramType.LwtSeg6local],
      ...[ProgramType.SkSkb, ProgramType.FlowDissector],
    ] as const
  ).map((type): [ProgramType, readonly string[]] => [type, ["__sk_buff", "sk_buff"]]),
  [ProgramType.Xdp, ["xdp_md", "xdp_buff"]],
  [ProgramType.CgroupSock, ["bpf_sock"]],
  [ProgramType.CgroupSockAddr, ["bpf_sock_addr"]],
  [ProgramType.SockOps, ["bpf_sock_ops"]],
  [ProgramType.SkMsg, ["sk_msg_md"]],
  [ProgramType.Kprobe, ["pt_regs", "bpf_user_pt_regs_t", "user_pt_regs"]],
  [ProgramType.PerfEvent, ["bpf_perf_event_data"]],
  [ProgramType.RawTracepoint, ["bpf_raw_tracepoint_args"]],
  [ProgramType.RawTracepointWritable, ["bpf_raw_tracepoint_args"]],
  [ProgramType.CgroupDevice, ["bpf_cgroup_dev_ctx"]],
  [ProgramType.CgroupSysctl, ["bpf_sysctl"]],
  [ProgramType.CgroupSockopt, ["bpf_sockopt"]],
  [ProgramType.SkReuseport, ["sk_reuseport_md"]],
  [ProgramType.SkLookup, ["bpf_sk_lookup"]],
  [ProgramType.Netfilter, ["bpf_nf_ctx"]],
]);

/** Whether a struct of that name stands for the context in programs of that kind. */
export const isContextStruct = (type: ProgramType, name: string): boolean =>
  CONTEXT_STRUCTS.get(type)?.includes(name) === true;
