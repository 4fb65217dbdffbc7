/**
 * The notation of the opcode tables, and the parser that turns it into forms.
 *
 * One line is one instruction form:
 *
 *     opcode[-last][/reg[-last][:rm]] {condition} mnemonic[:display] [operand{,operand}] {+attribute}
 *
 * Numbers are hexadecimal. Of several lines that match the same bytes the first one wins; bytes no line matches are #UD.
 *
 * Conditions: `np` `66` `f3` `f2` (joined by `|`): the mandatory prefix, any if none is given; `m` / `r`: modrm.rm is
 * memory / a register; `w0` `w1`: REX.W; `b0`: REX.B clear; `i64`: not in 64-bit mode; `o64`: only there.
 * `mx` stands for two lines, `np name Pq,Qq` and `66 name Vx,Wx`; `fp` for four, `nameps` `namepd` `namess` `namesd`;
 * `pp` for the first two of these; operands given with them are appended.
 *
 * Attributes: `+lock` LOCK is allowed when the first operand is memory; `+d64` the operand size in 64-bit mode is 64
 * (16 with a 66 prefix); `+f64` it is 64 whatever the prefix; `+z` it is at most 32; `+b` it is 8 (also implied by a
 * byte first operand); `+nomod` modrm.mod is taken as 3; `+notcs` a segment operand must not be CS.
 */

import { Enc, type OperandCode, parseOperand, usesModrm, Width } from "./operands.js";

/** How an instruction form derives its operand size. */
export enum SizeRule {
  Normal = 0,
  Byte = 1,
  AtMost32 = 2,
  Default64 = 3,
  Force64 = 4,
}

/** One instruction form: what a table line says about the instructions it matches. */
export interface Form {
  /** Ordinal over all tables: `Insn.form`. */
  id: number;
  readonly op: string;
  /** What the disassembler prints where it is not `op`. */
  readonly display: string;
  /** Condition code for the `…cc` families, else -1. */
  readonly cc: number;
  readonly operands: readonly OperandCode[];
  readonly hasModrm: boolean;
  readonly lockable: boolean;
  readonly sizeRule: SizeRule;
  /** A 66 prefix selects this form instead of the operand size. */
  readonly eats66: boolean;
  /** An F2 or F3 prefix selects this form instead of repeating it. */
  readonly eatsRep: boolean;
  readonly noMod: boolean;
  readonly notCs: boolean;
}

/** A form and the encodings it is chosen for. */
export interface Row {
  readonly opcode: number;
  readonly form: Form;
  /** Bit set over 0 none, 1 = 66, 2 = F3, 3 = F2. */
  readonly prefixes: number;
  /** Bit set over modrm.reg. */
  readonly regs: number;
  /** Bit set over modrm.rm. */
  readonly rms: number;
  /** Bit set over 0 memory, 1 register. */
  readonly mods: number;
  /** Bit set over REX.W. */
  readonly w: number;
  /** Bit set over REX.B. */
  readonly b: number;
  /** Bit set over 0 legacy modes, 1 64-bit mode. */
  readonly modes: number;
}

const ANY_PREFIX = 0xf;
const PREFIX_BITS: Readonly<Record<string, number>> = { np: 1, "66": 2, f3: 4, f2: 8 };
const SSE_SUFFIXES = [
  ["np", "ps", "Wx"],
  ["66", "pd", "Wx"],
  ["f3", "ss", "Wd"],
  ["f2", "sd", "Wq"],
] as const;
const LINE =
  /^(?<first>[0-9a-f]{2})(?:-(?<last>[0-9a-f]{2}))?(?:\/(?<reg>[0-7])(?:-(?<regLast>[0-7]))?(?::(?<rm>[0-7]))?)?$/;
const CONDITIONS = new Set(["m", "r", "w0", "w1", "b0", "i64", "o64", "mx", "fp", "pp"]);

/** Parses a table. @throws RangeError quoting the line that does not follow the notation. */
export function parseRows(table: string): Row[] {
  return table
    .split("\n")
    .filter((line) => line !== "")
    .flatMap((line) => parseLine(line));
}

