import type { Vcpu } from "@vm/cpu";
import type { Clock } from "@vm/devices";
import type { Mmu } from "@vm/mmu";
import { AsyncPageFaults } from "./async-page-faults.js";
import { Backlog } from "./backlog.js";
import type { Additions } from "./board/additions.js";
import { Board } from "./board/board.js";
import { VirtualClock } from "./clock.js";
import { MachineConsole } from "./console.js";
import { FreezableDisk } from "./disk/frozen-disk.js";
import { type Disposer, Emitter, throwAll } from "./emitter.js";
import { MachineError } from "./error.js";
import { AgentLine } from "./exec/agent-line.js";
import type { ExecOptions, ExecResult, ResumedExecOptions } from "./exec/guest-exec.js";
import { MachineExec } from "./exec/machine-exec.js";
import { isWait, type MachineExit, type VcpuExit } from "./exit.js";
import { FastForward } from "./fast-forward.js";
import { type ForkOptions, forkOf } from "./fork.js";
import { processUsage } from "./host-usage.js";
import type { Hypervisor } from "./hypervisor.js";
import type { Machine, MachineEnd, SnapshotOptions } from "./machine.js";
import {
  type MachineMake,
  type MachineSnapshot,
  makeOf,
  optionsOf,
  restoreSnapshot,
  takeSnapshot,
} from "./machine-snapshot.js";
import { type MachineState, restoreState, type Stateful, saveState } from "./machine-state.js";
import { MachineTime } from "./machine-time.js";
import { type MachineConfig, type MachineOptions, pluginsOf } from "./options.js";
import { readParts } from "./parts.js";
import {
  type Devices,
  devicesOf,
  ExitHandlers,
  type Exits,
  type InstalledPlugins,
  installPlugins,
  type MachineEvents,
  type Plugin,
} from "./plugin.js";
import { allocateRam, type GuestRam } from "./ram.js";
import type { Random } from "./random.js";
import { ReachableMemory } from "./reach.js";
import { RunLoop } from "./run-loop.js";
import { SerialLine } from "./serial-line.js";
import { whileStill } from "./standstill.js";
import { collectStats, type MachineStats } from "./stats.js";
import { privateVcpuHandle } from "./td/private-handle.js";
import { type VcpuHandle, vcpuHandle } from "./vcpu-handle.js";
import { VirtualMemory } from "./virtual-memory.js";

/** The machine behind {@link Machine}: a board, what runs it, and who takes part. Whoever makes one loads a guest and calls {@link equip}. */
export class VirtualMachine implements Machine {
  readonly board: Board;
  readonly vcpus: readonly VcpuHandle[];
  readonly console: MachineConsole;
  readonly auxiliary: SerialLine;
  readonly devices: Devices;
  readonly unixTime: () => number;
  readonly time: MachineTime;
  /** The line to the agent of {@link exec}, and who has commands for it. */
  readonly agents: AgentLine;
  readonly commands: MachineExec;
  readonly #clock: VirtualClock;
  readonly #forward: FastForward;
  readonly #loop: RunLoop;
  readonly #guest: GuestRam;
  readonly #hypervisor: Hypervisor | null;
  readonly #events = new Emitter<MachineEvents>();
  readonly #exits = new ExitHandlers();
  readonly #usage: NonNullable<MachineOptions["hostUsage"]>;
  #plugins: InstalledPlugins = { undo: () => [], parts: [] };
  readonly #random: Random;
  readonly #make: () => MachineMake;
  readonly #inherited: Pick<MachineOptions, "engine" | "hostUsage">;
  readonly #disks: readonly FreezableDisk[];
  readonly #asyncPf: AsyncPageFaults | null;
  #memoryFaults = 0;
  #exitStatus: number | null = null;
  #ended: Promise<MachineEnd> | null = null;

