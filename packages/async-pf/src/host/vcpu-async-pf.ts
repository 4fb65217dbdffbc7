import type { FetchError } from "../errors.js";

/**
 * What a miss leads to.
 * - `inject`: the guest gets a #PF and can do something else; the instruction is undone.
 * - `halt`: the vCPU sleeps as if by HLT. It goes on with the same instruction once the frame is there, and any event it can take wakes it.
 * - `wait`: the vCPU stands until the frame is there, then goes on with the same instruction.
 */
export type MissDecision = "inject" | "halt" | "wait";

/** What a vCPU may do now; `halted` and `waiting` as of {@link MissDecision}. `paused`: a frame it needs could not be brought. */
export type VcpuRunState = "running" | "halted" | "waiting" | "paused";

/** Plain data: what a snapshot keeps of a vCPU. The area itself is in the guest's memory. */
export interface VcpuAsyncPfState {
  /** Its number. */
  readonly id: number;
  /** `MSR_KVM_ASYNC_PF_EN`, u32 halves: low, high. */
  readonly enable: readonly [number, number];
  /** `MSR_KVM_ASYNC_PF_INT`: 0 to 255. */
  readonly vector: number;
  /** What is above the vCPU's number in its next token: 1 to 2^20 - 1. Tasks in the guest may still sleep by earlier ones. */
  readonly nextId: number;
  /** A token was put into the area that has not been acknowledged. */
  readonly pageReadyPending: boolean;
}

/** Asynchronous page faults of one vCPU, as its run loop sees them. */
export interface VcpuAsyncPf {
  readonly id: number;
  /** High half of the last successful {@link readMsr}. */
  readonly hi: number;
  readonly state: VcpuRunState;
  /** Why it is paused. */
  readonly failure: FetchError | null;
  /** Address of the guest's area (bytes) while it is in use, else null. Its frame must be resident for as long. */
  readonly area: number | null;
  /** Frames that count against the limit of 64, and a wake-all that waits. */
  readonly queued: number;
  /** A token was put into the area that has not been acknowledged. */
  readonly pageReadyPending: boolean;

  /** The low half, unsigned, with the high half in `hi`; -1 if there is no such MSR here: #GP. */
  readMsr(msr: number): number;

  /**
   * False if there is no such MSR here or the value is not allowed: #GP, and nothing has changed. The frame of an area that is switched on must be resident: a host
   * whose memory is lazy brings it before, as for any access of the host's own.
   */
  writeMsr(msr: number, lo: number, hi: number): boolean;

  /**
   * The instruction at hand needs the frame `gfn`, which is not resident; nothing of it has happened yet. The frame is asked for. A frame that comes within the
   * same turn is not worth a #PF: a host that can have it at once does so and never calls this. If the frame is there before this returns, `state` is `running`
   * again after a halt or a wait.
   * @throws AsyncPfError "gfn": no frame number; "order": the vCPU is not running
   */
  miss(gfn: number): MissDecision;

  /** An event that the vCPU can take has come: interrupt, NMI, SMI, INIT, exception. Ends a halt; whether it did. */
  wake(): boolean;

  /**
   * CR0.PG has been set, or the local APIC has been enabled, by hardware or software: what could not be told before may be now. A token that lies in the area has
   * its interrupt raised again: a local APIC that was disabled may have lost it.
   */
  rescan(): void;

  /** RESET or INIT: the MSRs are 0 and nothing is outstanding. Tokens are counted on. */
  reset(): void;
}
