import type { HostArguments } from "../../engine/helpers.js";
import type { HelperContext } from "../helpers/types.js";
import type { Pair } from "../host.js";
import type { KfuncEntry } from "./types.js";

/** Whose references they are: a part of the host. */
type Owner = "taskReferences" | "cgroupReferences";

const pair = (args: HostArguments, k: number): Pair => ({ low: args.low(k), high: args.high(k) });

const tell = (args: HostArguments, found: Pair | null | undefined): undefined => {
  if (found) args.setResult(found.low, found.high);
};

/** Takes a reference to what is at argument 0, or none if it is about to go away. */
const acquire =
  (owner: Owner) =>
  (args: HostArguments, { host }: HelperContext): undefined => {
    const at = pair(args, 0);
    tell(args, host[owner]?.acquire(at) === true ? at : null);
  };

const release =
  (owner: Owner) =>
  (args: HostArguments, { host }: HelperContext): undefined => {
    host[owner]?.release(pair(args, 0));
  };

const find =
  (owner: Owner, number: (args: HostArguments) => number) =>
  (args: HostArguments, { host }: HelperContext): undefined =>
    tell(args, host[owner]?.find(number(args)));

/** Questions about what is above what. */
const RELATIONS: readonly KfuncEntry[] = [
  {
    name: "bpf_cgroup_ancestor",
    needs: "cgroupAncestor",
    call: (args, { host }) => tell(args, host.cgroupAncestor?.(pair(args, 0), args.low(1) | 0)),
  },
  {
    name: "bpf_task_under_cgroup",
    needs: "taskUnderCgroup",
    call: (args, { host }) => Number(host.taskUnderCgroup?.(pair(args, 0), pair(args, 1)) ?? false),
  },
  {
    name: "bpf_task_get_cgroup1",
    needs: "taskCgroup1",
    call: (args, { host }) => tell(args, host.taskCgroup1?.(pair(args, 0), args.low(1) | 0)),
  },
];

const of = (owner: Owner, rows: readonly (readonly [string, KfuncEntry["call"]])[]): KfuncEntry[] =>
  rows.map(([name, call]) => ({ name, needs: owner, call }));

/** References to what the system has: tasks and cgroups, which the host counts (kernel/bpf/helpers.c). */
export const REFERENCE_KFUNCS: readonly KfuncEntry[] = [
  ...RELATIONS,
  ...of("taskReferences", [
    ["bpf_task_acquire", acquire("taskReferences")],
    ["bpf_task_release", release("taskReferences")],
    ["bpf_task_from_pid", find("taskReferences", (args) => args.low(0) | 0)],
  ]),
  ...of("cgroupReferences", [
    ["bpf_cgroup_acquire", acquire("cgroupReferences")],
    ["bpf_cgroup_release", release("cgroupReferences")],
    ["bpf_cgroup_from_id", find("cgroupReferences", (args) => args.number(0))],
  ]),
];
