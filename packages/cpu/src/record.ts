/**
 * A record: 32 bytes that tell the interpreter one step. Most instructions are one record; some are split into steps
 * (compute an address, fetch an operand, operate, write back), of which only the first is charged.
 */
export const RECORD = 32;
/** u16: index of the handler in the interpreter's jump table. */
export const R_HANDLER = 0;
/** u8: length of the instruction in bytes. */
export const R_LEN = 2;
/** u8: what starting this record costs: 1 for the first record of an instruction, else 0. */
export const R_CHARGE = 3;
/** u16: page offset of the instruction. */
export const R_OFF = 4;
/** u16: slot of the first register operand. */
export const R_DST = 6;
/** u16: slot of the second register operand. */
export const R_SRC = 8;
/** u16: slots of base and index; u8: shift of the index. */
export const R_BASE = 10;
export const R_INDEX = 12;
export const R_SCALE = 14;
/** u8: free for the handler. */
export const R_AUX = 15;
/** i64: displacement, or a 64-bit immediate. */
export const R_DISP = 16;
/** i32: immediate, sign-extended; for branches the record to go to; for helpers the site. */
export const R_IMM = 24;
/** u16: slot of the segment base. */
export const R_SEG = 28;
/** u16: `AUX2_STACK` or 0. */
export const R_AUX2 = 30;
/** An address that is not canonical is #SS instead of #GP (SDM vol. 1, 3.3.7.1). */
export const AUX2_STACK = 1;
/** Of a head: control has come here from where only execution tells. */
export const AUX2_FOUND = 2;
/** Of a head: a region is wished for. */
export const AUX2_WISHED = 4;
/** Of a head: the region that it leads to is as wide as regions get. */
export const AUX2_WIDE = 8;

/**
 * A *head* is a record before the first one of an instruction that control comes to from elsewhere. `heat` counts: what is left in R_IMM.
 * `enter` leads to a region: its slot in the table in R_IMM, whether it wants flags worked out in R_AUX, how often it may still
 * be entered before it is worth a larger one, or another look, in R_COUNT, at which of its entries in R_ENTRY, its number in R_REGION.
 * In both the low half of R_DISP is the record that follows, the high half the site of the page.
 */
export const R_COUNT = R_DST;
export const R_ENTRY = R_SRC;
/** u32; no other record has the number of a region there. */
export const R_REGION = R_BASE;
/** Numbers of regions are above what R_BASE and R_INDEX can be together. */
export const FIRST_REGION = 0x10000000;
export const HEAD_PLAIN = R_DISP;
export const HEAD_PAGE = R_DISP + 4;

/** What a region answers instead of a record: go on at `PC`; the same, come to by a return. */
export const AT_PC = 0;
export const RETURNED = 1;
