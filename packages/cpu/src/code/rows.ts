import { type Insn, Kind } from "../decode/index.js";
import { ROWS } from "../sem/index.js";

const NAMES: ReadonlySet<string> = new Set(ROWS.map((row) => row.name));
/** SSE rows by name, with the sizes they are instantiated for. */
const SSE: ReadonlyMap<string, readonly number[]> = new Map(
  ROWS.filter((row) => row.sse).map((row) => [row.name, row.sizes]),
);
/** Mnemonics whose semantics is another's: hints, synonyms, and vector instructions that differ only in the type they are meant for. */
const ALIAS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    nop: "prefetch pause lfence mfence sfence",
    shl: "sal",
    movsx4: "movsxd",
    mov: "movnti",
    movups: "movupd movdqu lddqu",
    movaps: "movapd movdqa movntps movntpd movntdq movntdqa",
    movlps: "movlpd",
    movhps: "movhpd",
    pand: "andps andpd",
    pandn: "andnps andnpd",
    por: "orps orpd",
    pxor: "xorps xorpd",
    punpckldq: "unpcklps",
    punpckhdq: "unpckhps",
    punpcklqdq: "unpcklpd",
    punpckhqdq: "unpckhpd",
  }).flatMap(([name, others]) => others.split(" ").map((other): [string, string] => [other, name])),
);

export interface RowRef {
  readonly name: string;
  readonly size: number;
}

/**
 * The semantics row an instruction is an instance of, or null if a helper in TypeScript executes it. It follows from the shape, but for MOV
 * with an immediate that needs 64 bits: that is `movabs`.
 */
export function rowOf(insn: Insn): RowRef | null {
  const [op0, op1] = insn.operands;
  const size = insn.opSize;
  switch (insn.op) {
    case "jcc":
      return { name: `j${insn.cc}`, size: 8 };
    case "setcc":
      return { name: `set${insn.cc}`, size: 1 };
    case "cmovcc":
      return { name: `cmov${insn.cc}`, size };
    case "jmp":
    case "call":
      if (op0.kind === Kind.Rel) return { name: insn.op, size: insn.op === "jmp" ? 8 : size };
      return { name: `${insn.op}r`, size };
    case "loop":
    case "loope":
    case "loopne":
    case "jcxz":
      return { name: insn.op, size: insn.addrSize };
    case "mov":
      if (
        op0.kind === Kind.Seg ||
        op1.kind === Kind.Seg ||
        op0.kind === Kind.Cr ||
        op1.kind === Kind.Cr ||
        op0.kind === Kind.Dr ||
        op1.kind === Kind.Dr
      )
        return null;
      return { name: "mov", size: op0.size };
    case "movzx":
    case "movsx":
      return { name: `${insn.op}${op1.size}`, size: op0.size };
    case "imul":
      return { name: insn.nops === 1 ? "imul1" : "imul", size: op0.size };
    case "ret":
      return { name: "ret", size };
    case "push":
      return op0.kind === Kind.Seg ? null : { name: "push", size };
    case "pop":
      return op0.kind === Kind.Gpr ? { name: "pop", size } : null;
    case "clc":
    case "stc":
    case "cmc":
    case "cld":
    case "std":
    case "cli":
    case "sti":
    case "sahf":
    case "lahf":
    case "ud2":
    case "nop":
      return { name: insn.op, size: 4 };
    default: {
      const name = ALIAS.get(insn.op) ?? insn.op;
      if (name === "nop") return { name, size: 4 };
      const sizes = SSE.get(name);
      if (sizes !== undefined) return vectorRow(insn, name, sizes);
      return NAMES.has(name) ? { name, size: insn.nops > 0 && op0.size > 0 ? op0.size : size } : null;
    }
  }
}

/** The row of a vector instruction: its size is that of a general register among the operands, if that matters. */
function vectorRow(insn: Insn, name: string, sizes: readonly number[]): RowRef {
  const [op0, op1] = insn.operands;
  if (op0.kind === Kind.Mem && NAMES.has(`${name}.m`)) return { name: `${name}.m`, size: op0.size };
  if (sizes.length === 1) return { name, size: sizes[0] as number };
  const general = op0.kind === Kind.Gpr ? op0 : op1;
  return { name, size: general.size };
}
