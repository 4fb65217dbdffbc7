import {
  Access,
  CodeCache,
  type CpuidResult,
  generateInterpreter,
  Licence,
  type MmuPort,
  type PagingControls,
  Seg,
  Status,
  type Translation,
  Vcpu,
} from "../../src/index.js";
import * as S from "../../src/state.js";
import { engineOf } from "../engine.js";
import {
  CODE_OFFSET,
  CODE_PAGE,
  type CodeBits,
  type CpuState,
  DATA_PAGE,
  emptyState,
  FS_BASE,
  GS_BASE,
} from "./initial-state.js";
import { cacheOf, DESCRIPTORS, descriptorOf, FIRST_FREE, type Segments } from "./segments.js";

const MEMORY_PAGES = 128;
const VCPU_AT = 0x1000;
const CODE_FRAME = 0x80000;
/** Bytes from the first instruction on that the recorder fills with INT3 before it puts the code there. */
const FILLED = 144;
const DATA_FRAME = 0x81000;
const TABLES_FRAME = 0x82000;
const CACHE_AT = 0x100000;
const CACHE_END = 0x600000;
/** Iterations after which the recorder gives up on a repeated string instruction. */
const MAX_STEPS = 4096;

/** PG AM WP NE ET MP PE. */
export const CR0 = 0x80050033 | 0;
/** OSXSAVE FSGSBASE PCIDE OSXMMEXCPT OSFXSR PGE PAE. */
export const CR4 = 0x000706a0;
/** Of the host's state components the x87 and the SSE one. */
const XCR0 = 3;

/** What stopped the instruction. */
export interface Raised {
  readonly vector: number;
  /** 0 where the exception has none. */
  readonly errorCode: number;
  /** Halves of CR2, for #PF. */
  readonly cr2: readonly [number, number];
}

export interface Outcome {
  readonly state: CpuState;
  readonly raised: Raised | null;
}

export interface ExecuteOptions {
  /** CR0 and CR4, as the recorder's Linux sets them unless given. */
  readonly cr0?: number;
  readonly cr4?: number;
  /** 64-bit mode (the default) or compatibility mode. */
  readonly bits?: CodeBits;
  /** Segment registers that are not flat. */
  readonly segments?: Segments;
  /** Instructions of a straight line, run in one go; default 1. */
  readonly instructions?: number;
  /** Where the line ends: runs on until RIP is there or something was raised. */
  readonly until?: number;
  /** Bytes of `code` before the place where a recorded instruction stands, to which RIP in the outcome is relative; default 0. */
  readonly lead?: number;
}

interface MutableTranslation {
  host: number;
  gfn: number;
  licence: number;
  global: boolean;
  large: boolean;
  errorCode: number;
}

/** Linear addresses of the descriptor tables, in the kernel's half. */
const TABLES_HI = 0xfffffe00 | 0;
const GDT_LO = 0x1000;
const LDT_LO = GDT_LO + 0x800;
/** Linux's descriptors: code and data of the kernel and of programs, in their places; [lo, hi] from number 1. */
const LINUX_GDT: readonly (readonly [number, number])[] = [
  [0xffff, 0x00cf9b00],
  [0xffff, 0x00af9b00],
  [0xffff, 0x00cf9300],
  [0xffff, 0x00cffb00],
  [0xffff, 0x00cff300],
  [0xffff, 0x00affb00],
];
const GDT_LIMIT = 0x7f;

/** The two pages of the recorder's process; everything else is unmapped, and above the user half belongs to its kernel. */
class TwoPages implements MmuPort {
  readonly #translation: MutableTranslation = {
    host: 0,
    gfn: 0,
    licence: 0,
    global: false,
    large: false,
    errorCode: 0,
  };
  readonly translation: Translation = this.#translation;

  translate(_: PagingControls, lo: number, hi: number, access: number): Status {
    const t = this.#translation;
    const page = (lo & ~0xfff) >>> 0;
    if (hi === TABLES_HI && page === GDT_LO && access & Access.Implicit) {
      [t.host, t.gfn, t.licence] = [TABLES_FRAME, TABLES_FRAME >>> 12, Licence.Read | Licence.Write];
      return Status.Ok;
    }
    const frame = hi !== 0 ? 0 : page === CODE_PAGE ? CODE_FRAME : page === DATA_PAGE ? DATA_FRAME : 0;
    t.errorCode = (access & Access.Write ? 2 : 0) | (access & Access.User ? 4 : 0) | (access & Access.Fetch ? 0x10 : 0);
    if (frame === 0 || (frame === DATA_FRAME && access & Access.Fetch)) {
      // Linux reports any access above the user half as a protection violation.
      const kernel = hi < 0 || (hi === 0x7fff && lo >>> 0 >= 0xfffff000);
      if (kernel || frame !== 0) t.errorCode |= 1;
      return Status.Fault;
    }
    t.host = frame;
    t.gfn = frame >>> 12;
    t.licence = Licence.Read | Licence.Write | (frame === CODE_FRAME ? Licence.Fetch : 0);
    return Status.Ok;
  }
}

