import type { CodeCache, CrossSite, HelperSite } from "../code/cache.js";
import type { Mode } from "../decode/index.js";
import { handlerNumber, RunExit } from "../interp/generate.js";
import { HelperResult } from "../interp/steps.js";
import { Access, type PagingControls, type VcpuPorts } from "../ports.js";
import * as R from "../record.js";
import * as S from "../state.js";
import { Tlb } from "../tlb.js";
import { ATTR_DB, ATTR_L, CR0_EM, CR0_PG, CR0_TS, CR4_OSFXSR, CR4_SMAP, EFER_LMA, Seg, Vector } from "./constants.js";
import type { Exit } from "./exit.js";
import { Fetcher } from "./fetch.js";
import { HELPERS } from "./helpers.js";
import type { VcpuHooks } from "./hooks.js";
import { deliver, type Pending } from "./interrupt.js";
import { LinearMemory } from "./linear.js";
import { executeOutside } from "./outside.js";
import { readFlags, writeFlags } from "./rflags.js";
import { emptySegment, type SegmentCache } from "./segments.js";

/** Table registers: base as halves, limit in bytes, inclusive. */
export interface TableRegister {
  baseLo: number;
  baseHi: number;
  limit: number;
}

/** Executes an instruction that has no generated code; registered by name in `helpers.ts`. */
export type Helper = (vcpu: Vcpu, site: HelperSite, record: number) => number;

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

/** What `Vcpu.tlbBases` holds. */
interface TlbBases {
  tlb: readonly [number, number, number];
}

const ZERO_MSR: readonly [number, number] = [0, 0];
/** Faults in a row, without an instruction retired in between, after which `run` returns to its caller. */
const FUTILE_FAULTS = 1024;
const EXIT_BUDGET: Exit = { reason: "budget" };
const EXIT_HLT: Exit = { reason: "hlt" };
const EXIT_SHUTDOWN: Exit = { reason: "shutdown" };
const EXIT_SIPI: Exit = { reason: "wait-for-sipi" };
const EXIT_KICKED: Exit = { reason: "kicked" };

/** One virtual processor. */
export class Vcpu {
  readonly id: number;
  readonly base: number;
  readonly ports: VcpuPorts;
  readonly code: CodeCache;
  readonly linear: LinearMemory;
  readonly tlb: Tlb;
  /** Observers; assign members to intercept. */
  hooks: VcpuHooks = {};

  // Registers that only the control plane uses
  cr0 = 0x60000010 | 0;
  cr2Lo = 0;
  cr2Hi = 0;
  cr4 = 0;
  efer = 0;
  /** The paging view of CR0, CR3, CR4, EFER handed to the MMU; CR3 lives only here. */
  readonly paging: PagingControls = { cr0: 0, cr3Lo: 0, cr3Hi: 0, cr4: 0, efer: 0 };
  readonly gdtr: TableRegister = { baseLo: 0, baseHi: 0, limit: 0xffff };
  readonly idtr: TableRegister = { baseLo: 0, baseHi: 0, limit: 0xffff };
  ldtr: SegmentCache = { ...emptySegment(), attributes: 0x82 };
  tr: SegmentCache = { ...emptySegment(), attributes: 0x8b };
  readonly segments: SegmentCache[] = Array.from({ length: 6 }, emptySegment);
  /** DR0-DR3, DR6, DR7 as halves. */
  readonly dr = new Int32Array(16);
  /** MSRs without a behaviour of their own, by number: [lo, hi]. */
  readonly msrs = new Map<number, [number, number]>();
  /** Added to the clock's TSC, in ticks. */
  tscOffset = 0;
  /** Ticks at which the guest observed... IA32_TSC_ADJUST, as halves. */
  readonly tscAdjust: [number, number] = [0, 0];

  mode: Mode = 16;
  /** Access bits of explicit data accesses at the current privilege. */
  accessMode = 0;
  tlbBases: TlbBases = { tlb: [0, 0, 0] };

  /** Interrupts are held off for one instruction (STI, MOV SS). */
  shadow = false;
  #pending: Pending | null = null;
  #exit: Exit | null = null;
  halted = false;
  waitForSipi: boolean;
  #nmi = false;
  #kicked = false;
  #shutdown = false;
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

