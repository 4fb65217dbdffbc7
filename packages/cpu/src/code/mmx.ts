import { type Insn, Kind, type Operand } from "../decode/index.js";
import { handlerKey } from "../interp/generate.js";
import * as S from "../state.js";

/**
 * MMX instructions as sequences of records. An MMX register is the low 8 bytes of an x87 slot, so SSE rows work on the slots; what they
 * do to the other 8 bytes is mended by the last step, which also makes the exponent all ones, every register valid and TOP 0
 * (SDM vol. 1, 9.5.1). The first step raises #UD, #NM and #MF.
 *
 * Limit: the SSE rows raise #UD with CR4.OSFXSR clear, MMX does not ask for it.
 */

/** One record: its handler and the fields that are not those of the instruction. */
export interface PlannedRecord {
  readonly handler: string;
  readonly dst?: number;
  readonly src?: number;
  readonly imm?: number;
  /** Accesses the memory operand. */
  readonly memory?: true;
}

/** Instructions that have no generated code at all. */
const HELPERS: ReadonlySet<string> = new Set(["maskmovq"]);

export function isMmx(insn: Insn): boolean {
  const [op0, op1] = insn.operands;
  const mmx = (insn.nops > 0 && op0.kind === Kind.Mmx) || (insn.nops > 1 && op1.kind === Kind.Mmx);
  return mmx && !HELPERS.has(insn.op);
}

/** Results of whose low half come from both operands: they work on the joined operands. */
const JOINED = /^(pack|phadd|phsub)/;

const check: PlannedRecord = { handler: "mmx.check" };
/** #UD and #NM of SSE: before the conversions, whose #XM finds the x87 state changed already (recorded from hardware). */
const sse: PlannedRecord = { handler: "sse" };
/** What a store does before it accesses memory. */
const top: PlannedRecord = { handler: "mmx.top" };
/** Ends an instruction that wrote no MMX register. */
const done: PlannedRecord = { handler: "mmx.done" };
const set = (dst: number): PlannedRecord => ({ handler: "mmx.set", dst });
const out = (dst: number): PlannedRecord => ({ handler: "mmx.out", dst });
const join = (low: number, high: number): PlannedRecord => ({ handler: "mmx.join", dst: low, src: high });
const row = (name: string, form: string, dst: number, src: number, size = 8): PlannedRecord => ({
  handler: handlerKey(name, size, form),
  dst,
  src,
});

/** The records of `insn`; `slot` gives the slot of a register operand. */
export function mmxRecords(insn: Insn, slot: (operand: Operand) => number): readonly PlannedRecord[] {
  const [op0, op1] = insn.operands;
  const { op } = insn;
  if (/^mov(d|q|ntq)$/.test(op)) return move(insn, slot);
  const dst = slot(op0);
  const inMemory = insn.nops > 1 && op1.kind === Kind.Mem;
  const src = inMemory ? S.XTMP : slot(op1);
  const load: PlannedRecord[] = inMemory
    ? [{ handler: op1.size === 16 ? "ldxa16" : `ldx${op1.size}`, memory: true }]
    : [];
  const imm = insn.immLo & 0xff;
  switch (op) {
    case "movq2dq":
      return [check, row("movq", "xx", dst, src), done];
    case "movdq2q":
      return [check, row("movq", "xx", dst, src), set(dst)];
    case "pmovmskb":
      return [check, row("movq", "xx", S.XTMP, src), row(op, "rx", dst, S.XTMP, 4), done];
    case "pextrw":
      return [check, { ...row(op, "rxi", dst, src, 4), imm: imm & 3 }, done];
    case "pinsrw":
      if (inMemory)
        return [check, { handler: "ld2", memory: true }, { ...row(op, "xri", dst, S.TMP), imm: imm & 3 }, set(dst)];
      return [check, { ...row(op, "xri", dst, src), imm: imm & 3 }, set(dst)];
    case "pshufw":
      return [check, ...load, { ...row("pshuflw", "xxi", dst, src), imm }, set(dst)];
    case "cvtpi2ps":
      return [sse, check, done, row(op, "xx", dst, src)];
    case "cvtpi2pd":
      return [check, row(op, "xx", dst, src), done];
    case "cvtps2pi":
    case "cvttps2pi":
    case "cvtpd2pi":
    case "cvttpd2pi":
      return [...(inMemory ? [] : [sse]), check, ...load, done, row(op, "xx", dst, src), set(dst)];
    case "pshufb":
      return [check, ...load, join(dst, dst), row(op, "xx", S.XTMP2, src), out(dst)];
    case "palignr":
      return [check, ...load, join(src, dst), { ...row("psrldq", "xi", S.XTMP2, 0), imm }, out(dst)];
  }
  if (insn.nops > 1 && op1.kind === Kind.Imm) return [check, { ...row(op, "xi", dst, 0), imm }, set(dst)];
  if (JOINED.test(op)) return [check, ...load, join(dst, src), row(op, "xx", S.XTMP2, S.XTMP2), out(dst)];
  if (op.startsWith("punpckh")) {
    return [check, ...load, row(op.replace("kh", "kl"), "xx", dst, src), { handler: "mmx.high", dst }];
  }
  return [check, ...load, row(op, "xx", dst, src), set(dst)];
}

/** MOVD, MOVQ and MOVNTQ. */
function move({ op, operands: [op0, op1] }: Insn, slot: (operand: Operand) => number): readonly PlannedRecord[] {
  const name = op === "movd" ? "movd" : "movq";
  const size = name === "movd" ? 4 : 8;
  const letter = ({ kind }: Operand): string => (kind === Kind.Mem ? "m" : kind === Kind.Gpr ? "r" : "x");
  const form = letter(op0) + letter(op1);
  const record = row(name, form, slot(op0), slot(op1), size);
  const accessed: PlannedRecord = form.includes("m") ? { ...record, memory: true } : record;
  // TOP changes even if the store then faults; a load that faults changes nothing (recorded from hardware).
  if (op0.kind === Kind.Mem) return [check, top, accessed, done];
  return [check, accessed, op0.kind === Kind.Mmx ? set(slot(op0)) : done];
}
