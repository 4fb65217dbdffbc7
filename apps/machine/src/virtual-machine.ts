import type { Vcpu } from "@vm/cpu";
import type { Clock } from "@vm/devices";
import type { Mmu } from "@vm/mmu";
import { AsyncPageFaults } from "./async-page-faults.js";
import { Backlog } from "./backlog.js";
import type { Additions } from "./board/additions.js";
import { Board } from "./board/board.js";
import { VirtualClock } from "./clock.js";
import { MachineConsole } from "./console.js";
import type { MachineDisk } from "./disk/saved-disk.js";
import { type Disposer, Emitter, throwAll } from "./emitter.js";
import { MachineError } from "./error.js";
import { AgentLine, type ExecUser } from "./exec/agent-line.js";
import type { ExecPlan, RootWords } from "./exec/exec-plan.js";
import { type ExecOptions, type ExecResult, GuestExec, type ResumedExecOptions } from "./exec/guest-exec.js";
import { isWait, type MachineExit, type VcpuExit } from "./exit.js";
import { FastForward } from "./fast-forward.js";
import { processUsage } from "./host-usage.js";
import type { Hypervisor } from "./hypervisor.js";
import type { Machine, MachineEnd, SnapshotOptions } from "./machine.js";
import { type MachineMake, type MachineSnapshot, makeOf, takeSnapshot } from "./machine-snapshot.js";
import { type MachineState, restoreState, type Stateful, saveState } from "./machine-state.js";
import { MachineTime } from "./machine-time.js";
import type { MachineConfig, MachineOptions } from "./options.js";
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
import type { GuestRam } from "./ram.js";
import type { Random } from "./random.js";
import { ReachableMemory } from "./reach.js";
import { RunLoop } from "./run-loop.js";
import { SerialLine } from "./serial-line.js";
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
  /** The line to the agent of {@link exec}. */
  readonly agents: AgentLine;
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
  readonly #disks: readonly MachineDisk[];
  #exec: GuestExec | null = null;
  readonly #asyncPf: AsyncPageFaults | null;
  #memoryFaults = 0;
  #exitStatus: number | null = null;
  #ended: Promise<MachineEnd> | null = null;

  constructor(config: MachineConfig, options: MachineOptions, guest: GuestRam, hypervisor: Hypervisor | null = null) {
    const { cpuid, hostUsage = processUsage } = options;
    this.#hypervisor = hypervisor;
    this.#make = () => makeOf(config, options, this.#plugins.parts);
    this.#disks = config.disks;
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
    const backlog = new Backlog();
    this.board = new Board({
      ...config,
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
    if (this.#hypervisor !== null)
      throw new MachineError("option", "a TD cannot be saved: its state is nobody's but its own");
    const make = this.#make();
    if (this.ended !== null) throw new MachineError("state", "the machine has ended: there is nothing to save");
    const taken = new Promise<MachineSnapshot>((resolve, reject) => {
      this.stopAt(at, async () => {
        await takeSnapshot(this, make, this.#disks).then(resolve, reject);
        if (stop) this.stop();
      });
      this.#events.on("end", ({ reason }) =>
        reject(new MachineError("state", `the machine has ended (${reason}) before it could be saved`)),
      );
    });
    void this.run();
    return taken;
  }

  /** All but memory, while the guest stands still. */
  save(): MachineState {
    return saveState(this.#stateful);
  }

  /** Takes the state of a machine with the same devices, once memory is as it was there, before this one runs. */
  restore(state: MachineState): void {
    const stateful = this.#stateful;
    restoreState(stateful, state);
    this.#exitStatus = stateful.exitStatus;
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
    // A command that was saved with its guest goes on, whether anyone asks for it or not.
    if (this.agents.saved !== null) this.#takeExec();
    this.#ended ??= this.#loop.run().then((exit) => this.#finish(exit));
    return this.#ended;
  }

  /** The guest starts the agent of `Machine.exec`, which finds its root by these words. */
  expectAgent(root: RootWords): void {
    const word = new DataView(new ArrayBuffer(8));
    // A run that repeats exactly has the same tag each time.
    for (const at of [0, 4]) word.setInt32(at, this.#random(), true);
    this.#takeExec({ tag: new Uint8Array(word.buffer), root });
  }

  /** @param plan how the agent gets to where commands are to run; default: it was saved, and is there */
  #takeExec(plan?: ExecPlan): GuestExec {
    const { agents } = this;
    const input = agents.saved?.input ?? null;
    const connect = (user: ExecUser) => (plan === undefined ? agents.resume(user) : agents.expect(plan, user));
    const exec = new GuestExec(connect, () => this.stop(), input);
    this.#events.on("end", ({ reason }) => exec.end(`the machine has ended (${reason})`));
    this.#exec = exec;
    return exec;
  }

  get #guestExec(): GuestExec | null {
    return this.#exec ?? (this.agents.saved === null ? null : this.#takeExec());
  }

  resumedExec(options: ResumedExecOptions = {}): Promise<ExecResult> | null {
    const ended = this.#guestExec?.resumed(options) ?? null;
    if (ended !== null) void this.run();
    return ended;
  }

  async exec(command: string, options: ExecOptions = {}): Promise<ExecResult> {
    const exec = this.#guestExec;
    if (exec === null)
      throw new MachineError("state", "exec needs a machine with a Linux kernel that was made with agent: true");
    const result = exec.run(command, options);
    void this.run();
    return result;
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
