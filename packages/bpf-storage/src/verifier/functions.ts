import { ProgramType } from "../uapi/program-types.js";
import type { Env } from "./env.js";
import { DISABLED_HOOKS, isSleepableHook } from "./lsm-hooks.js";
import { checkStructOps } from "./struct-ops.js";

/** What the loader said of the functions of a program. */

/** Takes in the function information; without it, functions may neither be pointed to nor use LD_ABS or tail calls. */
export const readFunctions = (env: Env): void => {
  const { funcInfo, programBtf } = env.request;
  if (funcInfo === undefined || funcInfo.length === 0) {
    for (const subprogram of env.subprograms.slice(1)) {
      if (subprogram.hasLdAbs) env.fail("EINVAL", "LD_ABS is not allowed in subprogs without BTF");
      if (subprogram.hasTailCall) env.fail("EINVAL", "tail_call is not allowed in subprogs without BTF");
    }
    return;
  }
  if (programBtf === undefined) env.fail("EINVAL", "func_info needs the type information of the program");
  if (funcInfo.length !== env.subprograms.length)
    env.fail("EINVAL", "number of funcs in func_info doesn't match number of subprogs");
  funcInfo.forEach((info, k) => {
    const subprogram = env.subprograms[k];
    if (subprogram === undefined || subprogram.start !== info.insn)
      env.fail("EINVAL", "func_info BTF section doesn't match subprog layout in BPF program");
    const shape = programBtf.shape(info.type);
    if (shape?.kind !== "func") env.fail("EINVAL", `invalid type id ${info.type} in func info`);
    const linkage = info.isStatic === true ? "static" : shape.linkage;
    subprogram.info = { id: info.type, name: shape.name, proto: shape.proto, linkage };
    const result = programBtf.shape(programBtf.returns(shape.proto));
    const isNumber = result?.kind === "int" || result?.kind === "enum";
    if (k > 0 && !isNumber && subprogram.hasLdAbs)
      env.fail("EINVAL", "LD_ABS is only allowed in functions that return 'int'.");
    if (k > 0 && !isNumber && subprogram.hasTailCall)
      env.fail("EINVAL", "tail_call is only allowed in functions that return 'int'.");
  });
};

/** Kinds of programs whose rules are known here; others are refused rather than guessed at. */
const KNOWN: readonly ProgramType[] = [
  ...[ProgramType.SocketFilter, ProgramType.Kprobe, ProgramType.SchedCls, ProgramType.SchedAct, ProgramType.Tracepoint],
  ...[ProgramType.Xdp, ProgramType.PerfEvent, ProgramType.CgroupSkb, ProgramType.CgroupSock, ProgramType.LwtIn],
  ...[ProgramType.LwtOut, ProgramType.LwtXmit, ProgramType.SockOps, ProgramType.SkSkb, ProgramType.CgroupDevice],
  ...[ProgramType.SkMsg, ProgramType.RawTracepoint, ProgramType.RawTracepointWritable, ProgramType.CgroupSockAddr],
  ...[ProgramType.SkReuseport, ProgramType.FlowDissector, ProgramType.CgroupSysctl, ProgramType.CgroupSockopt],
  ...[ProgramType.Tracing, ProgramType.Lsm, ProgramType.SkLookup, ProgramType.Syscall, ProgramType.Netfilter],
  ...[ProgramType.LwtSeg6local, ProgramType.StructOps],
];

/** Refuses kinds of programs that are not known here. */
export const checkProgramType = (env: Env): void => {
  if (!KNOWN.includes(env.type)) env.fail("EINVAL", `program type ${env.type} is not supported by this verifier`);
};

/** Refuses programs that sleep where programs of their kind may not, or that are attached to what takes none (check_attach_btf_id). */
export const checkAttachment = (env: Env): void => {
  const { type, request } = env;
  const sleeps: readonly ProgramType[] = [
    ProgramType.Tracing,
    ProgramType.Lsm,
    ProgramType.Kprobe,
    ProgramType.Syscall,
    ProgramType.StructOps,
  ];
  if (request.sleepable === true && !sleeps.includes(type))
    env.fail("EINVAL", "Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops programs can be sleepable");
  if (type === ProgramType.StructOps) checkStructOps(env);
  if (type === ProgramType.Lsm && DISABLED_HOOKS.has(request.attachTo?.name ?? ""))
    env.fail("EINVAL", `points to disabled hook ${request.attachTo?.name}`);
  if (type === ProgramType.Lsm && request.sleepable === true && !isSleepableHook(request.attachTo?.name))
    env.fail("EINVAL", `${request.attachTo?.name} is not sleepable`);
  if (type === ProgramType.Syscall && request.sleepable === false)
    env.fail("EINVAL", "Syscall programs can only be sleepable");
};
