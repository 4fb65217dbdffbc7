import type { Clock } from "@vm/devices";
import { ExitFlag, type Mmu } from "@vm/mmu";
import { Backlog } from "./backlog.js";
import { loadBuiltinGuest } from "./boot/builtin.js";
import { readKernel } from "./boot/kernel.js";
import { loadLinux } from "./boot/linux.js";
import { checkDisks, wantsOldPc } from "./boot/old-pc.js";
import { VirtualClock } from "./clock.js";
import { MachineConsole } from "./console.js";
import { type Disposer, Emitter } from "./emitter.js";
import { MachineError } from "./error.js";
import type { MachineExit } from "./exit.js";
import { processUsage } from "./host-usage.js";
import { type MachineConfig, type MachineOptions, resolveOptions } from "./options.js";
import { Pace } from "./pace.js";
import {
  type Devices,
  ExitHandlers,
  type Exits,
  installPlugins,
  type MachineEvents,
  type MachineHandle,
  type VcpuHandle,
  vcpuHandles,
} from "./plugin.js";
import { allocateRam, type GuestRam } from "./ram.js";
import { RunLoop } from "./run-loop.js";
import { SerialLine } from "./serial-line.js";
import { collectStats, type MachineStats } from "./stats.js";
import { buildSystem, type System } from "./system.js";

/**
 * Makes a machine with its guest loaded, ready to run.
 *
 * @throws {MachineError} for an option outside its range, {@link KernelError} for a kernel that cannot be used, {@link BootError} if
 * kernel, ram disk, command line and memory do not go together, the reason of `signal`, and whatever a plugin's `install` throws
 * @example const exit = await (await createMachine({ kernel, initrd })).run();
 */
export async function createMachine(options: MachineOptions = {}): Promise<Machine> {
  const resolved = resolveOptions(options);
  const { commandLine, ram, unpack } = resolved;
  const pace = new Pace(options.signal);
  const kernel = options.kernel === undefined ? null : await readKernel(options.kernel, { unpack, ram, pace });
  if (kernel !== null) checkDisks(resolved.disks.length, commandLine);
  const legacyDevices = options.legacyDevices ?? (kernel !== null && wantsOldPc(kernel, commandLine));
  const config = { ...resolved, legacyDevices };
  const machine = new Machine(config, options, await allocateRam(config));
  const { system } = machine;
  const [bootstrap] = system.vcpus;
  if (bootstrap === undefined) throw new MachineError("a machine needs a processor");
  const { mmu, rsdp } = system;
  if (kernel === null) loadBuiltinGuest(mmu, bootstrap, commandLine);
  else await loadLinux(mmu, bootstrap, { kernel, initrd: options.initrd ?? null, commandLine, ram, rsdp, pace });
  machine.undoPlugins = await installPlugins(options.plugins ?? [], machine);
  return machine;
}

/** A virtual machine; see {@link createMachine}. */
export class Machine implements MachineHandle {
  readonly vcpus: readonly VcpuHandle[];
  readonly console: MachineConsole;
  /** The second serial line, COM2. */
  readonly auxiliary: SerialLine;
  readonly exits: Exits;
  readonly events: Pick<Emitter<MachineEvents>, "on">;
  /** @internal */
  readonly system: System;
  /** @internal */
  undoPlugins: Disposer = () => undefined;
  readonly #clock: VirtualClock;
  readonly #loop: RunLoop;
  readonly #events = new Emitter<MachineEvents>();
  readonly #exits = new ExitHandlers();
  readonly #usage: NonNullable<MachineOptions["hostUsage"]>;
  #memoryFaults = 0;
  #exitStatus: number | null = null;
  #ended: Promise<MachineExit> | null = null;

