import type { Vcpu } from "@vm/cpu";
import { Breakpoints } from "./breakpoints.js";
import type { Disposer } from "./emitter.js";
import { type Hook, type HookName, HookSet } from "./hooks.js";
import { registersOf, type VcpuRegisters } from "./registers.js";
import type { VirtualMemory } from "./virtual-memory.js";

/**
 * What a processor is about, the first that applies:
 * - `finished`: the machine has ended;
 * - `paused`: the machine is paused, or has not been started;
 * - `held`: someone keeps it, with `hold` or by an exit that is not answered yet;
 * - `wait-for-sipi`: it has not been started by another one;
 * - `shutdown`: it has met a triple fault, and some plugin has kept the machine from ending for it;
 * - `halted`: it waits for an interrupt;
 * - `running`: it executes, or is next when its turn comes.
 */
export type VcpuState = "running" | "halted" | "wait-for-sipi" | "shutdown" | "held" | "paused" | "finished";

/** One processor of a machine. */
export interface VcpuHandle {
  /** Index, from 0; also its APIC id. */
  readonly id: number;
  readonly state: VcpuState;
  /** Registers as numbers of 64 bits. */
  readonly registers: VcpuRegisters;
  /** Memory at the linear addresses of the program that it runs, unseen by the guest. */
  readonly memory: VirtualMemory;
  /** The processor itself, for what the members above do not tell. Its `hooks` belong to the machine; use `on`. */
  readonly cpu: Vcpu;
  /** Observes a hook beside any other observers; how their answers become one stands at `HookSet`. Returns the function that ends it. */
  on<K extends HookName>(hook: K, observer: Hook<K>): Disposer;
  /**
   * Calls `observer` before each run of the instruction at a linear address, whatever memory is mapped there then. It may leave or raise an
   * exception. The guest cannot tell; code in the same 4 KiB is executed an instruction at a time. Returns the function that ends it.
   */
  breakpoint(address: bigint, observer: () => void): Disposer;
  /**
   * For an observer of a hook that decides: leaves the instruction undone, whatever the observers answer. An `intercepted` exit follows; when
   * that has been answered the instruction starts over.
   */
  leave(): false;
  /** Delivers an exception before the next instruction, or, called by an observer, instead of the instruction. For #PF, set `registers.cr2` first. */
  inject(vector: number, errorCode?: number | null): void;
  /** Keeps this processor from executing anything more, from the next instruction boundary on; the others go on. Ends when every holder has let go. */
  hold(): Disposer;
}

/** What a handle needs of the machine around its processor. */
export interface VcpuSurroundings {
  readonly memory: VirtualMemory;
  readonly state: () => VcpuState;
  readonly hold: () => Disposer;
}

/** The handle of `cpu`. */
export function vcpuHandle(cpu: Vcpu, { memory, state, hold }: VcpuSurroundings): VcpuHandle {
  const hooks = new HookSet(cpu.hooks);
  const breakpoints = new Breakpoints(cpu, hooks);
  return {
    id: cpu.id,
    cpu,
    memory,
    registers: registersOf(cpu),
    get state() {
      return state();
    },
    on: (hook, observer) => hooks.add(hook, observer),
    breakpoint: (address, observer) => breakpoints.add(BigInt.asUintN(64, address), observer),
    leave: () => cpu.leave(),
    inject: (vector, errorCode = null) => cpu.inject(vector, errorCode),
    hold,
  };
}
