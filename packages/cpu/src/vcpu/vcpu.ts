import { RunExit } from "../calls.js";
import type { CodeCache, CrossSite } from "../code/cache.js";
import { handlerNumber } from "../interp/generate.js";
import { CALLS_PER_LOOK, type VcpuPorts } from "../ports.js";
import * as R from "../record.js";
import * as S from "../state.js";
import { Tlb } from "../tlb.js";
import type { VcpuContext } from "./context/context.js";
import type { Pending } from "./context/event.js";
import type { Exit } from "./context/exit.js";
import type { HelperSite } from "./context/helper.js";
import type { VcpuHooks } from "./context/hooks.js";
import { Exceptions } from "./events/exceptions.js";
import { deliver } from "./events/interrupt.js";
import { undefinedOpcode } from "./helpers/common.js";
import { HELPERS } from "./helpers.js";
import { Copies } from "./memory/copies.js";
import { Fetcher, type FetchGuard } from "./memory/fetch.js";
import { HostBytes } from "./memory/host-bytes.js";
import { LinearMemory } from "./memory/linear.js";
import { Misses } from "./memory/misses.js";
import { Pages } from "./memory/pages.js";
import { Operands } from "./outside/operands.js";
import { executeOutside } from "./outside/outside.js";
import { Seg, Vector } from "./registers/constants.js";
import { add64, type Halves } from "./registers/halves.js";
import type { SegmentCache } from "./registers/segment-cache.js";
import { u64 } from "./registers/u64.js";

export interface VcpuOptions {
  /** Index of this CPU, from 0; also its initial APIC id. */
  readonly id: number;
  readonly memory: WebAssembly.Memory;
  /** First byte of `Vcpu.bytes` bytes of the shared memory, 4096-aligned. */
  readonly base: number;
  readonly code: CodeCache;
  /** The compiled interpreter, shared by all vCPUs. */
  readonly interpreter: WebAssembly.Module;
  readonly ports: VcpuPorts;
  /** The bootstrap processor runs after reset; the others wait for INIT and SIPI. */
  readonly bootstrap: boolean;
}

/** DR6: single step. */
const DR6_BS = 0x4000;
/** Bytes of the longest instruction. */
const MAX_INSN = 15;
/** Faults in a row, without an instruction retired in between, after which `run` returns to its caller. */
const FUTILE_FAULTS = 1024;

/** What one instruction of generated code can change. */
interface Checkpoint {
  /** The state block. */
  readonly block: Uint8Array;
  readonly shadow: boolean;
  readonly stackShadow: boolean;
}

const EXIT_BUDGET: Exit = { reason: "budget" };
const EXIT_HLT: Exit = { reason: "hlt" };
const EXIT_SHUTDOWN: Exit = { reason: "shutdown" };
const EXIT_SIPI: Exit = { reason: "wait-for-sipi" };
const EXIT_KICKED: Exit = { reason: "kicked" };
const EXIT_INTERCEPTED: Exit = { reason: "intercepted" };

/** One virtual processor. */
export class Vcpu extends Exceptions implements VcpuContext, FetchGuard {
  readonly id: number;
  readonly ports: VcpuPorts;
  readonly code: CodeCache;
  readonly linear: LinearMemory;
  /** Observers; assign members to intercept. */
  hooks: VcpuHooks = {};

  /** Interrupts are held off for one instruction (STI, MOV SS). */
  shadow = false;
  /** IRET or a task switch loaded RF: it stays for one instruction more. */
  keepRf = false;
  /** The page at PC is executed an instruction at a time, each looked at by `#guard` first. */
  #guarded = false;
  #exit: Exit | null = null;
  halted = false;
  waitForSipi: boolean;
  #nmi = false;
  #kicked = false;
  #shutdown = false;
  /** The next instruction is executed by itself, and can be undone. */
  #repeats = false;
  /** What the running instruction, alone in its slice, can be undone with. */
  #checkpoint: Checkpoint | null = null;
  /** A single-step trap follows the instruction. */
  #traced = false;
  /** An NMI is being handled; further ones wait for IRET. */
  nmiBlocked = false;
  /** Single-step every instruction and call `hooks.singleStep`. */
  singleStep = false;
  /** Instructions retired since reset, without the current slice. */
  #retired = 0;
  /** Exits and events by name, for statistics. */
  readonly counts = { faults: 0, interrupts: 0, io: 0, mmio: 0, cpuid: 0, msr: 0, hlt: 0, hypercall: 0, helper: 0 };

