/** What system calls do with the time namespaces of a task (`kernel/nsproxy.c`, `kernel/fork.c`, `kernel/time/namespace.c`). */
import { LinuxError } from "../errors.js";
import { Capability, type NsProxy, type Task, type UserNamespace } from "./ports.js";
import { CLONE_NEWTIME, type TimeNamespace } from "./time-namespace.js";
import type { TimeNamespaces } from "./time-namespaces.js";

/** Flags of clone(2) that matter here, besides {@link CLONE_NEWTIME} (uapi `linux/sched.h`). */
export enum CloneFlag {
  Vm = 0x0000_0100,
  Thread = 0x0001_0000,
  Detached = 0x0040_0000,
}

/** Bits of clone(2) that are a signal. */
const CSIGNAL = 0xff;
/** Flags of setns(2) on a pidfd: NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
const SETNS_FLAGS = 0x7e02_0080;

export interface TimeCallsDesc {
  readonly namespaces: TimeNamespaces;
  /**
   * "6.1": a task whose children will be in another namespace makes no child that shares its memory, and execve changes nothing. Otherwise, as since 6.2, such a
   * child stays in the namespace of its parent, and changes with execve.
   */
  readonly compat?: "6.1";
  /** Whether a task may look into another (`ptrace_may_access`, `PTRACE_MODE_READ_REALCREDS`). */
  mayAccess(task: Task, target: Task): boolean;
}

/** Each call is the part of its system call that is about time namespaces. Where one throws a LinuxError nothing has changed. */
export class TimeCalls {
  readonly #desc: TimeCallsDesc;

  constructor(desc: TimeCallsDesc) {
    this.#desc = desc;
  }

  /** Makes the first task one of the first namespace. */
  init(task: Task): void {
    const { root } = this.#desc.namespaces;
    task.nsproxy = { timeNs: root.get(), timeNsForChildren: root.get() };
  }

  /**
   * unshare(2): with `CLONE_NEWTIME` the children of the task will be in a new namespace, the task itself stays where it is.
   * @param userNs who owns it: with `CLONE_NEWUSER` the new user namespace
   * @throws LinuxError EPERM, ENOSPC, ENOMEM
   */
  unshare(task: Task, flags: number, userNs: UserNamespace = task.cred.userNs): void {
    if ((flags & CLONE_NEWTIME) === 0) return;
    const { timeNs, timeNsForChildren } = proxyOf(task);
    const created = this.#create(task, userNs, timeNsForChildren);
    timeNsForChildren.put();
    task.nsproxy = { timeNs, timeNsForChildren: created };
  }

  /** clone(2), fork(2), vfork(2) and pthread_create(3). The lowest 8 bits of `flags` are a signal: none of them is `CLONE_NEWTIME`. */
  clone(parent: Task, child: Task, flags: number): void {
    this.#copy(parent, child, flags & ~CSIGNAL);
  }

  /** clone3(2). @param flags the lower 32 of its 64 bits count here @throws LinuxError EINVAL, EPERM, ENOSPC, ENOMEM */
  clone3(parent: Task, child: Task, flags: number): void {
    if ((flags & (CloneFlag.Detached | (CSIGNAL & ~CLONE_NEWTIME))) !== 0)
      throw new LinuxError(
        "EINVAL",
        `clone3 flags 0x${flags.toString(16)}: of the lowest 8 bits only CLONE_NEWTIME, no CLONE_DETACHED`,
      );
    this.#copy(parent, child, flags);
  }

