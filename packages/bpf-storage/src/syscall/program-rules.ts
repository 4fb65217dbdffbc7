import type { Generation } from "../storage/storage-helpers.js";
import { ProgramType } from "../uapi/program-types.js";

/** Flags of BPF_PROG_LOAD. */
export const ProgFlag = {
  ...({
    StrictAlignment: 1,
    AnyAlignment: 2,
    TestRndHi32: 4,
    TestStateFreq: 8,
    Sleepable: 16,
    XdpHasFrags: 32,
  } as const),
  ...({ XdpDevBoundOnly: 64, TestRegInvariants: 128, TokenFd: 1 << 16 } as const),
} as const;
const OLD_FLAGS = 0x3f;
const FLAGS: Readonly<Record<Generation, number>> = { "6.1": OLD_FLAGS, "6.12": OLD_FLAGS | 0xc0 | ProgFlag.TokenFd };

export const knownFlags = (flags: number, generation: Generation): boolean => (flags & ~FLAGS[generation]) === 0;

/** The last kind of programs that a generation has. */
const LAST_TYPE: Readonly<Record<Generation, number>> = {
  "6.1": ProgramType.Syscall,
  "6.12": ProgramType.Netfilter,
};
export const hasType = (type: number, generation: Generation): boolean => type >= 1 && type <= LAST_TYPE[generation];

const P = ProgramType;

/** Programs of networks, which ask for CAP_NET_ADMIN, and of tracing, which ask for CAP_PERFMON (`is_net_admin_prog_type`, `is_perfmon_prog_type`). */
export const NET_ADMIN: ReadonlySet<number> = new Set([
  ...[P.SchedCls, P.SchedAct, P.Xdp, P.LwtIn, P.LwtOut, P.LwtXmit, P.LwtSeg6local, P.SkSkb, P.SkMsg, P.FlowDissector],
  ...[P.CgroupDevice, P.CgroupSock, P.CgroupSockAddr, P.CgroupSockopt, P.CgroupSysctl, P.SockOps, P.Ext, P.Netfilter],
]);
export const PERFMON: ReadonlySet<number> = new Set([
  ...[P.Kprobe, P.Tracepoint, P.PerfEvent, P.RawTracepoint, P.RawTracepointWritable, P.Tracing, P.Lsm, P.StructOps],
  P.Ext,
]);

/** Numbers of `enum bpf_attach_type` by the kind of programs that are attached so (`attach_type_to_prog_type`). */
const ATTACH: ReadonlyMap<number, readonly number[]> = new Map<number, readonly number[]>([
  [P.CgroupSkb, [0, 1]],
  [P.CgroupSock, [2, 12, 13, 34]],
  [P.SockOps, [3]],
  [P.SkSkb, [4, 5, 38]],
  [P.CgroupDevice, [6]],
  [P.SkMsg, [7]],
  [P.CgroupSockAddr, [8, 9, 10, 11, 14, 15, 19, 20, 29, 30, 31, 32, 49, 50, 51, 52, 53]],
  [P.LircMode2, [16]],
  [P.FlowDissector, [17]],
  [P.CgroupSysctl, [18]],
  [P.CgroupSockopt, [21, 22]],
  [P.Tracing, [23, 24, 25, 26, 28]],
  [P.Lsm, [27, 43]],
  [P.SkLookup, [36]],
  [P.Xdp, [37]],
  [P.SchedCls, [46, 47, 54, 55]],
]);
/** The first attach type that generation 6.1 does not have. */
const NEWER_ATTACH = 45;

/** The kind of programs that is attached so; 0 if there is none. */
export function typeOfAttach(attach: number, generation: Generation): number {
  if (generation === "6.1" && attach >= NEWER_ATTACH) return 0;
  for (const [type, numbers] of ATTACH) if (numbers.includes(attach)) return type;
  return 0;
}

/** Kinds of programs that must say how they are attached. */
const STRICT: ReadonlySet<number> = new Set([
  ...[P.CgroupSock, P.CgroupSockAddr, P.CgroupSkb, P.CgroupSockopt, P.SkLookup],
]);
const REUSEPORT: readonly number[] = [39, 40];
const NETFILTER = 45;
const SOCK_CREATE = 2;
const NAMES_TARGET: ReadonlySet<number> = new Set([P.Tracing, P.Lsm, P.StructOps, P.Ext]);
const MOST_TYPE = 0xfffff;

/** What loaders of old left out (`bpf_prog_load_fixup_attach_type`). */
export function fixedAttach(type: number, attach: number): number {
  if (attach !== 0) return attach;
  return type === P.CgroupSock ? SOCK_CREATE : type === P.SkReuseport ? (REUSEPORT[0] as number) : 0;
}

/** Whether a program may be loaded to be attached so (`bpf_prog_load_check_attach`). @param target number of a type of the kernel's that it is attached to; 0: none */
export function mayAttach(
  type: number,
  attach: number,
  target: number,
  types: boolean,
  generation: Generation,
): boolean {
  if (target !== 0 && (target > MOST_TYPE || !types || !NAMES_TARGET.has(type))) return false;
  if (types && target === 0) return false;
  if (STRICT.has(type)) return typeOfAttach(attach, generation) === type;
  if (type === P.SkReuseport) return REUSEPORT.includes(attach);
  if (type === P.Netfilter) return attach === NETFILTER;
  return (type !== P.Syscall && type !== P.Ext) || attach === 0;
}
