import * as S from "../../src/state.js";

/**
 * What a field of the state block is to someone who saves it.
 * - `state`: saved;
 * - `derived`: follows from what is saved, worked out by `Vcpu.restore`;
 * - `transient`: of the slice, instruction or call in progress; what it holds between two `run`s means nothing;
 * - `zero`: zero between two `run`s;
 * - `statistics`: counted, of no effect;
 * - `unused`: nobody's.
 */
export type Meaning = "state" | "derived" | "transient" | "zero" | "statistics" | "unused";

export interface BlockField {
  readonly name: keyof typeof S | null;
  readonly at: number;
  readonly size: number;
  readonly meaning: Meaning;
}

const field = (name: keyof typeof S, at: number, size: number, meaning: Meaning): BlockField => ({
  name,
  at,
  size,
  meaning,
});
const unused = (at: number, end: number): BlockField => ({ name: null, at, size: end - at, meaning: "unused" });

/** The block from its first byte to its last. */
export const BLOCK_FIELDS: readonly BlockField[] = [
  field("GPR", S.GPR, 128, "state"),
  field("ZERO", S.ZERO, 8, "zero"),
  field("TMP", S.TMP, 8, "transient"),
  field("EA_TMP", S.EA_TMP, 8, "transient"),
  field("PAGE_VA", S.PAGE_VA, 8, "transient"),
  // The arithmetic flags, as one of many pairs that mean the same.
  field("FR", S.FR, 8, "state"),
  field("FA", S.FA, 8, "state"),
  field("FLAGS", S.FLAGS, 4, "state"),
  unused(S.FLAGS + 4, S.PC),
  // RIP.
  field("PC", S.PC, 8, "state"),
  field("SEG_BASE", S.SEG_BASE, 48, "derived"),
  field("STACK_MASK", S.STACK_MASK, 4, "derived"),
  unused(S.STACK_MASK + 4, S.FB),
  field("FB", S.FB, 8, "transient"),
  field("BUDGET", S.BUDGET, 4, "zero"),
  field("SLICE", S.SLICE, 4, "zero"),
  field("REC", S.REC, 4, "zero"),
  field("TLB_READ", S.TLB_READ, 4, "derived"),
  field("TLB_WRITE", S.TLB_WRITE, 4, "derived"),
  field("TLB_FETCH", S.TLB_FETCH, 4, "derived"),
  // Set when in doubt: whoever looks finds that nothing is there.
  field("INTR_PENDING", S.INTR_PENDING, 4, "derived"),
  field("RMW_HOST", S.RMW_HOST, 4, "transient"),
  field("SLOW_ADDRESS", S.SLOW_ADDRESS, 8, "transient"),
  field("SLOW_ACCESS", S.SLOW_ACCESS, 4, "transient"),
  field("RAISE", S.RAISE, 4, "transient"),
  field("OUTSIDE_OP", S.OUTSIDE_OP, 4, "transient"),
  unused(S.OUTSIDE_OP + 4, S.SCRATCH),
  field("SCRATCH", S.SCRATCH, 64, "transient"),
  field("XTMP", S.XTMP, 16, "transient"),
  field("XTMP2", S.XTMP2, 16, "transient"),
  field("MXCSR", S.MXCSR, 4, "state"),
  field("CPL", S.CPL, 4, "derived"),
  field("SSE_OFF", S.SSE_OFF, 4, "derived"),
  field("MMX_OFF", S.MMX_OFF, 4, "derived"),
  // What matters of it is in `Vcpu.shadow` once the slice is over.
  field("STI_LEFT", S.STI_LEFT, 4, "transient"),
  field("SIGN_BITS", S.SIGN_BITS, 4, "derived"),
  field("FK", S.FK, 4, "zero"),
  unused(S.FK + 4, S.REGION_RETIRED),
  field("REGION_RETIRED", S.REGION_RETIRED, 8, "statistics"),
  field("REGION_ENTRIES", S.REGION_ENTRIES, 4, "statistics"),
  field("CALL_DEPTH", S.CALL_DEPTH, 4, "transient"),
  field("ENDED_HEAD", S.ENDED_HEAD, 4, "transient"),
  field("ENDED_BEGUN", S.ENDED_BEGUN, 4, "transient"),
  field("STAMP", S.STAMP, 8, "transient"),
  field("STAMP_AUX", S.STAMP_AUX, 4, "transient"),
  unused(S.STAMP_AUX + 4, S.XMM),
  field("XMM", S.XMM, 256, "state"),
  // Of each sixteen bytes ten are a register.
  field("FPR", S.FPR, 128, "state"),
  field("FCW", S.FCW, 2, "state"),
  field("FSW", S.FSW, 2, "state"),
  field("FTW", S.FTW, 1, "state"),
  unused(S.FTW + 1, S.SEG_RANGE),
  field("SEG_RANGE", S.SEG_RANGE, 96, "derived"),
  field("CS_LIMIT", S.CS_LIMIT, 4, "derived"),
  unused(S.CS_LIMIT + 4, S.STATE_SIZE),
];

/** What `state.ts` exports besides offsets of the block. */
export const NO_OFFSETS: ReadonlySet<string> = new Set([
  "STATE_SIZE",
  "TLB_ENTRIES",
  "TLB_ENTRY",
  "TLB_BYTES",
  "TLB_INVALID",
  "MmuIndex",
  "MMU_INDEXES",
  ...["CF", "PF", "AF", "ZF", "SF", "OF", "ARITH"],
  ...["TF", "IF", "DF", "IOPL", "NT", "RF", "VM", "AC", "VIF", "VIP", "ID"],
]);
