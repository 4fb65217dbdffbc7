import type { VcpuState } from "../client/events.js";
import type { LinuxKernel } from "./kernel.js";
import type { GuestReader } from "./reader.js";
import { decodeText } from "./text.js";

/** A task of the guest. */
export interface Task {
  /** Its process: the number that getpid() gives. */
  readonly pid: number;
  /** Its own: the number that gettid() gives. */
  readonly tid: number;
  /** As in /proc/PID/comm: any characters whatever. */
  readonly name: string;
}

const TASK_COMM = 16;
/** Addresses from here on are the kernel's. */
const KERNEL_HALF = 1n << 63n;

/**
 * The task that a vCPU runs at an event, out of the kernel's per-CPU data.
 * @param state of the event
 * @throws {GuestOsError} if the guest has led astray where that lies
 */
export async function running(kernel: LinuxKernel, reader: GuestReader, state: VcpuState): Promise<Task> {
  const task = await reader.u64(perCpu(kernel, state) + currentTask(kernel));
  const member = (name: string): bigint => task + BigInt(kernel.offset("task_struct", name));
  const [name, pid, tid] = await Promise.all([
    reader.read(member("comm"), TASK_COMM),
    reader.u32(member("tgid")),
    reader.u32(member("pid")),
  ]);
  const end = name.indexOf(0);
  return { pid, tid, name: decodeText(end < 0 ? name : name.subarray(0, end)) };
}

/** Where per-CPU data lies: the base of GS, which user mode, and the kernel until it has executed SWAPGS, has put aside. */
function perCpu(kernel: LinuxKernel, { regs, sregs, msrs }: VcpuState): bigint {
  const user = (sregs.cs.selector & 3) !== 0 || regs.rip === kernel.symbols.get("entry_SYSCALL_64");
  return user || sregs.gs.base < KERNEL_HALF ? msrs.shadow_gs : sregs.gs.base;
}

/** Offset of the pointer to the running task. Since 6.2 it is the first member of pcpu_hot; before, and again since 6.15, a variable of its own. */
function currentTask(kernel: LinuxKernel): bigint {
  const hot = kernel.symbols.get("pcpu_hot");
  if (hot === undefined) return kernel.symbol("current_task");
  return hot + BigInt(kernel.types.member("pcpu_hot", "current_task")?.offset ?? 0);
}
