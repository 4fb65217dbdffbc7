/**
 * The operand codes of the opcode tables: how an operand is encoded (letter) and how wide it is (second letter), after
 * the notation of SDM vol. 2, appendix A.2. `E` `G` `Z` general registers, `M` memory, `V` `W` `U` XMM, `P` `Q` `N` MMX,
 * `I` `S` immediates, and so on.
 */

/** Where an operand comes from. */
export enum Enc {
  /** modrm.rm: general register or memory. */
  E = 1,
  /** modrm.reg: general register. */
  G = 2,
  /** Low three bits of the opcode: general register. */
  Z = 3,
  /** modrm.rm: memory only. */
  M = 4,
  /** modrm.reg: XMM register. */
  V = 5,
  /** modrm.rm: XMM register or memory. */
  W = 6,
  /** modrm.rm: XMM register only. */
  U = 7,
  /** modrm.reg: MMX register. */
  P = 8,
  /** modrm.rm: MMX register or memory. */
  Q = 9,
  /** modrm.rm: MMX register only. */
  N = 10,
  /** Immediate, zero-extended. */
  I = 11,
  /** Immediate, sign-extended to the operand size. */
  S = 12,
  /** Second immediate byte, zero-extended. */
  I2 = 13,
  /** Branch displacement. */
  J = 14,
  /** Direct far pointer: offset, then selector. */
  A = 15,
  /** Direct memory offset, as wide as an address. */
  O = 16,
  /** modrm.reg: segment register. */
  SegReg = 17,
  /** modrm.reg: control register. */
  C = 18,
  /** modrm.reg: debug register. */
  D = 19,
  /** A fixed general register, number in `arg`. */
  FixedGpr = 20,
  /** A fixed segment register, number in `arg`. */
  FixedSeg = 21,
  /** Constant 1. */
  One = 22,
  /** ST(0). */
  T0 = 23,
  /** ST(modrm.rm). */
  Ti = 24,
}

/** How wide an operand is; an index into a row of `SIZES`. */
export enum Width {
  n = 0,
  b = 1,
  w = 2,
  d = 3,
  q = 4,
  x = 5,
  /** Operand size: 2, 4 or 8. */
  v = 6,
  /** Operand size, at most 4. */
  z = 7,
  /** 8 with a 64-bit operand size, else 4. */
  y = 8,
  /** 8 in 64-bit mode, else 4. */
  m = 9,
  /** m80. */
  t = 10,
  /** Far pointer: 2 + operand size. */
  p = 11,
  /** Descriptor-table image: 6, in 64-bit mode 10. */
  s = 12,
  /** Pair of bounds: twice the operand size. */
  a = 13,
  /** x87 environment: 14 or 28. */
  e = 14,
  /** x87 state: 94 or 108. */
  S = 15,
  /** FXSAVE area: 512. */
  f = 16,
}

/** One parsed operand code. */
export interface OperandCode {
  readonly enc: Enc;
  /** Width when it is a register or an immediate. */
  readonly width: Width;
  /** Width when it is memory. */
  readonly memWidth: Width;
  /** Register number of the fixed operands. */
  readonly arg: number;
}

const WIDTH_LETTERS = "nbwdqxvzymtpsaeSf";

/** Width codes per row of `SIZES`. */
export const SIZES_STRIDE = 32;

/**
 * Bytes for each width code, in rows of `SIZES_STRIDE`: row = log2(operand size) - 1, plus 3 in 64-bit mode.
 */
export const SIZES: Uint16Array = buildSizes();

function buildSizes(): Uint16Array {
  const sizes = new Uint16Array(6 * SIZES_STRIDE);
  for (let row = 0; row < 6; row++) {
    const is64 = row >= 3;
    const opSize = 2 << (row % 3);
    const base = row * SIZES_STRIDE;
    sizes.set(
      [0, 1, 2, 4, 8, 16, opSize, Math.min(opSize, 4), opSize === 8 ? 8 : 4, is64 ? 8 : 4, 10, 2 + opSize],
      base,
    );
    sizes.set([is64 ? 10 : 6, 2 * opSize, opSize === 2 ? 14 : 28, opSize === 2 ? 94 : 108, 512], base + Width.s);
  }
  return sizes;
}