  /** @internal Use {@link createMachine}. */
  constructor(config: MachineConfig, { cpuid, hostUsage = processUsage }: MachineOptions, guest: GuestRam) {
    this.#usage = hostUsage;
    this.#clock = new VirtualClock(config.clock);
    this.console = new MachineConsole(new SerialLine(() => this.system.uart));
    this.auxiliary = new SerialLine(() => this.system.auxiliary);
    const backlog = new Backlog();
    this.system = buildSystem({
      cpus: config.cpus,
      ram: config.ram,
      guest,
      clock: this.#clock,
      disks: config.disks,
      turns: backlog,
      legacyDevices: config.legacyDevices,
      testDevices: config.testDevices,
      kvmClock: config.kvmClock,
      ...(cpuid === undefined ? {} : { cpuid }),
      unixTime: () => config.unixTime + this.#clock.now() / 1e9,
      random: config.random,
      onConsole: (byte) => this.console.transmit(byte),
      onAuxiliary: (byte) => this.auxiliary.transmit(byte),
      onPowerOff: () => this.#loop.end({ reason: "power-off", status: this.#exitStatus }),
      onReset: () => this.#loop.end({ reason: "reset" }),
      onExitStatus: (status) => {
        this.#exitStatus = status;
      },
      onDebugExit: (code) => this.#loop.end({ reason: "debug-exit", code }),
      onAttention: (vcpu) => this.#loop.attend(vcpu),
      onLook: () => this.#loop.look(),
      onDiskError: (error) => this.#events.emit("disk-error", error),
    });
    this.vcpus = vcpuHandles(this.system.vcpus, (cpu) => this.#loop.hold(cpu));
    this.exits = this.#exits;
    this.events = this.#events;
    this.#loop = new RunLoop({
      clock: this.#clock,
      vcpus: this.system.vcpus,
      backlog,
      settle: () => {
        this.console.flush();
        if (!this.system.vcpus.some((vcpu) => vcpu.runnable)) {
          this.system.uart.hurry();
          this.system.auxiliary.hurry();
        }
      },
      onExit: (exit, { id, paging }) => {
        if (exit.reason === "memory-fault" && (exit.access & ExitFlag.Retry) !== 0)
          return guest.mmu.faultIn(guest.task, exit.gfn, exit.access, paging.view).then(() => true);
        if (exit.reason === "memory-fault") this.#memoryFaults++;
        return this.#exits.ask(exit, this.vcpus[id] as VcpuHandle);
      },
    });
  }

  /** Guest-physical memory. */
  get memory(): Mmu {
    return this.system.mmu;
  }

  /** Virtual time in ns since the machine was made. */
  get clock(): Clock {
    return this.#clock;
  }

  get devices(): Devices {
    return this.system;
  }

  /** How the machine ended, null while it has not. */
  get ended(): MachineExit | null {
    return this.#loop.ended;
  }

  /** Runs the machine until it ends, and tells why it did. Once; further calls give the same promise. Never rejects for what the guest does. */
  run(): Promise<MachineExit> {
    this.#ended ??= this.#loop.run().then((exit) => {
      this.#finish(exit);
      return exit;
    });
    return this.#ended;
  }

  /** Stops at an instruction boundary; resolves when the guest stands still. Virtual time stands still with it. */
  async pause(): Promise<void> {
    await this.#loop.pause();
    this.#events.emit("pause", undefined);
  }

  resume(): void {
    this.#loop.resume();
    this.#events.emit("resume", undefined);
  }

  /** Ends the machine at the next instruction boundary: `run` resolves with `stopped`, unless it has ended otherwise. */
  stop(): void {
    this.#loop.end({ reason: "stopped" });
    if (this.#ended === null) void this.run();
  }

  /** Gives the host's event loop its turn every `ms` while the guest is busy, instead of every 10. Returns the function that ends it. */
  attentive(ms: number): Disposer {
    return this.#loop.attentive(ms);
  }

  /** @internal Host time spent in the guest so far, ms. */
  get executingMs(): number {
    return this.#loop.executingMs;
  }

  stats(): MachineStats {
    const { vcpus, mmu } = this.system;
    return collectStats(vcpus, this.#loop.executingMs, this.#memoryFaults, mmu.touchedFrames * 4096, this.#usage());
  }

  #finish(exit: MachineExit): void {
    this.console.end();
    this.#events.emit("end", exit);
    this.undoPlugins();
  }
}
