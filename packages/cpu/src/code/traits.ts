import type { Row } from "../sem/ctx.js";
import { ROWS } from "../sem/index.js";

/** What decoding to instances must know of instructions: attributes of rows, by name, and what has no row. */

const withRow = (attribute: (row: Row) => boolean | undefined): ReadonlySet<string> =>
  new Set(ROWS.filter((row) => attribute(row) === true).map((row) => row.name));

/** Their first operand is read and written. */
export const MODIFY = withRow((row) => row.modify);
/** Instructions whose first operand, in memory, is only read. */
export const READS = withRow((row) => row.reads);
/** They need SSE. */
export const SSE = withRow((row) => row.sse);
/** They have handlers of their own outside 64-bit code. */
export const LEGACY = withRow((row) => row.legacy);
/** Direct branches. */
export const BRANCHES = withRow((row) => row.direct);
/** Instructions whose memory operand a register moves. */
export const BIT_STRINGS = withRow((row) => row.bitString);
/** Vector instructions whose 16-byte memory operand need not be aligned. */
export const UNALIGNED = withRow((row) => row.unaligned);
/** They access the stack beside their operands. */
export const STACK = withRow((row) => row.stack);

/** Helpers that do. */
export const STACK_HELPERS: ReadonlySet<string> = new Set("push pop enter popf pusha popa".split(" "));
/** Helpers that never go on with the next record. */
export const ENDS: ReadonlySet<string> = new Set(
  "iret callf jmpf retf syscall sysret sysenter sysexit int int1 hlt".split(" "),
);
