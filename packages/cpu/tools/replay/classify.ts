import {
  Code,
  CpuidFeature,
  Decoder,
  DecoderOptions,
  EncodingKind,
  type Instruction,
  Mnemonic,
  OpKind,
  Register,
  RflagsBits,
} from "iced-x86";
import { CODE_OFFSET, CODE_PAGE, type CodeBits } from "./initial-state.js";

/** Instruction-set features the vCPU has (as iced-x86 names them). */
const OFFERED = new Set(
  `INTEL8086 INTEL186 INTEL286 INTEL386 INTEL486 X64 ADX AES BMI1 CLFLUSHOPT CLFSH CLWB CMOV CMPXCHG16B CX8 FPU FPU287 FPU387
  FSGSBASE FXSR LZCNT MMX MOVBE MULTIBYTENOP PAUSE PCLMULQDQ POPCNT PREFETCHW PREFETCHWT1 SHA SSE SSE2 SSE3 SSE4_1 SSE4_2
  SSSE3 XSAVE XSAVEC XSAVEOPT`.split(/\s+/),
);

/** What has to be known about an instruction to judge a run of it. */
export interface Classified {
  /** iced-x86 `Code`, e.g. `Add_rm32_r32`. */
  readonly code: string;
  readonly mnemonic: string;
  readonly length: number;
  /** The vCPU has the features it needs and its encoding. */
  readonly offered: boolean;
  /** RFLAGS bits it leaves undefined. */
  readonly undefinedFlags: number;
  /** x87 status-word bits it leaves undefined. */
  readonly undefinedStatus: number;
  /** RFLAGS and x87 status-word bits it reads, and those it always writes (undefined ones are not among them). */
  readonly readFlags: number;
  readonly readStatus: number;
  readonly writtenFlags: number;
  readonly writtenStatus: number;
  /** It has a REP, REPE or REPNE prefix. */
  readonly repeated: boolean;
  /** Its memory operand. */
  readonly memory: MemoryOperand | null;
  /** Features, by name. */
  readonly features: readonly string[];
  /** Bits of operand 0. */
  readonly operandBits: number;
  /** Immediate count of a shift, or -1 for CL. */
  readonly count: number;
}

/** Registers by hardware number, -1 = none. RIP is part of the displacement. */
export interface MemoryOperand {
  readonly base: number;
  readonly index: number;
  readonly scale: number;
  readonly displacement: bigint;
  /** `DS`, `FS`, ... */
  readonly segment: string;
  readonly addressBits: 16 | 32 | 64;
}

const FLAGS: readonly (readonly [number, number])[] = [
  [RflagsBits.OF, 0x800],
  [RflagsBits.SF, 0x80],
  [RflagsBits.ZF, 0x40],
  [RflagsBits.AF, 0x10],
  [RflagsBits.CF, 1],
  [RflagsBits.PF, 4],
];
const STATUS: readonly (readonly [number, number])[] = [
  [RflagsBits.C0, 0x100],
  [RflagsBits.C1, 0x200],
  [RflagsBits.C2, 0x400],
  [RflagsBits.C3, 0x4000],
];

/**
 * Of the flags that the manuals leave undefined, those that differ among processors; where Intel's and AMD's agree, so must the vCPU.
 * AMD's keep OF in TZCNT and LZCNT, Intel's clear it.
 */
const REALLY_UNDEFINED: Readonly<Record<string, number>> = { bsf: 0, bsr: 0, aad: 0, tzcnt: 0x800, lzcnt: 0x800 };

/**
 * Looks the first instruction in `bytes` up in iced-x86; null if that does not know it.
 * @param offset from where a case's code starts, bytes
 */
export function classify(bytes: Uint8Array, bits: CodeBits = 64, offset = 0): Classified | null {
  const decoder = new Decoder(bits, bytes, DecoderOptions.None);
  decoder.ip = BigInt(CODE_PAGE + CODE_OFFSET + offset);
  const insn = decoder.decode();
  try {
    return insn.isInvalid ? null : classified(insn);
  } finally {
    insn.free();
    decoder.free();
  }
}

/** The instructions of a straight line, or null if iced-x86 does not know one of them. */
export function classifyBlock(bytes: Uint8Array, bits: CodeBits = 64): readonly Classified[] | null {
  const insns: Classified[] = [];
  for (let at = 0; at < bytes.length; ) {
    const insn = classify(bytes.subarray(at), bits, at);
    if (insn === null) return null;
    insns.push(insn);
    at += insn.length;
  }
  return insns;
}

/** @param insn stays the caller's to free */
export function classified(insn: Instruction): Classified {
  const features = [...insn.cpuidFeatures()].map((f) => CpuidFeature[f] as string);
  const legacy = insn.encoding === EncodingKind.Legacy;
  const mask = (table: typeof FLAGS, bits: number): number =>
    table.reduce((sum, [bit, value]) => sum | (bits & bit ? value : 0), 0);
  const written = insn.rflagsWritten | insn.rflagsCleared | insn.rflagsSet;
  const code = Code[insn.code] as string;
  const mnemonic = (Mnemonic[insn.mnemonic] as string).toLowerCase();
  const undefinedFlags = mask(FLAGS, insn.rflagsUndefined);
  const undefinedHere = REALLY_UNDEFINED[mnemonic] ?? undefinedFlags;
  const last = insn.opCount - 1;
  return {
    code,
    mnemonic,
    length: insn.length,
    // BMI1 is TZCNT only.
    offered: legacy && features.every((f) => OFFERED.has(f)),
    undefinedFlags: undefinedHere,
    undefinedStatus: mask(STATUS, insn.rflagsUndefined),
    readFlags: mask(FLAGS, insn.rflagsRead),
    readStatus: mask(STATUS, insn.rflagsRead),
    writtenFlags: mask(FLAGS, written) | (undefinedFlags & ~undefinedHere),
    writtenStatus: mask(STATUS, written),
    repeated: insn.hasRepPrefix || insn.hasRepnePrefix,
    memory: memoryOperand(insn),
    features,
    operandBits: Number(/(?:r|rm|m)(8|16|32|64)(?:_|$)/.exec(code)?.[1] ?? 0),
    count: last >= 0 && insn.opKind(last) === OpKind.Immediate8 ? insn.immediate8 : /_1$/.test(code) ? 1 : -1,
  };
}

const REGISTER_FILES = [Register.AX, Register.EAX, Register.RAX];

/** Hardware number of a general register of 16 to 64 bits, or -1. */
export function generalRegister(register: Register): number {
  for (const first of REGISTER_FILES) if (register >= first && register < first + 16) return register - first;
  return -1;
}

function memoryOperand(insn: Instruction): MemoryOperand | null {
  for (let k = 0; k < insn.opCount; k++) {
    if (insn.opKind(k) !== OpKind.Memory) continue;
    const { memoryBase: base, memoryIndex: index } = insn;
    const wide = (from: Register): boolean => [base, index].some((r) => r >= from && r < from + 16);
    const addressBits =
      base === Register.RIP || wide(Register.RAX) || insn.memoryDisplSize === 8 ? 64 : wide(Register.AX) ? 16 : 32;
    return {
      base: generalRegister(base),
      index: generalRegister(index),
      scale: insn.memoryIndexScale,
      displacement: insn.memoryDisplacementU64,
      segment: Register[insn.memorySegment] as string,
      addressBits,
    };
  }
  return null;
}