  constructor(config: MachineConfig, options: MachineOptions, guest: GuestRam, hypervisor: Hypervisor | null = null) {
    const { cpuid, hostUsage = processUsage } = options;
    this.#hypervisor = hypervisor;
    this.#inherited = { engine: config.engine, hostUsage: options.hostUsage };
    this.#make = () => {
      if (hypervisor === null) return makeOf(config, options, this.#plugins.parts);
      throw new MachineError("option", "a TD cannot be saved: its state is nobody's but its own");
    };
    this.#disks = config.disks.map((disk) => new FreezableDisk(disk));
    this.#usage = hostUsage;
    this.#guest = guest;
    this.#random = config.random;
    const clock = new VirtualClock(config.clock, { rate: config.clockRate, unixTime: config.unixTime });
    this.#clock = clock;
    this.#forward = new FastForward(clock);
    this.time = new MachineTime(clock, this.#forward);
    this.unixTime = () => clock.time.realtime();
    const [console, auxiliary] = [new SerialLine(() => this.board.uart), new SerialLine(() => this.board.auxiliary)];
    this.console = new MachineConsole(console);
    this.auxiliary = auxiliary;
    this.agents = new AgentLine(auxiliary);
    this.commands = new MachineExec({
      ...{ agents: this.agents, random: config.random, run: () => void this.run(), stop: () => this.stop() },
      onEnd: (listener) => void this.#events.on("end", listener),
    });
    const backlog = new Backlog();
    this.board = new Board({
      ...config,
      disks: this.#disks,
      ...(cpuid === undefined ? {} : { cpuid }),
      guest,
      privateGuest: hypervisor !== null,
      clock,
      turns: backlog,
      unixTime: this.unixTime,
      onConsole: (byte) => this.console.transmit(byte),
      onAuxiliary: (byte) => auxiliary.transmit(byte),
      onPowerOff: () => this.#loop.end({ reason: "power-off", status: this.#exitStatus }),
      onReset: () => this.#loop.end({ reason: "reset" }),
      onExitStatus: (status) => {
        this.#exitStatus = status;
      },
      onDebugExit: (code) => this.#loop.end({ reason: "debug-exit", code }),
      onAttention: (vcpu) => this.#loop.attend(vcpu),
      onLook: () => this.#loop.look(),
      onInit: (vcpu) => this.#asyncPf?.init(vcpu),
      onMemoryLost: (error) => this.#lost(error),
      onDiskError: (error) => throwAll(this.#events.emit("disk-error", error), "observers of disk errors failed"),
      handle: (id) => this.vcpus[id] as VcpuHandle,
    });
    const { board } = this;
    this.devices = devicesOf(board);
    const reachable = new ReachableMemory(board.mmu);
    this.vcpus = board.vcpus.map((cpu) => {
      const around = { state: () => this.#loop.state(cpu), hold: () => this.#loop.hold(cpu) };
      if (hypervisor !== null) return privateVcpuHandle(cpu.id, around);
      return vcpuHandle(cpu, { ...around, memory: new VirtualMemory(cpu, board.mmu, reachable) });
    });
    const late = { turns: backlog, loop: () => this.#loop, onLost: (error: unknown) => this.#lost(error) };
    const asyncPf = config.asyncPf ? new AsyncPageFaults({ board, clock: clock.mode, ...late }) : null;
    this.#asyncPf = asyncPf;
    this.#loop = new RunLoop({
      clock,
      forward: this.#forward,
      vcpus: board.vcpus,
      ...(hypervisor === null ? {} : { enter: (...slice) => hypervisor.enter(...slice) }),
      ...(asyncPf === null ? {} : { enter: (vcpu, budget) => asyncPf.run(vcpu, budget), awaits: () => asyncPf.awaits }),
      backlog,
      settle: () => this.#settle(),
      onExit: (exit, vcpu) => this.#onExit(exit, vcpu),
    });
  }

  /**
   * Installs plugins and tells the guest what is there. From then on an abort of `signal` stops the machine.
   * @param tell how the guest is told; default: the board's tables are written where its root pointer is
   * @throws whatever a plugin's `install` throws, the reason of `signal`, {@link AmlError} for a device that cannot be described
   */
  async equip(plugins: readonly Plugin[], signal?: AbortSignal, tell?: () => Promise<void>): Promise<void> {
    this.#plugins = await installPlugins(plugins, this);
    try {
      if (tell === undefined) this.memory.write(this.board.rsdp, this.board.seal());
      else await tell();
      signal?.throwIfAborted();
    } catch (error) {
      throwAll([error, ...this.#plugins.undo()], "the machine could not be made, nor its plugins undone");
    }
    const onAbort = (): void => this.stop();
    signal?.addEventListener("abort", onAbort);
    this.#events.on("end", () => signal?.removeEventListener("abort", onAbort));
  }

  get memory(): Mmu {
    return this.board.mmu;
  }

  /**
   * Has the guest stand still once its processors have retired `at` instructions together, or at once if they have: calls `reached` then, and goes on when that is
   * done. Devices have finished what they had to do. Where time is counted, the guest finds no trace of it.
   */
  stopAt(at: number, reached: () => Promise<void>): void {
    this.#loop.stopAt(at, reached);
  }

  async snapshot({ at = 0, stop = false }: SnapshotOptions = {}): Promise<MachineSnapshot> {
    const make = this.#make();
    const own = this.#disks.map(({ base }) => base);
    const rest = await whileStill(this, at, () => takeSnapshot(this, make, own).finally(() => stop && this.stop()));
    return rest();
  }

  async fork(options: ForkOptions = {}): Promise<Machine> {
    const make = this.#make();
    const { snapshot, disks, close } = await whileStill(this, 0, async () => forkOf(this, make, this.#disks));
    try {
      const machine = await VirtualMachine.restored(snapshot, { disks, ...this.#inherited, ...options });
      machine.events.on("end", () => void close());
      return machine;
    } catch (error) {
      await close();
      throw error;
    }
  }

  /** A machine that goes on where `snapshot` was. */
  static async restored(snapshot: MachineSnapshot, given: MachineOptions): Promise<VirtualMachine> {
    const options = optionsOf(snapshot, given);
    const { config, pace } = await readParts(options);
    const machine = new VirtualMachine({ ...config, resumes: true }, options, await allocateRam(config));
    await machine.equip(pluginsOf(options), options.signal, async () => {
      // The guest has been told what there is.
      machine.board.sealUntold();
      await restoreSnapshot(machine, snapshot, { disks: config.disks, pace });
    });
    return machine;
  }

  /** All but memory, while the guest stands still. */
  save(): MachineState {
    return saveState(this.#stateful);
  }

  /** Takes the state of a machine with the same devices, once memory is as it was there, before this one runs. */
  restore(state: MachineState): void {
    this.#exitStatus = restoreState(this.#stateful, state);
  }

  get #stateful(): Stateful {
    return {
      ...{ clock: this.#clock, loop: this.#loop, random: this.#random, board: this.board, console: this.console },
      ...{ asyncPf: this.#asyncPf, agents: this.agents, plugins: this.#plugins.parts, exitStatus: this.#exitStatus },
    };
  }

  get clock(): Clock {
    return this.#clock;
  }

  get additions(): Additions {
    return this.board.additions;
  }

  get exits(): Exits {
    return this.#exits;
  }

  get events(): Pick<Emitter<MachineEvents>, "on"> {
    return this.#events;
  }

  /** Ends the machine at the next instruction boundary, unless it has ended. */
  end(exit: MachineExit): void {
    this.#loop.end(exit);
  }

  get ended(): MachineExit | null {
    return this.#loop.ended;
  }

  get executingMs(): number {
    return this.#loop.executingMs;
  }

  run(): Promise<MachineEnd> {
    this.commands.takeUp();
    this.#ended ??= this.#loop.run().then((exit) => this.#finish(exit));
    return this.#ended;
  }

  resumedExec(options: ResumedExecOptions = {}): Promise<ExecResult> | null {
    return this.commands.resumed(options);
  }

  async exec(command: string, options: ExecOptions = {}): Promise<ExecResult> {
    return this.commands.run(command, options);
  }

  async pause(): Promise<void> {
    await this.#loop.pause();
    throwAll(this.#events.emit("pause", undefined), "observers of a pause failed");
  }

  resume(): void {
    this.#loop.resume();
    throwAll(this.#events.emit("resume", undefined), "observers of a resume failed");
  }

  stop(): void {
    this.#loop.end({ reason: "stopped" });
    if (this.#ended === null) void this.run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    const { pluginErrors = [] } = await this.run();
    throwAll(pluginErrors, "plugins failed when the machine had ended");
  }

  attentive(ms: number): Disposer {
    return this.#loop.attentive(ms);
  }

  stats(): MachineStats {
    const { vcpus, mmu, jit } = this.board;
    return collectStats(
      vcpus,
      this.#loop.executingMs,
      this.#memoryFaults,
      mmu.touchedFrames * 4096,
      this.#usage(),
      jit?.counts ?? null,
      mmu.residency,
    );
  }

  #onExit(exit: VcpuExit, vcpu: Vcpu): boolean | Promise<boolean> {
    const { mmu, task } = this.#guest;
    const waiting = this.#hypervisor?.waiting(vcpu) ?? null;
    if (waiting !== null) return waiting.then(() => true);
    if (exit.reason === "memory-fault") {
      if (isWait(exit) && this.#asyncPf?.miss(vcpu, exit.gfn)) return true;
      if (isWait(exit)) return mmu.faultIn(task, exit.gfn, exit.access, vcpu.paging.view).then(() => true);
      this.#memoryFaults++;
    }
    return this.#exits.ask(exit, this.vcpus[vcpu.id] as VcpuHandle);
  }

  #lost(error: unknown): void {
    this.#loop.end({ reason: "internal-error", vcpu: null, error });
  }

  #settle(): void {
    this.console.flush();
    const { vcpus, uart, auxiliary } = this.board;
    if (vcpus.some((vcpu) => vcpu.runnable)) return;
    uart.hurry();
    auxiliary.hurry();
  }

  #finish(exit: MachineExit): MachineEnd {
    this.console.end();
    this.#forward.end(exit.reason);
    const pluginErrors = [...this.#events.emit("end", exit), ...this.#plugins.undo()];
    return pluginErrors.length === 0 ? exit : { ...exit, pluginErrors };
  }
}
