import type { Mode } from "../../decode/index.js";
import { Access, type PagingControls } from "../../ports.js";
import * as S from "../../state.js";
import { Tlb } from "../../tlb.js";
import { Breakpoints } from "./breakpoints.js";
import {
  ATTR_DB,
  ATTR_L,
  CR0_AM,
  CR0_EM,
  CR0_PE,
  CR0_PG,
  CR0_TS,
  CR4_DE,
  CR4_LA57,
  CR4_OSFXSR,
  CR4_SMAP,
  EFER_LMA,
  Seg,
  Vector,
} from "./constants.js";
import type { Halves } from "./halves.js";
import { MsrFile } from "./msr-file.js";
import { boundsOf, emptySegment, type SegmentCache } from "./segment-cache.js";
import { StateBlock } from "./state-block.js";

/** Table registers: base as halves, limit in bytes, inclusive. */
export interface TableRegister {
  baseLo: number;
  baseHi: number;
  limit: number;
}

/** What `Registers.tlbBases` holds. */
export interface TlbBases {
  tlb: readonly [number, number, number];
}

const NO_TLBS: TlbBases = { tlb: [0, 0, 0] };
const ZERO_MSR: readonly [number, number] = [0, 0];

/**
 * The registers of a vCPU: those of the state block, those only the control plane uses, and what is derived from them (mode,
 * privilege, the TLBs in force). Whoever changes a register calls the `update` that its docstring names.
 */
export class Registers extends StateBlock {
  readonly tlb: Tlb;
  /** TLB bases by mmu index. */
  readonly #tlbs: readonly TlbBases[];

  cr0 = 0x60000010 | 0;
  cr2Lo = 0;
  cr2Hi = 0;
  cr4 = 0;
  efer = 0;
  /** The paging view of CR0, CR3, CR4, EFER handed to the MMU; CR3 lives only here. */
  readonly paging: PagingControls = { cr0: 0, cr3Lo: 0, cr3Hi: 0, cr4: 0, efer: 0, pkru: 0 };
  /** State components that XSAVE and its kin manage, low half. */
  xcr0 = 1;
  readonly gdtr: TableRegister = { baseLo: 0, baseHi: 0, limit: 0xffff };
  readonly idtr: TableRegister = { baseLo: 0, baseHi: 0, limit: 0xffff };
  ldtr: SegmentCache = { ...emptySegment(), attributes: 0x82 };
  tr: SegmentCache = { ...emptySegment(), attributes: 0x8b };
  readonly segments: SegmentCache[] = Array.from({ length: 6 }, emptySegment);
  /** DR0-DR3, DR6, DR7 as halves. */
  readonly dr = new Int32Array(16);
  /** What DR0-DR3 and DR7 describe; see `debugRegistersChanged`. */
  readonly breakpoints = new Breakpoints();
  /** MSRs without a behaviour of their own, by number: [lo, hi]. */
  readonly msrs = new MsrFile();
  /** Added to the clock's TSC, in ticks, modulo 2^64. */
  readonly tscOffset: Halves = { lo: 0, hi: 0 };
  /** IA32_TSC_ADJUST. */
  readonly tscAdjust: Halves = { lo: 0, hi: 0 };

  mode: Mode = 16;
  /** Base and limit of CS where they bound what can be fetched, as one number; else 0. */
  #codeBounds = 0;
  /** CR0.AM, EFLAGS.AC and CPL 3 together: misaligned data is #AC. */
  alignmentChecked = false;
  /** Access bits of explicit data accesses at the current privilege. */
  accessMode = 0;
  tlbBases = NO_TLBS;

