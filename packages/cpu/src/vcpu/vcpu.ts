import type { CodeCache, CodePage } from "../code/cache.js";
import { handlerNumber } from "../interp/handlers.js";
import type { Jit } from "../jit/jit.js";
import type { VcpuPorts } from "../ports.js";
import * as S from "../state.js";
import { Tlb } from "../tlb.js";
import type { Gfn } from "../units.js";
import type { Activity, Counts, VcpuContext } from "./context/context.js";
import type { Pending } from "./context/event.js";
import type { Exit } from "./context/exit.js";
import type { VcpuHooks } from "./context/hooks.js";
import type { LinearAccess } from "./context/linear-access.js";
import { Interrupts } from "./events/interrupts.js";
import { PendingEvents } from "./events/pending-events.js";
import { Copies } from "./memory/copies.js";
import { Fetcher } from "./memory/fetch.js";
import { HostBytes } from "./memory/host-bytes.js";
import { LinearMemory } from "./memory/linear.js";
import { Misses } from "./memory/misses.js";
import { Pages } from "./memory/pages.js";
import { Seg, type Vector } from "./registers/constants.js";
import { add64, type Halves } from "./registers/halves.js";
import { Registers } from "./registers/registers.js";
import { CodeGuard } from "./run/code-guard.js";
import { CurrentInstruction, type IoForm } from "./run/current-instruction.js";
import { GeneratedCode } from "./run/generated-code.js";
import { RunLoop } from "./run/run-loop.js";
import { ArchitecturalState } from "./state/architectural-state.js";
import type { VcpuState } from "./state/vcpu-state.js";

export interface VcpuOptions {
  /** Index of this CPU, from 0; also its initial APIC id. */
  readonly id: number;
  readonly memory: WebAssembly.Memory;
  /** First byte of `Vcpu.bytes` bytes of the shared memory, 4096-aligned. */
  readonly base: number;
  readonly code: CodeCache;
  /** The compiled interpreter, shared by all vCPUs. */
  readonly interpreter: WebAssembly.Module;
  /** Makes regions of hot code, for all vCPUs; everything is interpreted without one. */
  readonly jit?: Jit;
  readonly ports: VcpuPorts;
  /** The bootstrap processor runs after reset; the others wait for INIT and SIPI. */
  readonly bootstrap: boolean;
}

/** One virtual processor: its registers, and the parts that run it. What instructions ask of it is passed on to them. */
export class Vcpu extends Registers implements VcpuContext {
  readonly id: number;
  readonly ports: VcpuPorts;
  readonly code: CodeCache;
  /** Makes regions of hot code; null if everything is interpreted. */
  readonly jit: Jit | null;
  readonly linear: LinearAccess;
  /** Observers; assign members to intercept. */
  hooks: VcpuHooks = {};

  singleStep = false;
  activity: Activity = "active";
  shadow = false;
  keepRf = false;
  nmiBlocked = false;
  /** Exits and events by name, for statistics. */
  readonly counts: Counts = {
    faults: 0,
    interrupts: 0,
    io: 0,
    mmio: 0,
    cpuid: 0,
    msr: 0,
    hlt: 0,
    hypercall: 0,
    helper: 0,
  };

  readonly #events = new PendingEvents(this);
  readonly #interrupts = new Interrupts(this);
  readonly #guard = new CodeGuard(this, this.#events);
  readonly #loop: RunLoop;
  readonly #instruction: CurrentInstruction;
  readonly #state: ArchitecturalState;

  /** Bytes of shared memory a vCPU needs: state block, a record of its own, TLBs. */
  static readonly bytes = 2 * S.STATE_SIZE + Tlb.bytes;

