/** The opcode maps in the shape `decode()` looks forms up in: per mode, map and opcode one small dense table. */

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

/**
 * All forms of one opcode. The form for an encoding is at index
 * `prefix * byPrefix + REX.W * byW + REX.B * byB + reg * byReg + (mod == 3) * byMod + rm * byRm`; a factor is 0 when the
 * forms of the opcode do not depend on that field.
 */
export interface OpcodeEntry {
  readonly hasModrm: boolean;
  readonly byPrefix: number;
  readonly byW: number;
  readonly byB: number;
  readonly byReg: number;
  readonly byMod: number;
  readonly byRm: number;
  readonly forms: readonly (Form | null)[];
}

const maps: readonly Row[][] = [MAP0 + X87, MAP0F + MAP0F_SIMD, MAP0F38, MAP0F3A].map(parseRows);

/** Every form, indexed by `Form.id` = `Insn.form`. */
export const FORMS: readonly Form[] = maps.flat().map((row, id) => {
  row.form.id = id;
  return row.form;
});

/** Entry of an opcode at `(is64 * 4 + map) * 256 + opcode`; null where the whole opcode is undefined. */
export const OPCODES: readonly (OpcodeEntry | null)[] = [0, 1].flatMap((is64) =>
  maps.flatMap((rows) => {
    const byOpcode: Row[][] = Array.from({ length: 256 }, () => []);
    for (const row of rows) if ((row.modes >> is64) & 1) byOpcode[row.opcode]?.push(row);
    return byOpcode.map(makeEntry);
  }),
);

function makeEntry(rows: readonly Row[]): OpcodeEntry | null {
  if (rows.length === 0) return null;
  let size = 1;
  const factor = (depends: boolean, values: number): number => {
    if (!depends) return 0;
    const result = size;
    size *= values;
    return result;
  };
  const byRm = factor(
    rows.some((row) => row.rms !== 0xff),
    8,
  );
  const byReg = factor(
    rows.some((row) => row.regs !== 0xff),
    8,
  );
  const byMod = factor(
    rows.some((row) => row.mods !== 3),
    2,
  );
  const byW = factor(
    rows.some((row) => row.w !== 3),
    2,
  );
  const byB = factor(
    rows.some((row) => row.b !== 3),
    2,
  );
  const byPrefix = factor(
    rows.some((row) => row.prefixes !== 0xf),
    4,
  );
  const field = (index: number, by: number, values: number): number => (by === 0 ? 0 : Math.floor(index / by) % values);
  const forms = Array.from({ length: size }, (_, index) => {
    const match = rows.find(
      (row) =>
        has(row.rms, field(index, byRm, 8), byRm) &&
        has(row.regs, field(index, byReg, 8), byReg) &&
        has(row.mods, field(index, byMod, 2), byMod) &&
        has(row.w, field(index, byW, 2), byW) &&
        has(row.b, field(index, byB, 2), byB) &&
        has(row.prefixes, field(index, byPrefix, 4), byPrefix),
    );
    return match?.form ?? null;
  });
  return {
    hasModrm: rows.some((row) => row.form.hasModrm || row.mods !== 3),
    byPrefix,
    byW,
    byB,
    byReg,
    byMod,
    byRm,
    forms,
  };
}

/** Whether a bit set contains the value; a field no row depends on is always contained. */
function has(set: number, value: number, by: number): boolean {
  return by === 0 || ((set >> value) & 1) === 1;
}
