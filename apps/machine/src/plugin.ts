import type { Vcpu } from "@vm/cpu";
import type { Clock } from "@vm/devices";
import type { Mmu } from "@vm/mmu";
import type { MachineConsole } from "./console.js";
import type { Disposer, Emitter } from "./emitter.js";
import type { MachineExit, VcpuExit } from "./exit.js";
import { type Hook, type HookName, HookSet } from "./hooks.js";
import type { System } from "./system.js";

/** One processor of a machine. */
export interface VcpuHandle {
  /** Index, from 0; also its APIC id. */
  readonly id: number;
  /** Registers, memory as the guest sees it, injection: the processor itself. Its `hooks` belong to the machine; use `on`. */
  readonly cpu: Vcpu;
  /** Observes a hook beside any other observers. Returns the function that ends it. */
  on<K extends HookName>(hook: K, observer: Hook<K>): Disposer;
  /** Keeps this processor from executing anything more, from the next instruction boundary on; the others go on. Ends when every holder has let go. */
  hold(): Disposer;
}

/** Takes part in what happens when a processor leaves the guest. */
export interface Exits {
  /**
   * Calls `handler` for every exit. If one returns true (or a promise of it), the exit is handled and the processor runs on; the handlers
   * after it are not asked. While a promise is pending this processor stands still and the others go on; with the `icount` clock nothing
   * does.
   */
  on(handler: ExitHandler): Disposer;
}
export type ExitHandler = (exit: VcpuExit, vcpu: VcpuHandle) => boolean | undefined | Promise<boolean | undefined>;

/** The life of a machine. */
export interface MachineEvents {
  readonly pause: undefined;
  readonly resume: undefined;
  /** A disk could not do what the guest asked; the guest has been told. */
  readonly "disk-error": unknown;
  /** It has ended. */
  readonly end: MachineExit;
}

/** What is on the board, and the two buses a plugin can put devices of its own on. */
export type Devices = Pick<System, "ports" | "mmio" | "uart" | "auxiliary" | "ioApic" | "apics">;

/** A machine as a plugin sees it. */
export interface MachineHandle {
  readonly vcpus: readonly VcpuHandle[];
  /** Guest-physical memory. */
  readonly memory: Mmu;
  /** Virtual time, and calls at points of it. */
  readonly clock: Clock;
  readonly devices: Devices;
  readonly exits: Exits;
  readonly events: Pick<Emitter<MachineEvents>, "on">;
  readonly console: MachineConsole;
  pause(): Promise<void>;
  resume(): void;
  stop(): void;
  /** Gives the host's event loop its turn every `ms` while the guest is busy, instead of every 10. Returns the function that ends it. */
  attentive(ms: number): Disposer;
}

/** Adds something to a machine. */
export interface Plugin {
  readonly name: string;
  /**
   * Called once, before the guest runs. The function it returns is called when the machine has ended, or could not be made after
   * all; plugins are undone in reverse order.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: a plugin with nothing to undo returns nothing
  install(machine: MachineHandle): Disposer | void | Promise<Disposer | void>;
}

/** The processors of a board as handles. */
export function vcpuHandles(vcpus: readonly Vcpu[], hold: (cpu: Vcpu) => Disposer): readonly VcpuHandle[] {
  return vcpus.map((cpu) => {
    const hooks = new HookSet(cpu.hooks);
    return { id: cpu.id, cpu, on: (hook, observer) => hooks.add(hook, observer), hold: () => hold(cpu) };
  });
}

/** The handlers of exits, asked in the order they came. */
export class ExitHandlers implements Exits {
  #handlers: readonly ExitHandler[] = [];

  on(handler: ExitHandler): Disposer {
    const own: ExitHandler = (exit, vcpu) => handler(exit, vcpu);
    this.#handlers = [...this.#handlers, own];
    return () => {
      this.#handlers = this.#handlers.filter((other) => other !== own);
    };
  }

  /** Whether someone handled `exit`. Answers at once while no handler takes its time. */
  ask(exit: VcpuExit, vcpu: VcpuHandle): boolean | Promise<boolean> {
    return askFrom(this.#handlers, 0, exit, vcpu);
  }
}

function askFrom(
  handlers: readonly ExitHandler[],
  first: number,
  exit: VcpuExit,
  vcpu: VcpuHandle,
): boolean | Promise<boolean> {
  for (let k = first; k < handlers.length; k++) {
    const answer = handlers[k]?.(exit, vcpu);
    if (answer === true) return true;
    if (typeof answer === "object")
      return answer.then((handled) => handled === true || askFrom(handlers, k + 1, exit, vcpu));
  }
  return false;
}

/** Installs plugins; returns what undoes them all. If one fails, those before it are undone. */
export async function installPlugins(plugins: readonly Plugin[], machine: MachineHandle): Promise<Disposer> {
  const disposers: Disposer[] = [];
  const undo = (): void => {
    for (const dispose of disposers.splice(0).reverse()) dispose();
  };
  try {
    for (const plugin of plugins) {
      const dispose = await plugin.install(machine);
      if (dispose) disposers.push(dispose);
    }
  } catch (error) {
    undo();
    throw error;
  }
  return undo;
}
