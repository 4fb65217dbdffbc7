import type { Classified } from "./classify.js";
import { type CodeBits, type CpuState, DATA_PAGE } from "./initial-state.js";
import type { Raised } from "./recorder-machine.js";
import type { Segments } from "./segments.js";
import { effectiveAddress, is16BitDoubleShift } from "./tolerance.js";

/** Makers of processors that differ in what they leave. The vCPU follows Intel's. */
export type Vendor = "intel" | "amd";

/** What is known of one instruction of a vector when it is judged. */
export interface Situation {
  readonly insn: Classified;
  /** Its own bytes. */
  readonly bytes: Uint8Array;
  readonly bits: CodeBits;
  /** Others may have come before it. */
  readonly inBlock: boolean;
  readonly before: CpuState;
  readonly segments?: Segments;
  /** The exception that was recorded, and the vCPU's. */
  readonly raised: Raised | null;
  readonly got: Raised | null;
}

/** What processors of one vendor do otherwise than Intel's, of which the vCPU is one. */
export interface VendorDifference {
  readonly vendor: Exclude<Vendor, "intel">;
  /** What that vendor's processors do, and what Intel's. */
  readonly name: string;
  /** Where it is written down; `recorded` is what the oracle found on processors of both. */
  readonly source: string;
  /** Which instructions it concerns. */
  readonly concerns: (insn: Classified, bytes: Uint8Array, bits: CodeBits) => boolean;
  /** When it shows; absent = always. */
  readonly when?: (situation: Situation) => boolean;
  /** What differs, as `differences` words it. Anything else remains a difference. */
  readonly shows: RegExp;
  /** The instruction completes on one of them: in a block it comes last, so that no other carries the difference on. */
  readonly completes?: true;
}

const NEAR_BRANCH = /^(?:call|jmp|ret|j[a-z]+|loop(?:e|ne)?)$/;
const SHA = /^sha(?:1|256)/;
const REP = new Set([0xf2, 0xf3]);
const PREFIXES = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3]);

/** The legacy prefixes of an instruction. */
function prefixesOf(bytes: Uint8Array): readonly number[] {
  const end = bytes.findIndex((byte) => !PREFIXES.has(byte));
  return [...bytes.subarray(0, end < 0 ? bytes.length : end)];
}

const MXCSR_LOADS = /^(?:ldmxcsr|fxrstor|xrstor)/;
const MXCSR_RESERVED = 0xffff0000;
const MXCSR_MM = 0x20000;

/** The MXCSR in memory, by itself or 24 bytes into an area, has MM as its only reserved bit. */
function loadsMmAlone({ insn, before, segments }: Pick<Situation, "insn" | "before" | "segments">): boolean {
  const { mnemonic, memory } = insn;
  if (memory === null) return false;
  const at = Number(effectiveAddress(memory, before, segments)) - DATA_PAGE + (mnemonic === "ldmxcsr" ? 0 : 24);
  const view = new DataView(before.memory.buffer, before.memory.byteOffset, before.memory.length);
  if (at < 0 || at + 4 > view.byteLength) return false;
  return (view.getUint32(at, true) & MXCSR_RESERVED) === MXCSR_MM;
}

const raises =
  (...vectors: readonly number[]) =>
  ({ raised }: Situation): boolean =>
    raised !== null && vectors.includes(raised.vector);
const both =
  (want: number, have: number) =>
  ({ raised, got }: Situation): boolean =>
    raised?.vector === want && got?.vector === have;

