/** Forms as `decode()` reads them: four words each, one cache line. */

import { FORMS } from "./opcodes.js";
import { Enc, type OperandCode } from "./operands.js";
import type { Form } from "./rows.js";

/** Words of a form: attributes, operands 0 and 1, operands 2 and 3. */
export const FORM_WORDS = 4;

/** Bits of the first word. */
export const FORM_COUNT = 7;
export const FORM_MODRM = 1 << 3;
export const FORM_NO_MOD = 1 << 4;
export const FORM_LOCKABLE = 1 << 5;
export const FORM_EATS_66 = 1 << 6;
export const FORM_EATS_REP = 1 << 7;
export const FORM_NOT_CS = 1 << 8;
/** A `SizeRule`. */
export const FORM_RULE_SHIFT = 9;

/** Parts of an operand, 16 bits: encoding, width, and width of memory or number of the fixed register. */
export const OPERAND_BITS = 16;
export const ENC_MASK = 31;
export const WIDTH_SHIFT = 5;
export const MEMORY_WIDTH_SHIFT = 10;
export const WIDTH_MASK = 31;

/** The forms by `Form.id`. */
export const PACKED_FORMS: Int32Array = Int32Array.from(FORMS.flatMap(packForm));

function packForm(form: Form): number[] {
  const [a, b, c, d] = form.operands;
  return [
    form.operands.length |
      (form.hasModrm ? FORM_MODRM : 0) |
      (form.noMod ? FORM_NO_MOD : 0) |
      (form.lockable ? FORM_LOCKABLE : 0) |
      (form.eats66 ? FORM_EATS_66 : 0) |
      (form.eatsRep ? FORM_EATS_REP : 0) |
      (form.notCs ? FORM_NOT_CS : 0) |
      (form.sizeRule << FORM_RULE_SHIFT),
    packOperand(a) | (packOperand(b) << OPERAND_BITS),
    packOperand(c) | (packOperand(d) << OPERAND_BITS),
    0,
  ];
}

function packOperand(code: OperandCode | undefined): number {
  if (code === undefined) return 0;
  const { enc, width, memWidth, arg } = code;
  const fixed = enc === Enc.FixedGpr || enc === Enc.FixedSeg;
  return enc | (width << WIDTH_SHIFT) | ((fixed ? arg : memWidth) << MEMORY_WIDTH_SHIFT);
}
