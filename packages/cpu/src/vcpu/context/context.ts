import type { VcpuPorts } from "../../ports.js";
import type { Gfn } from "../../units.js";
import type { Halves } from "../registers/halves.js";
import type { Registers } from "../registers/registers.js";
import type { Pending, Raising } from "./event.js";
import type { VcpuHooks } from "./hooks.js";
import type { LinearAccess } from "./linear-access.js";

/** Exits and events by name, for statistics. */
export interface Counts {
  faults: number;
  interrupts: number;
  io: number;
  mmio: number;
  cpuid: number;
  msr: number;
  hlt: number;
  hypercall: number;
  helper: number;
}

/**
 * Activity state (SDM vol. 3, 25.4.2): it executes; waits for an event since HLT; for a reset since a triple fault; for SIPI since INIT.
 */
export type Activity = "active" | "hlt" | "shutdown" | "wait-for-sipi";

/** What decides how the next instruction runs, besides registers. */
export interface RunState {
  /** Single-step every instruction and call `hooks.singleStep`. */
  singleStep: boolean;
  activity: Activity;
  /** Interrupts are held off for one instruction (STI, MOV SS). */
  shadow: boolean;
  /** IRET or a task switch loaded RF: it stays for one instruction more. */
  keepRf: boolean;
  /** An NMI is being handled; further ones wait for IRET. */
  nmiBlocked: boolean;
}

/** What an instruction asks of the loop that runs it. */
export interface RunControl {
  /** `run` is about to return: nothing more of this instruction must happen. */
  readonly leaving: boolean;
  /** An interrupt may have become deliverable: have the run loop look. */
  interrupt(): void;
  /** No interrupt before the instruction after next has started: MOV SS, POP SS. */
  holdInterrupts(): void;
  /** IF may have been set: an interrupt that waits for it gets its chance. */
  flagsChanged(): void;
  /**
   * TF as it is now, not as it was when the instruction started, decides whether a single-step trap follows: software interrupts, which
   * clear it (SDM vol. 3, 17.3.1.4), SYSCALL and SYSRET.
   */
  traceByFlags(): void;
  /** A task was switched to: its first instruction is looked up anew, and traced only behind it (SDM vol. 3, 17.3.1.4). */
  startedTask(): void;
  /** HLT: nothing runs until an event. */
  halt(): void;
  /** Delivers a software interrupt; `ripLo`, `ripHi` are its return address. A fault on the way returns to `at`, the instruction. */
  deliverSoftware(event: Pending, at: readonly [number, number]): boolean;
  /** Whether the running instruction can be undone when it has retired. */
  readonly undoable: boolean;
  /** Leaves the running instruction undone, to be executed by itself, {@link undoable}, when `run` goes on. */
  repeatUndoable(): void;
  /** A withheld page was touched: ask the observer. @returns whether to translate again */
  withheld(gfn: Gfn, access: number, lo: number, hi: number): boolean;
}

/**
 * The vCPU as those see it who execute instructions on it. Registers are what they are; memory, events and the run loop are known by what
 * can be asked of them.
 */
export interface VcpuContext extends Registers, RunState, RunControl, Raising {
  /** Index of this CPU, from 0; also its initial APIC id. */
  readonly id: number;
  readonly ports: VcpuPorts;
  readonly linear: LinearAccess;
  readonly hooks: VcpuHooks;
  readonly counts: Counts;
  /** Time-stamp counter as the guest sees it, in ticks, into `out`. */
  tsc(out: Halves): void;
}