/** AMD's: AMD64 Architecture Programmer's Manual (APM). */
export const VENDOR_DIFFERENCES: readonly VendorDifference[] = [
  {
    vendor: "amd",
    name: "0F 0D with a register is undefined; Intel: does nothing",
    source: "APM vol. 3, PREFETCH; SDM vol. 2, table A-3",
    concerns: ({ code }) => /_0F0D$/.test(code),
    when: raises(6),
    shows: /^(?:exception|rip)/,
    completes: true,
  },
  {
    vendor: "amd",
    name: "an operand-size prefix makes near branches of 64-bit code 16 bits wide; Intel: it is ignored",
    source: "APM vol. 3, 1.2.7; SDM vol. 2, JMP",
    concerns: ({ mnemonic, code }, bytes, bits) =>
      bits === 64 && NEAR_BRANCH.test(mnemonic) && !/_m16|_ptr/.test(code) && prefixesOf(bytes).includes(0x66),
    shows: /^(?:exception|rip|register [14]|memory)/,
  },
  {
    vendor: "amd",
    name: "CALL to an address that cannot be one pushes nothing; Intel: the return address is below RSP",
    source: "recorded",
    concerns: ({ mnemonic }) => mnemonic === "call",
    when: both(13, 13),
    shows: /^memory/,
  },
  {
    vendor: "amd",
    name: "far pointers in memory have at most 32 bits of offset, REX.W or not; Intel: 64",
    source: "APM vol. 3, LFS, CALL (Far); SDM vol. 2, LDS",
    concerns: ({ code }) => code.endsWith("_m1664"),
    shows: /^(?:exception|rip|register|memory|selectors)/,
  },
  {
    vendor: "amd",
    name: "SHA instructions take unaligned operands; Intel: #GP",
    source: "APM vol. 4, SHA1RNDS4; SDM vol. 2, SHA1RNDS4",
    concerns: ({ mnemonic, memory }) => SHA.test(mnemonic) && memory !== null,
    when: ({ insn: { memory }, before, segments }) =>
      memory !== null && (effectiveAddress(memory, before, segments) & 15n) !== 0n,
    shows: /^(?:exception|rip|xmm)/,
    completes: true,
  },
  {
    vendor: "amd",
    name: "F3 90 with REX.B is an exchange of RAX and R8; Intel: PAUSE",
    source: "recorded",
    concerns: ({ mnemonic }, bytes, bits) =>
      bits === 64 && mnemonic === "pause" && ((bytes.at(-2) ?? 0) & 0xf1) === 0x41,
    shows: /^register [08]:/,
    completes: true,
  },
  {
    vendor: "amd",
    name: "LOOPE and LOOPNE with 67 and F2 or F3 take their condition from that prefix; Intel: from the opcode",
    source: "recorded",
    concerns: ({ mnemonic }, bytes) => {
      const prefixes = prefixesOf(bytes);
      return /^loopn?e$/.test(mnemonic) && prefixes.includes(0x67) && prefixes.some((p) => REP.has(p));
    },
    shows: /^(?:exception|rip|register 1:)/,
  },
  {
    vendor: "amd",
    name: "SHLD and SHRD of 16 bits by 17 to 31: operand 1 enters twice; Intel: operand 0 behind it",
    source: "undefined in APM vol. 3 and SDM vol. 2; recorded",
    concerns: is16BitDoubleShift,
    // What CL is by then is not known in a block.
    when: ({ insn, before, inBlock }) =>
      insn.count < 0 ? inBlock || ((before.gpr[8] as number) & 31) > 16 : (insn.count & 31) > 16,
    shows: /^(?:register|memory|rflags)/,
    completes: true,
  },
  {
    vendor: "amd",
    name: "F2XM1 of 1.0, rounded down, is below 1.0; Intel: 1.0",
    source: "recorded",
    concerns: ({ mnemonic }) => mnemonic === "f2xm1",
    shows: /^x87/,
    completes: true,
  },
  {
    vendor: "amd",
    name: "CR2 after a fault of MASKMOVDQU is the operand's first byte; Intel: the first one selected",
    source: "recorded",
    concerns: ({ mnemonic }) => /^maskmov/.test(mnemonic),
    when: both(14, 14),
    shows: /^exception/,
  },
  {
    vendor: "amd",
    name: "CR2 after a fault of XSAVE is the area's first byte; Intel: the last one of what is written",
    source: "recorded",
    concerns: ({ mnemonic }) => /^xsave/.test(mnemonic),
    when: both(14, 14),
    shows: /^exception/,
  },
  {
    vendor: "amd",
    name: "MXCSR_MASK has MM (bit 17): unaligned SSE operands; Intel: reserved",
    source: "APM vol. 2, 11.5.9",
    concerns: ({ mnemonic }) => /^f?xsave/.test(mnemonic),
    shows: /^memory \S+ recorded ([0-9a-f]{24})ffff0200, got \1ffff0000$/,
    completes: true,
  },
  {
    vendor: "amd",
    name: "MXCSR.MM (bit 17) can be loaded; Intel: reserved, #GP",
    source: "APM vol. 2, 11.5.9; SDM vol. 1, 10.2.3",
    concerns: ({ mnemonic }) => MXCSR_LOADS.test(mnemonic),
    when: ({ raised, got, ...situation }) => raised === null && got?.vector === 13 && loadsMmAlone(situation),
    shows: /^(?:exception|rip|xmm|mxcsr|fcw|fsw|ftw|x87)/,
    completes: true,
  },
  {
    vendor: "amd",
    name: "PUSH of a segment register by 32 bits writes all of them; Intel: the lower 16",
    source: "APM vol. 3, PUSH; SDM vol. 2, PUSH",
    concerns: ({ code }) => /^Pushd_[C-GS]S$/.test(code),
    shows: /^(?:exception|rip|register 4:|memory)/,
    completes: true,
  },
  {
    vendor: "amd",
    name: "RETF with an immediate reads the stack behind it before the checks; Intel: after them",
    source: "recorded",
    concerns: ({ code }) => /^Retf._imm16$/.test(code),
    when: ({ raised, got }) => raised !== null && got !== null,
    shows: /^exception/,
  },
  {
    vendor: "amd",
    name: "IRET checks the limit of CS before SS; Intel: after it",
    source: "recorded",
    concerns: ({ mnemonic }) => /^iret/.test(mnemonic),
    when: ({ raised, got }) => raised?.vector === 13 && raised.errorCode === 0 && got?.vector === 13,
    shows: /^exception/,
  },
  {
    vendor: "amd",
    name: "an MMX store that faults leaves the x87 stack as it is; Intel: its top is 0 already",
    source: "recorded",
    concerns: ({ code }) => /^Mov[a-z]+_(?:rm32|rm64|mmm64|m64)_mm$/.test(code),
    when: ({ raised }) => raised !== null,
    shows: /^(?:fsw|ftw|x87)/,
  },
  {
    vendor: "amd",
    name: "a store of 80 bits that faults at its second page writes nothing; Intel: what lies before it",
    source: "recorded",
    concerns: ({ code }) => /_m80(?:fp|bcd)$/.test(code),
    when: both(14, 14),
    shows: /^memory/,
  },
  {
    vendor: "amd",
    name: "all sums of DPPS are the same NaN if several take part; Intel: each may be another",
    source: "recorded",
    concerns: ({ mnemonic }) => /^dpp[sd]$/.test(mnemonic),
    shows: /^xmm/,
    completes: true,
  },
  {
    vendor: "amd",
    name: "UD0 and UD1 are undefined whatever follows; Intel: what follows is fetched first",
    source: "recorded; SDM vol. 2, UD",
    concerns: ({ mnemonic }) => /^ud[01]$/.test(mnemonic),
    when: ({ raised, got }) => raised?.vector === 6 && (got?.vector === 13 || got?.vector === 14),
    shows: /^exception/,
  },
  {
    vendor: "amd",
    name: "XRSTOR of an MXCSR with reserved bits loads nothing; Intel: the x87 state already is",
    source: "recorded",
    concerns: ({ mnemonic }) => /^xrstor/.test(mnemonic),
    when: both(13, 13),
    shows: /^(?:fcw|fsw|ftw|x87)/,
  },
  {
    vendor: "amd",
    name: "the alignment of an XSAVE area comes before the limit of its segment; Intel: behind it",
    source: "recorded",
    concerns: ({ mnemonic }) => /^x(?:save|rstor)/.test(mnemonic),
    when: both(13, 12),
    shows: /^exception/,
  },
  {
    vendor: "amd",
    name: "an operand across 4 GiB by an address of 32 bits goes on at 0 in 64-bit code; Intel: above",
    source: "recorded; SDM vol. 1, 3.3.7: the address is 32 bits zero-extended",
    concerns: (_insn, bytes, bits) => bits === 64 && prefixesOf(bytes).includes(0x67),
    when: ({ raised, got }) => raised?.vector === 14 && got?.vector === 14 && got.cr2[1] === 1,
    shows: /^exception/,
  },
  {
    vendor: "amd",
    name: "an operand across the end of the 4 GiB of a flat segment is beyond it; Intel: it goes on at 0",
    source: "recorded",
    concerns: (_insn, _bytes, bits) => bits !== 64,
    when: ({ raised, got }) =>
      (raised?.vector === 12 || raised?.vector === 13) &&
      raised.errorCode === 0 &&
      got?.vector === 14 &&
      got.cr2[0] >>> 0 >= 0xfffffff0,
    shows: /^exception/,
  },
];

/** Whether the instruction may leave something else on processors of another vendor, with which what follows would go on. */
export const differsAmongVendors = (insn: Classified, bytes: Uint8Array, bits: CodeBits): boolean =>
  VENDOR_DIFFERENCES.some((row) => row.completes === true && row.concerns(insn, bytes, bits));

/** The row that explains all of `details`, or undefined. */
export function vendorDifference(
  vendor: Vendor,
  situation: Situation,
  details: readonly string[],
): VendorDifference | undefined {
  const { insn, bytes, bits } = situation;
  return VENDOR_DIFFERENCES.find(
    (row) =>
      row.vendor === vendor &&
      row.concerns(insn, bytes, bits) &&
      (row.when?.(situation) ?? true) &&
      details.every((detail) => row.shows.test(detail)),
  );
}
