import { AluOp, CLASS_MASK, Class, OP_MASK } from "../isa/opcodes.js";
import type { Env } from "./env.js";
import * as i64 from "./int64.js";
import { type Reg, regTypeName, unknown } from "./reg.js";
import { constOf, isConst, isZero, type Scalar } from "./scalar.js";
import { alu } from "./scalar-alu.js";
import { MAX_VAR_OFF } from "./stack-bounds.js";

/** Arithmetic on pointers: a fixed offset or a bounded variable one may be added, and all else is refused. */

/** Operators as messages have them. */
export const ALU_TEXT: Readonly<Record<number, string>> = {
  [AluOp.Add]: "+=",
  [AluOp.Sub]: "-=",
  [AluOp.Mul]: "*=",
  [AluOp.Div]: "/=",
  [AluOp.Or]: "|=",
  [AluOp.And]: "&=",
  [AluOp.Lsh]: "<<=",
  [AluOp.Rsh]: ">>=",
  [AluOp.Neg]: "neg",
  [AluOp.Mod]: "%=",
  [AluOp.Xor]: "^=",
  [AluOp.Mov]: "=",
  [AluOp.Arsh]: "s>>=",
};

const MOVABLE = [
  "ctx",
  "map_value",
  "map_key",
  "fp",
  "pkt_meta",
  "pkt",
  "tp_buffer",
  "ptr_",
  "mem",
  "buf",
  "func",
  "dynptr_ptr",
];

/** Offsets stay small enough that sums of them cannot overflow. */
const checkSane = (env: Env, v: Scalar, off: number, ptr: Reg): void => {
  const isFar = (x: i64.Int64): boolean => Math.abs(i64.toNumberS(x)) >= MAX_VAR_OFF;
  if (isConst(v) && isFar(v.bits.value))
    env.fail("EINVAL", `math between ${regTypeName(ptr)} pointer and ${i64.toBigIntS(v.bits.value)} is not allowed`);
  if (off >= MAX_VAR_OFF || off <= -MAX_VAR_OFF)
    env.fail("EINVAL", `${regTypeName(ptr)} pointer offset ${off} is not allowed`);
  if (i64.eq(v.smin, i64.S_MIN))
    env.fail("EINVAL", `math between ${regTypeName(ptr)} pointer and register with unbounded min value is not allowed`);
  if (isFar(v.smin))
    env.fail("EINVAL", `value ${i64.toBigIntS(v.smin)} makes ${regTypeName(ptr)} pointer be out of bounds`);
};

/** `dst op= src` where one of both is a pointer; `pointerIsDst` tells which. Gives what the destination then holds. */
export const pointerAlu = (env: Env, ptr: Reg, number: Reg, pointerIsDst: boolean): Reg => {
  const { insn } = env;
  const op = insn.code & OP_MASK;
  const at = insn.dst;
  if ((insn.code & CLASS_MASK) !== Class.Alu64) {
    // Half of a difference of addresses is a number like any other.
    if (op === AluOp.Sub) return unknown();
    env.fail("EACCES", `R${at} 32-bit pointer arithmetic prohibited`);
  }
  if (ptr.mayBeNull)
    env.fail("EACCES", `R${at} pointer arithmetic on ${regTypeName(ptr)} prohibited, null-check it first`);
  const known = isConst(number.v);
  const addsZero = isZero(number.v) && op === AluOp.Add;
  const allowed =
    MOVABLE.includes(ptr.kind) ||
    (ptr.kind === "flow_keys" && known) ||
    ((ptr.kind === "map_ptr" || ptr.kind === "flow_keys") && addsZero);
  if (!allowed) env.fail("EACCES", `R${at} pointer arithmetic on ${regTypeName(ptr)} prohibited`);
  checkSane(env, number.v, 0, ptr);
  checkSane(env, ptr.v, ptr.off, ptr);
  if (op !== AluOp.Add && op !== AluOp.Sub) {
    const text = ALU_TEXT[op] ?? "";
    env.fail(
      "EACCES",
      op === AluOp.And || op === AluOp.Or || op === AluOp.Xor
        ? `R${at} bitwise operator ${text} on pointer prohibited`
        : `R${at} pointer arithmetic with ${text} operator prohibited`,
    );
  }
  if (op === AluOp.Sub && !pointerIsDst) env.fail("EACCES", `R${at} tried to subtract pointer from scalar`);
  if (op === AluOp.Sub && ptr.kind === "fp") env.fail("EACCES", `R${at} subtraction from stack pointer prohibited`);
  const result = move(env, ptr, number, op, known);
  checkSane(env, result.v, result.off, ptr);
  return result;
};

const move = (env: Env, ptr: Reg, number: Reg, op: number, known: boolean): Reg => {
  if (known) {
    const by = constOf(number.v);
    const off = op === AluOp.Add ? ptr.off + by : ptr.off - by;
    if (off === (off | 0)) return ptr.with({ off });
  }
  const v = alu(op, ptr.v, number.v, 64);
  if (!ptr.isPacket) return ptr.with({ v });
  // Another variable part: what was learned of the old one holds only where the pointer moved towards the start by a known sign.
  const keepsRange = op === AluOp.Sub && !i64.isNegative(number.v.smin);
  return ptr.with({ v, id: env.newId(), size: keepsRange ? ptr.size : 0 });
};
