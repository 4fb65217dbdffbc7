import { type Insn, Kind, type Operand } from "../decode/index.js";
import { handlerKey } from "../interp/handlers.js";
import * as S from "../state.js";
import { type Step, step, Uses } from "./step.js";

/**
 * MMX instructions as sequences of records. An MMX register is the low 8 bytes of an x87 slot, so SSE rows work on the slots; what they
 * do to the other 8 bytes is mended by the last step, which also makes the exponent all ones, every register valid and TOP 0
 * (SDM vol. 1, 9.5.1). The first step raises #UD, #NM and #MF.
 *
 * Limit: the SSE rows raise #UD with CR4.OSFXSR clear, MMX does not ask for it.
 */

/** Instructions that have no generated code at all. */
const HELPERS: ReadonlySet<string> = new Set(["maskmovq"]);

export function isMmx(insn: Insn): boolean {
  const [op0, op1] = insn.operands;
  const mmx = (insn.nops > 0 && op0.kind === Kind.Mmx) || (insn.nops > 1 && op1.kind === Kind.Mmx);
  return mmx && !HELPERS.has(insn.op);
}

/** Results of whose low half come from both operands: they work on the joined operands. */
const JOINED = /^(pack|phadd|phsub)/;

/** Slots of the registers that are operands. */
const OP0 = ~0;
const OP1 = ~1;

const check = step("mmx.check");
/** #UD and #NM of SSE: before the conversions, whose #XM finds the x87 state changed already (recorded from hardware). */
const sse = step("sse");
/** What a store does before it accesses memory. */
const top = step("mmx.top");
/** Ends an instruction that wrote no MMX register. */
const done = step("mmx.done");
const set = step("mmx.set", { dst: OP0 });
const out = step("mmx.out", { dst: OP0 });
const join = (low: number, high: number): Step => step("mmx.join", { dst: low, src: high });
const row = (name: string, form: string, dst: number, src: number, size = 8, imm = 0): Step =>
  step(handlerKey(name, size, form), { dst, src, imm });

/** The records of instructions like `insn`. */
export function mmxSteps(insn: Insn): readonly Step[] {
  const [, op1] = insn.operands;
  const { op } = insn;
  if (/^mov(d|q|ntq)$/.test(op)) return move(insn);
  const inMemory = insn.nops > 1 && op1.kind === Kind.Mem;
  const src = inMemory ? S.XTMP : OP1;
  const loaded = (): Step => step(op1.size === 16 ? "ldxa16" : `ldx${op1.size}`, { uses: Uses.Memory });
  const load = inMemory ? [loaded()] : [];
  switch (op) {
    case "movq2dq":
      return [check, row("movq", "xx", OP0, src), done];
    case "movdq2q":
      return [check, row("movq", "xx", OP0, src), set];
    case "pmovmskb":
      return [check, row("movq", "xx", S.XTMP, src), row(op, "rx", OP0, S.XTMP, 4), done];
    case "pextrw":
      return [check, row(op, "rxi", OP0, src, 4, 3), done];
    case "pinsrw":
      if (inMemory) return [check, step("ld2", { uses: Uses.Memory }), row(op, "xri", OP0, S.TMP, 8, 3), set];
      return [check, row(op, "xri", OP0, src, 8, 3), set];
    case "pshufw":
      return [check, ...load, row("pshuflw", "xxi", OP0, src, 8, 0xff), set];
    case "cvtpi2ps":
      return [sse, check, done, row(op, "xx", OP0, src)];
    case "cvtpi2pd":
      return [check, row(op, "xx", OP0, src), done];
    case "cvtps2pi":
    case "cvttps2pi":
    case "cvtpd2pi":
    case "cvttpd2pi":
      return [...(inMemory ? [] : [sse]), check, ...load, done, row(op, "xx", OP0, src), set];
    case "pshufb":
      return [check, ...load, join(OP0, OP0), row(op, "xx", S.XTMP2, src), out];
    case "palignr":
      return [check, ...load, join(src, OP0), row("psrldq", "xi", S.XTMP2, 0, 8, 0xff), out];
  }
  if (insn.nops > 1 && op1.kind === Kind.Imm) return [check, row(op, "xi", OP0, 0, 8, 0xff), set];
  if (JOINED.test(op)) return [check, ...load, join(OP0, src), row(op, "xx", S.XTMP2, S.XTMP2), out];
  if (op.startsWith("punpckh")) {
    return [check, ...load, row(op.replace("kh", "kl"), "xx", OP0, src), step("mmx.high", { dst: OP0 })];
  }
  return [check, ...load, row(op, "xx", OP0, src), set];
}

/** MOVD, MOVQ and MOVNTQ. */
function move({ op, operands: [op0, op1] }: Insn): readonly Step[] {
  const name = op === "movd" ? "movd" : "movq";
  const letter = ({ kind }: Operand): string => (kind === Kind.Mem ? "m" : kind === Kind.Gpr ? "r" : "x");
  const form = letter(op0) + letter(op1);
  const moved = row(name, form, OP0, OP1, name === "movd" ? 4 : 8);
  const accessed: Step = form.includes("m") ? { ...moved, uses: Uses.Memory } : moved;
  // TOP changes even if the store then faults; a load that faults changes nothing (recorded from hardware).
  if (op0.kind === Kind.Mem) return [check, top, accessed, done];
  return [check, accessed, op0.kind === Kind.Mmx ? set : done];
}
