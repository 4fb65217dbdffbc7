import type { AcpiDevice, Clock, IrqLine, VirtioDevice } from "@vm/devices";
import type { Mmu } from "@vm/mmu";
import type { Additions } from "./board/additions.js";
import type { Board } from "./board/board.js";
import type { VirtioSlot } from "./board/virtio-slots.js";
import type { MachineConsole } from "./console.js";
import { callAll, type Disposer, type Emitter } from "./emitter.js";
import type { MachineExit, VcpuExit } from "./exit.js";
import type { MachineTime } from "./machine-time.js";
import type { VcpuHandle } from "./vcpu-handle.js";

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

/** The life of a machine. Every listener is called, whatever others throw. */
export interface MachineEvents {
  readonly pause: undefined;
  readonly resume: undefined;
  /** A disk could not do what the guest asked; the guest has been told. */
  readonly "disk-error": unknown;
  /** It has ended. */
  readonly end: MachineExit;
}

/** What is on the board, what is free on it, and how to attach to it. */
export interface Devices extends Pick<Board, "ports" | "mmio" | "uart" | "auxiliary" | "ioApic" | "apics"> {
  /** The first of `count` ports in a row that nobody has; null if there are none. `ports.attach` takes them. */
  freePorts(count: number): number | null;
  /** The first of `size` guest-physical addresses in a row that neither a device nor memory has; null if there are none. `mmio.attach` takes them. */
  freeAddresses(size: number): number | null;
  /** Global system interrupts that nobody has, lowest first. */
  readonly freeInterrupts: readonly number[];
  /**
   * Takes an interrupt, the first free one unless told, for a device of its own.
   * @throws {MachineError} `taken` or `exhausted`
   */
  takeInterrupt(gsi?: number): { readonly gsi: number; readonly line: IrqLine };
  /**
   * Attaches a virtio device, which the guest finds by the ACPI tables. In a plugin's `install` only.
   * @throws {MachineError} `exhausted` if no interrupt is left, `state` when the guest runs already
   */
  attachVirtio<S>(device: VirtioDevice<S>): VirtioSlot;
  /** Has the guest find any other device by its name in the ACPI tables. In a plugin's `install` only. @throws {MachineError} `state` */
  describe(device: AcpiDevice): void;
}

/** A machine as a plugin sees it. */
export interface MachineHandle {
  readonly vcpus: readonly VcpuHandle[];
  /** Guest-physical memory. Its `read` and `write` are not seen by the guest or by who watches it. */
  readonly memory: Mmu;
  /** Virtual time, and calls at points of it. */
  readonly clock: Clock;
  /** How fast virtual time goes, if at all, and what time of day it is. */
  readonly time: MachineTime;
  /** Seconds since 1970, with a fraction, as the guest's real-time clock has them. */
  readonly unixTime: () => number;
  readonly devices: Devices;
  /** MSRs, CPUID leaves and hypercalls that a plugin adds. */
  readonly additions: Additions;
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
   * Called once, with the guest loaded, before it runs. The function it returns is called when the machine has ended, or could not be made after
   * all; plugins are undone in reverse order, each of them whatever others throw.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: a plugin with nothing to undo returns nothing
  install(machine: MachineHandle): Disposer | void | Promise<Disposer | void>;
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

/** Undoes plugins. @returns what they threw */
export type Undo = () => readonly unknown[];

/**
 * Installs plugins; returns what undoes them all. If one fails, those before it are undone.
 * @throws whatever a plugin's `install` throws; an AggregateError with it and what undoing threw
 */
export async function installPlugins(plugins: readonly Plugin[], machine: MachineHandle): Promise<Undo> {
  const disposers: Disposer[] = [];
  const undo: Undo = () => callAll(disposers.splice(0).reverse());
  try {
    for (const plugin of plugins) {
      const dispose = await plugin.install(machine);
      if (dispose) disposers.push(dispose);
    }
  } catch (error) {
    const more = undo();
    if (more.length > 0)
      throw new AggregateError([error, ...more], "a plugin could not be installed, nor those before it undone");
    throw error;
  }
  return undo;
}