  /** @param tlbStart first of `Tlb.bytes` bytes of the shared memory */
  constructor(memory: WebAssembly.Memory, base: number, tlbStart: number) {
    super(memory, base);
    this.tlb = new Tlb(memory, tlbStart);
    this.#tlbs = [0, 1, 2].map((index) => ({
      tlb: [this.tlb.base(index, 0), this.tlb.base(index, 1), this.tlb.base(index, 2)],
    }));
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
  loadRip(): void {
    const lo = this.i32(S.PC);
    if (this.mode === 64) {
      this.ripLo = lo;
      this.ripHi = this.i32(S.PC + 4);
    } else {
      this.ripLo = (lo - (this.segments[Seg.CS] as SegmentCache).baseLo) | 0;
      this.ripHi = 0;
    }
  }

  /** An MSR kept as data: its halves, which `setMsr` may replace where they are. */
  msr(number: number): readonly [number, number] {
    return this.msrs.get(number) ?? ZERO_MSR;
  }

  /** Writes an MSR kept as data. */
  setMsr(number: number, lo: number, hi: number): void {
    const known = this.msrs.get(number);
    if (known === undefined) this.msrs.set(number, [lo, hi]);
    else {
      known[0] = lo;
      known[1] = hi;
    }
  }

  /** CS and SS at once, as SYSCALL and its kin set them. */
  setSegments(cs: SegmentCache, ss: SegmentCache): void {
    this.segments[Seg.SS] = ss;
    this.setI32(S.SEG_BASE + 16, ss.baseLo);
    this.setI32(S.SEG_BASE + 20, ss.baseHi);
    this.setSegment(Seg.CS, cs);
  }

  /** Brings what generated code outside 64-bit mode checks in line with segment `seg`. */
  #updateRange(seg: Seg): void {
    const at = S.SEG_RANGE + 16 * seg;
    const { low, high, readable, writable } = boundsOf(this.segments[seg] as SegmentCache, this.protectedMode);
    this.setI32(at, readable ? low : -1);
    this.setI32(at + 4, readable ? high : 0);
    this.setI32(at + 8, writable ? low : -1);
    this.setI32(at + 12, writable ? high : 0);
    if (seg === Seg.CS) this.setI32(S.CS_LIMIT, (this.segments[seg] as SegmentCache).limit);
  }

  /** Descriptors rule: CR0.PE is on and this is not virtual-8086 mode. */
  get protectedMode(): boolean {
    return (this.cr0 & CR0_PE) !== 0 && (this.flags & S.VM) === 0;
  }

  setSegment(seg: Seg, cache: SegmentCache): void {
    this.segments[seg] = cache;
    this.setI32(S.SEG_BASE + 8 * seg, cache.baseLo);
    this.setI32(S.SEG_BASE + 8 * seg + 4, cache.baseHi);
    if (seg === Seg.CS || seg === Seg.SS) this.updateMode();
    else if (this.mode !== 64) this.#updateRange(seg);
  }

  /** Recomputes what depends on control registers, CS, SS and flags: mode, privilege, TLBs, stack mask. */
  updateMode(): void {
    const cs = this.segments[Seg.CS] as SegmentCache;
    const ss = this.segments[Seg.SS] as SegmentCache;
    const long = (this.efer & EFER_LMA) !== 0;
    this.mode = long && cs.attributes & ATTR_L ? 64 : cs.attributes & ATTR_DB ? 32 : 16;
    this.#updateCodeBounds(cs);
    this.setI32(S.STACK_MASK, ss.attributes & ATTR_DB ? -1 : 0xffff);
    if (this.mode !== 64) for (let seg = Seg.ES; seg <= Seg.GS; seg++) this.#updateRange(seg);
    const cpl = this.cr0 & 1 ? (this.flags & S.VM ? 3 : cs.selector & 3) : 0;
    this.setI32(S.CPL, cpl);
    this.updateAccess();
  }

  /** The fetch TLB holds no page that reaches over the limit of CS: it is emptied when another limit comes into force. */
  #updateCodeBounds(cs: SegmentCache): void {
    if (this.mode === 64 || cs.limit === 0xffffffff) {
      this.#codeBounds = 0;
      return;
    }
    const bounds = cs.baseLo * 0x100000000 + cs.limit + 1;
    if (bounds !== 0 && bounds !== this.#codeBounds) this.tlb.flush();
    this.#codeBounds = bounds;
  }

  /** Recomputes which TLBs are in force: after changes of CPL, AC or CR4.SMAP. */
  updateAccess(): void {
    const user = this.cpl === 3;
    const ac = !user && (this.cr4 & CR4_SMAP) !== 0 && (this.flags & S.AC) !== 0;
    const index = user ? S.MmuIndex.User : ac ? S.MmuIndex.KernelAc : S.MmuIndex.Kernel;
    const aligning = user && (this.cr0 & CR0_AM) !== 0 && (this.flags & S.AC) !== 0;
    // Accesses are seen where there is no TLB entry.
    if (aligning && !this.alignmentChecked) this.tlb.flush();
    this.alignmentChecked = aligning;
    this.accessMode = user ? Access.User : ac ? Access.Ac : 0;
    const bases = this.#tlbs[index] as TlbBases;
    if (bases === this.tlbBases) return;
    this.tlbBases = bases;
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

  /** Rights by protection key (SDM vol. 3, 4.6.2); translations of user pages depend on them. */
  setPkru(value: number): void {
    // XRSTOR loads it at every task switch, nearly always with what is there.
    if (value === this.paging.pkru) return;
    this.paging.pkru = value;
    this.tlb.flush();
  }

  /** Tells the MMU's view of the control registers and drops translations. */
  updatePaging(global = true): void {
    this.updateUnits();
    this.paging.cr0 = this.cr0;
    this.paging.cr4 = this.cr4;
    this.setI32(S.SIGN_BITS, this.cr4 & CR4_LA57 ? 7 : 16);
    this.paging.efer = this.efer;
    this.tlb.flush(global);
  }

  /** DR0-DR3, DR7 or CR4.DE may have changed. */
  debugRegistersChanged(): void {
    this.breakpoints.update(this.dr, (this.cr4 & CR4_DE) !== 0);
    this.tlb.flush();
  }

  /** Ends the running slice without losing its count: the next instruction is looked up anew. */
  endSlice(): void {
    this.setI32(S.SLICE, this.i32(S.SLICE) - this.i32(S.BUDGET));
    this.setI32(S.BUDGET, 0);
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

  /** Power-on values (SDM vol. 3, table 9-1). */
  reset(): void {
    this.memory.fill(0, this.base, this.base + S.STATE_SIZE);
    this.tlbBases = NO_TLBS;
    this.cr0 = 0x60000010 | 0;
    this.cr2Lo = this.cr2Hi = 0;
    this.cr4 = 0;
    this.efer = 0;
    this.xcr0 = 1;
    this.paging.cr3Lo = this.paging.cr3Hi = this.paging.pkru = 0;
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
    this.debugRegistersChanged();
    this.setRip(0xfff0, 0);
  }
}
