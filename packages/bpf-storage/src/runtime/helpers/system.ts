import type { HostArguments } from "../../engine/helpers.js";
import { ERRNO } from "../../errors.js";
import type { HelperContext, HelperEntry } from "./types.js";

const TASK_COMM = 16;

/** A result of 64 bits. */
const wide = (args: HostArguments, value: bigint): undefined => {
  args.setResult(Number(value & 0xffffffffn), Number((value >> 32n) & 0xffffffffn));
};

const ktime = (args: HostArguments, { now }: HelperContext): undefined => wide(args, now());

/** Ticks a second (`CONFIG_HZ`), and those that count as gone when a system starts: all but five minutes of 32 bits. */
const HZ = 250n;
const INITIAL_JIFFIES = (1n << 32n) - 300n * HZ;

/** Clears what the kernel would write: which namespace the task is in is not known. */
const namespacePid = (args: HostArguments, { arena }: HelperContext): number => {
  arena.u8.fill(0, args.low(2), args.low(2) + args.low(3));
  return -ERRNO.EINVAL;
};

const ROOT_CGROUP = 1n;

const currentTask = (args: HostArguments, { task }: HelperContext): undefined => {
  const { low, high } = task().address;
  args.setResult(low, high);
};

/** Copies the task's name, ended by NUL (`bpf_get_current_comm`). */
const comm = (args: HostArguments, { arena, task }: HelperContext): number => {
  const [to, size] = [args.low(0), args.low(1)];
  if (size === 0) return -ERRNO.EINVAL;
  const name = task().comm.subarray(0, Math.min(size, TASK_COMM) - 1);
  const bytes = arena.u8;
  bytes.fill(0, to, to + size);
  bytes.set(name, to);
  return 0;
};

const random = (_args: HostArguments, { host }: HelperContext): number =>
  host.random?.() ?? Math.floor(Math.random() * 2 ** 32);

/** Helpers that tell about the task, the time and the CPU. */
export const SYSTEM_HELPERS: readonly HelperEntry[] = [
  { id: 5, name: "ktime_get_ns", call: ktime },
  { id: 7, name: "get_prandom_u32", call: random },
  { id: 8, name: "get_smp_processor_id", call: (_args, { cpu }) => cpu() },
  {
    id: 14,
    name: "get_current_pid_tgid",
    call: (args, { task }) => {
      const { pid, tid } = task();
      args.setResult(tid, pid);
      return undefined;
    },
  },
  {
    id: 15,
    name: "get_current_uid_gid",
    call: (args, { task }) => {
      const { uid, gid } = task();
      args.setResult(uid, gid);
      return undefined;
    },
  },
  { id: 16, name: "get_current_comm", call: comm },
  { id: 35, name: "get_current_task", call: currentTask },
  // One program runs at a time: a lock is free, and nobody waits for it.
  { id: 93, name: "spin_lock", call: () => 0 },
  { id: 94, name: "spin_unlock", call: () => 0 },
  { id: 42, name: "get_numa_node_id", call: () => 0 },
  { id: 80, name: "get_current_cgroup_id", call: (args, { host }) => wide(args, host.cgroupId?.() ?? ROOT_CGROUP) },
  {
    id: 118,
    name: "jiffies64",
    call: (args, { now }) => wide(args, INITIAL_JIFFIES + (now() * HZ) / 1_000_000_000n),
  },
  { id: 120, name: "get_ns_current_pid_tgid", call: namespacePid },
  {
    id: 123,
    name: "get_current_ancestor_cgroup_id",
    call: (args, { host }) => {
      const level = args.low(0) | 0;
      return wide(args, host.cgroupId?.(level) ?? (level === 0 ? ROOT_CGROUP : 0n));
    },
  },
  { id: 125, name: "ktime_get_boot_ns", call: ktime },
  { id: 158, name: "get_current_task_btf", call: currentTask },
  { id: 160, name: "ktime_get_coarse_ns", call: ktime },
  {
    id: 208,
    name: "ktime_get_tai_ns",
    call: (args, { host }) => wide(args, host.wall?.() ?? BigInt(Date.now()) * 1_000_000n),
  },
];
