import type { Insn } from "../../src/isa/insn.js";
import {
  AluOp,
  Atomic,
  CALL,
  CALLX,
  Class,
  EXIT,
  JA,
  JA32,
  JmpOp,
  LD_IMM64,
  Mode,
  Size,
  Source,
} from "../../src/isa/opcodes.js";

/**
 * An assembler of the notation that bpf_conformance's tests are written in: `add32 %r1, -4`, `ldxw %r0, [%r10-4]`, `jne %r1, %r2, label`,
 * `lock fetch add [%r1+8], %r2`, `call local name`, `call helper 5` or `call 5`, `call %r2`. A branch goes to a label or a distance with its sign; `exit`
 * is a label at the first exit. Beyond that: `call kfunc 7`, `may_goto label`, `lddw %r1, func name`.
 */
export function assemble(text: string): Insn[] {
  const labels = new Map<string, number>();
  const insns: Insn[] = [];
  const fixups: { pc: number; label: string; field: "off" | "imm" }[] = [];
  for (const raw of text.split("\n")) {
    const line = raw.replace(/#.*/, "").trim();
    if (line === "") continue;
    const label = /^(\w+):$/.exec(line)?.[1];
    if (label !== undefined) {
      labels.set(label, insns.length);
      continue;
    }
    if (line === "exit" && !labels.has("exit")) labels.set("exit", insns.length);
    const pc = insns.length;
    insns.push(
      ...statement(line, (to, field) => {
        if (/^[+-]/.test(to)) return Number(to);
        fixups.push({ pc, label: to, field });
        return 0;
      }),
    );
  }
  for (const { pc, label, field } of fixups) {
    const to = labels.get(label);
    if (to === undefined) throw new Error(`no label ${label}`);
    insns[pc] = { ...(insns[pc] as Insn), [field]: to - pc - 1 };
  }
  return insns;
}

/** What was assembled as a program: functions begin where local calls and `func` operands lead. */
export function program(text: string): { insns: Insn[]; subprograms: number[] } {
  const insns = assemble(text);
  const firsts = new Set([0]);
  insns.forEach(({ code, src, imm }, pc) => {
    if ((code === CALL && src === 1) || (code === LD_IMM64 && src === 4)) firsts.add(pc + 1 + imm);
  });
  return { insns, subprograms: [...firsts].sort((a, b) => a - b) };
}

type Branch = (to: string, field: "off" | "imm") => number;

const ALU: Readonly<Record<string, number>> = {
  add: AluOp.Add,
  sub: AluOp.Sub,
  mul: AluOp.Mul,
  div: AluOp.Div,
  sdiv: AluOp.Div,
  or: AluOp.Or,
  and: AluOp.And,
  lsh: AluOp.Lsh,
  rsh: AluOp.Rsh,
  neg: AluOp.Neg,
  mod: AluOp.Mod,
  smod: AluOp.Mod,
  xor: AluOp.Xor,
  mov: AluOp.Mov,
  arsh: AluOp.Arsh,
};
const JUMPS: Readonly<Record<string, number>> = {
  jeq: JmpOp.Jeq,
  jgt: JmpOp.Jgt,
  jge: JmpOp.Jge,
  jset: JmpOp.Jset,
  jne: JmpOp.Jne,
  jsgt: JmpOp.Jsgt,
  jsge: JmpOp.Jsge,
  jlt: JmpOp.Jlt,
  jle: JmpOp.Jle,
  jslt: JmpOp.Jslt,
  jsle: JmpOp.Jsle,
};
const SIZES: Readonly<Record<string, number>> = { b: Size.B, h: Size.H, w: Size.W, dw: Size.Dw };
const ATOMICS: Readonly<Record<string, number>> = {
  add: Atomic.Add,
  or: Atomic.Or,
  and: Atomic.And,
  xor: Atomic.Xor,
  xchg: Atomic.Xchg,
  cmpxchg: Atomic.Cmpxchg,
};

const insn = (code: number, fields: Partial<Insn> = {}): Insn => ({ code, dst: 0, src: 0, off: 0, imm: 0, ...fields });
const imm32 = (text: string): number => Number(BigInt.asIntN(32, integer(text)));
const integer = (text: string): bigint =>
  text.startsWith("-") ? -BigInt(text.slice(1)) : BigInt(text.replace(/^\+/, ""));
const register = (text: string): number => {
  const number = /^%r(\d+)$/.exec(text)?.[1];
  if (number === undefined) throw new Error(`${text} is no register`);
  return Number(number);
};
/** The second operand: register or immediate. */
const operand = (text: string): { source: number; fields: Partial<Insn> } =>
  text.startsWith("%")
    ? { source: Source.X, fields: { src: register(text) } }
    : { source: Source.K, fields: { imm: imm32(text) } };
const place = (text: string): { register: number; off: number } => {
  const [, base, off] = /^\[(%r\d+)([+-]\w+)?\]$/.exec(text) ?? [];
  if (base === undefined) throw new Error(`${text} is no place in memory`);
  return { register: register(base), off: Number(BigInt.asIntN(16, integer(off ?? "0"))) };
};

function statement(line: string, branch: Branch): Insn[] {
  const [mnemonic = "", ...operands] = line.split(/[\s,]+/);
  const [a = "", b = "", c = ""] = operands;
  switch (mnemonic) {
    case "exit":
      return [insn(EXIT)];
    case "ja":
      return [insn(JA, { off: branch(a, "off") })];
    case "ja32":
      return [insn(JA32, { imm: branch(a, "imm") })];
    case "may_goto":
      return [insn(Class.Jmp | JmpOp.Jcond, { off: branch(a, "off") })];
    case "call":
      return [call(operands, branch)];
    case "lock":
      return [atomic(operands)];
    case "lddw": {
      if (b === "func") return [insn(LD_IMM64, { dst: register(a), src: 4, imm: branch(c, "imm") }), insn(0)];
      const value = integer(b);
      const half = (shift: bigint): number => Number(BigInt.asIntN(32, value >> shift));
      return [insn(LD_IMM64, { dst: register(a), imm: half(0n) }), insn(0, { imm: half(32n) })];
    }
  }
  const access = /^(ldxs|ldx|stx|st)(dw|w|h|b)$/.exec(mnemonic);
  if (access !== null) return [loadOrStore(access[1] as string, SIZES[access[2] as string] as number, a, b)];
  const jump = /^(j\w*?)(32)?$/.exec(mnemonic);
  const condition = JUMPS[jump?.[1] ?? ""];
  if (condition !== undefined) {
    const { source, fields } = operand(b);
    const type = jump?.[2] === undefined ? Class.Jmp : Class.Jmp32;
    return [insn(type | condition | source, { dst: register(a), ...fields, off: branch(c, "off") })];
  }
  return [arithmetic(mnemonic, a, b)];
}

function arithmetic(mnemonic: string, a: string, b: string): Insn {
  const end = /^(le|be|bswap|swap)(16|32|64)$/.exec(mnemonic);
  if (end !== null) {
    const source = end[1] === "be" ? Source.X : Source.K;
    const type = end[1] === "be" || end[1] === "le" ? Class.Alu : Class.Alu64;
    return insn(type | AluOp.End | source, { dst: register(a), imm: Number(end[2]) });
  }
  const extend = /^movsx(8|16|32)(32|64)$/.exec(mnemonic);
  if (extend !== null) {
    const type = extend[2] === "64" ? Class.Alu64 : Class.Alu;
    return insn(type | AluOp.Mov | Source.X, { dst: register(a), src: register(b), off: Number(extend[1]) });
  }
  const [, name = "", width] = /^([a-z]+)(32|64)?$/.exec(mnemonic) ?? [];
  const op = ALU[name];
  if (op === undefined) throw new Error(`no instruction ${mnemonic}`);
  const type = width === "32" ? Class.Alu : Class.Alu64;
  if (name === "neg") return insn(type | op, { dst: register(a) });
  const { source, fields } = operand(b);
  return insn(type | op | source, { dst: register(a), ...fields, off: name === "sdiv" || name === "smod" ? 1 : 0 });
}

function loadOrStore(kind: string, size: number, a: string, b: string): Insn {
  if (kind === "ldx" || kind === "ldxs") {
    const from = place(b);
    const mode = kind === "ldx" ? Mode.Mem : Mode.MemSx;
    return insn(Class.Ldx | mode | size, { dst: register(a), src: from.register, off: from.off });
  }
  const to = place(a);
  const fields = { dst: to.register, off: to.off };
  if (kind === "st") return insn(Class.St | Mode.Mem | size, { ...fields, imm: imm32(b) });
  return insn(Class.Stx | Mode.Mem | size, { ...fields, src: register(b) });
}

function atomic(operands: readonly string[]): Insn {
  const fetch = operands[0] === "fetch";
  const [mnemonic = "", to = "", from = ""] = fetch ? operands.slice(1) : operands;
  const [, name = "", width] = /^([a-z]+)(32|64)?$/.exec(mnemonic) ?? [];
  const op = ATOMICS[name];
  if (op === undefined) throw new Error(`no atomic operation ${mnemonic}`);
  const { register: dst, off } = place(to);
  const size = width === "32" ? Size.W : Size.Dw;
  return insn(Class.Stx | Mode.Atomic | size, { dst, off, src: register(from), imm: op | (fetch ? Atomic.Fetch : 0) });
}

function call(operands: readonly string[], branch: Branch): Insn {
  const [kind, target = ""] = operands.length === 1 ? ["helper", operands[0]] : operands;
  if (target.startsWith("%")) return insn(CALLX, { dst: register(target) });
  if (kind === "local") return insn(CALL, { src: 1, imm: branch(target, "imm") });
  return insn(CALL, { src: kind === "helper" ? 0 : 2, imm: imm32(target) });
}
