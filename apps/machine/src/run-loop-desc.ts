import type { Exit, Vcpu } from "@vm/cpu";
import { read, type StateReader } from "@vm/devices";
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
  /** It was cut at an instruction that someone is asked about: while he keeps the processor, nobody else has a turn. */
  readonly left: boolean;
}

/** Instructions of a slice. Bounded because an engine compiles a loop better once it is entered again. */
export const SLICE = 100_000;
/** The same where several processors want to run: one that waits for another must not wait long. */
export const SHARED_SLICE = 20_000;

/** Whose turn it is, and for how long. */
export interface RunLoopState {
  /** Place of the processor that is next. */
  readonly next: number;
  /** Instructions of the next slice where several processors want to run. */
  readonly sharedSlice: number;
  /** What is left of a slice that was cut: its processor's place and instructions. */
  readonly cut: { readonly vcpu: number; readonly budget: number } | null;
}

/** @param vcpus how many there are */
export function readRunLoop(vcpus: number): StateReader<RunLoopState> {
  const place = read.integer(0, vcpus - 1);
  const cut = read.record<NonNullable<RunLoopState["cut"]>>({ vcpu: place, budget: read.integer(1, SLICE) });
  return read.record<RunLoopState>({
    next: place,
    sharedSlice: read.integer(1, SHARED_SLICE),
    cut: read.nullOr(cut),
  });
}
