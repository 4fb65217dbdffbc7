import { ROWS } from "../sem/index.js";

/** What lowering must know of instructions, by the name of their row. */

/** Their first operand is read and written. */
export const MODIFY: ReadonlySet<string> = new Set(ROWS.filter((row) => row.modify).map((row) => row.name));
/** Helpers that never go on with the next record. */
export const ENDS: ReadonlySet<string> = new Set(
  "iret callf jmpf retf syscall sysret sysenter sysexit int int1 hlt".split(" "),
);
/** Instructions without a memory operand that access the stack. */
export const STACK: ReadonlySet<string> = new Set("push pop call ret leave enter pushf popf pusha popa".split(" "));
/** Instructions whose first operand, in memory, is only read. */
export const READS: ReadonlySet<string> = new Set("cmp test bt push callr jmpr mul imul1 div idiv".split(" "));
/** They need SSE. */
export const SSE: ReadonlySet<string> = new Set(ROWS.filter((row) => row.sse).map((row) => row.name));
/** They have handlers of their own outside 64-bit code. */
export const LEGACY: ReadonlySet<string> = new Set(ROWS.filter((row) => row.legacy).map((row) => row.name));
/** Direct branches. */
export const BRANCHES: ReadonlySet<string> = new Set([
  "jmp",
  "call",
  "loop",
  "loope",
  "loopne",
  "jcxz",
  ...Array.from({ length: 16 }, (_, cc) => `j${cc}`),
]);
/** Instructions whose memory operand a register moves. */
export const BIT_STRINGS: ReadonlySet<string> = new Set(["bt", "bts", "btr", "btc"]);
/** Vector instructions whose 16-byte memory operand need not be aligned. */
export const UNALIGNED: ReadonlySet<string> = new Set(
  "movups movupd movdqu lddqu pcmpistri pcmpistrm pcmpestri pcmpestrm pcmpestri64 pcmpestrm64".split(" "),
);
