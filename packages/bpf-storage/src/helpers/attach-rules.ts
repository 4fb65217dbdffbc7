import { AttachType, ProgramType } from "../uapi/program-types.js";

/**
 * Helpers that only programs of some attach types may call. Source: cgroup_common_func_proto (kernel/bpf/cgroup.c),
 * sock_addr_func_proto (net/core/filter.c), cg_sockopt_func_proto, bpf_lsm_func_proto and tracing_prog_func_proto of linux 6.12.
 */

/** Numbers of `enum bpf_attach_type` that cgroup programs have. */
const Attach = {
  ...{ inetIngress: 0, inetEgress: 1, sockOps: 3 },
  ...{ inet4Connect: 10, inet6Connect: 11 },
  ...{ udp4Recvmsg: 19, udp6Recvmsg: 20, setsockopt: 22 },
  ...{ inet4Getpeername: 29, inet6Getpeername: 30, inet4Getsockname: 31, inet6Getsockname: 32 },
  ...{ unixRecvmsg: 51, unixGetpeername: 52, unixGetsockname: 53 },
} as const;

/** Hooks whose result is not asked for: there is none to read or to set. */
const WITHOUT_RESULT: readonly number[] = [
  ...[Attach.inetIngress, Attach.inetEgress, Attach.sockOps, Attach.udp4Recvmsg, Attach.udp6Recvmsg],
  ...[Attach.inet4Getpeername, Attach.inet6Getpeername, Attach.inet4Getsockname, Attach.inet6Getsockname],
  ...[Attach.unixRecvmsg, Attach.unixGetpeername, Attach.unixGetsockname],
];
/** Programs on addresses of unix sockets may set no options when the name of a socket is asked for. */
const WITHOUT_OPTIONS: readonly number[] = [Attach.unixGetpeername, Attach.unixGetsockname];
const CONNECTS: readonly number[] = [Attach.inet4Connect, Attach.inet6Connect];
const TRAMPOLINES: readonly number[] = [
  ...[AttachType.TraceFentry, AttachType.TraceFexit, AttachType.ModifyReturn, AttachType.LsmMac],
];

/** Whether programs of this kind, attached so, may call a helper that programs of the kind may call in general. */
export const isAvailableTo = (type: ProgramType, attach: number, name: string): boolean => {
  switch (name) {
    case "get_retval":
    case "set_retval":
      return !WITHOUT_RESULT.includes(attach);
    case "bind":
      return CONNECTS.includes(attach);
    case "setsockopt":
    case "getsockopt":
      if (type === ProgramType.CgroupSockAddr) return !WITHOUT_OPTIONS.includes(attach);
      return type !== ProgramType.CgroupSockopt || attach === Attach.setsockopt;
    case "get_func_arg":
    case "get_func_ret":
    case "get_func_arg_cnt":
      return TRAMPOLINES.includes(attach);
    case "get_attach_cookie":
      if (type === ProgramType.Tracing && attach === AttachType.TraceRawTp) return true;
      return (
        ![ProgramType.Tracing, ProgramType.Lsm, ProgramType.Syscall].some((each) => each === type) ||
        TRAMPOLINES.includes(attach)
      );
    case "seq_printf":
    case "seq_write":
    case "seq_printf_btf":
      return attach === AttachType.TraceIter;
    default:
      return true;
  }
};
