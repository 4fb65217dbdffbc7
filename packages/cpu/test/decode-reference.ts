/**
 * iced-x86 as the decoder's reference: what it says about an instruction, put in the terms of `Insn`, and the comparison.
 * Its vocabulary differs in families (jcc, movs, ...) and in features we do not offer; both are spelled out here.
 */

import {
  Code,
  ConditionCode,
  CpuidFeature,
  Decoder,
  DecoderOptions,
  EncodingKind,
  Instruction,
  MemorySizeExt,
  Mnemonic,
  OpKind,
  Register,
} from "iced-x86";
import { DecodeStatus, decode, Insn, Kind, type Mode, type Operand } from "../src/decode/index.js";

const OFFERED = new Set(
  `INTEL8086 INTEL186 INTEL286 INTEL386 INTEL486 X64 ADX AES CLFLUSHOPT CLFSH CLWB CMOV CMPXCHG16B CPUID CX8 FPU FPU287
  FPU387 FSGSBASE FXSR INVPCID LZCNT MMX MONITOR MOVBE MSR MULTIBYTENOP PAUSE PCLMULQDQ PKU POPCNT PREFETCHW PREFETCHWT1
  RDPID RDPMC RDRAND RDSEED RDTSCP SEP SERIALIZE SHA SMAP SMM SSE SSE2 SSE3 SSE4_1 SSE4_2 SSSE3 SYSCALL TSC XSAVE
  XSAVEC XSAVEOPT XSAVES BMI1 CET_IBT`.split(/\s+/),
);

/** Offered although the rest of their feature is not. */
const OFFERED_CODES = new Set(["Vmcall", "Vmfunc", "Vmmcall", "Tdcall"]);

/** Later features in the space of the reserved nops: without the feature, nops; only the length is compared. */
const HINTS = new Set(["Cldemote_m8", "Rdsspd_r32", "Rdsspq_r64", "Prefetchit0_m8", "Prefetchit1_m8"]);

const ALIASES: Readonly<Record<string, string>> = {
  cwde: "cbw",
  cdqe: "cbw",
  cdq: "cwd",
  cqo: "cwd",
  pushad: "pusha",
  popad: "popa",
  pushfd: "pushf",
  pushfq: "pushf",
  popfd: "popf",
  popfq: "popf",
  iretd: "iret",
  iretq: "iret",
  sysretq: "sysret",
  sysexitq: "sysexit",
  jecxz: "jcxz",
  jrcxz: "jcxz",
  wait: "fwait",
  reservednop: "nop",
  endbr64: "nop",
  endbr32: "nop",
};

/** What a reference code means for us; computed once per code. */
interface Expected {
  /** "invalid": not offered, #UD here. "hint": a nop here. */
  readonly verdict: "invalid" | "hint" | "compare";
  readonly op: string;
  readonly cc: number;
  /** String and xlat-like instructions list no operands here. */
  readonly implicit: "no" | "all" | "first";
  /** Operand size in bytes where the reference's code fixes one, else 0. */
  readonly opSize: number;
  readonly usesSegment: boolean;
  readonly unsizedMemory: boolean;
}

const expectations: (Expected | undefined)[] = [];

function expectation(insn: Instruction): Expected {
  const known = expectations[insn.code];
  if (known !== undefined) return known;
  const result = explain(insn);
  expectations[insn.code] = result;
  return result;
}

function explain(insn: Instruction): Expected {
  const code = Code[insn.code] ?? "";
  const features = [...insn.cpuidFeatures()].map((feature) => CpuidFeature[feature] ?? "");
  const offered = OFFERED_CODES.has(code) || features.every((feature) => OFFERED.has(feature));
  const legacy = insn.encoding === EncodingKind.Legacy;
  let op = (Mnemonic[insn.mnemonic] ?? "").toLowerCase();
  let cc = -1;
  let implicit: Expected["implicit"] = "no";
  let opSize = insn.opCode.operandSize / 8;
  let usesSegment = false;
  const family = /^(j|set|cmov)(o|no|b|ae|e|ne|be|a|s|ns|p|np|l|ge|le|g)$/.exec(op);
  if (insn.isStringInstruction) {
    opSize = MemorySizeExt.size(insn.memorySize);
    op = op.slice(0, -1);
    implicit = "all";
    usesSegment = op !== "stos" && op !== "scas" && op !== "ins";
  } else if (op === "xlatb") {
    implicit = "all";
    usesSegment = true;
  } else if (op.startsWith("maskmov")) {
    implicit = "first";
    usesSegment = true;
  } else if (family !== null) {
    op = `${family[1]}cc`;
    cc = insn.conditionCode - ConditionCode.o;
  } else if (op.startsWith("prefetch")) op = "prefetch";
  else if (/^fx\w+64$|^xsave\w*64$|^xrstor\w*64$/.test(op)) {
    op = op.slice(0, -2);
    opSize = 8;
  } else if (insn.isCallFar || insn.isCallFarIndirect) op = "callf";
  else if (insn.isJmpFar || insn.isJmpFarIndirect) op = "jmpf";
  else op = ALIASES[op] ?? op;
  return {
    verdict: HINTS.has(code) ? "hint" : offered && legacy ? "compare" : "invalid",
    op,
    cc,
    implicit,
    opSize,
    usesSegment,
    unsizedMemory: /^(nop|prefetch|clflush|clflushopt|clwb)$/.test(op),
  };
}