function parseLine(line: string): Row[] {
  const words = line.split(" ");
  const where = LINE.exec(words[0] ?? "")?.groups;
  if (where === undefined) throw new RangeError(`opcode table line "${line}": malformed opcode`);
  let next = 1;
  const conditions = new Set<string>();
  let prefixes = 0;
  for (; next < words.length; next++) {
    const word = words[next] ?? "";
    const bits = word.split("|").map((part) => PREFIX_BITS[part] ?? 0);
    if (!bits.includes(0)) prefixes |= bits.reduce((a, b) => a | b);
    else if (CONDITIONS.has(word)) conditions.add(word);
    else break;
  }
  const name = words[next++];
  if (name === undefined) throw new RangeError(`opcode table line "${line}": no mnemonic`);
  const operands = next < words.length && !words[next]?.startsWith("+") ? (words[next++] ?? "").split(",") : [];
  const attributes = new Set(words.slice(next));

  const low = Number.parseInt(where.first ?? "", 16);
  const high = where.last === undefined ? low : Number.parseInt(where.last, 16);
  const rows: Row[] = [];
  for (const [variantPrefixes, variantName, variantOperands] of variants(conditions, prefixes, name, operands)) {
    const codes = variantOperands.map(parseOperand);
    let mods = conditions.has("m") ? 1 : conditions.has("r") ? 2 : 3;
    for (const { enc } of codes) {
      if (enc === Enc.M) mods &= 1;
      if (enc === Enc.U || enc === Enc.N) mods &= 2;
    }
    for (let opcode = low; opcode <= high; opcode++) {
      rows.push({
        opcode,
        form: makeForm(variantName, opcode, codes, variantPrefixes, attributes, where.reg !== undefined),
        prefixes: variantPrefixes === 0 ? ANY_PREFIX : variantPrefixes,
        regs: bitRange(where.reg, where.regLast),
        rms: bitRange(where.rm, undefined),
        mods,
        w: conditions.has("w0") ? 1 : conditions.has("w1") ? 2 : 3,
        b: conditions.has("b0") ? 1 : 3,
        modes: conditions.has("i64") ? 1 : conditions.has("o64") ? 2 : 3,
      });
    }
  }
  return rows;
}

/** Expands the `mx`, `fp` and `pp` abbreviations. */
function variants(
  conditions: ReadonlySet<string>,
  prefixes: number,
  name: string,
  operands: readonly string[],
): [prefixes: number, name: string, operands: readonly string[]][] {
  if (conditions.has("mx")) {
    return [
      [1, name, ["Pq", "Qq", ...operands]],
      [2, name, ["Vx", "Wx", ...operands]],
    ];
  }
  if (conditions.has("fp") || conditions.has("pp")) {
    return SSE_SUFFIXES.slice(0, conditions.has("fp") ? 4 : 2).map(([prefix, suffix, source]) => [
      PREFIX_BITS[prefix] ?? 0,
      name + suffix,
      ["Vx", source, ...operands],
    ]);
  }
  return [[prefixes, name, operands]];
}

function bitRange(first: string | undefined, last: string | undefined): number {
  if (first === undefined) return 0xff;
  const low = Number.parseInt(first, 8);
  const high = last === undefined ? low : Number.parseInt(last, 8);
  return (2 << high) - (1 << low);
}

function makeForm(
  name: string,
  opcode: number,
  operands: readonly OperandCode[],
  prefixes: number,
  attributes: ReadonlySet<string>,
  group: boolean,
): Form {
  const [op = "", display = op] = name.split(":");
  const first = operands[0];
  return {
    id: 0,
    op,
    display,
    cc: op.endsWith("cc") ? opcode & 15 : -1,
    operands,
    hasModrm: group || operands.some(usesModrm),
    lockable: attributes.has("+lock"),
    sizeRule: sizeRule(attributes, first),
    eats66: prefixes === 2,
    eatsRep: (prefixes & 0xc) !== 0,
    noMod: attributes.has("+nomod"),
    notCs: attributes.has("+notcs"),
  };
}

function sizeRule(attributes: ReadonlySet<string>, first: OperandCode | undefined): SizeRule {
  if (attributes.has("+z")) return SizeRule.AtMost32;
  if (attributes.has("+d64")) return SizeRule.Default64;
  if (attributes.has("+f64")) return SizeRule.Force64;
  if (attributes.has("+b")) return SizeRule.Byte;
  if (first === undefined || first.width !== Width.b) return SizeRule.Normal;
  // A leading byte that is data, not the vector of `int` or the port of `out`.
  const data =
    first.enc === Enc.E ||
    first.enc === Enc.G ||
    first.enc === Enc.Z ||
    first.enc === Enc.FixedGpr ||
    first.enc === Enc.O;
  return data ? SizeRule.Byte : SizeRule.Normal;
}
