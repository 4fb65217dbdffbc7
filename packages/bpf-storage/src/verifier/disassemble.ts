import { helperText } from "../helpers/prototypes.js";
import type { Insn } from "../isa/insn.js";
import {
  AluOp,
  Atomic,
  CallKind,
  CLASS_MASK,
  Class,
  JmpOp,
  LD_IMM64,
  MODE_MASK,
  Mode,
  OP_MASK,
  SIZE_MASK,
  Size,
  Source,
} from "../isa/opcodes.js";
import { hex, Int64 } from "./int64.js";
import { ALU_TEXT } from "./pointer-alu.js";

/** Instructions as the verifier's log has them (linux kernel/bpf/disasm.c). */

const SIZES: Readonly<Record<number, string>> = { [Size.B]: "8", [Size.H]: "16", [Size.W]: "32", [Size.Dw]: "64" };
const JUMPS: Readonly<Record<number, string>> = {
  [JmpOp.Jeq]: "==",
  [JmpOp.Jgt]: ">",
  [JmpOp.Jlt]: "<",
  [JmpOp.Jge]: ">=",
  [JmpOp.Jle]: "<=",
  [JmpOp.Jset]: "&",
  [JmpOp.Jne]: "!=",
  [JmpOp.Jsgt]: "s>",
  [JmpOp.Jslt]: "s<",
  [JmpOp.Jsge]: "s>=",
  [JmpOp.Jsle]: "s<=",
};
const ATOMICS: Readonly<Record<number, string>> = {
  [Atomic.Add]: "add",
  [Atomic.And]: "and",
  [Atomic.Or]: "or",
  [Atomic.Xor]: "xor",
};

const plus = (value: number): string => (value >= 0 ? `+${value}` : `${value}`);
const memory = (insn: Insn, base: number, letter = "u"): string =>
  `*(${letter}${SIZES[insn.code & SIZE_MASK]} *)(r${base} ${plus(insn.off)})`;

const arithmetic = (insn: Insn): string => {
  const wide = (insn.code & CLASS_MASK) === Class.Alu64;
  const r = wide ? "r" : "w";
  const op = insn.code & OP_MASK;
  const byRegister = (insn.code & Source.X) !== 0;
  if (op === AluOp.End) {
    const name = wide ? "bswap" : byRegister ? "be" : "le";
    return `r${insn.dst} = ${name}${insn.imm} r${insn.dst}`;
  }
  if (op === AluOp.Neg) return `${r}${insn.dst} = -${r}${insn.dst}`;
  const text = `${(op === AluOp.Div || op === AluOp.Mod) && insn.off === 1 ? "s" : ""}${ALU_TEXT[op] ?? "?="}`;
  if (!byRegister) return `${r}${insn.dst} ${text} ${insn.imm}`;
  const extension = op === AluOp.Mov && insn.off !== 0 ? `(s${insn.off})` : "";
  return `${r}${insn.dst} ${text} ${extension}${r}${insn.src}`;
};

const atomic = (insn: Insn): string => {
  const size = SIZES[insn.code & SIZE_MASK];
  const suffix = size === "64" ? "64" : "";
  const place = `(u${size} *)(r${insn.dst} ${plus(insn.off)})`;
  if (insn.imm === Atomic.Cmpxchg) return `r0 = atomic${suffix}_cmpxchg(${place}, r0, r${insn.src})`;
  if (insn.imm === Atomic.Xchg) return `r${insn.src} = atomic${suffix}_xchg(${place}, r${insn.src})`;
  const op = insn.imm & ~Atomic.Fetch;
  if ((insn.imm & Atomic.Fetch) !== 0)
    return `r${insn.src} = atomic${suffix}_fetch_${ATOMICS[op] ?? "?"}(${place}, r${insn.src})`;
  return `lock *${place} ${ALU_TEXT[op] ?? "?"} r${insn.src}`;
};

const jump = (insn: Insn): string => {
  const is32 = (insn.code & CLASS_MASK) === Class.Jmp32;
  const r = is32 ? "w" : "r";
  switch (insn.code & OP_MASK) {
    case JmpOp.Call:
      if (insn.src === CallKind.Local) return `call pc${plus(insn.imm)}`;
      return insn.src === CallKind.Kfunc ? `call kernel-function#${insn.imm}` : `call ${helperText(insn.imm)}`;
    case JmpOp.Exit:
      return "exit";
    case JmpOp.Ja:
      return is32 ? `gotol pc${plus(insn.imm)}` : `goto pc${plus(insn.off)}`;
    case JmpOp.Jcond:
      return `may_goto pc${plus(insn.off)}`;
  }
  const right = (insn.code & Source.X) !== 0 ? `${r}${insn.src}` : `0x${(insn.imm >>> 0).toString(16)}`;
  return `if ${r}${insn.dst} ${JUMPS[insn.code & OP_MASK] ?? "?"} ${right} goto pc${plus(insn.off)}`;
};

const body = (insn: Insn, second: Insn | undefined): string => {
  switch (insn.code & CLASS_MASK) {
    case Class.Alu:
    case Class.Alu64:
      return arithmetic(insn);
    case Class.Ldx:
      return `r${insn.dst} = ${memory(insn, insn.src, (insn.code & MODE_MASK) === Mode.MemSx ? "s" : "u")}`;
    case Class.St:
      return `${memory(insn, insn.dst)} = ${insn.imm}`;
    case Class.Stx:
      return (insn.code & MODE_MASK) === Mode.Atomic ? atomic(insn) : `${memory(insn, insn.dst)} = r${insn.src}`;
    case Class.Ld: {
      const size = SIZES[insn.code & SIZE_MASK];
      if (insn.code === LD_IMM64) return `r${insn.dst} = ${hex(new Int64(insn.imm, second?.imm ?? 0))}`;
      return (insn.code & MODE_MASK) === Mode.Ind
        ? `r0 = *(u${size} *)skb[r${insn.src} + ${insn.imm}]`
        : `r0 = *(u${size} *)skb[${insn.imm}]`;
    }
    default:
      return jump(insn);
  }
};

/** `(opcode) text`; the second half of a wide load is needed for its number. */
export const disassemble = (insn: Insn, second?: Insn): string =>
  `(${insn.code.toString(16).padStart(2, "0")}) ${body(insn, second)}`;