/** A buffer of byte strings, one every `STRIDE` bytes, and both decoders over it. */
export const STRIDE = 32;

export class Comparison {
  readonly #decoder: Decoder;
  readonly #reference = new Instruction();
  readonly #ours = new Insn();
  #status = DecodeStatus.Invalid;

  constructor(
    readonly bytes: Uint8Array,
    readonly mode: Mode,
  ) {
    this.#decoder = new Decoder(mode, bytes, DecoderOptions.NoWbnoinvd);
  }

  /** Decodes string `index` with both. @returns what differs, or null. */
  compare(index: number): string | null {
    const offset = index * STRIDE;
    this.#decoder.position = offset;
    this.#decoder.ip = 0n;
    this.#decoder.decodeOut(this.#reference);
    this.#status = decode(this.bytes, offset, offset + STRIDE, this.mode, this.#ours);
    return difference(this.#reference, this.#status, this.#ours);
  }

  /** Our status for the string last compared. */
  get status(): DecodeStatus {
    return this.#status;
  }

  /** The reference's name for the string last compared. */
  get code(): string {
    return Code[this.#reference.code] ?? "";
  }

  /** Our reading of the string last compared. */
  get insn(): Insn {
    return this.#ours;
  }
}

function difference(reference: Instruction, status: DecodeStatus, ours: Insn): string | null {
  const ok = status === DecodeStatus.Ok;
  if (reference.isInvalid) return ok ? `valid, expected invalid: ${ours.op}` : null;
  const expected = expectation(reference);
  if (expected.verdict === "invalid") return ok ? `offered: ${ours.op}` : null;
  if (!ok) return `status ${status}`;
  if (ours.len !== reference.length) return `length ${ours.len}, expected ${reference.length}`;
  if (expected.verdict === "hint")
    return ours.op === "nop" || ours.op === "prefetch" ? null : `op ${ours.op}, expected a hint`;
  if (ours.op !== expected.op) return `op ${ours.op}, expected ${expected.op}`;
  if (ours.cc !== expected.cc) return `cc ${ours.cc}, expected ${expected.cc}`;
  if (expected.opSize !== 0 && ours.opSize !== expected.opSize)
    return `opSize ${ours.opSize}, expected ${expected.opSize}`;
  if (ours.lock !== reference.hasLockPrefix) return `lock ${ours.lock}`;
  const rep = reference.hasRepePrefix ? 0xf3 : reference.hasRepnePrefix ? 0xf2 : 0;
  if (ours.rep !== rep && ours.op !== "nop") return `rep ${ours.rep}, expected ${rep}`;
  if (expected.usesSegment && ours.seg !== segment(reference, ours)) return `seg ${ours.seg}`;
  if (expected.implicit === "all") return null;

  const skip = expected.implicit === "first" ? 1 : 0;
  if (ours.nops !== reference.opCount - skip) return `nops ${ours.nops}, expected ${reference.opCount - skip}`;
  for (let i = 0; i < ours.nops; i++) {
    const operand = ours.operands[i as 0 | 1 | 2 | 3];
    const problem = operandDifference(reference, i + skip, operand, ours, expected);
    if (problem !== null) return `operand ${i}: ${problem}`;
  }
  return null;
}

/** Segment the processor uses: the reference also reports overrides that 64-bit mode ignores. */
function segment(reference: Instruction, ours: Insn): number {
  const named = reference.memorySegment - Register.ES;
  if (ours.mode !== 64 || named >= 4) return named;
  return ours.base === 4 || ours.base === 5 ? 2 : 3;
}

const IMMEDIATE_SIZES: Readonly<Record<number, number>> = {
  [OpKind.Immediate8]: 1,
  [OpKind.Immediate8_2nd]: 1,
  [OpKind.Immediate16]: 2,
  [OpKind.Immediate32]: 4,
  [OpKind.Immediate64]: 8,
  [OpKind.Immediate8to16]: 2,
  [OpKind.Immediate8to32]: 4,
  [OpKind.Immediate8to64]: 8,
  [OpKind.Immediate32to64]: 8,
};

function operandDifference(
  reference: Instruction,
  i: number,
  ours: Operand,
  insn: Insn,
  expected: Expected,
): string | null {
  const kind = reference.opKind(i);
  switch (kind) {
    case OpKind.Register: {
      const want = register(reference.opRegister(i));
      // The reference sizes these by operand size and as 64 bits; the processor by what is transferred.
      if (insn.op === "arpl") want.size = 2;
      if ((want.kind === Kind.Cr || want.kind === Kind.Dr) && insn.mode !== 64) want.size = 4;
      const same = ours.kind === want.kind && ours.reg === want.reg && ours.size === want.size;
      return same ? null : `${show(ours)}, expected ${show(want)}`;
    }
    case OpKind.Memory:
      return ours.kind === Kind.Mem
        ? memoryDifference(reference, ours, insn, expected)
        : `kind ${ours.kind}, expected memory`;
    case OpKind.NearBranch16:
    case OpKind.NearBranch32:
    case OpKind.NearBranch64: {
      const bits = kind === OpKind.NearBranch16 ? 16 : kind === OpKind.NearBranch32 ? 32 : 64;
      if (ours.kind !== Kind.Rel || ours.size * 8 !== bits) return `${show(ours)}, expected a ${bits}-bit branch`;
      const target = BigInt.asUintN(bits, BigInt(insn.len) + join(insn.immLo, insn.immHi));
      return target === reference.nearBranchTarget ? null : `target ${target}, expected ${reference.nearBranchTarget}`;
    }
    case OpKind.FarBranch16:
    case OpKind.FarBranch32: {
      const offset = kind === OpKind.FarBranch16 ? reference.farBranch16 : reference.farBranch32;
      const same = ours.kind === Kind.Far && insn.immLo >>> 0 === offset && insn.imm2 === reference.farBranchSelector;
      return same ? null : `far ${insn.imm2}:${insn.immLo}`;
    }
    default: {
      const size = IMMEDIATE_SIZES[kind];
      if (size === undefined) return `unexpected reference operand kind ${OpKind[kind]}`;
      if (ours.kind === Kind.Const1) return reference.immediate(i) === 1n && insn.immLo === 1 ? null : "constant 1";
      if (ours.kind !== Kind.Imm || ours.size !== size) return `${show(ours)}, expected a ${size}-byte immediate`;
      const value = ours.reg === 0 ? join(insn.immLo, insn.immHi) : BigInt(insn.imm2);
      const want = BigInt.asUintN(size * 8, reference.immediate(i));
      return BigInt.asUintN(size * 8, value) === want ? null : `immediate ${value}, expected ${want}`;
    }
  }
}

function memoryDifference(reference: Instruction, ours: Operand, insn: Insn, expected: Expected): string | null {
  const size = expected.unsizedMemory ? 0 : MemorySizeExt.size(reference.memorySize);
  if (ours.size !== size) return `memory size ${ours.size}, expected ${size}`;
  const ipRelative = reference.isIpRelMemoryOperand;
  const base = ipRelative ? 16 : addressRegister(reference.memoryBase);
  if (insn.base !== base) return `base ${insn.base}, expected ${base}`;
  const index = addressRegister(reference.memoryIndex);
  if (insn.index !== index) return `index ${insn.index}, expected ${index}`;
  if (index >= 0 && 1 << insn.scale !== reference.memoryIndexScale) return `scale ${insn.scale}`;
  if (insn.seg !== segment(reference, insn)) return `segment ${insn.seg}, expected ${segment(reference, insn)}`;
  const bits = insn.addrSize * 8;
  const own = join(insn.dispLo, insn.dispHi) + (ipRelative ? BigInt(insn.len) : 0n);
  const want = BigInt.asUintN(bits, reference.memoryDisplacement);
  if (BigInt.asUintN(bits, own) !== want) return `displacement ${own}, expected ${want}`;
  return null;
}

function addressRegister(value: Register): number {
  return value === Register.None ? -1 : register(value).reg;
}

const RANGES: readonly [first: Register, count: number, kind: Kind, size: number][] = [
  [Register.AL, 4, Kind.Gpr, 1],
  [Register.AH, 4, Kind.Gpr8High, 1],
  [Register.AX, 16, Kind.Gpr, 2],
  [Register.EAX, 16, Kind.Gpr, 4],
  [Register.RAX, 16, Kind.Gpr, 8],
  [Register.ES, 6, Kind.Seg, 2],
  [Register.XMM0, 16, Kind.Xmm, 16],
  [Register.MM0, 8, Kind.Mmx, 8],
  [Register.CR0, 16, Kind.Cr, 8],
  [Register.DR0, 16, Kind.Dr, 8],
  [Register.ST0, 8, Kind.St, 10],
];

function register(value: Register): Operand {
  if (value >= Register.SPL && value <= Register.R15L)
    return { kind: Kind.Gpr, reg: value - Register.SPL + 4, size: 1 };
  const range = RANGES.find(([first, count]) => value >= first && value < first + count);
  if (range === undefined) throw new RangeError(`register ${Register[value]} has no counterpart`);
  return { kind: range[2], reg: value - range[0], size: range[3] };
}

function show(operand: Operand): string {
  return `kind ${operand.kind} reg ${operand.reg} size ${operand.size}`;
}

function join(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low >>> 0);
}
