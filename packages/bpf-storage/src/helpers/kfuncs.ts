import { ProgramType } from "../uapi/program-types.js";

/**
 * Functions of the kernel that programs call by their number in its type information. Arguments and results are those of their types
 * there; here stands what those do not say. Source: linux 6.12, kernel/bpf/helpers.c, kernel/trace/bpf_trace.c, fs/bpf_fs_kfuncs.c.
 */
export interface Kfunc {
  readonly name: string;
  /** Lends what it returns. */
  readonly acquires: boolean;
  /** Takes a reference back. */
  readonly releases: boolean;
  readonly mayReturnNull: boolean;
  /** Pointers that RCU protects will do; else they must be trusted. */
  readonly acceptsRcu: boolean;
  readonly mightSleep: boolean;
  readonly programs: "all" | "generic" | "lsm";
  /** Begins or ends a region. */
  readonly region: "rcu-lock" | "rcu-unlock" | "preempt-disable" | "preempt-enable" | undefined;
}

type Row = readonly [name: string, flags: string, programs: Kfunc["programs"], region?: Kfunc["region"]];

const ROWS: readonly Row[] = [
  ["bpf_rcu_read_lock", "", "all", "rcu-lock"],
  ["bpf_rcu_read_unlock", "", "all", "rcu-unlock"],
  ["bpf_preempt_disable", "", "all", "preempt-disable"],
  ["bpf_preempt_enable", "", "all", "preempt-enable"],
  ["bpf_task_acquire", "acquire rcu null", "generic"],
  ["bpf_task_release", "release", "generic"],
  ["bpf_task_from_pid", "acquire null", "generic"],
  ["bpf_cgroup_acquire", "acquire rcu null", "generic"],
  ["bpf_cgroup_release", "release", "generic"],
  ["bpf_cgroup_ancestor", "acquire rcu null", "generic"],
  ["bpf_cgroup_from_id", "acquire null", "generic"],
  ["bpf_task_under_cgroup", "rcu", "generic"],
  ["bpf_task_get_cgroup1", "acquire rcu null", "generic"],
  ["bpf_get_task_exe_file", "acquire null", "lsm"],
  ["bpf_put_file", "release", "lsm"],
  ["bpf_lookup_user_key", "acquire null sleeps", "lsm"],
  ["bpf_lookup_system_key", "acquire null", "lsm"],
  ["bpf_key_put", "release", "lsm"],
];

const parse = ([name, flags, programs, region]: Row): Kfunc => {
  const has = (flag: string): boolean => flags.split(" ").includes(flag);
  return {
    ...{ name, programs, region, acquires: has("acquire"), releases: has("release"), mayReturnNull: has("null") },
    ...{ acceptsRcu: has("rcu"), mightSleep: has("sleeps") },
  };
};

const BY_NAME = new Map(ROWS.map((row) => [row[0], parse(row)]));

const GENERIC: readonly ProgramType[] = [
  ...[ProgramType.Tracing, ProgramType.Tracepoint, ProgramType.PerfEvent, ProgramType.Lsm, ProgramType.SchedCls],
  ...[ProgramType.SchedAct, ProgramType.Xdp, ProgramType.Syscall, ProgramType.CgroupSkb],
];

/** The function, where programs of that kind may call it. */
export const kfuncFor = (type: ProgramType, name: string): Kfunc | undefined => {
  const found = BY_NAME.get(name);
  if (found === undefined || found.programs === "all") return found;
  if (found.programs === "lsm") return type === ProgramType.Lsm ? found : undefined;
  return GENERIC.includes(type) ? found : undefined;
};

/** Whether the function is known here at all. */
export const isKnownKfunc = (name: string): boolean => BY_NAME.has(name);
