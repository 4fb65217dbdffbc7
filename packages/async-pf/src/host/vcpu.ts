import {
  ApfArea,
  ApfReason,
  KvmFeature,
  MSR_KVM_ASYNC_PF_ACK,
  MSR_KVM_ASYNC_PF_EN,
  MSR_KVM_ASYNC_PF_INT,
  WAKE_ALL,
} from "../abi.js";
import { AsyncPfError, type FetchError } from "../errors.js";
import { EnableValue } from "./enable.js";
import { type Covers, checkGfn } from "./gfn.js";
import type { VcpuPorts } from "./ports.js";
import { Queue } from "./queue.js";
import { TokenCounter } from "./token.js";
import type { MissDecision, VcpuAsyncPf, VcpuAsyncPfState, VcpuRunState } from "./vcpu-async-pf.js";

/** Physical addresses have 52 bits: their high halves are below this. */
const PHYSICAL_END_HI = 2 ** 20;

/** What a vCPU has in common with the others. */
export interface Shared {
  /** Bits of CPUID 0x40000001 EAX. */
  readonly features: number;
  /** A vCPU that is halted leaves the guest. */
  readonly hltExits: boolean;
  /** Sees to it that the frame comes. */
  fetch(gfn: number): void;
  /** The first frame that could not be brought, of those that are meant. */
  failure(needs: Covers): FetchError | null;
  /** A vCPU needs frames no longer. */
  dropped(): void;
}

interface Standing {
  readonly how: "halted" | "waiting";
  readonly gfn: number;
}

/** Linux `virt/kvm/async_pf.c`, `arch/x86/kvm/x86.c`. Nothing here waits: what takes time is over when {@link Vcpu.arrived} is called. */
export class Vcpu implements VcpuAsyncPf {
  hi = 0;
  pageReadyPending = false;
  readonly #ports: VcpuPorts;
  readonly #shared: Shared;
  readonly #tokens: TokenCounter;
  readonly #queue = new Queue();
  #enable = EnableValue.off;
  #vector = 0;
  #standing: Standing | null = null;

  constructor(
    readonly id: number,
    ports: VcpuPorts,
    shared: Shared,
  ) {
    this.#ports = ports;
    this.#shared = shared;
    this.#tokens = new TokenCounter(id);
  }

  get state(): VcpuRunState {
    if (this.failure !== null) return "paused";
    return this.#standing?.how ?? "running";
  }

  get failure(): FetchError | null {
    return this.#shared.failure((gfn) => this.needs(gfn));
  }

  get area(): number | null {
    return this.#enable.active ? this.#enable.area : null;
  }

  get queued(): number {
    return this.#queue.length;
  }

  /** It, or a task in its guest, cannot go on without this frame. */
  needs(gfn: number): boolean {
    return this.#standing?.gfn === gfn || this.#queue.outstanding(gfn);
  }

