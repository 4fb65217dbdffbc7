import {
  ApfArea,
  ApfReason,
  AsyncPfEnable,
  HYPERVISOR_CALLBACK_VECTOR,
  KvmFeature,
  MSR_KVM_ASYNC_PF_ACK,
  MSR_KVM_ASYNC_PF_EN,
  MSR_KVM_ASYNC_PF_INT,
  WAKE_ALL,
} from "../abi.js";
import { AsyncPfError } from "../errors.js";
import { ERAS, type Era, type EraRules } from "./era.js";
import { GuestPanic } from "./panic.js";
import type { GuestPorts } from "./ports.js";
import { Sleepers, type SleepNode } from "./sleepers.js";
import { checkedGuestState, type GuestAsyncPfState } from "./state.js";

export interface GuestAsyncPfDesc<Task> {
  readonly era: Era;
  /** Bits of CPUID 0x40000001 EAX, of `KvmFeature`. */
  readonly features: number;
  /** The kernel may be preempted (CONFIG_PREEMPTION), so that it can tell where it may sleep. Default false. */
  readonly preemptible?: boolean;
  readonly ports: GuestPorts<Task>;
}

/** A #PF, as its handler finds things. */
export interface PageFault<Task> {
  /** Low half. */
  readonly cr2: number;
  readonly userMode: boolean;
  /** IF of the code that was interrupted. */
  readonly interruptsEnabled: boolean;
  /** Whether that code may not sleep: preempt_count and the depth of RCU readers, added. 0 in user mode. */
  readonly preemptCount: number;
  readonly task: Task;
}

/**
 * What becomes of a #PF.
 * - `ordinary`: it is none of the host's; the guest's own handler has it.
 * - `retry`: the page is there by now.
 * - `sleep`: the task sleeps, uninterruptibly, until `ports.wake`.
 * - `halt`: the CPU halts with interrupts on, again and again, as long as the node is hashed.
 * - `ready`: it told that a page is there, and its task is awake.
 * - `spin`: the same, but there is no memory to note it: {@link GuestAsyncPf.spin}.
 * - `unexpected`: the host has told something that Linux knows nothing of, and warns of.
 */
export type FaultOutcome<Task> =
  | { readonly kind: "ordinary" | "retry" | "ready" | "spin" }
  | { readonly kind: "sleep" | "halt"; readonly node: SleepNode<Task> }
  | { readonly kind: "unexpected"; readonly flags: number };

/** `spin`: there is no memory; the CPU goes round with interrupts off and tries again ({@link GuestAsyncPf.spin}). */
export type WakeOutcome = "done" | "spin";

/**
 * What Linux does about asynchronous page faults (`arch/x86/kernel/kvm.c`), on every CPU of a guest.
 */
export class GuestAsyncPf<Task> {
  readonly era: Era;
  readonly #rules: EraRules;
  readonly #features: number;
  readonly #preemptible: boolean;
  readonly #ports: GuestPorts<Task>;
  readonly #sleepers = new Sleepers<Task>();
  /** By CPU, the token whose wake-up could not be noted. */
  readonly #spinning = new Map<number, number>();

  constructor({ era, features, preemptible = false, ports }: GuestAsyncPfDesc<Task>) {
    this.era = era;
    this.#rules = ERAS[era];
    this.#features = features;
    this.#preemptible = preemptible;
    this.#ports = ports;
  }

  /** Who waits, and wake-ups that came too early. */
  get sleepers(): readonly SleepNode<Task>[] {
    return this.#sleepers.all();
  }

