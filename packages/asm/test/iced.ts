import iced from "iced-x86";
import type { Bits, Operand } from "../src/index.js";

const { Decoder, DecoderOptions, MemorySizeExt, Mnemonic, OpKind, Register } = iced;

/** Our mnemonic as iced names it, where the two differ. */
const ICED_NAMES: Readonly<Record<string, string>> = {
  movabs: "mov",
  ljmp: "jmp",
  ljmpw: "jmp",
  ljmpd: "jmp",
  lcall: "call",
  retfw: "retf",
  retfd: "retf",
  retfq: "retf",
  iretw: "iret",
  pushfw: "pushf",
  popfw: "popf",
  pushaw: "pusha",
  popaw: "popa",
  sal: "shl",
  fwait: "wait",
};
/** Condition spellings iced prefers, by our alias. */
const CONDITION_NAMES: Readonly<Record<string, string>> = {
  c: "b",
  nae: "b",
  nb: "ae",
  nc: "ae",
  z: "e",
  nz: "ne",
  na: "be",
  nbe: "a",
  pe: "p",
  po: "np",
  nge: "l",
  nl: "ge",
  ng: "le",
  nle: "g",
};

/** The name iced gives the instruction our `mnemonic` stands for. */
export function icedName(mnemonic: string): string {
  const match = /^(j|set|cmov)(\w+)$/.exec(mnemonic);
  const condition = match ? CONDITION_NAMES[match[2] ?? ""] : undefined;
  return condition ? `${match?.[1]}${condition}` : (ICED_NAMES[mnemonic] ?? mnemonic);
}

/** What both sides of a comparison are reduced to. */
export interface Decoded {
  readonly mnemonic: string;
  readonly length: number;
  readonly lock: boolean;
  readonly operands: readonly string[];
}

const lower = (table: Record<string, string | number>, value: number): string => String(table[value]).toLowerCase();
const registerName = (register: number): string => {
  const name = lower(Register as unknown as Record<string, string>, register);
  return name.replace(/^r(\d+)l$/, "r$1b");
};

/** Decodes the instruction at `bytes[0]`, which is at address `ip`, with iced-x86. */
export function decode(bytes: Uint8Array, bits: Bits, ip = 0n): Decoded {
  const decoder = new Decoder(bits, bytes, DecoderOptions.None);
  decoder.ip = ip;
  const insn = decoder.decode();
  const operands: string[] = [];
  for (let i = 0; i < insn.opCount; i++) operands.push(operandText(insn, i));
  const result: Decoded = {
    mnemonic: lower(Mnemonic as unknown as Record<string, string>, insn.mnemonic),
    length: insn.length,
    lock: insn.hasLockPrefix,
    operands,
  };
  insn.free();
  decoder.free();
  return result;
}

function operandText(insn: iced.Instruction, i: number): string {
  switch (insn.opKind(i)) {
    case OpKind.Register:
      return registerName(insn.opRegister(i));
    case OpKind.Memory: {
      const rip = insn.memoryBase === Register.RIP;
      return memoryText({
        size: MemorySizeExt.size(insn.memorySize),
        base: insn.memoryBase === Register.None || rip ? "" : registerName(insn.memoryBase),
        index: insn.memoryIndex === Register.None ? "" : registerName(insn.memoryIndex),
        scale: insn.memoryIndexScale,
        disp: insn.memoryDisplacement,
        seg: insn.segmentPrefix === Register.None ? "" : registerName(insn.segmentPrefix),
      });
    }
    case OpKind.NearBranch16:
    case OpKind.NearBranch32:
    case OpKind.NearBranch64:
      return `to ${insn.nearBranchTarget}`;
    case OpKind.FarBranch16:
      return `far ${insn.farBranchSelector}:${insn.farBranch16}`;
    case OpKind.FarBranch32:
      return `far ${insn.farBranchSelector}:${insn.farBranch32}`;
    case OpKind.Immediate8:
    case OpKind.Immediate8_2nd:
    case OpKind.Immediate16:
    case OpKind.Immediate32:
    case OpKind.Immediate64:
    case OpKind.Immediate8to16:
    case OpKind.Immediate8to32:
    case OpKind.Immediate8to64:
    case OpKind.Immediate32to64:
      return `${BigInt.asUintN(64, BigInt(insn.immediate(i)))}`;
    default:
      return "implicit";
  }
}

/** A memory operand in canonical text; the displacement is taken modulo the address size. */
export function memoryText(m: {
  size: number;
  base: string;
  index: string;
  scale: number;
  disp: bigint;
  seg: string;
}): string {
  return `m${m.size * 8} ${m.seg ? `${m.seg}:` : ""}[${m.base}+${m.index ? `${m.index}*${m.scale}` : ""}+${BigInt.asUintN(64, m.disp)}]`;
}

/** An operand given to the assembler in the same canonical text; immediates are extended from `immBits`. */
export function expectedText(operand: Operand, immBits: number): string {
  if (typeof operand === "number" || typeof operand === "bigint") {
    return `${BigInt.asUintN(64, BigInt.asIntN(immBits, BigInt(operand)))}`;
  }
  switch (operand.kind) {
    case "mem":
      return memoryText({
        size: operand.size,
        base: operand.base && operand.base.kind === "gpr" ? operand.base.name : "",
        index: operand.index?.name ?? "",
        scale: operand.scale,
        disp: operand.disp,
        seg: operand.seg?.name ?? "",
      });
    case "label":
    case "short":
      throw new Error("labels have no text of their own; compare the branch target");
    default:
      return operand.name;
  }
}