  /** Calls out of generated code until the host looks. */
  #calls = CALLS_PER_LOOK;
  readonly #run: (cpu: number) => RunExit;
  readonly #misses: Misses;
  readonly #fetcher: Fetcher;
  readonly #records: DataView;

  /** Bytes of shared memory a vCPU needs: state block, a record of its own, TLBs. */
  static readonly bytes = 2 * S.STATE_SIZE + Tlb.bytes;

  constructor(options: VcpuOptions) {
    const { memory, base, code, ports } = options;
    super(memory, base, base + 2 * S.STATE_SIZE);
    this.#records = new DataView(memory.buffer);
    this.id = options.id;
    this.ports = ports;
    this.code = code;
    const host = new HostBytes(memory);
    const pages = new Pages(this, code);
    const copies = new Copies(this, code, pages, host);
    this.linear = new LinearMemory(this, code, pages, copies, host);
    this.#misses = new Misses(this, code, pages, copies);
    const refetch = base + S.STATE_SIZE;
    this.#fetcher = new Fetcher(this, memory, code, pages, this.tlb, refetch, handlerNumber("refetch") as number);
    const operands = new Operands(this);
    const instance = new WebAssembly.Instance(options.interpreter, {
      vm: {
        memory,
        miss: () => {
          this.#called();
          return this.#misses.miss();
        },
        raise: () => this.raiseFromCode(this.i32(S.RAISE)),
        helper: (record: number) => this.#helper(record),
        outside: (record: number) => {
          this.#called();
          return executeOutside(operands, this.i32(S.OUTSIDE_OP), record) ? 1 : 0;
        },
        fetch: (lo: number, hi: number) => {
          this.#called();
          return this.#fetcher.fetch(lo, hi);
        },
        link: this.#fetcher.link,
      },
    });
    this.#run = (instance.exports as { run: (cpu: number) => RunExit }).run;
    code.onDrop(() => this.tlb.flush());
    code.onWatch(() => this.tlb.flush());
    this.waitForSipi = !options.bootstrap;
    this.reset();
  }

  // Life cycle

  /** Power-on state (SDM vol. 3, table 9-1). */
  reset(): void {
    this.resetRegisters();
    this.resetExceptions();
    this.#shutdown = false;
    this.shadow = false;
    this.halted = false;
    this.nmiBlocked = false;
  }

  /** INIT: back to the reset state, waiting for SIPI. Caches of code stay. */
  init(): void {
    this.reset();
    this.waitForSipi = true;
    this.kick();
  }

