/**
 * The notation of the form tables (src/forms/), after SDM vol. 2, 3.1.1: "operands | encoding".
 *
 * Operands, comma separated:
 *   r8 r16 r32 r64, rv rz ry   register in ModRM.reg, or in the opcode when the encoding has +r
 *   R16 R32 R64, Rv Ry         register that sits in ModRM.rm
 *   rm8 .. rm64, rmv rmz rmy   register or memory in ModRM.rm
 *   m, m8 .. m512, mv mz my    memory only; plain m has no data size of its own
 *   al acc16.., accv accz, cl, dx, 1, fs, gs ...   exactly this register or value
 *   imm8 imm16 imm32 imm64     immediate, signed or unsigned reading of the field
 *   imm8s                      8-bit immediate sign-extended to the operand size
 *   immz                       16-bit with 16-bit operand size, else 32-bit, sign-extended for 64
 *                              (with no operand size: to the default size of the mode, as push does)
 *   rel8, relz                 branch target, asked for as short() or not
 *   relb                       branch target that can only be 8 bits
 *   sel, off                   selector and offset of a far pointer (ptr16:16 or ptr16:32)
 *   moffs8, moffsv             absolute address as wide as an address
 *   xmm, Xmm, xmmm32/64/128    SSE register in reg, in rm, or register-or-memory in rm
 *   sreg cr dr                 in ModRM.reg
 * v is 16/32/64, z is 16/32 and y is 32/64 bits: one line stands for a form of each size.
 *
 * Encoding, space separated: opcode bytes in hex (a leading 66, F2 or F3 before more bytes is a mandatory prefix),
 *   /r, /0../7, +r as in the SDM, and
 *   W     REX.W                            o16 o32  operand size of a form without sized operands
 *   d64   64-bit operand size needs no REX.W in 64-bit mode and 32-bit does not exist (push, pop)
 *   f64   as d64, and 16-bit does not exist either (near branches)
 *   nosz  the operand size needs neither prefix nor REX.W (fixed-size forms)
 *   a16 a32  address size of a form without memory operand (jcxz, jecxz)
 *   x64   only in 64-bit mode              x32      not in 64-bit mode
 */

/** One operand of a concrete form. Sizes and widths are bytes. */
export type Pattern =
  | { readonly kind: "gpr" | "gpr-rm" | "rm"; readonly size: number }
  | { readonly kind: "mem" | "xmm-mem"; readonly size: number }
  | { readonly kind: "fixed"; readonly reg: string }
  | { readonly kind: "one" }
  | { readonly kind: "imm"; readonly width: number | "z"; readonly extendTo: number | "mode" }
  | { readonly kind: "rel"; readonly width: "short" | "byte" | "z" }
  | { readonly kind: "sel" }
  | { readonly kind: "off" }
  | { readonly kind: "moffs"; readonly size: number }
  | { readonly kind: "xmm" | "xmm-rm" | "sreg" | "cr" | "dr" };

/** A form of one operand size, ready to be matched and encoded. */
export interface Form {
  readonly patterns: readonly Pattern[];
  /** Operand size in bytes when it decides about 66 and REX.W, 0 when the encoding has no notion of it. */
  readonly opSize: 0 | 2 | 4 | 8;
  readonly stack: "" | "d64" | "f64";
  readonly rexW: boolean;
  /** Address size in bytes that the form itself asks for, 0 when it does not. */
  readonly addrSize: 0 | 2 | 4;
  readonly only: "" | "x64" | "x32";
  readonly mandatory: number | undefined;
  readonly opcode: readonly number[];
  /** ModRM.reg: an opcode extension, "r" for a register operand, undefined without ModRM. */
  readonly modrm: number | "r" | undefined;
  readonly plusR: boolean;
}

const SIZES: Readonly<Record<string, readonly (2 | 4 | 8)[]>> = { v: [2, 4, 8], z: [2, 4], y: [4, 8] };
const SIZED = /^(?:r|R|rm|m|acc|moffs)([vzy])$/;

