import { Code, CpuidFeature, Decoder, DecoderOptions, EncodingKind, Mnemonic, OpKind, RflagsBits } from "iced-x86";
import { CODE_OFFSET, CODE_PAGE } from "./initial-state.js";

/** Instruction-set features the vCPU has (as iced-x86 names them). */
const OFFERED = new Set(
  `INTEL8086 INTEL186 INTEL286 INTEL386 INTEL486 X64 ADX AES BMI1 CLFLUSHOPT CLFSH CLWB CMOV CMPXCHG16B CX8 FPU FPU287 FPU387
  FXSR LZCNT MMX MOVBE MULTIBYTENOP PAUSE PCLMULQDQ POPCNT PREFETCHW PREFETCHWT1 SHA SSE SSE2 SSE3 SSE4_1 SSE4_2
  SSSE3`.split(/\s+/),
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
  /** Features, by name. */
  readonly features: readonly string[];
  /** Bits of operand 0. */
  readonly operandBits: number;
  /** Immediate count of a shift, or -1 for CL. */
  readonly count: number;
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

/** Looks the instruction up in iced-x86; null if that does not know it. */
export function classify(bytes: Uint8Array): Classified | null {
  const decoder = new Decoder(64, bytes, DecoderOptions.None);
  decoder.ip = BigInt(CODE_PAGE + CODE_OFFSET);
  const insn = decoder.decode();
  try {
    if (insn.isInvalid) return null;
    const features = [...insn.cpuidFeatures()].map((f) => CpuidFeature[f] as string);
    const legacy = insn.encoding === EncodingKind.Legacy;
    const mask = (table: typeof FLAGS): number =>
      table.reduce((sum, [bit, value]) => sum | (insn.rflagsUndefined & bit ? value : 0), 0);
    const code = Code[insn.code] as string;
    const last = insn.opCount - 1;
    return {
      code,
      mnemonic: (Mnemonic[insn.mnemonic] as string).toLowerCase(),
      length: insn.length,
      // BMI1 is TZCNT only.
      offered: legacy && features.every((f) => OFFERED.has(f)),
      undefinedFlags: mask(FLAGS),
      undefinedStatus: mask(STATUS),
      features,
      operandBits: Number(/(?:r|rm|m)(8|16|32|64)(?:_|$)/.exec(code)?.[1] ?? 0),
      count: last >= 0 && insn.opKind(last) === OpKind.Immediate8 ? insn.immediate8 : /_1$/.test(code) ? 1 : -1,
    };
  } finally {
    insn.free();
    decoder.free();
  }
}
