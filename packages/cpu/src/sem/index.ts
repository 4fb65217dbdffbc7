import { BITS } from "./bits.js";
import { CONTROL } from "./control.js";
import type { Row } from "./ctx.js";
import { INTEGER } from "./integer.js";
import { MULDIV } from "./muldiv.js";
import { SHIFT } from "./shift.js";
import { SSE_CONVERT } from "./sse-convert.js";
import { SSE_FLOAT } from "./sse-float.js";
import { SSE_INT } from "./sse-int.js";
import { SSE_MOVE } from "./sse-move.js";
import { SSE_SHUFFLE } from "./sse-shuffle.js";

/** Every instruction that has a semantics of its own in generated code. */
export const ROWS: readonly Row[] = [
  ...INTEGER,
  ...SHIFT,
  ...MULDIV,
  ...BITS,
  ...CONTROL,
  ...SSE_MOVE,
  ...SSE_INT,
  ...SSE_SHUFFLE,
  ...SSE_FLOAT,
  ...SSE_CONVERT,
];
