import type { Classified } from "./classify.js";
import { type CpuState, DATA_PAGE, FS_BASE, GS_BASE } from "./initial-state.js";
import type { Raised } from "./recorder-machine.js";
import type { Segments } from "./segments.js";

/** What is not compared after an instruction or a block, because the architecture leaves it undefined or approximate. */
export interface Tolerance {
  /** RFLAGS bits. */
  readonly flags: number;
  /** x87 status-word bits. */
  readonly status: number;
  /** XMM registers may differ by the error of RCPPS. */
  readonly approximate: boolean;
  /** x87 registers may differ by one unit in the last place. */
  readonly transcendental: boolean;
  /** Offsets in the data page, from (inclusive) to (exclusive). */
  readonly memory: readonly (readonly [number, number])[];
}

const OF = 0x800;
const ARITHMETIC = 0x8d5;
const C1 = 0x200;
const ROTATES = new Set(["rol", "ror", "rcl", "rcr"]);
const SHIFTS = new Set(["shl", "sal", "shr", "sar", "shld", "shrd", ...ROTATES]);
const APPROXIMATE = new Set(["rcpps", "rcpss", "rsqrtps", "rsqrtss"]);
/** x87 instructions whose result may be off by one unit in the last place. */
const TRANSCENDENTAL = new Set(["f2xm1", "fyl2x", "fyl2xp1", "fptan", "fpatan", "fsin", "fcos", "fsincos"]);

/** Bytes of an x87 image that hold FOP, FIP and FDP with their selectors, which differ among processors, by the name of the operand. */
const POINTERS: readonly (readonly [RegExp, number, number])[] = [
  [/^Fn?st?(?:env|ave)_m(?:14|94)byte$/, 6, 14],
  [/^Fn?st?(?:env|ave)_m(?:28|108)byte$/, 12, 28],
  [/^Fxsave(?:64)?_m512byte$/, 6, 24],
  [/^Xsave(?:opt|c)?(?:64)?_mem$/, 6, 24],
];

/** Whether results of the instruction are compared with a tolerance that a later instruction of a block could carry elsewhere. */
export const isInexact = (insn: Classified): boolean =>
  APPROXIMATE.has(insn.mnemonic) ||
  TRANSCENDENTAL.has(insn.mnemonic) ||
  POINTERS.some(([code]) => code.test(insn.code));

export const is16BitDoubleShift = (insn: Classified): boolean =>
  /^sh[lr]d$/.test(insn.mnemonic) && insn.operandBits === 16;

/** What is not compared after `insn` alone. */
export function toleranceOf(insn: Classified, before: CpuState, raised: Raised | null, segments?: Segments): Tolerance {
  const count = shiftCount(insn, before);
  const transcendental = TRANSCENDENTAL.has(insn.mnemonic);
  return {
    flags: flagsMask(insn, count, raised),
    status: insn.undefinedStatus | (transcendental ? C1 : 0),
    approximate: APPROXIMATE.has(insn.mnemonic),
    transcendental,
    memory: pointers(insn, before, segments),
  };
}

/**
 * What is not compared after a straight line of instructions.
 * @param done how many of them were completed: all, or those before the one that raised
 */
export function blockTolerance(
  insns: readonly Classified[],
  done: number,
  before: CpuState,
  raised: Raised | null,
  segments?: Segments,
): Tolerance {
  let flags = 0;
  let status = 0;
  for (const insn of insns.slice(0, done)) {
    ({ flags, status } = undefinedAfter(insn, flags, status));
  }
  const last = insns[done - 1];
  // Only the last one may be inexact: the others are not put into blocks.
  const inexact = last !== undefined && done === insns.length ? toleranceOf(last, before, raised, segments) : undefined;
  return {
    flags: flags | (raised?.vector === 0 ? ARITHMETIC : 0),
    status: status | (inexact?.status ?? 0),
    approximate: inexact?.approximate ?? false,
    transcendental: inexact?.transcendental ?? false,
    memory: inexact?.memory ?? [],
  };
}

/** The undefined bits of RFLAGS and of the x87 status word after `insn`, given those before it. */
export function undefinedAfter(insn: Classified, flags: number, status: number): { flags: number; status: number } {
  const shift = SHIFTS.has(insn.mnemonic);
  // A count of zero writes no flags.
  const written = shift || insn.repeated ? 0 : insn.writtenFlags;
  return {
    flags: (flags & ~written) | insn.undefinedFlags | (shift ? OF : 0),
    status: (status & ~insn.writtenStatus) | insn.undefinedStatus | (TRANSCENDENTAL.has(insn.mnemonic) ? C1 : 0),
  };
}

/** Masked count of a shift or rotate, or -1 for any other instruction. */
function shiftCount(insn: Classified, before: CpuState): number {
  if (!SHIFTS.has(insn.mnemonic)) return -1;
  const raw = insn.count >= 0 ? insn.count : (before.gpr[8] as number);
  return raw & (insn.operandBits === 64 ? 63 : 31);
}

/** RFLAGS bits not to be compared: what iced-x86 says, corrected for the count (SDM vol. 2, SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR). */
function flagsMask(insn: Classified, count: number, raised: Raised | null): number {
  if (count === 0) return 0;
  if (raised?.vector === 0) return ARITHMETIC;
  if (raised !== null) return 0;
  return count === 1 ? insn.undefinedFlags & ~OF : count > 1 ? insn.undefinedFlags | OF : insn.undefinedFlags;
}

function pointers(
  insn: Classified,
  before: CpuState,
  segments: Segments | undefined,
): readonly (readonly [number, number])[] {
  const row = POINTERS.find(([code]) => code.test(insn.code));
  if (row === undefined || insn.memory === null) return [];
  const at = Number(effectiveAddress(insn.memory, before, segments) - BigInt(DATA_PAGE));
  return at >= 0 && at < 4096 ? [[at + row[1], at + row[2]]] : [];
}

const SEGMENT_NAMES = ["ES", "CS", "SS", "DS", "FS", "GS"];

/** Linear address of a memory operand. */
export function effectiveAddress(
  memory: NonNullable<Classified["memory"]>,
  { gpr }: CpuState,
  segments: Segments | undefined,
): bigint {
  const view = new DataView(gpr.buffer, gpr.byteOffset);
  const register = (k: number): bigint => (k < 0 ? 0n : view.getBigUint64(8 * k, true));
  const offset = register(memory.base) + register(memory.index) * BigInt(memory.scale) + memory.displacement;
  const flat = memory.segment === "FS" ? FS_BASE : memory.segment === "GS" ? GS_BASE : 0;
  const base = segments?.get(SEGMENT_NAMES.indexOf(memory.segment))?.base ?? flat;
  return BigInt.asUintN(64, BigInt.asUintN(memory.addressBits, offset) + BigInt(base));
}
