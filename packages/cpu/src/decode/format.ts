/** The disassembler: Intel syntax, lower case, hexadecimal with `0x`, memory operands always with their size. */

import { type Insn, Kind, type Operand } from "./insn.js";
import { FORMS } from "./opcodes.js";

const CONDITIONS = ["o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"] as const;
const SEGMENTS = ["es", "cs", "ss", "ds", "fs", "gs"] as const;
const NAMES = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"] as const;

/** Mnemonics that name their size, by operand size 1, 2, 4, 8. */
const SIZED: Readonly<Record<string, readonly [string, string, string, string]>> = {
  cbw: ["", "cbw", "cwde", "cdqe"],
  cwd: ["", "cwd", "cdq", "cqo"],
  pusha: ["", "pushaw", "pushad", ""],
  popa: ["", "popaw", "popad", ""],
  pushf: ["", "pushfw", "pushfd", "pushfq"],
  popf: ["", "popfw", "popfd", "popfq"],
  iret: ["", "iretw", "iretd", "iretq"],
  retf: ["", "retfw", "retf", "retfq"],
  sysret: ["", "sysret", "sysret", "sysretq"],
  sysexit: ["", "sysexit", "sysexit", "sysexitq"],
};

const STRING_OPS = new Set(["movs", "cmps", "stos", "lods", "scas", "ins", "outs"]);
const STATE_OPS = /^(?:fxsave|fxrstor|xsave|xsavec|xsaveopt|xsaves|xrstor|xrstors)$/;

/** How memory of so many bytes is called; no entry, no size. */
const POINTERS: Readonly<Record<number, string>> = {
  1: "byte ptr ",
  2: "word ptr ",
  4: "dword ptr ",
  6: "fword ptr ",
  8: "qword ptr ",
  10: "tbyte ptr ",
  16: "xmmword ptr ",
};

/**
 * Disassembles one decoded instruction, for instance `lock cmpxchg dword ptr [rbx+rcx*4-0x8], edx`.
 *
 * @param ip address of the instruction (a bigint where it may exceed 2^53): branch targets are then absolute, and a
 * RIP-relative operand is followed by ` # ` and its address. Without it, targets read `$+0x12`, `$` being the
 * instruction's own address.
 */
export function format(insn: Insn, ip?: number | bigint): string {
  const at = ip === undefined ? undefined : BigInt(ip);
  const operands = insn.operands.slice(0, insn.nops).map((operand) => operandText(insn, operand, at));
  const text = `${prefixes(insn)}${mnemonic(insn)} ${operands.join(", ")}`.trimEnd();
  if (at === undefined || insn.base !== 16) return text;
  return `${text} # ${hex(relative(insn, at, insn.dispLo, insn.dispHi, insn.addrSize))}`;
}

function prefixes(insn: Insn): string {
  let text = insn.lock ? "lock " : "";
  if (!STRING_OPS.has(insn.op)) return text;
  if (insn.rep !== 0)
    text += insn.rep === 0xf2 ? "repne " : insn.op === "cmps" || insn.op === "scas" ? "repe " : "rep ";
  return text;
}

function mnemonic(insn: Insn): string {
  const { op, opSize } = insn;
  const sizeIndex = 31 - Math.clz32(opSize);
  if (insn.cc >= 0) return op.slice(0, -2) + (CONDITIONS[insn.cc] ?? "");
  if (STRING_OPS.has(op)) {
    const override = insn.segOverride >= 0 && op !== "stos" && op !== "scas" && op !== "ins";
    const address = insn.addrSize === (insn.mode === 64 ? 8 : insn.mode / 8) ? "" : `a${insn.addrSize * 8} `;
    return `${address}${override ? `${SEGMENTS[insn.segOverride]} ` : ""}${op}${"bwdq"[sizeIndex]}`;
  }
  if (op === "jcxz") return insn.addrSize === 2 ? "jcxz" : insn.addrSize === 4 ? "jecxz" : "jrcxz";
  if (op === "callf") return "call far";
  if (op === "jmpf") return "jmp far";
  if (opSize === 8 && STATE_OPS.test(op)) return `${op}64`;
  return SIZED[op]?.[sizeIndex] ?? FORMS[insn.form]?.display ?? op;
}

function operandText(insn: Insn, operand: Operand, at: bigint | undefined): string {
  const { kind, reg, size } = operand;
  switch (kind) {
    case Kind.None:
      return "";
    case Kind.Gpr:
      return general(reg, size);
    case Kind.Gpr8High:
      return `${"acdb"[reg]}h`;
    case Kind.Mem:
      return memory(insn, size);
    case Kind.Imm:
      return hex(BigInt.asUintN(size * 8, reg === 0 ? join(insn.immLo, insn.immHi) : BigInt(insn.imm2)));
    case Kind.Rel:
      return branchTarget(insn, size, at);
    case Kind.Xmm:
      return `xmm${reg}`;
    case Kind.Mmx:
      return `mm${reg}`;
    case Kind.Seg:
      return SEGMENTS[reg] ?? "";
    case Kind.Cr:
      return `cr${reg}`;
    case Kind.Dr:
      return `dr${reg}`;
    case Kind.St:
      return `st(${reg})`;
    case Kind.Far:
      return `${hex(BigInt(insn.imm2))}:${hex(BigInt(insn.immLo >>> 0))}`;
    case Kind.Const1:
      return "1";
  }
}

/** Name of a general register as `size` bytes. */
function general(reg: number, size: number): string {
  const name = NAMES[reg];
  if (name === undefined) return `r${reg}${size === 8 ? "" : size === 4 ? "d" : size === 2 ? "w" : "b"}`;
  if (size === 1) return reg < 4 ? `${"acdb"[reg]}l` : `${name}l`;
  return size === 2 ? name : (size === 4 ? "e" : "r") + name;
}

function memory(insn: Insn, size: number): string {
  const { base, index, addrSize } = insn;
  const terms: string[] = [];
  if (base >= 0) terms.push(base === 16 ? (addrSize === 8 ? "rip" : "eip") : general(base, addrSize));
  if (index >= 0) terms.push(general(index, addrSize) + (insn.scale === 0 && base >= 0 ? "" : `*${1 << insn.scale}`));
  let address = terms.join("+");
  const displacement = join(insn.dispLo, insn.dispHi);
  if (address === "") address = hex(BigInt.asUintN(addrSize * 8, displacement));
  else if (displacement < 0n) address += `-${hex(-displacement)}`;
  else if (insn.dispSize !== 0) address += `+${hex(displacement)}`;
  const segment = insn.segOverride >= 0 && insn.op !== "lea" ? `${SEGMENTS[insn.segOverride]}:` : "";
  return `${POINTERS[size] ?? ""}${segment}[${address}]`;
}

function branchTarget(insn: Insn, size: number, at: bigint | undefined): string {
  if (at !== undefined) return hex(relative(insn, at, insn.immLo, insn.immHi, size));
  const distance = join(insn.immLo, insn.immHi) + BigInt(insn.len);
  return distance < 0n ? `$-${hex(-distance)}` : `$+${hex(distance)}`;
}

/** Address at a displacement from the next instruction, as wide as `size` bytes. */
function relative(insn: Insn, at: bigint, low: number, high: number, size: number): bigint {
  return BigInt.asUintN(size * 8, at + BigInt(insn.len) + join(low, high));
}

function join(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low >>> 0);
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}