  /** A CPU comes up. Whether it now has asynchronous page faults: CPUID must offer them as its era needs. */
  online(cpu: number): boolean {
    const byInterrupt = this.#rules.ready === "interrupt";
    if (!this.#has(byInterrupt ? KvmFeature.AsyncPfInt : KvmFeature.AsyncPf)) return false;
    const area = this.#ports.area(cpu);
    const always = this.#rules.kernelMode === "wait" && this.#preemptible;
    const bits =
      AsyncPfEnable.Enabled |
      (byInterrupt ? AsyncPfEnable.DeliveryAsInt : 0) |
      (always ? AsyncPfEnable.SendAlways : 0) |
      (this.#has(KvmFeature.AsyncPfVmexit) ? AsyncPfEnable.DeliveryAsPfVmexit : 0);
    if (byInterrupt) this.#ports.wrmsr(cpu, MSR_KVM_ASYNC_PF_INT, HYPERVISOR_CALLBACK_VECTOR, 0);
    this.#ports.wrmsr(cpu, MSR_KVM_ASYNC_PF_EN, (area | bits) >>> 0, Math.floor(area / 2 ** 32));
    this.#write(cpu, ApfArea.Enabled, 1);
    return true;
  }

  /** A CPU goes, or sleeps with the machine. @param shutdown for good: who waits is left waiting */
  offline(cpu: number, shutdown = false): void {
    if (this.#enabled(cpu)) {
      this.#ports.wrmsr(cpu, MSR_KVM_ASYNC_PF_EN, 0, 0);
      this.#write(cpu, ApfArea.Enabled, 0);
    }
    if (!shutdown) this.#wakeAll(cpu);
  }

  /**
   * The first thing a #PF handler does.
   * @throws GuestPanic
   */
  pageFault(cpu: number, fault: PageFault<Task>): FaultOutcome<Task> {
    const flags = this.#takeFlags(cpu);
    const byInterrupt = this.#rules.ready === "interrupt";
    // Before it was bits, it was one of two words, and every other one was taken for nothing.
    if (flags === 0 || (!byInterrupt && flags > ApfReason.PageReady)) return { kind: "ordinary" };
    if (!fault.interruptsEnabled)
      throw new GuestPanic("interrupts-off", `asynchronous #PF with interrupts off on CPU ${cpu}`);
    if ((flags & ApfReason.PageNotPresent) !== 0) return this.#wait(cpu, fault);
    if (byInterrupt) return { kind: "unexpected", flags };
    return { kind: this.#wakeOrSpin(cpu, fault.cr2 >>> 0) === "spin" ? "spin" : "ready" };
  }

  /** The interrupt by which a host tells that a page is there. */
  interrupt(cpu: number): WakeOutcome {
    this.#ports.eoi(cpu);
    if (!this.#enabled(cpu)) return "done";
    const outcome = this.#wakeOrSpin(cpu, this.#read(cpu, ApfArea.Token));
    if (outcome === "done") this.#acknowledge(cpu);
    return outcome;
  }

  /**
   * Tries again what was left at `spin`. The wake-up is needed no more if its task has begun to wait meanwhile, on another CPU.
   * @throws AsyncPfError "order": nothing was left
   */
  spin(cpu: number): WakeOutcome {
    const token = this.#spinning.get(cpu);
    if (token === undefined) throw new AsyncPfError("order", `CPU ${cpu} has no wake-up that could not be noted`);
    this.#spinning.delete(cpu);
    const outcome = this.#wakeOrSpin(cpu, token);
    if (outcome === "done" && this.#rules.ready === "interrupt") this.#acknowledge(cpu);
    return outcome;
  }

  /** What a snapshot keeps: as plain as the tasks are. */
  save(): GuestAsyncPfState<Task> {
    return {
      nodes: this.sleepers.map(({ token, cpu, task, halts }) => ({ token, cpu, task, halts })),
      spinning: [...this.#spinning],
    };
  }

  /**
   * The tasks that `isTask` accepts wait as they did; {@link sleepers} has their nodes.
   * @param isTask whether a value is a task of this guest
   * @throws AsyncPfError "state": out of range; nothing has changed
   */
  restore(state: unknown, isTask: (task: unknown) => task is Task): void {
    const { nodes, spinning } = checkedGuestState(state, isTask);
    this.#sleepers.clear();
    this.#spinning.clear();
    for (const node of [...nodes].reverse()) this.#sleepers.add(node);
    for (const [cpu, token] of spinning) this.#spinning.set(cpu, token);
  }

  #wait(cpu: number, { cr2, userMode, preemptCount, task }: PageFault<Task>): FaultOutcome<Task> {
    if (!userMode && this.#rules.kernelMode === "panic")
      throw new GuestPanic("kernel-mode", `asynchronous #PF in kernel mode on CPU ${cpu}`);
    const halts = this.#rules.kernelMode === "wait" && !(this.#preemptible ? preemptCount === 0 : userMode);
    const node = this.#sleepers.wait({ token: cr2 >>> 0, cpu, task, halts });
    return node === null ? { kind: "retry" } : { kind: halts ? "halt" : "sleep", node };
  }

  #wakeOrSpin(cpu: number, token: number): WakeOutcome {
    if (token === WAKE_ALL) {
      this.#wakeAll(cpu);
      return "done";
    }
    const node = this.#sleepers.find(token);
    if (node !== undefined) this.#wakeOne(node);
    else if (this.#ports.allocate()) this.#sleepers.add({ token, cpu, task: null, halts: false });
    else {
      this.#spinning.set(cpu, token);
      return "spin";
    }
    return "done";
  }

  #wakeAll(cpu: number): void {
    for (const node of this.#sleepers.of(cpu)) this.#wakeOne(node);
  }

  #wakeOne(node: SleepNode<Task>): void {
    this.#sleepers.remove(node);
    if (node.halts) this.#ports.reschedule(node.cpu);
    else if (node.task !== null) this.#ports.wake(node.task);
  }

  /** First the place is free, then the host hears of it. */
  #acknowledge(cpu: number): void {
    this.#write(cpu, ApfArea.Token, 0);
    this.#ports.wrmsr(cpu, MSR_KVM_ASYNC_PF_ACK, 1, 0);
  }

  #takeFlags(cpu: number): number {
    if (!this.#enabled(cpu)) return 0;
    const flags = this.#read(cpu, ApfArea.Flags);
    this.#write(cpu, ApfArea.Flags, 0);
    return flags;
  }

  #has(feature: KvmFeature): boolean {
    return (this.#features & feature) !== 0;
  }

  #enabled(cpu: number): boolean {
    return this.#read(cpu, ApfArea.Enabled) !== 0;
  }

  #read(cpu: number, at: ApfArea): number {
    const value = this.#ports.words.read(this.#ports.area(cpu) + at);
    if (value === false) throw this.#noMemory(cpu);
    return value;
  }

  #write(cpu: number, at: ApfArea, value: number): void {
    if (!this.#ports.words.write(this.#ports.area(cpu) + at, value)) throw this.#noMemory(cpu);
  }

  #noMemory(cpu: number): AsyncPfError {
    return new AsyncPfError(
      "area",
      `area of CPU ${cpu} at 0x${this.#ports.area(cpu).toString(16)}: 68 bytes of memory`,
    );
  }
}