  /** SIPI: real mode at `vector << 12`. Ignored unless waiting. */
  sipi(vector: number): void {
    if (!this.waitForSipi) return;
    this.waitForSipi = false;
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

  nmi(): void {
    this.#nmi = true;
    this.interrupt();
  }

  /** An interrupt may have become deliverable: have the run loop look. */
  interrupt(): void {
    this.setI32(S.INTR_PENDING, 1);
    if (this.flags & S.IF || this.#nmi) this.endSlice();
  }

  /** Leaves `run` at the next instruction boundary. */
  kick(): void {
    this.#kicked = true;
    this.endSlice();
  }

  /** Instructions retired since reset. */
  get retired(): number {
    return this.#retired + this.i32(S.SLICE) - this.i32(S.BUDGET);
  }

  /** Something that can run: not halted, not waiting for SIPI, or with an event that ends that. */
  get runnable(): boolean {
    if (this.#shutdown) return false;
    if (this.waitForSipi) return false;
    return !this.halted || this.#nmi || (this.ports.apic.hasInterrupt() && (this.flags & S.IF) !== 0);
  }

  /** Something was done outside generated code. */
  #called(): void {
    if (--this.#calls > 0) return;
    this.#calls = CALLS_PER_LOOK;
    this.ports.host?.look();
  }

  /** Runs at most `budget` instructions. */
  run(budget: number): Exit {
    if (this.#shutdown) return EXIT_SHUTDOWN;
    if (this.waitForSipi) return EXIT_SIPI;
    this.#kicked = false;
    this.#exit = null;
    let left = budget;
    // A handler that faults at its own first instruction retires nothing: the host gets its turn all the same.
    for (let futile = 0; left > 0 && futile < FUTILE_FAULTS; ) {
      this.#called();
      if (this.pending !== null) this.#deliverPending();
      else if (!this.shadow) this.#takeInterrupt();
      if (this.#shutdown) return EXIT_SHUTDOWN;
      if (this.#exit !== null) return this.#exit;
      let done = 0;
      // Delivery itself may have met data breakpoints.
      if (!this.raiseNotedDebug()) {
        if (this.#kicked) return EXIT_KICKED;
        if (this.halted) return EXIT_HLT;
        this.#guarded = this.guards(this.i32(S.PC), this.i32(S.PC + 4));
        if (this.pending === null && !(this.#guarded && this.#guard())) done = this.#slice(left);
      }
      left -= done;
      futile = done > 0 ? 0 : futile + 1;
      if (this.#exit !== null) return this.#exit;
      if (this.#kicked) return EXIT_KICKED;
    }
    if (this.pending !== null) this.#deliverPending();
    return this.#shutdown ? EXIT_SHUTDOWN : (this.#exit ?? EXIT_BUDGET);
  }

  /** Executes up to `left` instructions, one where each must be looked after. @returns how many retired */
  #slice(left: number): number {
    const resumed = (this.flags & S.RF) !== 0;
    const alone = this.shadow || this.singleStep || this.#guarded || this.#repeats || resumed || this.flags & S.TF;
    const slice = alone ? 1 : left;
    this.#checkpoint = this.#repeats ? this.#save() : null;
    this.#repeats = false;
    this.shadow = false;
    this.stackShadow = false;
    this.setI32(S.SLICE, slice);
    this.setI32(S.BUDGET, slice);
    this.setI32(S.STI_LEFT, -1);
    this.keepRf = false;
    this.traceByFlags();
    const outcome = this.#run(this.base);
    let done = this.i32(S.SLICE) - this.i32(S.BUDGET);
    this.setI32(S.SLICE, 0);
    this.setI32(S.BUDGET, 0);
    this.#retired += done;
    this.loadRip();
    if (outcome === RunExit.Fault) this.#faulted();
    else if (!this.#misses.finish() && this.#checkpoint !== null) {
      this.#undo(this.#checkpoint);
      done = 0;
    } else if (this.i32(S.STI_LEFT) === 0) this.shadow = true;
    this.#checkpoint = null;
    if (done > 0) {
      if (resumed && !this.keepRf) this.setI32(S.FLAGS, this.flags & ~S.RF);
      if (this.#traced && !this.stackShadow) this.noteDebug(DR6_BS);
      this.raiseNotedDebug();
      if (this.singleStep) this.hooks.singleStep?.();
    }
    return done;
  }

  /** The instruction at PC could not be executed. */
  #faulted(): void {
    this.#misses.discard();
    this.discardDebug();
    if (this.#repeats) return;
    if (this.pending === null && this.#exit === null) {
      this.#fetcher.raiseFetchFault(this.i32(S.PC), this.i32(S.PC + 4));
    } else if (this.nonCanonical) {
      const flags = this.#records.getUint16(this.i32(S.REC) + R.R_AUX2, true);
      if (flags & R.AUX2_STACK) this.raiseError(Vector.SS, 0);
    }
  }

  /** Whether the running instruction can be undone when it has retired. */
  get undoable(): boolean {
    return this.#checkpoint !== null;
  }

  /** Leaves the running instruction undone, to be executed by itself, {@link undoable}, when `run` goes on. */
  repeatUndoable(): false {
    this.#repeats = true;
    return false;
  }

  #save(): Checkpoint {
    const { base, memory, shadow, stackShadow } = this;
    return { block: memory.slice(base, base + S.STATE_SIZE), shadow, stackShadow };
  }

  /** The instruction that has just retired has not. */
  #undo({ block, shadow, stackShadow }: Checkpoint): void {
    this.memory.set(block, this.base);
    // What came meanwhile is looked for again.
    this.setI32(S.INTR_PENDING, 1);
    this.shadow = shadow;
    this.stackShadow = stackShadow;
    this.discardDebug();
    this.#retired--;
    this.loadRip();
  }

  /** Delivers a waiting NMI or interrupt if the flags allow. */
  #takeInterrupt(): void {
    if (this.i32(S.INTR_PENDING) === 0) return;
    if (this.#nmi && !this.nmiBlocked) {
      this.#nmi = false;
      this.halted = false;
      this.nmiBlocked = true;
      this.loadRip();
      this.#deliver({ vector: Vector.NMI, errorCode: null, kind: "interrupt" });
      return;
    }
    if (!this.ports.apic.hasInterrupt()) {
      if (!this.#nmi) this.setI32(S.INTR_PENDING, 0);
      return;
    }
    if (!(this.flags & S.IF)) return;
    const vector = this.ports.apic.acknowledge();
    if (!this.ports.apic.hasInterrupt() && !this.#nmi) this.setI32(S.INTR_PENDING, 0);
    if (vector < 0) return;
    this.halted = false;
    this.counts.interrupts++;
    this.loadRip();
    this.#deliver({ vector, errorCode: null, kind: "interrupt" });
  }

  // Instructions looked at before they run

  /** Whether instructions in the page of linear address `hi:lo` must be looked at before they run: breakpoints, and the end of CS. */
  guards(lo: number, hi: number): boolean {
    if (this.breakpoints.onCodePage(lo, hi)) return true;
    if (this.mode === 64) return false;
    const { limit, baseLo } = this.segments[Seg.CS] as SegmentCache;
    if (limit === 0xffffffff) return false;
    const first = ((lo & ~0xfff) - baseLo) >>> 0;
    return first + 4095 + MAX_INSN > limit;
  }

  /**
   * Has `hooks.execute` called (or no longer called) before the instruction at linear address `hi:lo`, each time it is about to run.
   * Nothing in memory changes. Code in the same 4 KiB is executed an instruction at a time.
   */
  watchCode(lo: number, hi: number, on: boolean): void {
    this.breakpoints.watch(lo, hi, on);
    this.tlb.flush();
  }

  /** Ends every {@link watchCode}. */
  unwatchCode(): void {
    this.breakpoints.unwatch();
    this.tlb.flush();
  }

  /** Looks at the instruction at PC. @returns whether it must not run: an exception is pending, or the host wants to leave */
  #guard(): boolean {
    const lo = this.i32(S.PC);
    const hi = this.i32(S.PC + 4);
    if (!(this.flags & S.RF) && !this.stackShadow) {
      const mask = this.breakpoints.code(lo, hi);
      if (mask !== 0) return !this.raiseDebugFault(mask);
    }
    if (this.breakpoints.watched(lo, hi)) {
      this.loadRip();
      this.hooks.execute?.(u64(lo, hi));
      if (this.leaving || this.pending !== null) return true;
    }
    if (this.mode === 64) return false;
    const { limit, baseLo } = this.segments[Seg.CS] as SegmentCache;
    const offset = (lo - baseLo) >>> 0;
    const inside = offset <= limit && offset + this.#fetcher.lengthAt(lo) - 1 <= limit;
    return limit !== 0xffffffff && !inside && !this.raiseError(Vector.GP, 0);
  }

  /** Code of a guarded page was reached: the run loop takes over, unless it leads already. */
  enterGuarded(): void {
    if (!this.#guarded) this.endSlice();
  }

  #deliverPending(): void {
    const pending = this.takePending() as Pending;
    this.halted = false;
    this.counts[pending.kind === "interrupt" ? "interrupts" : "faults"]++;
    this.loadRip();
    this.#deliver(pending);
  }

  #deliver(event: Pending): void {
    if (!deliver(this, event)) {
      this.#shutdown = true;
    }
  }

  /** Delivers a software interrupt; `ripLo`, `ripHi` are its return address. A fault on the way returns to `at`, the instruction. */
  deliverSoftware(event: Pending, at: readonly [number, number]): boolean {
    if (deliver(this, event, at)) {
      if (this.pending === null) return !this.leaving;
      // Noted for later; the instruction is done.
      this.endSlice();
      return true;
    }
    this.#shutdown = true;
    this.endSlice();
    return true;
  }

  /** A withheld page was touched: ask the observer. @returns whether to translate again */
  withheld(gfn: number, access: number, lo: number, hi: number): boolean {
    const again = this.hooks.pageAccess?.(gfn, access, u64(lo, hi)) === true;
    if (this.pending !== null) return false;
    if (again && this.#exit === null) return true;
    this.#exit ??= { reason: "memory-fault", gfn, access };
    return false;
  }

  /**
   * For hooks: leaves the instruction undone and the guest with an `intercepted` exit, whatever the hook answers. The next `run` starts
   * the instruction over, and the hook is called again.
   */
  leave(): false {
    this.#exit = EXIT_INTERCEPTED;
    return false;
  }

  /** `run` is about to return: nothing more of this instruction must happen. */
  get leaving(): boolean {
    return this.#exit !== null;
  }

  /** No interrupt before the instruction after next has started: MOV SS, POP SS. */
  holdInterrupts(): void {
    this.shadow = true;
    this.stackShadow = true;
    this.endSlice();
  }

  /** IF may have been set: an interrupt that waits for it gets its chance. */
  flagsChanged(): void {
    this.updateAccess();
    if (this.flags & (S.TF | S.RF) || (this.flags & S.IF && this.i32(S.INTR_PENDING) !== 0)) this.endSlice();
  }

  /**
   * TF as it is now, not as it was when the instruction started, decides whether a single-step trap follows: software interrupts, which
   * clear it (SDM vol. 3, 17.3.1.4), SYSCALL and SYSRET.
   */
  traceByFlags(): void {
    this.#traced = (this.flags & S.TF) !== 0;
  }

  /** A task was switched to: its first instruction is looked up anew, and traced only behind it (SDM vol. 3, 17.3.1.4). */
  startedTask(): void {
    this.#traced = false;
    this.keepRf = (this.flags & S.RF) !== 0;
    this.flagsChanged();
    this.endSlice();
  }

  /** Time-stamp counter as the guest sees it, in ticks, into `out`. */
  tsc(out: Halves): void {
    const ticks = this.ports.clock.tsc();
    add64(out, ticks | 0, Math.floor(ticks / 0x100000000), this.tscOffset.lo, this.tscOffset.hi);
  }

  halt(): void {
    this.halted = true;
    this.endSlice();
  }

  // Helpers

  #helper(record: number): number {
    this.#called();
    const site = this.code.site(this.#records.getInt32(record + R.R_IMM, true)) as HelperSite | CrossSite;
    if ("page" in site) return this.#fetcher.cross(site);
    this.counts.helper++;
    // The address of this instruction, for the helper and for what it raises.
    this.setI32(S.PC, this.i32(S.PAGE_VA) + this.#records.getUint16(record + R.R_OFF, true));
    this.setI32(S.PC + 4, this.i32(S.PAGE_VA + 4));
    this.loadRip();
    site.helper ??= HELPERS.get(site.name) ?? undefinedOpcode;
    return site.helper(this, site);
  }
}
