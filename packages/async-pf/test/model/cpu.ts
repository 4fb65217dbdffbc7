import {
  ApfArea,
  type GuestAsyncPf,
  GuestPanic,
  HYPERVISOR_CALLBACK_VECTOR,
  type VcpuAsyncPf,
  type VcpuPorts,
  WAKE_ALL,
} from "../../src/index.js";
import type { Random } from "./random.js";
import type { Task } from "./task.js";

/** What is done wrong, to see that it is found. */
export type Plant = "none" | "wake-all on the first vCPU only" | "tokens counted from 1" | "IRR lost" | "no dummy node";

/** What a CPU is part of. */
export interface System {
  readonly random: Random;
  readonly plant: Plant;
  /** Interrupts may come between a #PF and the moment its task waits. */
  readonly early: boolean;
  readonly memory: Map<number, number>;
  readonly runnable: Task[];
  readonly guest: GuestAsyncPf<number>;
  resident(gfn: number): boolean;
}

/** A vCPU with Linux on it, one small step at a time. */
export class Cpu {
  online = true;
  irr = false;
  tick = false;
  lapicEnabled = true;
  current: Task | null = null;
  restored = false;
  injections = 0;
  /** Of a #PF that the guest has not seen yet. */
  #cr2: number | null = null;
  #ack = false;
  #spinning = false;
  #swallow = false;

  constructor(
    readonly id: number,
    readonly system: System,
  ) {}

  get area(): number {
    return 0x1000 + this.id * 0x80;
  }

  /** It is between two things that the guest does. */
  get calm(): boolean {
    return this.#cr2 === null && !this.#ack && !this.#spinning;
  }

  get #pending(): boolean {
    return this.irr && this.lapicEnabled;
  }

  get #interruptsOn(): boolean {
    return this.current?.access?.interruptsOff !== true;
  }

  readonly ports: VcpuPorts = {
    processor: {
      cpl: () => this.current?.access?.cpl ?? 0,
      interruptsAllowed: () => this.#interruptsOn,
      exceptionPending: () => this.#cr2 !== null,
      paging: () => true,
      guestMode: () => false,
      protectedState: () => false,
      injectPageFault: (_errorCode, cr2) => {
        this.#cr2 = cr2;
        this.injections++;
      },
    },
    lapic: {
      enabled: () => this.lapicEnabled,
      raise: (vector) => {
        if (vector !== HYPERVISOR_CALLBACK_VECTOR) throw new GuestPanic("interrupts-off", `interrupt ${vector}`);
        if (this.#swallow) this.#swallow = false;
        // As a real one, it takes nothing while it is disabled.
        else if (this.lapicEnabled) this.irr = true;
      },
    },
    words: {
      read: (gpa) => this.system.memory.get(gpa) ?? false,
      write: (gpa, value) => {
        if (gpa === this.area + ApfArea.Token && this.system.memory.get(gpa) !== 0)
          throw new Error(`a token that CPU ${this.id} has not taken is overwritten`);
        this.#swallow = this.#withheld(value);
        if (!this.#swallow) this.system.memory.set(gpa, value);
        return true;
      },
    },
  };

  /** A reset of its local APIC has lost what waited there. */
  init(): void {
    this.irr = false;
    this.tick = false;
  }

  /** The guest writes an MSR. What is acknowledged reaches the host a step later. */
  wrmsr(host: VcpuAsyncPf, msr: number, lo: number, hi: number, isAck: boolean): void {
    if (isAck) this.#ack = true;
    else if (!host.writeMsr(msr, lo, hi)) throw new Error(`#GP at MSR 0x${msr.toString(16)}`);
  }

  /** Whether a step can be made. */
  enabled(host: VcpuAsyncPf): boolean {
    if (!this.online || host.state === "waiting" || host.state === "paused") return false;
    const event = (this.#pending || this.tick) && this.#interruptsOn;
    if (host.state === "halted") return event;
    return !this.calm || event || this.current !== null || this.system.runnable.length > 0;
  }

  /** @returns an MSR write that the host is to get now */
  step(host: VcpuAsyncPf): "ack" | undefined {
    if (host.state === "halted") host.wake();
    if (this.#ack) {
      this.#ack = false;
      return "ack";
    }
    if (this.#spinning) this.#spinning = this.system.guest.spin(this.id) === "spin";
    else if (this.#cr2 !== null) this.#pageFault(this.#cr2);
    else if (this.#pending && this.#interruptsOn && !this.#late()) this.#interrupt();
    else if (this.tick && this.#interruptsOn) this.#preempt();
    else this.#run(host);
    return undefined;
  }

  #pageFault(cr2: number): void {
    if (this.system.early && this.#pending && this.system.random.once(2)) {
      this.#interrupt();
      return;
    }
    this.#cr2 = null;
    const { current } = this;
    if (current === null) throw new Error("a #PF of nobody");
    const userMode = current.access?.cpl === 3;
    const fault = { cr2, userMode, interruptsEnabled: this.#interruptsOn, preemptCount: 0, task: current.id };
    const outcome = this.system.guest.pageFault(this.id, fault);
    if (outcome.kind === "retry") return;
    if (outcome.kind !== "sleep") throw new Error(`a #PF that is ${outcome.kind}`);
    current.node = outcome.node;
    this.current = null;
  }

  #interrupt(): void {
    this.irr = false;
    const token = this.system.memory.get(this.area + ApfArea.Token) ?? 0;
    const missing = !this.system.guest.sleepers.some((node) => node.token === token);
    if (this.system.plant === "no dummy node" && token !== WAKE_ALL && missing) {
      this.system.memory.set(this.area + ApfArea.Token, 0);
      this.#ack = true;
    } else this.#spinning = this.system.guest.interrupt(this.id) === "spin";
  }

  #preempt(): void {
    this.tick = false;
    this.yieldTask();
  }

  /** What ran goes back to the others. */
  yieldTask(): void {
    if (this.current !== null) this.system.runnable.push(this.current);
    this.current = null;
  }

  #run(host: VcpuAsyncPf): void {
    const { runnable, random } = this.system;
    if (this.current === null) {
      if (runnable.length > 0) this.current = runnable.splice(random.below(runnable.length), 1)[0] ?? null;
      return;
    }
    const { access } = this.current;
    if (access === undefined) this.current = null;
    else if (this.system.resident(access.gfn)) this.current.done++;
    else host.miss(access.gfn);
  }

  /** An interrupt of higher priority, or a slow path of the chip, is in the way. */
  #late(): boolean {
    return this.system.random.once(3) && (this.current !== null || this.system.runnable.length > 0);
  }

  #withheld(value: number): boolean {
    return (
      this.system.plant === "wake-all on the first vCPU only" && this.restored && this.id > 0 && value === WAKE_ALL
    );
  }
}
