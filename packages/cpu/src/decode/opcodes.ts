/** The opcode maps as `decode()` looks forms up in them: per mode, map and opcode one small dense table. */

import { MAP0 } from "./map0.js";
import { MAP0F } from "./map0f.js";
import { MAP0F_SIMD } from "./map0f-simd.js";
import { MAP0F3A } from "./map0f3a.js";
import { MAP0F38 } from "./map0f38.js";
import { type Form, parseRows, type Row } from "./rows.js";
import { X87 } from "./x87.js";

/** Opcode maps: one-byte, 0F, 0F 38, 0F 3A. */
export enum OpcodeMap {
  OneByte = 0,
  Map0F = 1,
  Map0F38 = 2,
  Map0F3A = 3,
}

const maps: readonly Row[][] = [MAP0 + X87, MAP0F + MAP0F_SIMD, MAP0F38, MAP0F3A].map(parseRows);

/** Every form, indexed by `Form.id` = `Insn.form`. */
export const FORMS: readonly Form[] = maps.flat().map((row, id) => {
  row.form.id = id;
  return row.form;
});

/** Bits of a packed opcode; the fields of the encoding that its forms depend on are digits of an index, the lowest one last. */
export const BY_PREFIX = 1;
export const BY_B = 2;
export const BY_W = 4;
export const BY_MOD = 8;
export const BY_REG = 16;
export const BY_RM = 32;
/** There is a modrm byte. */
export const OPCODE_MODRM = 64;
/** Its forms depend on something: above the bits is the index of the first one in `FORM_NUMBERS`. Otherwise there is the only form's number. */
export const BY_ANY = BY_PREFIX | BY_B | BY_W | BY_MOD | BY_REG | BY_RM;
export const OPCODE_SHIFT = 8;

/** How many values each field has, lowest digit first. */
const DIGITS: readonly (readonly [bit: number, values: number])[] = [
  [BY_RM, 8],
  [BY_REG, 8],
  [BY_MOD, 2],
  [BY_W, 2],
  [BY_B, 2],
  [BY_PREFIX, 4],
];

const formNumbers: number[] = [];

/**
 * Opcodes at `(is64 * 4 + map) * 256 + opcode`: bits as above; 0 where the whole opcode is undefined. Packed, as what follows: an instruction
 * is decoded when its tables have long been pushed out of the processor's caches, and each line that must be fetched again takes as long as
 * all the rest.
 */
export const OPCODES: Int32Array = Int32Array.from(
  [0, 1].flatMap((is64) =>
    maps.flatMap((rows) => {
      const byOpcode: Row[][] = Array.from({ length: 256 }, () => []);
      for (const row of rows) if ((row.modes >> is64) & 1) byOpcode[row.opcode]?.push(row);
      return byOpcode.map(packOpcode);
    }),
  ),
);

/** Forms by opcode and the digits of its index: `Form.id` + 1, 0 where there is none. */
export const FORM_NUMBERS: Uint16Array = Uint16Array.from(formNumbers);

function packOpcode(rows: readonly Row[]): number {
  if (rows.length === 0) return 0;
  const some = (bit: number, depends: (row: Row) => boolean): number => (rows.some(depends) ? bit : 0);
  const by =
    some(BY_RM, ({ rms }) => rms !== 0xff) |
    some(BY_REG, ({ regs }) => regs !== 0xff) |
    some(BY_MOD, ({ mods }) => mods !== 3) |
    some(BY_W, ({ w }) => w !== 3) |
    some(BY_B, ({ b }) => b !== 3) |
    some(BY_PREFIX, ({ prefixes }) => prefixes !== 0xf);
  const first = formNumbers.length;
  const digits = DIGITS.filter(([bit]) => by & bit);
  const size = digits.reduce((product, [, values]) => product * values, 1);
  for (let index = 0; index < size; index++) {
    const fields = new Map<number, number>();
    let rest = index;
    for (const [bit, values] of digits) {
      fields.set(bit, rest % values);
      rest = Math.floor(rest / values);
    }
    /** Whether a bit set contains the value; a field no row depends on is always contained. */
    const has = (set: number, bit: number): boolean => ((set >> (fields.get(bit) ?? 0)) & 1) === 1 || !fields.has(bit);
    const match = rows.find(
      (row) =>
        has(row.rms, BY_RM) &&
        has(row.regs, BY_REG) &&
        has(row.mods, BY_MOD) &&
        has(row.w, BY_W) &&
        has(row.b, BY_B) &&
        has(row.prefixes, BY_PREFIX),
    );
    formNumbers.push(match === undefined ? 0 : match.form.id + 1);
  }
  const above = by === 0 ? (formNumbers.pop() as number) : first;
  return by | some(OPCODE_MODRM, ({ form, mods }) => form.hasModrm || mods !== 3) | (above << OPCODE_SHIFT);
}
