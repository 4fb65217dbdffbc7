import type { Insn } from "../isa/insn.js";
import { AluOp, CLASS_MASK, Class, OP_MASK, Source } from "../isa/opcodes.js";
import { checkReadable, checkWritable, type Env } from "./env.js";
import { ALU_TEXT, pointerAlu } from "./pointer-alu.js";
import { known, markPrecise, type NumberReg, type Reg, scalar, unknown } from "./reg.js";
import { isConst, width } from "./scalar.js";
import { alu, signExtend, zeroExtend32 } from "./scalar-alu.js";
import { shareId } from "./stack-write.js";

/** Arithmetic: what the encoding may be, and what the destination then holds. */

const isWide = (insn: Insn): boolean => (insn.code & CLASS_MASK) === Class.Alu64;
const isRegister = (insn: Insn): boolean => (insn.code & Source.X) !== 0;

const checkEnd = (env: Env, insn: Insn): void => {
  const wide = isWide(insn);
  const fields = insn.src !== 0 || insn.off !== 0 || ![16, 32, 64].includes(insn.imm) || (wide && isRegister(insn));
  if (fields) env.fail("EINVAL", "BPF_END uses reserved fields");
};

const unary = (env: Env, insn: Insn): void => {
  const op = insn.code & OP_MASK;
  if (op === AluOp.Neg) {
    if (isRegister(insn) || insn.src !== 0 || insn.off !== 0 || insn.imm !== 0)
      env.fail("EINVAL", "BPF_NEG uses reserved fields");
  } else checkEnd(env, insn);
  checkReadable(env, insn.dst);
  checkWritable(env, insn.dst);
  env.set(insn.dst, unknown());
};

/** A copy; numbers get an id, so that what is learned of one holds for the other. */
const copy = (env: Env, insn: Insn, src: Reg): Reg => {
  const shared = shareId(env, src);
  if (shared !== src) env.set(insn.src, shared);
  return shared;
};

const moveRegister = (env: Env, insn: Insn): Reg => {
  const src = env.reg(insn.src);
  const wide = isWide(insn);
  if (src.kind !== "scalar") {
    if (wide && insn.off === 0) return src;
    return wide ? unknown() : scalar(zeroExtend32(unknown().v));
  }
  if (insn.off === 0) {
    if (wide) return copy(env, insn, src);
    if (width(src.v) <= 32) return copy(env, insn, src);
    return scalar(zeroExtend32(src.v), src);
  }
  const keeps = width(src.v) < insn.off;
  const extended = signExtend(src.v, insn.off as 8 | 16 | 32, wide ? 64 : 32);
  return keeps ? copy(env, insn, src).with({ v: extended }) : scalar(extended, src);
};

const move = (env: Env, insn: Insn): void => {
  const wide = isWide(insn);
  if (isRegister(insn)) {
    const widths = wide ? [0, 8, 16, 32] : [0, 8, 16];
    if (wide && insn.off === 1)
      env.fail(
        "EINVAL",
        insn.imm !== 1 && insn.imm !== 1 << 16
          ? "addr_space_cast insn can only convert between address space 1 and 0"
          : "addr_space_cast insn can only be used in a program that has an associated arena",
      );
    if (!widths.includes(insn.off) || insn.imm !== 0) env.fail("EINVAL", "BPF_MOV uses reserved fields");
    checkReadable(env, insn.src);
    checkWritable(env, insn.dst);
    env.set(insn.dst, moveRegister(env, insn));
    return;
  }
  if (insn.src !== 0 || insn.off !== 0) env.fail("EINVAL", "BPF_MOV uses reserved fields");
  checkWritable(env, insn.dst);
  env.set(insn.dst, known(wide ? insn.imm : insn.imm >>> 0));
};

const checkBinary = (env: Env, insn: Insn): void => {
  const op = insn.code & OP_MASK;
  const divides = op === AluOp.Div || op === AluOp.Mod;
  const off = insn.off !== 0 && !(insn.off === 1 && divides);
  if (isRegister(insn)) {
    if (insn.imm !== 0 || off) env.fail("EINVAL", "BPF_ALU uses reserved fields");
    checkReadable(env, insn.src);
  } else if (insn.src !== 0 || off) env.fail("EINVAL", "BPF_ALU uses reserved fields");
  checkReadable(env, insn.dst);
  if (isRegister(insn)) return;
  if (divides && insn.imm === 0) env.fail("EINVAL", "div by zero");
  const shifts = op === AluOp.Lsh || op === AluOp.Rsh || op === AluOp.Arsh;
  if (shifts && (insn.imm < 0 || insn.imm >= (isWide(insn) ? 64 : 32))) env.fail("EINVAL", `invalid shift ${insn.imm}`);
};

/** Numbers of one id differ by known distances: a sum with a constant keeps the link. */
const linkedSum = (insn: Insn, dst: Reg, src: Reg, result: NumberReg): Reg => {
  const by = src.v.bits.value;
  const linkable = isWide(insn) && (insn.code & OP_MASK) === AluOp.Add && dst.id !== 0 && isConst(src.v);
  if (!linkable || dst.shifted || by.hi !== 0 || by.lo < 0 || (isRegister(insn) && insn.src === insn.dst))
    return result;
  result.id = dst.id;
  result.shifted = true;
  result.off = by.lo;
  return result;
};

const binary = (env: Env, insn: Insn): void => {
  checkBinary(env, insn);
  checkWritable(env, insn.dst);
  const op = insn.code & OP_MASK;
  const dst = env.reg(insn.dst);
  const src = isRegister(insn) ? env.reg(insn.src) : known(insn.imm);
  if (dst.isPointer && src.isPointer) {
    // The difference of two pointers is a number; nothing else of two is.
    if (op === AluOp.Sub) {
      env.set(insn.dst, unknown());
      return;
    }
    env.fail("EACCES", `R${insn.dst} pointer ${ALU_TEXT[op] ?? ""} pointer prohibited`);
  }
  if (dst.isPointer) {
    if (isRegister(insn)) markPrecise(src);
    env.set(insn.dst, pointerAlu(env, dst, src, true));
    return;
  }
  if (src.isPointer) {
    markPrecise(dst);
    env.set(insn.dst, pointerAlu(env, src, dst, false));
    return;
  }
  const result = scalar(alu(op, dst.v, src.v, isWide(insn) ? 64 : 32), dst, isRegister(insn) ? src : undefined);
  env.set(insn.dst, linkedSum(insn, dst, src, result));
};

/** Checks an arithmetic instruction and works out its destination. */
export const checkAlu = (env: Env): void => {
  const { insn } = env;
  const op = insn.code & OP_MASK;
  if (op === AluOp.Neg || op === AluOp.End) unary(env, insn);
  else if (op === AluOp.Mov) move(env, insn);
  else if (op > AluOp.End) env.fail("EINVAL", `invalid BPF_ALU opcode ${op.toString(16)}`);
  else binary(env, insn);
};
