import type { Vcpu, VcpuState } from "@vm/cpu";
import type { Clock } from "@vm/devices";
import type { Mmu } from "@vm/mmu";
import { AsyncPageFaults } from "./async-page-faults.js";
import { Backlog } from "./backlog.js";
import type { Additions } from "./board/additions.js";
import { Board } from "./board/board.js";
import { VirtualClock } from "./clock.js";
import { MachineConsole } from "./console.js";
import { type Disposer, Emitter, throwAll } from "./emitter.js";
import { MachineError } from "./error.js";
import type { RootWords } from "./exec/exec-plan.js";
import { type ExecOptions, type ExecResult, GuestExec } from "./exec/guest-exec.js";
import { isWait, type MachineExit, type VcpuExit } from "./exit.js";
import { FastForward } from "./fast-forward.js";
import { processUsage } from "./host-usage.js";
import type { Hypervisor } from "./hypervisor.js";
import type { Machine, MachineEnd, SnapshotOptions } from "./machine.js";
import { type MachineSnapshot, shapeOf, takeSnapshot } from "./machine-snapshot.js";
import type { MachineState } from "./machine-state.js";
import { MachineTime } from "./machine-time.js";
import type { MachineConfig, MachineOptions } from "./options.js";
import {
  type Devices,
  ExitHandlers,
  type Exits,
  installPlugins,
  type MachineEvents,
  type Plugin,
  type Undo,
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
  readonly #clock: VirtualClock;
  readonly #forward: FastForward;
  readonly #loop: RunLoop;
  readonly #guest: GuestRam;
  readonly #hypervisor: Hypervisor | null;
  readonly #events = new Emitter<MachineEvents>();
  readonly #exits = new ExitHandlers();
  readonly #usage: NonNullable<MachineOptions["hostUsage"]>;
  #undo: Undo = () => [];
  readonly #random: Random;
  readonly #shape: () => ReturnType<typeof shapeOf>;
  #exec: GuestExec | null = null;
  readonly #asyncPf: AsyncPageFaults | null;
  #memoryFaults = 0;
  #exitStatus: number | null = null;
  #ended: Promise<MachineEnd> | null = null;

  constructor(config: MachineConfig, options: MachineOptions, guest: GuestRam, hypervisor: Hypervisor | null = null) {
    const { cpuid, hostUsage = processUsage } = options;
    this.#hypervisor = hypervisor;
    this.#shape = () => shapeOf(config, options);
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
    const [loop, onLost] = [() => this.#loop, (error: unknown) => this.#lost(error)];
    const asyncPf = config.asyncPf ? new AsyncPageFaults({ board, clock: clock.mode, loop, onLost }) : null;
    this.#asyncPf = asyncPf;
    this.#loop = new RunLoop({
      clock,
      forward: this.#forward,
      vcpus: board.vcpus,
      ...(hypervisor === null ? {} : { enter: (...slice) => hypervisor.enter(...slice) }),
      ...(asyncPf === null ? {} : { enter: (vcpu, budget) => asyncPf.run(vcpu, budget) }),
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
    this.#undo = await installPlugins(plugins, this);
    try {
      if (tell === undefined) this.memory.write(this.board.rsdp, this.board.seal());
      else await tell();
      signal?.throwIfAborted();
    } catch (error) {
      throwAll([error, ...this.#undo()], "the machine could not be made, nor its plugins undone");
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
    const shape = this.#shape();
    if (this.ended !== null) throw new MachineError("state", "the machine has ended: there is nothing to save");
    const taken = new Promise<MachineSnapshot>((resolve, reject) => {
      this.stopAt(at, async () => {
        await takeSnapshot(this, shape).then(resolve, reject);
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
    const { board } = this;
    return {
      clock: this.#clock.save(),
      loop: this.#loop.save(),
      random: this.#random.save(),
      vcpus: board.vcpus.map((vcpu) => vcpu.save()),
      board: board.save(),
      console: this.console.save(),
      asyncPf: this.#asyncPf?.save() ?? null,
      exitStatus: this.#exitStatus,
    };
  }

  /** Takes the state of a machine with the same devices, once memory is as it was there, before this one runs. */
  restore(state: MachineState): void {
    const { board } = this;
    this.#clock.restore(state.clock);
    this.#random.restore(state.random);
    for (const [k, vcpu] of board.vcpus.entries()) vcpu.restore(state.vcpus[k] as VcpuState);
    board.restore(state.board);
    if (state.asyncPf !== null) this.#asyncPf?.restore(state.asyncPf);
    this.console.restore(state.console);
    this.#exitStatus = state.exitStatus;
    // What was restored may have asked for attention.
    this.#loop.restore(state.loop);
    if (this.#clock.mode === "host") this.#clock.time.step((Date.now() / 1000 - this.unixTime()) * 1e9);
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
    this.#ended ??= this.#loop.run().then((exit) => this.#finish(exit));
    return this.#ended;
  }

  /** The guest starts the agent of `Machine.exec`, which finds its root by these words. */
  expectAgent(root: RootWords): void {
    const word = new DataView(new ArrayBuffer(8));
    // A run that repeats exactly has the same tag each time.
    for (const at of [0, 4]) word.setInt32(at, this.#random(), true);
    const plan = { tag: new Uint8Array(word.buffer), root };
    const exec = new GuestExec(plan, this.auxiliary, () => this.stop());
    this.#events.on("end", ({ reason }) => exec.end(`the machine has ended (${reason})`));
    this.#exec = exec;
  }

  async exec(command: string, options: ExecOptions = {}): Promise<ExecResult> {
    if (this.#exec === null)
      throw new MachineError("state", "exec needs a machine with a Linux kernel that was made with agent: true");
    const result = this.#exec.run(command, options);
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
    const pluginErrors = [...this.#events.emit("end", exit), ...this.#undo()];
    return pluginErrors.length === 0 ? exit : { ...exit, pluginErrors };
  }
}

function devicesOf(board: Board): Devices {
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
