import type { Owners } from "../storage/owners.js";

/** A value of 64 bits by its halves. */
export interface Pair {
  low: number;
  high: number;
}

/** The task that a program runs in. */
export interface RunningTask {
  /** Its pointer. */
  readonly address: Pair;
  /** The number of its process (`tgid`). */
  readonly pid: number;
  /** Its own number (`pid`). */
  readonly tid: number;
  readonly uid: number;
  readonly gid: number;
  /** At most 15 bytes. */
  readonly comm: Uint8Array;
}

/** Objects of the system that programs hold references to. */
export interface References {
  /** Takes one more; false if the object is about to go away. */
  readonly acquire: (at: Pair) => boolean;
  readonly release: (at: Pair) => void;
  /** The object with a number (of a task its own, of a cgroup its id), with a reference to it. */
  readonly find: (number: number) => Pair | null;
}

/** What programs ask of the system that they run in, whatever that is: a booted kernel seen from outside, a personality, a test. */
export interface RuntimeHost {
  /** Number of CPUs, and the one that is running. Default: one. */
  readonly cpus?: number;
  readonly cpu?: () => number;
  /** Nanoseconds since the system started. Default: those of `performance.now()`. */
  readonly now?: () => bigint;
  /** Default: none, 0 in all that is told of it. */
  readonly task?: () => RunningTask;
  /** Reads kernel memory at `high:low` that is not this runtime's; false, with nothing written, if it is not there. */
  readonly readKernel?: (low: number, high: number, into: Uint8Array) => boolean;
  /** Reads memory of the running process. */
  readonly readUser?: (low: number, high: number, into: Uint8Array) => boolean;
  /** Owners of storage, by kind. */
  readonly tasks?: Owners;
  readonly inodes?: Owners;
  readonly sockets?: Owners;
  readonly cgroups?: Owners;
  /** A record for a perf event array; the bytes are the caller's. False: there is no reader for the CPU. */
  readonly perfEvent?: (mapId: number, cpu: number, bytes: Uint8Array) => boolean;
  /** There are records to be read in a ring buffer, whose map has this number: called while the program that has put them in is still running. */
  readonly records?: (mapId: number) => void;
  /** Bytes for the file that an iterator writes to, which is at `high:low`; false: there is no room for them. Default: programs that write there are refused. */
  readonly seqWrite?: (low: number, high: number, bytes: Uint8Array) => boolean;
  /** Nanoseconds since 1970. Default: those of `Date.now()`. */
  readonly wall?: () => bigint;
  /** Return addresses, the innermost first: of the kernel, or of the running process; null if they cannot be told. Default: they cannot. */
  readonly stack?: (user: boolean) => readonly Pair[] | null;
  /** Sends a signal to the running process, or to its thread that runs. @returns 0 or a negative errno. Default: -EPERM. */
  readonly sendSignal?: (signal: number, thread: boolean) => number;
  /** The name of the `struct path` at `high:low`; null if there is none. */
  readonly path?: (low: number, high: number) => Uint8Array | null;
  /** Number of the running task's cgroup, or of the one that is so many levels below the root above it; 0 if it has none there. Default: that of the root, 1. */
  readonly cgroupId?: (level?: number) => bigint;
  /** The part of a CPU of the variable at `high:low` of which each has its own. Default: none. */
  readonly perCpu?: (low: number, high: number, cpu: number) => Pair | null;
  /** Tasks and cgroups that programs hold references to. Default: programs that do are refused. */
  readonly taskReferences?: References;
  readonly cgroupReferences?: References;
  /** The cgroup so many levels below the root above the one at `of`, with a reference to it. Default: programs that ask are refused. */
  readonly cgroupAncestor?: (of: Pair, level: number) => Pair | null;
  /** Whether a task is in a cgroup, or in one below it. Default: programs that ask are refused. */
  readonly taskUnderCgroup?: (task: Pair, cgroup: Pair) => boolean;
  /** The cgroup that a task is in, in the hierarchy of version 1 with a number, with a reference to it; null if there is none. Default: programs that ask are refused. */
  readonly taskCgroup1?: (task: Pair, hierarchy: number) => Pair | null;
  /** Whether there is a whole socket of TCP at `high:low`. Default: programs that ask are refused. */
  readonly tcpSocket?: (low: number, high: number) => boolean;
  /** The number that tells the socket at `high:low` apart from all others. Default: 0. */
  readonly socketCookie?: (low: number, high: number) => Pair;
  /** The name of the symbol at `high:low`, with the distance from it if asked. */
  readonly symbolName?: (low: number, high: number, distance: boolean) => string | null;
  /** What bpf_trace_printk and its kin print. */
  readonly trace?: (text: string) => void;
  /** 32 random bits. */
  readonly random?: () => number;
}