/** A vCPU in the surroundings the recorder executed in: 64-bit mode, CPL 3, two pages. */
export class RecorderMachine {
  readonly #vcpu: Vcpu;
  readonly #code: CodeCache;
  readonly #u8: Uint8Array;
  /** Offset in CS to which RIP is relative. */
  #origin = 0;

  constructor() {
    const memory = new WebAssembly.Memory({ initial: MEMORY_PAGES, maximum: MEMORY_PAGES });
    this.#u8 = new Uint8Array(memory.buffer);
    this.#code = new CodeCache(memory, CACHE_AT, CACHE_END);
    const absent: CpuidResult = { eax: 0, ebx: 0, ecx: 0, edx: 0 };
    this.#vcpu = new Vcpu({
      id: 0,
      memory,
      base: VCPU_AT,
      code: this.#code,
      interpreter: new WebAssembly.Module(generateInterpreter()),
      ...engineOf(memory, this.#code),
      bootstrap: true,
      ports: {
        mmu: new TwoPages(),
        bus: {
          ioRead: () => -1,
          ioWrite: () => undefined,
          mmioRead: () => -1,
          mmioWrite: () => undefined,
          mmioHigh: -1,
        },
        apic: {
          hasInterrupt: () => false,
          acknowledge: () => -1,
          cr8: 0,
          readMsr: () => false,
          writeMsr: () => false,
          msrLo: 0,
          msrHi: 0,
        },
        clock: { tsc: () => 0 },
        entropy: { random: () => 0 },
        cpuid: { query: () => absent },
      },
    });
  }

  /**
   * Executes `code` once from `state`; a repeated string instruction until it is done.
   * @throws whatever the engine throws: an engine error, never the guest's
   */
  execute(code: Uint8Array, state: CpuState, options: ExecuteOptions = {}): Outcome {
    const { bits = 64, instructions = 1, until } = options;
    this.#load(code, state, options);
    const vcpu = this.#vcpu;
    let raised: { vector: number; errorCode: number; rip: number } | null = null;
    vcpu.hooks = {
      inject: (vector, errorCode) => {
        raised ??= { vector, errorCode: errorCode ?? 0, rip: this.#rip() };
      },
    };
    vcpu.run(instructions);
    // A repeated string instruction may take several turns, each of which counts.
    const repeats = until !== undefined || isRepeatedString(code, bits);
    const unfinished = (): boolean => {
      const rip = this.#rip();
      return raised === null && repeats && (until === undefined ? rip === 0 : rip !== until);
    };
    for (let step = 1; step < MAX_STEPS && unfinished(); step++) vcpu.run(1);
    const event = raised as { vector: number; errorCode: number; rip: number } | null;
    const after = this.#snapshot(event?.rip ?? this.#rip());
    return { state: after, raised: event && { ...event, cr2: [vcpu.cr2Lo, vcpu.cr2Hi] } };
  }

  #rip(): number {
    const { ripLo, ripHi } = this.#vcpu;
    return ripHi * 2 ** 32 + (ripLo >>> 0) - this.#origin;
  }

  #load(
    code: Uint8Array,
    state: CpuState,
    { cr0 = CR0, cr4 = CR4, bits = 64, lead = 0, segments }: ExecuteOptions,
  ): void {
    const vcpu = this.#vcpu;
    const start = CODE_FRAME + CODE_OFFSET - lead;
    this.#code.drop(CODE_FRAME >>> 12);
    this.#code.drop(DATA_FRAME >>> 12);
    this.#u8.fill(0, CODE_FRAME, CODE_FRAME + 4096);
    this.#u8.fill(0xcc, start, CODE_FRAME + CODE_OFFSET + Math.max(code.length, FILLED));
    this.#u8.set(code, start);
    this.#u8.set(state.memory, DATA_FRAME);
    vcpu.reset();
    vcpu.cr0 = cr0;
    vcpu.cr4 = cr4;
    vcpu.efer = 0xd01;
    Object.assign(vcpu, { xcr0: XCR0 });
    vcpu.idtr.limit = 0;
    this.#describe(segments);
    // No I/O permission map.
    vcpu.tr = { ...vcpu.tr, limit: 0 };
    const data = { selector: 0x2b, baseLo: 0, baseHi: 0, limit: 0xffffffff, attributes: 0xc0f3 };
    for (const seg of [Seg.ES, Seg.SS, Seg.DS]) vcpu.setSegment(seg, { ...data });
    // Null selectors: in 64-bit code with a base, elsewhere not to be used.
    const nothing = bits === 64 ? { ...data, selector: 0 } : { ...data, selector: 0, limit: 0, attributes: 0 };
    vcpu.setSegment(Seg.FS, { ...nothing, baseLo: FS_BASE });
    vcpu.setSegment(Seg.GS, { ...nothing, baseLo: GS_BASE });
    vcpu.setSegment(Seg.CS, {
      ...data,
      ...(bits === 64 ? { selector: 0x33, attributes: 0xa0fb } : { selector: 0x23, attributes: 0xc0fb }),
    });
    for (const [register, segment] of segments ?? [])
      if (register < FIRST_FREE) vcpu.setSegment(register, cacheOf(register, segment));
    this.#origin = CODE_PAGE + CODE_OFFSET - (segments?.get(Seg.CS)?.base ?? 0);
    vcpu.rflags = state.rflags;
    vcpu.updateMode();
    vcpu.updatePaging();
    vcpu.bytes(S.GPR, 128).set(state.gpr);
    vcpu.bytes(S.XMM, 256).set(state.xmm);
    for (let k = 0; k < 8; k++) vcpu.bytes(S.FPR + 16 * k, 10).set(state.fpr.subarray(10 * k, 10 * k + 10));
    vcpu.setI32(S.MXCSR, state.mxcsr);
    vcpu.setU16(S.FCW, state.fcw);
    vcpu.setU16(S.FSW, state.fsw);
    vcpu.setU8(S.FTW, state.ftw);
    vcpu.setRip(this.#origin - lead, 0);
  }

  #describe(segments: Segments | undefined): void {
    const vcpu = this.#vcpu;
    const table = new Int32Array(this.#u8.buffer, TABLES_FRAME, 1024);
    table.fill(0);
    LINUX_GDT.forEach((descriptor, k) => {
      table.set(descriptor, 2 * (k + 1));
    });
    for (const [number, segment] of segments ?? [])
      table.set(descriptorOf(segment), (LDT_LO - GDT_LO) / 4 + 2 * number);
    Object.assign(vcpu.gdtr, { baseLo: GDT_LO, baseHi: TABLES_HI, limit: GDT_LIMIT });
    const limit = segments === undefined ? 0 : 8 * DESCRIPTORS - 1;
    vcpu.ldtr = { selector: 0x50, baseLo: LDT_LO, baseHi: TABLES_HI, limit, attributes: 0x82 };
  }

  #snapshot(rip: number): CpuState {
    const vcpu = this.#vcpu;
    const s = emptyState();
    s.gpr.set(vcpu.bytes(S.GPR, 128));
    s.rip = rip;
    s.rflags = vcpu.rflags & ~(S.TF | S.RF);
    s.mxcsr = vcpu.i32(S.MXCSR);
    s.fcw = vcpu.u16(S.FCW);
    s.fsw = vcpu.u16(S.FSW);
    s.ftw = vcpu.u8(S.FTW);
    s.selectors.splice(0, 6, ...vcpu.segments.map(({ selector }) => selector));
    s.xmm.set(vcpu.bytes(S.XMM, 256));
    for (let k = 0; k < 8; k++) s.fpr.set(vcpu.bytes(S.FPR + 16 * k, 10), 10 * k);
    s.memory.set(this.#u8.subarray(DATA_FRAME, DATA_FRAME + 4096));
    return s;
  }
}

const PREFIXES = new Set([0x66, 0x67, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65]);

/** Whether the recorder would single-step `code` until RIP moves. */
function isRepeatedString(code: Uint8Array, bits: CodeBits): boolean {
  let repeated = false;
  for (const byte of code) {
    if (byte === 0xf2 || byte === 0xf3) repeated = true;
    else if (!PREFIXES.has(byte) && (bits !== 64 || (byte & 0xf0) !== 0x40)) {
      return (
        repeated && ((byte >= 0xa4 && byte <= 0xa7) || (byte >= 0xaa && byte <= 0xaf) || (byte >= 0x6c && byte <= 0x6f))
      );
    }
  }
  return false;
}
