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

/** What plugins get of a board. */
export function devicesOf(board: Board): Devices {
  const { ports, mmio, uart, auxiliary, ioApic, apics, interrupts } = board;
  return {
    ...{ ports, mmio, uart, auxiliary, ioApic, apics },
    freePorts: (count) => board.freePorts(count),
    freeAddresses: (size) => board.freeAddresses(size),
    get freeInterrupts() {
      return interrupts.free;
    },
    takeInterrupt: (gsi) => interrupts.take(gsi),
    attachVirtio: (device) => board.attachVirtio(device),
    describe: (device) => board.describe(device),
  };
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

/** What of a plugin is saved with its machine: what the guest has told it, and could notice if it were forgotten. */
export interface SavedPart {
  /** While the guest stands still. Data: numbers, strings, booleans, null, bytes, lists and records of them. Changed by nobody afterwards. */
  save(): unknown;
  /** Called after `install`, with memory and processors as they were, before the guest goes on. What it throws refuses the snapshot. */
  restore(state: unknown): void;
}

/** What a plugin has added to a machine. */
export interface Installed {
  /** Called when the machine has ended, or could not be made after all. */
  readonly dispose?: Disposer | undefined;
  /** Without it a machine with the plugin cannot be saved, unless it only looks on. */
  readonly saved?: SavedPart | undefined;
}

/** Adds something to a machine. */
export interface Plugin {
  readonly name: string;
  /**
   * It only looks on, and the guest cannot tell whether it is there: a machine is saved without it, and can go on with it or without. Default false.
   */
  readonly observer?: boolean | undefined;
  /**
   * Called once, with the guest loaded or restored to its devices, before it runs. The function it returns is called when the machine has ended, or could not be made after
   * all; plugins are undone in reverse order, each of them whatever others throw. A plugin that can be saved returns an {@link Installed}.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: a plugin with nothing to undo returns nothing
  install(machine: MachineHandle): Disposer | Installed | void | Promise<Disposer | Installed | void>;
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

/** Plugins that are installed. */
export interface InstalledPlugins {
  /** Undoes them. @returns what they threw */
  undo(): readonly unknown[];
  /** Of those that do more than look on, in their order: its name, and what of it is saved, if it can be. */
  readonly parts: readonly PluginPart[];
}

export interface PluginPart {
  readonly name: string;
  readonly saved: SavedPart | undefined;
}

/**
 * Installs plugins. If one fails, those before it are undone.
 * @throws whatever a plugin's `install` throws; an AggregateError with it and what undoing threw
 */
export async function installPlugins(plugins: readonly Plugin[], machine: MachineHandle): Promise<InstalledPlugins> {
  const disposers: Disposer[] = [];
  const parts: PluginPart[] = [];
  const undo = (): readonly unknown[] => callAll(disposers.splice(0).reverse());
  try {
    for (const plugin of plugins) {
      const installed = await plugin.install(machine);
      const { dispose, saved } =
        typeof installed === "function" ? { dispose: installed, saved: undefined } : (installed ?? {});
      if (dispose) disposers.push(dispose);
      if (plugin.observer !== true) parts.push({ name: plugin.name, saved });
    }
  } catch (error) {
    const more = undo();
    if (more.length > 0)
      throw new AggregateError([error, ...more], "a plugin could not be installed, nor those before it undone");
    throw error;
  }
  return { undo, parts };
}