const FIXED: Readonly<Record<string, OperandCode>> = {
  AL: fixed(Enc.FixedGpr, Width.b, 0),
  CL: fixed(Enc.FixedGpr, Width.b, 1),
  AX: fixed(Enc.FixedGpr, Width.w, 0),
  DX: fixed(Enc.FixedGpr, Width.w, 2),
  eAX: fixed(Enc.FixedGpr, Width.z, 0),
  rAX: fixed(Enc.FixedGpr, Width.v, 0),
  ES: fixed(Enc.FixedSeg, Width.w, 0),
  CS: fixed(Enc.FixedSeg, Width.w, 1),
  SS: fixed(Enc.FixedSeg, Width.w, 2),
  DS: fixed(Enc.FixedSeg, Width.w, 3),
  FS: fixed(Enc.FixedSeg, Width.w, 4),
  GS: fixed(Enc.FixedSeg, Width.w, 5),
  One: fixed(Enc.One, Width.b, 0),
  I2: fixed(Enc.I2, Width.b, 0),
  T0: fixed(Enc.T0, Width.t, 0),
  Ti: fixed(Enc.Ti, Width.t, 0),
  Sw: fixed(Enc.SegReg, Width.w, 0),
};

const LETTERS: Readonly<Record<string, Enc>> = {
  E: Enc.E,
  G: Enc.G,
  Z: Enc.Z,
  M: Enc.M,
  V: Enc.V,
  W: Enc.W,
  U: Enc.U,
  P: Enc.P,
  Q: Enc.Q,
  N: Enc.N,
  I: Enc.I,
  S: Enc.S,
  J: Enc.J,
  A: Enc.A,
  O: Enc.O,
  C: Enc.C,
  D: Enc.D,
};

function fixed(enc: Enc, width: Width, arg: number): OperandCode {
  return { enc, width, memWidth: width, arg };
}

/**
 * Parses one operand code: a fixed name, or an encoding letter and a width letter, with `/` and a second width letter
 * when memory is accessed with another width than the register (`Ed/b`).
 * @throws RangeError naming the code when it is not one of these.
 */
export function parseOperand(code: string): OperandCode {
  const known = FIXED[code];
  if (known !== undefined) return known;
  const enc = LETTERS[code.charAt(0)];
  const width = WIDTH_LETTERS.indexOf(code.charAt(1));
  const memWidth = code.length === 4 && code.charAt(2) === "/" ? WIDTH_LETTERS.indexOf(code.charAt(3)) : width;
  if (enc === undefined || width < 0 || memWidth < 0 || (code.length !== 2 && code.length !== 4)) {
    throw new RangeError(`operand code "${code}": expected a fixed name or letter + width, e.g. Ev or Ed/b`);
  }
  // Vector registers are whole whatever part of memory the other form reads.
  if (enc === Enc.V || enc === Enc.W || enc === Enc.U) return { enc, width: Width.x, memWidth, arg: 0 };
  if (enc === Enc.P || enc === Enc.Q || enc === Enc.N) return { enc, width: Width.q, memWidth, arg: 0 };
  return { enc, width, memWidth, arg: 0 };
}

/** Whether the operand is found through a modrm byte. */
export function usesModrm(code: OperandCode): boolean {
  switch (code.enc) {
    case Enc.Z:
    case Enc.I:
    case Enc.S:
    case Enc.I2:
    case Enc.J:
    case Enc.A:
    case Enc.O:
    case Enc.FixedGpr:
    case Enc.FixedSeg:
    case Enc.One:
    case Enc.T0:
      return false;
    default:
      return true;
  }
}
