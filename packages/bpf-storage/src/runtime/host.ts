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
  /** What bpf_trace_printk and its kin print. */
  readonly trace?: (text: string) => void;
  /** 32 random bits. */
  readonly random?: () => number;
}
