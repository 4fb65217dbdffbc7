import type { HostArguments } from "../../engine/helpers.js";
import type { BpfMap } from "../../maps/map.js";
import type { RingbufMap } from "../../maps/ringbuf.js";
import type { Arena } from "../../memory/arena.js";
import type { Rcu } from "../../memory/rcu.js";
import type { Generation } from "../../storage/storage-helpers.js";
import type { RunningTask, RuntimeHost } from "../host.js";
import type { ObjectLayout, ProgramDesc, TraceInfo } from "../program.js";

/** What helpers have to work with. */
export interface HelperContext {
  readonly arena: Arena;
  readonly rcu: Rcu;
  readonly host: RuntimeHost;
  readonly generation: Generation;
  readonly now: () => bigint;
  readonly task: () => RunningTask;
  /** The program that runs; null if none does. */
  readonly program: () => ProgramDesc | null;
  /** What the run is told of what its program is attached to. */
  readonly trace: () => TraceInfo;
  /** Objects that programs have made, by their place. */
  readonly objects: Map<number, ObjectLayout>;
  /** A number from 1 on that nobody has got yet. */
  readonly unique: () => number;
  /** The map at a pointer. @throws {RangeError} if there is none: a program that was not verified has no maps to give */
  readonly map: (address: number) => BpfMap;
  /** All ring buffers. */
  readonly rings: () => Iterable<RingbufMap>;
  /** Number of CPUs. */
  readonly cpus: number;
  /** Calls a function of the program that runs, by its number, with up to four arguments by halves. @returns the lower half of what it returns */
  readonly callback: (index: number, halves: readonly number[]) => number;
  /** Number of the running CPU. */
  readonly cpu: () => number;
  /** Deletes what the object at `high:low` has in the map at a pointer. @returns 0 or a negative errno */
  readonly storageDelete: (map: number, low: number, high: number) => number;
  /** Copies memory, wherever it is, into the arena; false, with zeros written, if it cannot be read. */
  readonly probe: (to: number, size: number, low: number, high: number, user: boolean) => boolean;
}

/** A helper: its number and name in linux/bpf.h, and what it does. */
export interface HelperEntry {
  readonly id: number;
  readonly name: string;
  /** Part of the host without which it does nothing: programs are refused where that is not there. */
  readonly needs?: keyof RuntimeHost;
  /** @returns the result, if it is a number of 32 bits with its sign, such as a negative errno; undefined if the arguments have been told */
  readonly call: (args: HostArguments, context: HelperContext) => number | undefined;
}
