import type { Exit, Vcpu } from "@vm/cpu";
import type { Backlog } from "./backlog.js";
import type { VirtualClock } from "./clock.js";
import type { VcpuExit } from "./exit.js";
import type { FastForward } from "./fast-forward.js";

export interface RunLoopDesc {
  readonly clock: VirtualClock;
  readonly forward: FastForward;
  readonly vcpus: readonly Vcpu[];
  /** What devices do between two slices; in `icount` the guest stands still until all of it is done. */
  readonly backlog: Backlog;
  /** Runs a processor for at most `budget` instructions, and returns soon once the slice `ends`. Default: it runs by itself. */
  readonly enter?: (vcpu: Vcpu, budget: number, ends: () => boolean) => Exit;
  /** Whether the guest waits for something outside of the machine while its processors seem idle: a jump of time does not hurry that. Default: never. */
  readonly awaits?: () => boolean;
  /** Called after every slice that was not cut, and when the loop comes to rest. */
  readonly settle: () => void;
  /** A processor left the guest. True: run on as if nothing had happened. What is answered later keeps that processor alone. */
  readonly onExit: (exit: VcpuExit, vcpu: Vcpu) => boolean | Promise<boolean>;
}

/** A processor's turn. */
export interface Slice {
  readonly vcpu: Vcpu;
  /** Instructions. */
  readonly budget: number;
}

/** Whose turn it is, and for how long. */
export interface RunLoopState {
  /** Place of the processor that is next. */
  readonly next: number;
  /** Instructions of the next slice where several processors want to run. */
  readonly sharedSlice: number;
  /** What is left of a slice that was cut: its processor's place and instructions. */
  readonly cut: { readonly vcpu: number; readonly budget: number } | null;
}