  readonly #u8: Uint8Array;
  readonly #i32: Int32Array;
  readonly #view: DataView;
  readonly #run: (cpu: number) => RunExit;
  readonly #fetcher: Fetcher;
  /** TLB bases by mmu index. */
  readonly #tlbs: readonly TlbBases[];

  /** Bytes of shared memory a vCPU needs: state block, a record of its own, TLBs. */
  static readonly bytes = 2 * S.STATE_SIZE + Tlb.bytes;

  constructor(options: VcpuOptions) {
    const { memory, base, code, ports } = options;
    this.id = options.id;
    this.base = base;
    this.ports = ports;
    this.code = code;
    this.#u8 = new Uint8Array(memory.buffer);
    this.#i32 = new Int32Array(memory.buffer);
    this.#view = new DataView(memory.buffer);
    this.tlb = new Tlb(memory, base + 2 * S.STATE_SIZE);
    this.#tlbs = [0, 1, 2].map((index) => ({
      tlb: [this.tlb.base(index, 0), this.tlb.base(index, 1), this.tlb.base(index, 2)],
    }));
    this.linear = new LinearMemory(this, memory, ports.mmu, ports.bus, code, this.tlb);
    const refetch = base + S.STATE_SIZE;
    this.#fetcher = new Fetcher(this, memory, code, this.linear, this.tlb, refetch, handlerNumber("refetch") as number);
    const instance = new WebAssembly.Instance(options.interpreter, {
      vm: {
        memory,
        miss: this.linear.miss,
        raise: () => this.raiseFromCode(this.i32(S.RAISE)),
        helper: (record: number) => this.#helper(record),
        outside: (record: number) => (executeOutside(this, this.i32(S.OUTSIDE_OP), record) ? 1 : 0),
        fetch: this.#fetcher.fetch,
        link: this.#fetcher.link,
      },
    });
    this.#run = (instance.exports as { run: (cpu: number) => RunExit }).run;
    code.onDrop(() => this.tlb.flush());
    code.onWatch(() => this.tlb.flush());
    this.waitForSipi = !options.bootstrap;
    this.reset();
  }

  // State block access

  i32(offset: number): number {
    return this.#i32[(this.base + offset) >> 2] as number;
  }
  setI32(offset: number, value: number): void {
    this.#i32[(this.base + offset) >> 2] = value;
  }
  u8(offset: number): number {
    return this.#u8[this.base + offset] as number;
  }
  setU8(offset: number, value: number): void {
    this.#u8[this.base + offset] = value;
  }
  u16(offset: number): number {
    return this.#view.getUint16(this.base + offset, true);
  }
  setU16(offset: number, value: number): void {
    this.#view.setUint16(this.base + offset, value, true);
  }
  /** Bytes of the state block, for bulk access. */
  bytes(offset: number, length: number): Uint8Array {
    return this.#u8.subarray(this.base + offset, this.base + offset + length);
  }
  /** The whole shared memory. */
  get memory(): Uint8Array {
    return this.#u8;
  }

  /** Low and high half of general register `r`. */
  regLo(r: number): number {
    return this.i32(S.GPR + 8 * r);
  }
  regHi(r: number): number {
    return this.i32(S.GPR + 8 * r + 4);
  }
  setReg(r: number, lo: number, hi: number): void {
    this.setI32(S.GPR + 8 * r, lo);
    this.setI32(S.GPR + 8 * r + 4, hi);
  }

  /** RFLAGS, low 32 bits. */
  get rflags(): number {
    return readFlags(this.#i32, this.base);
  }
  set rflags(value: number) {
    writeFlags(this.#i32, this.base, value);
  }
  /** RFLAGS without the arithmetic flags. */
  get flags(): number {
    return this.i32(S.FLAGS);
  }

  get cpl(): number {
    return this.i32(S.CPL);
  }

  /** Instruction pointer as an offset in CS, as halves. Valid between instructions and, as the current instruction's, in helpers. */
  ripLo = 0;
  ripHi = 0;

  /** Sets where execution continues, as an offset in CS. */
  setRip(lo: number, hi: number): void {
    const cs = this.segments[Seg.CS] as SegmentCache;
    if (this.mode === 64) {
      this.setI32(S.PC, lo);
      this.setI32(S.PC + 4, hi);
    } else {
      this.setI32(S.PC, (lo + cs.baseLo) | 0);
      this.setI32(S.PC + 4, 0);
    }
  }

  /** Reads `PC` back into `ripLo`, `ripHi`. */
  #loadRip(): void {
    const lo = this.i32(S.PC);
    if (this.mode === 64) {
      this.ripLo = lo;
      this.ripHi = this.i32(S.PC + 4);
    } else {
      this.ripLo = (lo - (this.segments[Seg.CS] as SegmentCache).baseLo) | 0;
      this.ripHi = 0;
    }
  }

  // Life cycle

  /** Power-on state (SDM vol. 3, table 9-1). */
  reset(): void {
    this.#u8.fill(0, this.base, this.base + S.STATE_SIZE);
    this.cr0 = 0x60000010 | 0;
    this.cr2Lo = this.cr2Hi = 0;
    this.cr4 = 0;
    this.efer = 0;
    this.paging.cr3Lo = this.paging.cr3Hi = 0;
    Object.assign(this.gdtr, { baseLo: 0, baseHi: 0, limit: 0xffff });
    Object.assign(this.idtr, { baseLo: 0, baseHi: 0, limit: 0xffff });
    this.ldtr = { ...emptySegment(), attributes: 0x82 };
    this.tr = { ...emptySegment(), attributes: 0x8b };
    this.dr.fill(0);
    this.dr[12] = 0xffff0ff0 | 0;
    this.dr[14] = 0x400;
    this.msrs.clear();
    this.setI32(S.MXCSR, 0x1f80);
    this.setU16(S.FCW, 0x37f);
    this.setU8(S.FTW, 0);
    this.rflags = 2;
    for (let seg = 0; seg < 6; seg++) this.segments[seg] = emptySegment();
    this.setSegment(Seg.CS, { selector: 0xf000, baseLo: 0xffff0000 | 0, baseHi: 0, limit: 0xffff, attributes: 0x9b });
    for (const seg of [Seg.ES, Seg.SS, Seg.DS, Seg.FS, Seg.GS]) this.setSegment(seg, emptySegment());
    this.setReg(2, 0x000a0671, 0);
    this.updateMode();
    this.updatePaging();
    this.setRip(0xfff0, 0);
    this.#pending = null;
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
    if (this.flags & S.IF || this.#nmi) this.#stop();
  }

  /** Leaves `run` at the next instruction boundary. */
  kick(): void {
    this.#kicked = true;
    this.#stop();
  }

  /** Ends the running slice without losing its count. */
  #stop(): void {
    this.setI32(S.SLICE, this.i32(S.SLICE) - this.i32(S.BUDGET));
    this.setI32(S.BUDGET, 0);
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

  /** Runs at most `budget` instructions. */
  run(budget: number): Exit {
    if (this.#shutdown) return EXIT_SHUTDOWN;
    if (this.waitForSipi) return EXIT_SIPI;
    this.#kicked = false;
    this.#exit = null;
    let left = budget;
    let futile = 0;
    while (left > 0) {
      if (this.#pending !== null) this.#deliverPending();
      else if (!this.shadow) this.#takeInterrupt();
      if (this.#shutdown) return EXIT_SHUTDOWN;
      if (this.halted) return EXIT_HLT;
      const slice = this.shadow || this.singleStep || this.flags & S.TF ? 1 : left;
      this.shadow = false;
      this.setI32(S.SLICE, slice);
      this.setI32(S.BUDGET, slice);
      this.setI32(S.STI_LEFT, -1);
      this.traceByFlags();
      const outcome = this.#run(this.base);
      const done = this.i32(S.SLICE) - this.i32(S.BUDGET);
      this.setI32(S.SLICE, 0);
      this.setI32(S.BUDGET, 0);
      this.#retired += done;
      left -= done;
      this.#loadRip();
      if (outcome === RunExit.Fault) {
        this.linear.discard();
        if (this.#pending === null && this.#exit === null) {
          const lo = this.i32(S.PC);
          const hi = this.i32(S.PC + 4);
          this.#fetcher.raiseFetchFault(lo, hi);
        } else if (this.#pending?.nonCanonical) {
          const flags = this.#view.getUint16(this.i32(S.REC) + R.R_AUX2, true);
          if (flags & R.AUX2_STACK) this.raiseError(Vector.SS, 0);
        }
      } else {
        this.linear.finish();
        if (outcome === RunExit.Sti || this.i32(S.STI_LEFT) === 0) this.shadow = true;
      }
      if (done > 0) {
        if (this.#traced && this.#pending === null) this.raiseTrap();
        if (this.singleStep) this.hooks.singleStep?.();
      }
      if (this.#exit !== null) return this.#exit;
      if (this.#kicked) return EXIT_KICKED;
      // A handler that faults at its own first instruction retires nothing: the host gets its turn all the same.
      futile = done > 0 ? 0 : futile + 1;
      if (futile === FUTILE_FAULTS) break;
    }
    if (this.#pending !== null) this.#deliverPending();
    return this.#shutdown ? EXIT_SHUTDOWN : EXIT_BUDGET;
  }

  /** Delivers a waiting NMI or interrupt if the flags allow. */
  #takeInterrupt(): void {
    if (this.i32(S.INTR_PENDING) === 0) return;
    if (this.#nmi && !this.nmiBlocked) {
      this.#nmi = false;
      this.halted = false;
      this.nmiBlocked = true;
      this.#loadRip();
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
    this.#loadRip();
    this.#deliver({ vector, errorCode: null, kind: "interrupt" });
  }

  // Exceptions

  /** Notes exception `vector` without error code. @returns false, for use as a helper's failure */
  raise(vector: Vector): false {
    this.#pending = { vector, errorCode: null, kind: "exception" };
    return false;
  }

  raiseError(vector: Vector, errorCode: number): false {
    this.#pending = { vector, errorCode, kind: "exception" };
    return false;
  }

  /** #GP(0) for an address, or #SS(0) if the record turns out to access the stack. */
  raiseNonCanonical(): void {
    this.#pending = { vector: Vector.GP, errorCode: 0, kind: "exception", nonCanonical: true };
  }

  raiseFromCode(vector: number): void {
    if (vector === Vector.GP || vector === Vector.SS) this.raiseError(vector, 0);
    else this.raise(vector);
  }

  raisePageFault(lo: number, hi: number, errorCode: number): false {
    this.#pending = { vector: Vector.PF, errorCode, kind: "exception", cr2Lo: lo, cr2Hi: hi };
    return false;
  }

  /** #DB for a trap after the instruction (single step). */
  raiseTrap(): void {
    this.dr[12] = (this.dr[12] as number) | 0x4000;
    this.#pending = { vector: Vector.DB, errorCode: null, kind: "exception" };
  }

  /** Injects an event from outside, to be delivered before the next instruction. */
  inject(vector: number, errorCode: number | null): void {
    this.#pending = { vector, errorCode, kind: "exception" };
  }

  /** Forgets a noted exception: what raised it turned out not to matter. */
  forget(): void {
    this.#pending = null;
  }

  get pending(): Pending | null {
    return this.#pending;
  }

  #deliverPending(): void {
    const pending = this.#pending as Pending;
    this.#pending = null;
    this.halted = false;
    this.counts.faults++;
    this.#loadRip();
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
      this.traceByFlags();
      return true;
    }
    this.#shutdown = true;
    this.#stop();
    return true;
  }

  /** A withheld page was touched: ask the observer. @returns whether to translate again */
  withheld(gfn: number, access: number, lo: number, hi: number): boolean {
    if (this.hooks.pageAccess?.(gfn, access, lo, hi)) return true;
    this.#exit = { reason: "memory-fault", gfn, access };
    return false;
  }

  /** No interrupt before the instruction after next has started: MOV SS, POP SS. */
  holdInterrupts(): void {
    this.shadow = true;
    this.#stop();
  }

  /** IF may have been set: an interrupt that waits for it gets its chance. */
  flagsChanged(): void {
    this.updateAccess();
    if (this.flags & S.TF || (this.flags & S.IF && this.i32(S.INTR_PENDING) !== 0)) this.#stop();
  }

  /**
   * TF as it is now, not as it was when the instruction started, decides whether a single-step trap follows: software interrupts, which
   * clear it (SDM vol. 3, 17.3.1.4), SYSCALL and SYSRET.
   */
  traceByFlags(): void {
    this.#traced = (this.flags & S.TF) !== 0;
  }

  /** Has the next instruction looked up anew. */
  endSlice(): void {
    this.#stop();
  }

  /** Time-stamp counter as the guest sees it, in ticks. */
  tsc(): number {
    return this.ports.clock.tsc() + this.tscOffset;
  }

  /** An MSR kept as data: its halves. */
  msr(number: number): readonly [number, number] {
    return this.msrs.get(number) ?? ZERO_MSR;
  }

  /** CS and SS at once, as SYSCALL and its kin set them. */
  setSegments(cs: SegmentCache, ss: SegmentCache): void {
    this.segments[Seg.SS] = ss;
    this.setI32(S.SEG_BASE + 16, ss.baseLo);
    this.setI32(S.SEG_BASE + 20, ss.baseHi);
    this.setSegment(Seg.CS, cs);
  }

  halt(): void {
    this.halted = true;
    this.#stop();
  }

  // Derived state

  setSegment(seg: Seg, cache: SegmentCache): void {
    this.segments[seg] = cache;
    this.setI32(S.SEG_BASE + 8 * seg, cache.baseLo);
    this.setI32(S.SEG_BASE + 8 * seg + 4, cache.baseHi);
    if (seg === Seg.CS || seg === Seg.SS) this.updateMode();
  }

  /** Recomputes what depends on control registers, CS, SS and flags: mode, privilege, TLBs, stack mask. */
  updateMode(): void {
    const cs = this.segments[Seg.CS] as SegmentCache;
    const ss = this.segments[Seg.SS] as SegmentCache;
    const long = (this.efer & EFER_LMA) !== 0;
    this.mode = long && cs.attributes & ATTR_L ? 64 : cs.attributes & ATTR_DB ? 32 : 16;
    this.setI32(S.STACK_MASK, ss.attributes & ATTR_DB ? -1 : 0xffff);
    const cpl = this.cr0 & 1 ? (this.flags & S.VM ? 3 : cs.selector & 3) : 0;
    this.setI32(S.CPL, cpl);
    this.updateAccess();
  }

  /** Recomputes which TLBs are in force: after changes of CPL, AC or CR4.SMAP. */
  updateAccess(): void {
    const user = this.cpl === 3;
    const ac = !user && (this.cr4 & CR4_SMAP) !== 0 && (this.flags & S.AC) !== 0;
    const index = user ? S.MmuIndex.User : ac ? S.MmuIndex.KernelAc : S.MmuIndex.Kernel;
    this.accessMode = user ? Access.User : ac ? Access.Ac : 0;
    this.tlbBases = this.#tlbs[index] as TlbBases;
    this.setI32(S.TLB_READ, this.tlbBases.tlb[0]);
    this.setI32(S.TLB_WRITE, this.tlbBases.tlb[1]);
    this.setI32(S.TLB_FETCH, this.tlbBases.tlb[2]);
  }

  /** Recomputes whether SSE and MMX can be used (SDM vol. 3, tables 12-1 and 13-1): after changes of CR0 or CR4. */
  updateUnits(): void {
    const emulated = (this.cr0 & CR0_EM) !== 0;
    const switched = this.cr0 & CR0_TS ? Vector.NM : 0;
    this.setI32(S.SSE_OFF, emulated || !(this.cr4 & CR4_OSFXSR) ? Vector.UD : switched);
    this.setI32(S.MMX_OFF, emulated ? Vector.UD : switched);
  }

  /** Tells the MMU's view of the control registers and drops translations. */
  updatePaging(global = true): void {
    this.updateUnits();
    this.paging.cr0 = this.cr0;
    this.paging.cr4 = this.cr4;
    this.paging.efer = this.efer;
    this.tlb.flush(global);
  }

  get userTlb(): TlbBases {
    return this.#tlbs[S.MmuIndex.User] as TlbBases;
  }

  get kernelTlb(): TlbBases {
    return this.#tlbs[S.MmuIndex.Kernel] as TlbBases;
  }

  get pagingEnabled(): boolean {
    return (this.cr0 & CR0_PG) !== 0;
  }

  // Helpers

  #helper(record: number): number {
    const site = this.code.site(this.#i32[(record + R.R_IMM) >> 2] as number) as HelperSite | CrossSite;
    if ("page" in site) return this.#fetcher.cross(site);
    this.counts.helper++;
    // The address of this instruction, for the helper and for what it raises.
    this.setI32(S.PC, this.i32(S.PAGE_VA) + this.#view.getUint16(record + R.R_OFF, true));
    this.setI32(S.PC + 4, this.i32(S.PAGE_VA + 4));
    this.#loadRip();
    const helper = HELPERS.get(site.name);
    if (helper === undefined) {
      this.raise(Vector.UD);
      return HelperResult.Fault;
    }
    return helper(this, site, record);
  }
}

export { EXIT_KICKED };
