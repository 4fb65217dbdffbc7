import type { Fixup } from "./_fixup.js";
import { type Bits, fitsField } from "./_match.js";
import { AddressError, DisplacementOverflowError } from "./errors.js";
import { describeOperand, type Mem } from "./operand.js";
import type { Gpr } from "./registers.js";

/** ModRM, SIB and displacement of a memory operand (SDM vol. 2, 2.1.5 and tables 2-1 to 2-3). */
export interface EncodedAddress {
  /** Address size in bytes. */
  readonly size: number;
  readonly mod: number;
  readonly rm: number;
  readonly sib: readonly number[];
  readonly disp: bigint;
  readonly dispWidth: 0 | 1 | 2 | 4;
  readonly fixup: Omit<Fixup, "at" | "width"> | undefined;
  /** Register numbers for REX.B and REX.X, 0 when there is none. */
  readonly base: number;
  readonly index: number;
}

/** Encodes a memory operand for code of `bits`. @throws AddressError, DisplacementOverflowError */
export function encodeAddress(m: Mem, bits: Bits): EncodedAddress {
  const { base } = m;
  if (base?.kind === "rip" || (base?.kind === "label" && bits === 64)) return ripRelative(m, bits);
  const label = base?.kind === "label" ? base : undefined;
  const baseReg = base?.kind === "gpr" ? base : undefined;
  const size = addressSize(m, baseReg, bits);
  const range = fitsField(m.disp, size === 2 ? 2 : 4, size);
  if (!range && !label) {
    throw new DisplacementOverflowError(`${describeOperand(m)}: displacement does not fit ${size * 8}-bit addressing`);
  }
  const fixup = label ? { relative: false, label, addend: m.disp } : undefined;
  return size === 2 ? address16(m, baseReg, fixup) : addressSib(m, baseReg, size, bits, fixup);
}

function addressSize(m: Mem, base: Gpr | undefined, bits: Bits): number {
  const sizes = [base?.size, m.index?.size].filter((s) => s !== undefined);
  const size = sizes[0] ?? (bits === 16 && !m.base && !fitsField(m.disp, 2, 2) ? 4 : bits / 8);
  if (sizes.some((s) => s !== size)) throw new AddressError(`${describeOperand(m)}: base and index differ in size`);
  if (bits === 64 ? size === 2 : size === 8) {
    throw new AddressError(`${describeOperand(m)}: no ${size * 8}-bit addresses in ${bits}-bit code`);
  }
  if (bits !== 64 && [base, m.index].some((r) => r && r.num >= 8)) {
    throw new AddressError(`${describeOperand(m)}: r8 to r15 exist only in 64-bit code`);
  }
  return size;
}

function ripRelative(m: Mem, bits: Bits): EncodedAddress {
  if (bits !== 64) throw new AddressError(`${describeOperand(m)}: rip-relative addresses exist only in 64-bit code`);
  if (m.index) throw new AddressError(`${describeOperand(m)}: a rip-relative address takes no index register`);
  const common = { size: 8, mod: 0, rm: 5, sib: [], dispWidth: 4, base: 0, index: 0 } as const;
  if (m.base?.kind === "label") {
    return { ...common, disp: 0n, fixup: { relative: true, label: m.base, addend: m.disp } };
  }
  if (!fitsField(m.disp, 4, 8))
    throw new DisplacementOverflowError(`${describeOperand(m)}: expected a signed 32-bit displacement`);
  return { ...common, disp: m.disp, fixup: undefined };
}

/** r/m values of 16-bit addressing by the register names they add (SDM vol. 2, table 2-1). */
const RM16: Readonly<Record<string, number>> = {
  "bx+si": 0,
  "bx+di": 1,
  "bp+si": 2,
  "bp+di": 3,
  si: 4,
  di: 5,
  bp: 6,
  bx: 7,
};

function address16(m: Mem, base: Gpr | undefined, fixup: EncodedAddress["fixup"]): EncodedAddress {
  const none = { size: 2, sib: [], base: 0, index: 0, disp: m.disp, fixup } as const;
  const names = [base?.name, m.index?.name].filter((n) => n !== undefined);
  if (names.length === 0) return { ...none, mod: 0, rm: 6, dispWidth: 2 };
  const rm = RM16[names.join("+")] ?? RM16[names.toReversed().join("+")];
  if (rm === undefined || m.scale !== 1) {
    throw new AddressError(`${describeOperand(m)}: 16-bit addresses are bx or bp plus si or di, unscaled`);
  }
  if (fixup) return { ...none, mod: 2, rm, dispWidth: 2 };
  return { ...none, rm, ...displacement(m.disp, 16, rm !== 6) };
}

function addressSib(
  m: Mem,
  base: Gpr | undefined,
  size: number,
  bits: Bits,
  fixup: EncodedAddress["fixup"],
): EncodedAddress {
  let b = base;
  let x = m.index;
  if (x?.num === 4) {
    if (m.scale !== 1 || !b || b.num === 4)
      throw new AddressError(`${describeOperand(m)}: ${x.name} cannot be an index`);
    [b, x] = [x, b];
  }
  const common = { size, disp: m.disp, fixup, base: b?.num ?? 0, index: x?.num ?? 0 };
  const scale = Math.log2(m.scale) << 6;
  if (!b) {
    if (!x && bits !== 64) return { ...common, mod: 0, rm: 5, sib: [], dispWidth: 4 };
    return { ...common, mod: 0, rm: 4, sib: [scale | (((x?.num ?? 4) & 7) << 3) | 5], dispWidth: 4 };
  }
  const disp = displacement(m.disp, size * 8, (b.num & 7) !== 5);
  if (!x && (b.num & 7) !== 4) return { ...common, ...disp, rm: b.num & 7, sib: [] };
  return { ...common, ...disp, rm: 4, sib: [scale | (((x?.num ?? 4) & 7) << 3) | (b.num & 7)] };
}

/** The shortest displacement; `mayOmit` is false for bases whose mod 0 means something else (BP, EBP, R13). */
function displacement(disp: bigint, bits: number, mayOmit: boolean): { mod: number; dispWidth: 0 | 1 | 2 | 4 } {
  if (disp === 0n && mayOmit) return { mod: 0, dispWidth: 0 };
  if (fitsField(disp, 1, bits / 8)) return { mod: 1, dispWidth: 1 };
  return { mod: 2, dispWidth: bits === 16 ? 2 : 4 };
}
