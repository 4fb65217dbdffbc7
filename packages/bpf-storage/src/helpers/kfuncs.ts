import { AttachType, ProgramType } from "../uapi/program-types.js";
import { KFUNC_SETS, type KfuncHook, type KfuncSet, NOT_SUPPORTED } from "./kfunc-table.js";

/**
 * Functions of the kernel that programs call by their number in its type information. Arguments and results are those of their types
 * there; here stands what those do not say.
 */
export interface Kfunc {
  readonly name: string;
  /** Lends what it returns. */
  readonly acquires: boolean;
  /** Takes a reference back. */
  readonly releases: boolean;
  readonly mayReturnNull: boolean;
  /** Pointers must be trusted. */
  readonly wantsTrusted: boolean;
  /** Pointers that RCU protects will do. */
  readonly acceptsRcu: boolean;
  readonly mightSleep: boolean;
  /** What it makes is good as long as RCU protects it. */
  readonly rcuProtected: boolean;
  /** Which function of an open-coded iterator it is. */
  readonly iterator: "new" | "next" | "destroy" | undefined;
}

/** Which of the sets each kind of program may call from, besides the common one. Source: linux 6.12, kernel/bpf/btf.c. */
const HOOKS: ReadonlyMap<ProgramType, KfuncHook> = new Map<ProgramType, KfuncHook>([
  [ProgramType.Xdp, "xdp"],
  [ProgramType.SchedCls, "tc"],
  [ProgramType.SchedAct, "act"],
  [ProgramType.StructOps, "struct_ops"],
  ...([ProgramType.Tracing, ProgramType.Tracepoint, ProgramType.PerfEvent, ProgramType.Lsm] as const).map(
    (type): [ProgramType, KfuncHook] => [type, "tracing"],
  ),
  [ProgramType.Syscall, "syscall"],
  ...(
    [
      ...[ProgramType.CgroupSkb, ProgramType.CgroupSock, ProgramType.CgroupDevice, ProgramType.CgroupSockAddr],
      ...[ProgramType.CgroupSockopt, ProgramType.CgroupSysctl],
    ] as const
  ).map((type): [ProgramType, KfuncHook] => [type, "cgroup"]),
  [ProgramType.SkSkb, "sk_skb"],
  [ProgramType.SocketFilter, "socket"],
  ...([ProgramType.LwtIn, ProgramType.LwtOut, ProgramType.LwtXmit, ProgramType.LwtSeg6local] as const).map(
    (type): [ProgramType, KfuncHook] => [type, "lwt"],
  ),
  [ProgramType.Netfilter, "netfilter"],
  [ProgramType.Kprobe, "kprobe"],
]);

/** Attach type of kprobe programs that run at the entry and at the return (BPF_TRACE_KPROBE_SESSION). */
const KPROBE_SESSION = 56;

const parse = (name: string, text: string): Kfunc => {
  const flags = text.split(" ");
  const has = (flag: string): boolean => flags.includes(flag);
  return {
    ...{ name, acquires: has("acquire"), releases: has("release"), mayReturnNull: has("ret_null") },
    ...{ acceptsRcu: has("rcu"), mightSleep: has("sleepable"), rcuProtected: has("rcu_protected") },
    wantsTrusted: has("trusted_args") || has("release"),
    iterator: has("iter_new") ? "new" : has("iter_next") ? "next" : has("iter_destroy") ? "destroy" : undefined,
  };
};

const BY_NAME: ReadonlyMap<string, { readonly kfunc: Kfunc; readonly set: KfuncSet }> = new Map(
  KFUNC_SETS.flatMap((set) =>
    Object.entries(set.functions).map(([name, flags]) => [name, { kfunc: parse(name, flags), set }] as const),
  ),
);

/** The function, whoever calls it; undefined for what no program may call, or what is not known here. */
export const kfuncNamed = (name: string): Kfunc | undefined => BY_NAME.get(name)?.kfunc;

/** The function, where programs of that kind and attach type may call it. */
export const kfuncFor = (type: ProgramType, attach: number, name: string): Kfunc | undefined => {
  const found = BY_NAME.get(name);
  if (found === undefined) return undefined;
  const { hooks, only } = found.set;
  if (only === "lsm" && type !== ProgramType.Lsm) return undefined;
  if (only === "iter" && attach !== AttachType.TraceIter) return undefined;
  if (only === "session" && attach !== KPROBE_SESSION) return undefined;
  const hook = HOOKS.get(type);
  return hooks.includes("common") || (hook !== undefined && hooks.includes(hook)) ? found.kfunc : undefined;
};

/** Why calls of a function are refused that the kernel allows to some programs; undefined where they are not. */
export const unsupportedKfunc = (name: string): string | undefined => NOT_SUPPORTED[name];
