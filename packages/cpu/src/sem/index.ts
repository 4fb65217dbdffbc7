import { BITS } from "./bits.js";
import { CONTROL } from "./control.js";
import type { Row } from "./ctx.js";
import { INTEGER } from "./integer.js";
import { MULDIV } from "./muldiv.js";
import { SHIFT } from "./shift.js";

/** Every instruction that has a semantics of its own in generated code. */
export const ROWS: readonly Row[] = [...INTEGER, ...SHIFT, ...MULDIV, ...BITS, ...CONTROL];