  readMsr(msr: number): number {
    if (!this.#hasMsr(msr)) return -1;
    this.hi = msr === MSR_KVM_ASYNC_PF_EN ? this.#enable.hi : 0;
    if (msr === MSR_KVM_ASYNC_PF_EN) return this.#enable.lo;
    return msr === MSR_KVM_ASYNC_PF_INT ? this.#vector : 0;
  }

  writeMsr(msr: number, lo: number, hi: number): boolean {
    if (!this.#hasMsr(msr)) return false;
    const value = new EnableValue(lo >>> 0, hi >>> 0);
    if (msr === MSR_KVM_ASYNC_PF_EN) return this.#writeEnable(value);
    if (msr === MSR_KVM_ASYNC_PF_ACK) return this.#acknowledge(value);
    if (value.hi !== 0 || value.lo > 0xff || this.#ports.lapic === null) return false;
    this.#vector = value.lo;
    return true;
  }

  miss(gfn: number): MissDecision {
    checkGfn(gfn);
    if (this.state !== "running")
      throw new AsyncPfError("order", `vCPU ${this.id} is ${this.state}: one that runs can miss a frame`);
    if (!this.#canDoAsync()) return this.#stand("waiting", gfn);
    // What is done but not told yet is in the table too: the frame has gone again since, and must be asked for.
    if (this.#queue.has(gfn)) return this.#stand("halted", gfn);
    if (this.#queue.full) return this.#stand("waiting", gfn);
    const token = this.#tokens.next((token) => this.#queue.hasToken(token));
    const injected = this.#deliverable() && this.#write(ApfArea.Flags, ApfReason.PageNotPresent);
    this.#queue.add({ kind: "page", gfn, token, injected });
    if (!injected) return this.#stand("halted", gfn);
    this.#ports.processor.injectPageFault(0, token);
    this.#shared.fetch(gfn);
    return "inject";
  }

  wake(): boolean {
    return this.state === "halted" && this.#resume();
  }

  rescan(): void {
    const { lapic } = this.#ports;
    if (this.#enable.active && lapic?.enabled() && !this.#areaFree()) lapic.raise(this.#vector);
    this.#deliver();
  }

  reset(): void {
    this.#enable = EnableValue.off;
    this.#vector = 0;
    this.pageReadyPending = false;
    this.#resume();
    this.#clear();
  }

  /** Frames are there. */
  arrived(covers: Covers): void {
    const first = !this.#queue.hasDone;
    const completed = this.#queue.complete(covers);
    const { how, gfn } = this.#standing ?? {};
    if (gfn !== undefined && (covers(gfn) || (completed && how === "halted"))) this.#resume();
    // What was done before waits for the guest, which says when it may be told.
    if (first) this.#deliver();
  }

  save(): VcpuAsyncPfState {
    return {
      id: this.id,
      enable: [this.#enable.lo, this.#enable.hi],
      vector: this.#vector,
      nextId: this.#tokens.nextId,
      pageReadyPending: this.pageReadyPending,
    };
  }

  /** Why a state whose numbers are in range cannot be this vCPU's; null: it can. */
  refuses({ enable, vector }: VcpuAsyncPfState): string | null {
    const value = new EnableValue(...enable);
    if (!value.allowed(this.#shared.features)) return "MSR_KVM_ASYNC_PF_EN has bits that CPUID does not offer";
    if (this.#ports.lapic === null && (value.lo !== 0 || value.hi !== 0 || vector !== 0))
      return "without a local APIC the MSRs are 0";
    return value.active && !this.#inMemory(value) ? `there is no memory at 0x${value.area.toString(16)}` : null;
  }

  /** What was outstanding is not any more: whoever waits for it in the guest is woken, and misses again. */
  restore({ enable, vector, nextId, pageReadyPending }: VcpuAsyncPfState): void {
    this.reset();
    this.#enable = new EnableValue(...enable);
    this.#vector = vector;
    this.#tokens.nextId = nextId;
    this.pageReadyPending = pageReadyPending;
    if (this.#enable.active) this.#wakeAll();
  }

  #hasMsr(msr: number): boolean {
    if (msr === MSR_KVM_ASYNC_PF_EN) return (this.#shared.features & KvmFeature.AsyncPf) !== 0;
    if (msr !== MSR_KVM_ASYNC_PF_INT && msr !== MSR_KVM_ASYNC_PF_ACK) return false;
    return (this.#shared.features & KvmFeature.AsyncPfInt) !== 0;
  }

  #writeEnable(value: EnableValue): boolean {
    if (!value.allowed(this.#shared.features)) return false;
    if (this.#ports.lapic === null) return value.lo === 0 && value.hi === 0;
    if (value.active && !this.#inMemory(value)) return false;
    this.#enable = value;
    if (value.active) this.#wakeAll();
    else this.#clear();
    return true;
  }

  #acknowledge({ lo }: EnableValue): boolean {
    if ((lo & 1) === 0) return true;
    this.pageReadyPending = false;
    this.#deliver();
    return true;
  }

  #inMemory({ area, hi }: EnableValue): boolean {
    const { words } = this.#ports;
    return (
      hi < PHYSICAL_END_HI && words.read(area + ApfArea.Flags) !== false && words.read(area + ApfArea.Token) !== false
    );
  }

  /** Every task of this vCPU is woken. A token that is in the area already must be told first: nobody else may know of it any more. */
  #wakeAll(): void {
    if (!this.#queue.hasDone) this.#queue.addWakeAll();
    this.rescan();
  }

  #clear(): void {
    this.#queue.clear();
    this.#shared.dropped();
  }

  /** Even a halt needs that an interrupt could end it (`kvm_can_do_async_pf`). */
  #canDoAsync(): boolean {
    const { lapic, processor } = this.#ports;
    if (lapic === null || processor.exceptionPending() || !processor.interruptsAllowed()) return false;
    return this.#shared.hltExits || this.#deliverable();
  }

  /** The guest takes a #PF here (`kvm_can_deliver_async_pf`). */
  #deliverable(): boolean {
    const { processor } = this.#ports;
    if (!this.#enable.active) return false;
    if (!this.#enable.sendAlways && (processor.protectedState() || processor.cpl() === 0)) return false;
    return processor.guestMode() ? this.#enable.asPfVmexit : processor.paging();
  }

  #deliver(): void {
    while (this.#queue.hasDone && this.#canTell()) {
      const item = this.#queue.shift();
      if (item?.kind === "wake-all") this.#tell(WAKE_ALL);
      else if (item?.injected) this.#tell(item.token);
    }
  }

  /** One token at a time: the guest takes it out of the area. While switched off nothing is done that somebody was told of. */
  #canTell(): boolean {
    return !this.#enable.active || (this.#ports.lapic?.enabled() === true && this.#areaFree());
  }

  #areaFree(): boolean {
    return this.#ports.words.read(this.#enable.area + ApfArea.Token) === 0;
  }

  #tell(token: number): void {
    if (!this.#write(ApfArea.Token, token)) return;
    this.pageReadyPending = true;
    this.#ports.lapic?.raise(this.#vector);
  }

  #write(at: ApfArea, value: number): boolean {
    return this.#ports.words.write(this.#enable.area + at, value);
  }

  #stand(how: Standing["how"], gfn: number): MissDecision {
    this.#standing = { how, gfn };
    this.#shared.fetch(gfn);
    return how === "halted" ? "halt" : "wait";
  }

  #resume(): true {
    this.#standing = null;
    return true;
  }
}
