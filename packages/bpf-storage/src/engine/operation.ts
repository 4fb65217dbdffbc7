import type { Insn } from "../isa/insn.js";
import {
  AluOp,
  Atomic,
  CALL,
  CALLX,
  CallKind,
  CLASS_MASK,
  Class,
  EXIT,
  JA,
  JA32,
  JmpOp,
  LD_IMM64,
  MODE_MASK,
  Mode,
  OP_MASK,
  Pseudo,
  SIZE_MASK,
  Size,
  Source,
} from "../isa/opcodes.js";

/** Modes of loads that the verifier writes in place of `Mode.Mem` and `Mode.MemSx` (linux/filter.h): a load that fails gives 0. */
export const ProbeMode = { Mem: 0x20, MemSx: 0x40 } as const;

export type Arithmetic =
  | "add"
  | "sub"
  | "mul"
  | "div"
  | "sdiv"
  | "mod"
  | "smod"
  | "or"
  | "and"
  | "xor"
  | "lsh"
  | "rsh"
  | "arsh"
  | "mov"
  | "movsx8"
  | "movsx16"
  | "movsx32";
export type Unary = "neg" | "le16" | "le32" | "le64" | "swap16" | "swap32" | "swap64";
export type Comparison = "eq" | "gt" | "ge" | "set" | "ne" | "sgt" | "sge" | "lt" | "le" | "slt" | "sle";
export type Modification = "add" | "or" | "and" | "xor" | "xchg" | "cmpxchg";
export type Bytes = 1 | 2 | 4 | 8;

/** What an instruction does, apart from registers, distances and immediates. There are about 200. */
export type Operation =
  | { readonly kind: "arithmetic"; readonly op: Arithmetic; readonly wide: boolean; readonly immediate: boolean }
  | { readonly kind: "unary"; readonly op: Unary; readonly wide: boolean }
  | { readonly kind: "load"; readonly size: Bytes; readonly signed: boolean; readonly probe: boolean }
  | { readonly kind: "store"; readonly size: Bytes; readonly immediate: boolean }
  | { readonly kind: "atomic"; readonly op: Modification; readonly size: 4 | 8; readonly fetch: boolean }
  | { readonly kind: "compare"; readonly op: Comparison; readonly wide: boolean; readonly immediate: boolean }
  | { readonly kind: "packet"; readonly size: 1 | 2 | 4; readonly indirect: boolean }
  | { readonly kind: "jump" | "may_goto" | "constant" | "function" | "exit" }
  | { readonly kind: "helper" | "local" | "kfunc" | "indirect" };

const ARITHMETIC = new Map<number, Arithmetic>([
  [AluOp.Add, "add"],
  [AluOp.Sub, "sub"],
  [AluOp.Mul, "mul"],
  [AluOp.Or, "or"],
  [AluOp.And, "and"],
  [AluOp.Xor, "xor"],
  [AluOp.Lsh, "lsh"],
  [AluOp.Rsh, "rsh"],
  [AluOp.Arsh, "arsh"],
]);
const MOVSX = new Map<number, Arithmetic>([
  [0, "mov"],
  [8, "movsx8"],
  [16, "movsx16"],
  [32, "movsx32"],
]);
const COMPARISONS = new Map<number, Comparison>([
  [JmpOp.Jeq, "eq"],
  [JmpOp.Jgt, "gt"],
  [JmpOp.Jge, "ge"],
  [JmpOp.Jset, "set"],
  [JmpOp.Jne, "ne"],
  [JmpOp.Jsgt, "sgt"],
  [JmpOp.Jsge, "sge"],
  [JmpOp.Jlt, "lt"],
  [JmpOp.Jle, "le"],
  [JmpOp.Jslt, "slt"],
  [JmpOp.Jsle, "sle"],
]);
const MODIFICATIONS = new Map<number, readonly [Modification, boolean]>([
  [Atomic.Add, ["add", false]],
  [Atomic.Or, ["or", false]],
  [Atomic.And, ["and", false]],
  [Atomic.Xor, ["xor", false]],
  [Atomic.Add | Atomic.Fetch, ["add", true]],
  [Atomic.Or | Atomic.Fetch, ["or", true]],
  [Atomic.And | Atomic.Fetch, ["and", true]],
  [Atomic.Xor | Atomic.Fetch, ["xor", true]],
  [Atomic.Xchg, ["xchg", true]],
  [Atomic.Cmpxchg, ["cmpxchg", true]],
]);
const BYTES = new Map<number, Bytes>([
  [Size.B, 1],
  [Size.H, 2],
  [Size.W, 4],
  [Size.Dw, 8],
]);