  /** execve(2), when the task has its new memory. */
  execve(task: Task): void {
    const proxy = proxyOf(task);
    if (this.#desc.compat === "6.1" || proxy.timeNs === proxy.timeNsForChildren) return;
    proxy.timeNs.put();
    join(task, proxy.timeNsForChildren.get(), proxy.timeNsForChildren);
  }

  /**
   * setns(2) on a descriptor of `/proc/PID/ns/time` or `time_for_children`: the task and its children move to that namespace, and its offsets are final.
   * @param flags 0 or `CLONE_NEWTIME`
   * @throws LinuxError EINVAL, EUSERS: somebody else runs in the memory of the task, EPERM
   */
  setns(task: Task, namespace: TimeNamespace, flags: number): void {
    if (flags !== 0 && flags !== CLONE_NEWTIME)
      throw new LinuxError(
        "EINVAL",
        `setns to a time namespace with 0x${flags.toString(16)}: expected 0 or CLONE_NEWTIME`,
      );
    this.#install(task, namespace, task.cred.userNs);
  }

  /**
   * setns(2) on a pidfd: with `CLONE_NEWTIME` to the namespace that `target` is in. The kernel has all its namespaces change or none, so what may refuse has
   * to be called before.
   * @param target null: gone
   * @param userNs with `CLONE_NEWUSER` that of the target
   * @throws LinuxError EINVAL, ESRCH, EPERM, EUSERS
   */
  setnsPidfd(task: Task, target: Task | null, flags: number, userNs: UserNamespace = task.cred.userNs): void {
    if (flags === 0 || (flags & ~SETNS_FLAGS) !== 0)
      throw new LinuxError("EINVAL", `setns on a pidfd with 0x${flags.toString(16)}: expected flags of namespaces`);
    if (target === null) throw new LinuxError("ESRCH", "the task of the pidfd is gone");
    if (!this.#desc.mayAccess(task, target))
      throw new LinuxError("EPERM", "the task of the pidfd may not be looked into");
    const proxy = proxyOf(target);
    if ((flags & CLONE_NEWTIME) !== 0) this.#install(task, proxy.timeNs, userNs);
  }

  /** The task is gone, and so may be its namespaces. */
  exit(task: Task): void {
    const { timeNs, timeNsForChildren } = proxyOf(task);
    task.nsproxy = null;
    timeNs.put();
    timeNsForChildren.put();
  }

  #copy(parent: Task, child: Task, flags: number): void {
    const { timeNs, timeNsForChildren } = proxyOf(parent);
    const old = this.#desc.compat === "6.1";
    if (old && (flags & (CloneFlag.Vm | CloneFlag.Thread)) !== 0 && timeNs !== timeNsForChildren)
      throw new LinuxError("EINVAL", "a child in another time namespace cannot share memory with its parent");
    const forChildren =
      (flags & CLONE_NEWTIME) === 0
        ? timeNsForChildren.get()
        : this.#create(parent, child.cred.userNs, timeNsForChildren);
    const stays = timeNs === forChildren || ((flags & CloneFlag.Vm) !== 0 && !old);
    if (stays) child.nsproxy = { timeNs: timeNs.get(), timeNsForChildren: forChildren };
    else join(child, forChildren.get(), forChildren);
  }

  #create(task: Task, userNs: UserNamespace, old: TimeNamespace): TimeNamespace {
    if (!task.cred.capable(userNs, Capability.SysAdmin))
      throw new LinuxError("EPERM", "a time namespace is made with CAP_SYS_ADMIN");
    return this.#desc.namespaces.create(userNs, task.cred.euid, old);
  }

  #install(task: Task, namespace: TimeNamespace, userNs: UserNamespace): void {
    if (!task.singleThreaded())
      throw new LinuxError("EUSERS", "a time namespace changes for all memory: expected one thread");
    const { cred } = task;
    if (!cred.capable(namespace.userNs, Capability.SysAdmin) || !cred.capable(userNs, Capability.SysAdmin))
      throw new LinuxError("EPERM", "setns to a time namespace takes CAP_SYS_ADMIN, here and in its user namespace");
    const { timeNs, timeNsForChildren } = proxyOf(task);
    join(task, namespace.get(), namespace.get());
    timeNs.put();
    timeNsForChildren.put();
  }
}

/** @throws LinuxError ESRCH: the task is gone */
export function proxyOf({ nsproxy }: Task): NsProxy {
  if (nsproxy === null) throw new LinuxError("ESRCH", "the task has no namespaces any more");
  return nsproxy;
}

/** From here on the task sees `timeNs` (`timens_commit`). */
function join(task: Task, timeNs: TimeNamespace, timeNsForChildren: TimeNamespace): void {
  timeNs.enter();
  task.nsproxy = { timeNs, timeNsForChildren };
  task.joinTimens();
}