  constructor(options: VcpuOptions) {
    const { memory, base, code, ports, interpreter, jit = null } = options;
    super(memory, base, base + 2 * S.STATE_SIZE);
    this.id = options.id;
    this.ports = ports;
    this.code = code;
    this.jit = jit;
    this.#instruction = new CurrentInstruction(this, code);
    const host = new HostBytes(memory);
    const pages = new Pages(this, code);
    const copies = new Copies(this, code, pages, host);
    this.linear = new LinearMemory(this, code, pages, copies, host);
    const misses = new Misses(this, code, pages, copies);
    const refetch = base + S.STATE_SIZE;
    const handler = handlerNumber("refetch") as number;
    const fetcher = new Fetcher(this, this.#guard, memory, code, pages, refetch, handler, jit?.threshold ?? null);
    const events = this.#events;
    const generated = new GeneratedCode(this, { interpreter, memory, code, events, misses, fetcher, jit });
    const [interrupts, guard] = [this.#interrupts, this.#guard];
    const loop = new RunLoop(this, { generated, events, interrupts, guard, misses, fetcher });
    this.#loop = loop;
    this.#state = new ArchitecturalState({ vcpu: this, events, interrupts, loop }, code);
    code.onDrop((page) => this.#dropped(page));
    code.onWatch((gfn) => this.tlb.flushOwner(1, gfn));
    this.reset();
    if (!options.bootstrap) this.activity = "wait-for-sipi";
  }

  /** What was decoded is void: of a page, which may be the one that executes, or everything. */
  #dropped(page: CodePage | null): void {
    if (page === null) this.tlb.flush();
    else {
      this.tlb.flushOwner(2, page.serial);
      this.endSlice();
    }
  }

  // Life cycle

  /** Power-on state (SDM vol. 3, table 9-1). */
  override reset(): void {
    super.reset();
    this.#events.reset();
    this.#interrupts.reset();
    this.activity = "active";
    this.shadow = false;
    this.nmiBlocked = false;
  }

  /**
   * Everything this vCPU is, for {@link restore}. A snapshot needs besides: guest memory; what is behind `ports`: the local APIC with
   * IA32_APIC_BASE, TSC deadline and CR8, second-level views, devices, CPUID, and the clock: it has to go on from the same TSC, to which the
   * guest's is relative. Hooks, `watchCode` and `counts` are the host's.
   * @throws {VcpuStateError} `running`, from within `run`
   */
  save(): VcpuState {
    return this.#state.save();
  }

  /**
   * Makes this vCPU what `state` says, whoever wrote it. TLBs are empty then, and nothing is decoded: guest memory may be another one.
   * @throws {VcpuStateError} `state`, for what no vCPU with these ports can be: nothing has changed; `running`, from within `run`
   */
  restore(state: VcpuState): void {
    this.#state.restore(state);
  }

  /** INIT: back to the reset state, waiting for SIPI. Caches of code stay. */
  init(): void {
    this.reset();
    this.activity = "wait-for-sipi";
    this.kick();
  }

  /** SIPI: real mode at `vector << 12`. Ignored unless waiting. */
  sipi(vector: number): void {
    if (this.activity !== "wait-for-sipi") return;
    this.activity = "active";
    this.setSegment(Seg.CS, {
      selector: vector << 8,
      baseLo: vector << 12,
      baseHi: 0,
      limit: 0xffff,
      attributes: 0x9b,
    });
    this.updateMode();
    this.setRip(0, 0);
  }

  /** Instructions retired since reset. */
  get retired(): number {
    return this.#loop.retired;
  }

  /** Those among them that regions executed. */
  get retiredInRegions(): number {
    return (this.i32(S.REGION_RETIRED) >>> 0) + 0x100000000 * (this.i32(S.REGION_RETIRED + 4) >>> 0);
  }

  /** How often regions were entered, modulo 2^32. */
  get regionEntries(): number {
    return this.i32(S.REGION_ENTRIES) >>> 0;
  }

  /** Something that can run: not halted, not waiting for SIPI, or with an event that ends that. */
  get runnable(): boolean {
    return this.activity === "active" || (this.activity === "hlt" && this.#interrupts.wakes);
  }

  /** Runs at most `budget` instructions. */
  run(budget: number): Exit {
    return this.#loop.run(budget);
  }

  /** Leaves `run` at the next instruction boundary. */
  kick(): void {
    this.#loop.kick();
  }

  nmi(): void {
    this.#interrupts.nmi();
  }

  interrupt(): void {
    this.#interrupts.arrived();
  }

  /** Injects an event from outside, to be delivered before the next instruction. */
  inject(vector: number, errorCode: number | null): void {
    this.#events.inject(vector, errorCode);
  }

  /** Time-stamp counter as the guest sees it, in ticks, into `out`. */
  tsc(out: Halves): void {
    const ticks = this.ports.clock.tsc();
    add64(out, ticks | 0, Math.floor(ticks / 0x100000000), this.tscOffset.lo, this.tscOffset.hi);
  }

  /**
   * Executes nothing until an event comes, as after HLT.
   * @param masked an interrupt ends it also while IF is clear, as it ends MWAIT with ECX[0]; taken it is when IF lets it through
   */
  halt(masked = false): void {
    this.activity = "hlt";
    this.#interrupts.wakeMasked = masked;
    this.endSlice();
  }

  /** Halted, with nothing but an NMI to end it. */
  get stuck(): boolean {
    return this.activity === "hlt" && (this.flags & S.IF) === 0 && !this.#interrupts.wakeMasked;
  }

  // Observers

  /**
   * Has `hooks.execute` called (or no longer called) before the instruction at linear address `hi:lo`, each time it is about to run.
   * Nothing in memory changes. Code in the same 4 KiB is executed an instruction at a time.
   */
  watchCode(lo: number, hi: number, on: boolean): void {
    this.breakpoints.watch(lo, hi, on);
    this.tlb.flush();
    this.endSlice();
  }

  /** Ends every {@link watchCode}. */
  unwatchCode(): void {
    this.breakpoints.unwatch();
    this.tlb.flush();
    this.endSlice();
  }

  /** Whether instructions in the page of linear address `hi:lo` must be looked at before they run: breakpoints, and the end of CS. */
  guards(lo: number, hi: number): boolean {
    return this.#guard.guards(lo, hi);
  }

  /**
   * For hooks: leaves the instruction undone and the guest with an `intercepted` exit, whatever the hook answers. The next `run` starts
   * the instruction over, and the hook is called again.
   */
  leave(): false {
    return this.#loop.leave();
  }

  /**
   * For hooks: bytes of the instruction that they are asked about, 1 to 15, prefixes included. 0 where none is being executed: in `execute`, `singleStep`,
   * at the delivery of exceptions and interrupts, and at its own fetch.
   */
  get instructionLength(): number {
    return this.#instruction.length;
  }

  /** For the hooks `io` and `ioRead`: the form of the instruction; null in others. */
  get ioForm(): IoForm | null {
    return this.#instruction.ioForm;
  }

  // For instructions: `RunControl`

  get leaving(): boolean {
    return this.#loop.leaving;
  }
  holdInterrupts(): void {
    this.#loop.holdInterrupts();
  }
  flagsChanged(): void {
    this.#loop.flagsChanged();
  }
  traceByFlags(): void {
    this.#loop.traceByFlags();
  }
  startedTask(): void {
    this.#loop.startedTask();
  }
  deliverSoftware(event: Pending, at: readonly [number, number]): boolean {
    return this.#loop.deliverSoftware(event, at);
  }
  get undoable(): boolean {
    return this.#loop.undoable;
  }
  repeatUndoable(): void {
    this.#loop.repeatUndoable();
  }
  withheld(gfn: Gfn, access: number, lo: number, hi: number): boolean {
    return this.#loop.withheld(gfn, access, lo, hi);
  }

  // For instructions: `Raising`

  get pending(): Pending | null {
    return this.#events.pending;
  }
  raise(vector: Vector): false {
    return this.#events.raise(vector);
  }
  raiseError(vector: Vector, errorCode: number): false {
    return this.#events.raiseError(vector, errorCode);
  }
  raiseNonCanonical(): void {
    this.#events.raiseNonCanonical();
  }
  raisePageFault(lo: number, hi: number, errorCode: number): false {
    return this.#events.raisePageFault(lo, hi, errorCode);
  }
  raiseDebugFault(bits: number): false {
    return this.#events.raiseDebugFault(bits);
  }
  debugTrap(mask: number): void {
    this.#events.debugTrap(mask);
  }
  takeDebugTraps(): void {
    this.#events.takeDebugTraps();
  }
  redeliver(event: Pending): void {
    this.#events.redeliver(event);
  }
  forget(): void {
    this.#events.forget();
  }
}
