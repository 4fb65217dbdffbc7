import type { VmAsyncPfState } from "@vm/async-pf";
import type { VcpuState } from "@vm/cpu";
import type { BoardState } from "./board/board.js";
import type { VirtualClockState } from "./clock.js";
import type { RunLoopState } from "./run-loop-desc.js";

/**
 * What a machine is like between two instructions, but for its memory and what makes it: how much memory, how many processors, which devices. It is data: numbers, strings,
 * booleans, null, bytes, lists and records of them. Nothing derived is in it, such as decoded code.
 */
export interface MachineState {
  readonly clock: VirtualClockState;
  readonly loop: RunLoopState;
  /** Null: the guest's random numbers are the host's. */
  readonly random: number | null;
  readonly vcpus: readonly VcpuState[];
  readonly board: BoardState;
  /** What the guest has written on its console and nobody has been given yet. */
  readonly console: Uint8Array;
  /** Of asynchronous page faults; null for a machine without. */
  readonly asyncPf: VmAsyncPfState | null;
  /** A byte that the guest wrote to the exit-status port, if it has. */
  readonly exitStatus: number | null;
}