/** Expands one table line into its concrete forms, smallest operand size first. */
export function parseForm(line: string): readonly Form[] {
  const [left = "", right = ""] = line.split("|");
  const operands = left
    .split(",")
    .map((s) => s.trim())
    .filter((s) => s !== "");
  const tokens = right.trim().split(/\s+/);
  const letter = operands.map((o) => SIZED.exec(o)?.[1]).find((l) => l !== undefined);
  const sizes = letter === undefined ? [undefined] : SIZES[letter];
  return (sizes ?? []).map((size) => concrete(operands, tokens, size, line));
}

function concrete(
  operands: readonly string[],
  tokens: readonly string[],
  size: 2 | 4 | 8 | undefined,
  line: string,
): Form {
  const has = (flag: string): boolean => tokens.includes(flag);
  const hex = tokens.filter((t) => /^[0-9A-F]{2}$/.test(t)).map((t) => Number.parseInt(t, 16));
  const first = hex[0];
  const isPrefix = hex.length > 1 && (first === 0x66 || first === 0xf2 || first === 0xf3);
  const digit = tokens.map((t) => /^\/([0-7r])$/.exec(t)?.[1]).find((d) => d !== undefined);
  const explicit = has("o16") ? 2 : has("o32") ? 4 : undefined;
  const opSize = explicit ?? (has("nosz") ? 0 : (size ?? fixedSize(operands)));
  return {
    patterns: operands.map((o) => pattern(o, size ?? opSize, line)),
    opSize,
    stack: has("d64") ? "d64" : has("f64") ? "f64" : "",
    rexW: has("W"),
    addrSize: has("a16") ? 2 : has("a32") ? 4 : 0,
    only: has("x64") ? "x64" : has("x32") ? "x32" : "",
    mandatory: isPrefix ? first : undefined,
    opcode: isPrefix ? hex.slice(1) : hex,
    modrm: digit === undefined ? undefined : digit === "r" ? "r" : Number(digit),
    plusR: has("+r"),
  };
}

/** Operand size of a line whose operands name it themselves: the first 16- or 32-bit register form asks for its prefix. */
function fixedSize(operands: readonly string[]): 0 | 2 | 4 {
  for (const operand of operands) {
    const bits = /^(?:r|R|rm|acc)(16|32)$/.exec(operand)?.[1];
    if (bits !== undefined) return bits === "16" ? 2 : 4;
  }
  return 0;
}

function pattern(text: string, size: number, line: string): Pattern {
  if (text === "1") return { kind: "one" };
  if (text === "sel" || text === "off") return { kind: text };
  if (text === "m") return { kind: "mem", size: 0 };
  if (text === "xmm" || text === "sreg" || text === "cr" || text === "dr") return { kind: text };
  if (text === "Xmm") return { kind: "xmm-rm" };
  if (text === "rel8") return { kind: "rel", width: "short" };
  if (text === "relb") return { kind: "rel", width: "byte" };
  if (text === "relz") return { kind: "rel", width: "z" };
  if (text === "immz") return { kind: "imm", width: size === 0 ? "z" : Math.min(size, 4), extendTo: size || "mode" };
  if (text === "imm8s") return { kind: "imm", width: 1, extendTo: size || "mode" };
  const match = /^(rm|r|R|m|acc|imm|moffs|xmmm)(\d+|[vzy])$/.exec(text);
  if (!match) return { kind: "fixed", reg: text };
  const bytes = /^\d/.test(match[2] ?? "") ? Number(match[2]) / 8 : size;
  switch (match[1]) {
    case "rm":
      return { kind: "rm", size: bytes };
    case "r":
      return { kind: "gpr", size: bytes };
    case "R":
      return { kind: "gpr-rm", size: bytes };
    case "m":
      return { kind: "mem", size: bytes };
    case "acc":
      return { kind: "fixed", reg: bytes === 2 ? "ax" : bytes === 4 ? "eax" : "rax" };
    case "imm":
      return { kind: "imm", width: bytes, extendTo: bytes };
    case "moffs":
      return { kind: "moffs", size: bytes };
    case "xmmm":
      return { kind: "xmm-mem", size: bytes };
    default:
      throw new Error(`form table: operand "${text}" in "${line}"`);
  }
}
