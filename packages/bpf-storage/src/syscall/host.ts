import type { Btf } from "../btf/btf.js";
import type { AttachPort } from "./attach-point.js";
import type { Access, BpfFile, SyscallObject } from "./file.js";
import type { PerfRing } from "./perf-ring.js";
import type { UserPort } from "./user-memory.js";

/** What a caller may be allowed, by the names of linux/capability.h; CAP_SYS_ADMIN stands for all others. */
export type Capability = "CAP_BPF" | "CAP_PERFMON" | "CAP_NET_ADMIN" | "CAP_SYS_ADMIN";

/**
 * What bpf(2) asks of the system that it is a call of. Descriptors, memory and capabilities are those of the task that is calling. What is left out
 * the system does not have.
 *
 * Owners of storage are asked of the runtime's host (`RuntimeHost.tasks` and its like): their `fromFd` says what a descriptor stands for.
 */
export interface SyscallHost extends UserPort {
  /** A new descriptor, closed on exec, for a file that is open as long as it is not closed; or a negative errno. The host calls {@link BpfFile.close} when the last descriptor of the file is closed. */
  readonly install: (file: BpfFile) => number;
  /** What a descriptor stands for: null for a file of another kind, undefined for none. */
  readonly file: (fd: number) => BpfFile | null | undefined;
  /** Default: whoever calls may do everything. */
  readonly capable?: (capability: Capability) => boolean;
  /** User that calls. Default: 0. */
  readonly uid?: () => number;
  /** `kernel.unprivileged_bpf_disabled` is 0: callers without CAP_BPF may make some maps. Default: false. */
  readonly unprivileged?: boolean;
  /** The types of the kernel (`/sys/kernel/btf/vmlinux`). */
  readonly kernelBtf?: Btf;
  /** Address of a variable of the kernel, for programs that name it. */
  readonly symbol?: (name: string) => bigint | undefined;
  /** Nanoseconds since the system started. Default: 0. */
  readonly now?: () => bigint;
  /** Whether a call that takes long is to end: a signal has come. Default: after {@link RUNS_MOST} runs. */
  readonly interrupted?: () => boolean;
  /**
   * Makes a file in a bpf file system that holds an object.
   * @param folder descriptor of the folder where a relative path begins; null: the working directory
   * @returns 0, or a negative errno: EPERM where there is no such file system, EEXIST, ENOENT. Of 0 the object is held for the file: the host calls its `putUser` when that is removed.
   */
  readonly pin?: (path: string, folder: number | null, object: SyscallObject) => number;
  /** The object that a file of a bpf file system holds, if it may be accessed so; or a negative errno: EACCES for other files, ENOENT. */
  readonly pinned?: (path: string, folder: number | null, access: Access) => SyscallObject | number;
  /** What programs can be attached to. */
  readonly attach?: AttachPort;
  /** The ring of a perf event, by its descriptor: EBADF if it is none. */
  readonly perfEvent?: (fd: number) => PerfRing | number;
  /** What BPF_TASK_FD_QUERY tells of a descriptor of a process is not known here: the host answers, with a negative errno or 0. */
  readonly taskFdQuery?: (pid: number, fd: number, attributes: Uint8Array) => number;
}

/** Runs of one BPF_PROG_TEST_RUN where nothing can interrupt it. */
export const RUNS_MOST = 1 << 20;