/** What an instruction does; null if that is nothing that RFC 9669 or Linux 6.12 defines. */
export function operationOf(insn: Insn): Operation | null {
  const { code } = insn;
  switch (code & CLASS_MASK) {
    case Class.Alu:
    case Class.Alu64:
      return arithmetic(insn, (code & CLASS_MASK) === Class.Alu64);
    case Class.Jmp:
    case Class.Jmp32:
      return jump(insn, (code & CLASS_MASK) === Class.Jmp);
    case Class.Ld:
      if (code !== LD_IMM64) return packet(insn);
      return insn.src === 0 ? { kind: "constant" } : insn.src === Pseudo.Func ? { kind: "function" } : null;
    default:
      return access(insn);
  }
}

/** The old loads of packets (RFC 9669, 5.4). */
function packet({ code }: Insn): Operation | null {
  const size = BYTES.get(code & SIZE_MASK) as Bytes;
  const mode = code & MODE_MASK;
  if (size === 8 || (mode !== Mode.Abs && mode !== Mode.Ind)) return null;
  return { kind: "packet", size, indirect: mode === Mode.Ind };
}

function arithmetic({ code, off, imm }: Insn, wide: boolean): Operation | null {
  const immediate = (code & Source.X) === 0;
  const binary = (op: Arithmetic | undefined): Operation | null =>
    op === undefined ? null : { kind: "arithmetic", op, wide, immediate };
  switch (code & OP_MASK) {
    case AluOp.Div:
      return off === 0 ? binary("div") : off === 1 ? binary("sdiv") : null;
    case AluOp.Mod:
      return off === 0 ? binary("mod") : off === 1 ? binary("smod") : null;
    case AluOp.Mov:
      if (off !== 0 && (immediate || (off === 32 && !wide))) return null;
      return binary(MOVSX.get(off));
    case AluOp.Neg:
      return immediate ? { kind: "unary", op: "neg", wide } : null;
    case AluOp.End: {
      if (imm !== 16 && imm !== 32 && imm !== 64) return null;
      if (wide) return immediate ? { kind: "unary", op: `swap${imm}`, wide: true } : null;
      return { kind: "unary", op: immediate ? `le${imm}` : `swap${imm}`, wide: true };
    }
    default:
      return binary(ARITHMETIC.get(code & OP_MASK));
  }
}

function jump({ code, src }: Insn, wide: boolean): Operation | null {
  if (code === JA || code === JA32) return { kind: "jump" };
  if (code === EXIT) return { kind: "exit" };
  if (code === CALLX) return { kind: "indirect" };
  if (code === CALL) {
    if (src === CallKind.Helper) return { kind: "helper" };
    if (src === CallKind.Local) return { kind: "local" };
    return src === CallKind.Kfunc ? { kind: "kfunc" } : null;
  }
  if (code === (Class.Jmp | JmpOp.Jcond)) return src === 0 ? { kind: "may_goto" } : null;
  const op = COMPARISONS.get(code & OP_MASK);
  return op === undefined ? null : { kind: "compare", op, wide, immediate: (code & Source.X) === 0 };
}

function access({ code, imm }: Insn): Operation | null {
  const size = BYTES.get(code & SIZE_MASK) as Bytes;
  const mode = code & MODE_MASK;
  if ((code & CLASS_MASK) === Class.Ldx) {
    if (mode === Mode.Mem || mode === ProbeMode.Mem)
      return { kind: "load", size, signed: false, probe: mode !== Mode.Mem };
    if ((mode === Mode.MemSx || mode === ProbeMode.MemSx) && size !== 8)
      return { kind: "load", size, signed: true, probe: mode !== Mode.MemSx };
    return null;
  }
  if (mode === Mode.Mem) return { kind: "store", size, immediate: (code & CLASS_MASK) === Class.St };
  if (mode !== Mode.Atomic || (code & CLASS_MASK) !== Class.Stx || (size !== 4 && size !== 8)) return null;
  const modification = MODIFICATIONS.get(imm);
  return modification === undefined ? null : { kind: "atomic", op: modification[0], size, fetch: modification[1] };
}

/** Instructions among which there is one of every operation. */
export function samples(): Insn[] {
  const found: Insn[] = [];
  for (let code = 0; code < 0x100; code++) {
    const alu = (code & CLASS_MASK) === Class.Alu || (code & CLASS_MASK) === Class.Alu64;
    const store = (code & CLASS_MASK) === Class.Stx;
    for (const off of alu ? [0, 1, 8, 16, 32] : [0])
      for (const imm of alu ? [16, 32, 64] : store ? MODIFICATIONS.keys() : [0])
        for (const src of [0, 1, 2, 4]) found.push({ code, dst: 0, src, off, imm });
  }
  return found;
}
