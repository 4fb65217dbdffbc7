import { AluOp, JmpOp } from "../../src/isa/opcodes.js";

/** What instructions do to numbers (RFC 9669), as plainly as can be: the truth that claims of the verifier are held against. */

/** `a op b`; operands and result are unsigned, 64 bits. Shifts take the amount modulo the width; division by zero gives 0, modulo `a`. */
export const aluConcrete = (op: number, a: bigint, b: bigint, bits: 32 | 64, isSigned = false): bigint => {
  const x = BigInt.asUintN(bits, a);
  const y = BigInt.asUintN(bits, b);
  const shift = y & BigInt(bits - 1);
  const sx = BigInt.asIntN(bits, x);
  const sy = BigInt.asIntN(bits, y);
  const result = (): bigint => {
    switch (op) {
      case AluOp.Add:
        return x + y;
      case AluOp.Sub:
        return x - y;
      case AluOp.Mul:
        return x * y;
      case AluOp.Div:
        if (y === 0n) return 0n;
        return isSigned ? sx / sy : x / y;
      case AluOp.Mod:
        if (y === 0n) return x;
        return isSigned ? sx % sy : x % y;
      case AluOp.Or:
        return x | y;
      case AluOp.And:
        return x & y;
      case AluOp.Xor:
        return x ^ y;
      case AluOp.Lsh:
        return x << shift;
      case AluOp.Rsh:
        return x >> shift;
      case AluOp.Arsh:
        return sx >> shift;
      case AluOp.Mov:
        return y;
      case AluOp.Neg:
        return -x;
      default:
        throw new RangeError(`operation ${op.toString(16)} is none of two numbers`);
    }
  };
  return BigInt.asUintN(bits, result());
};

/** Whether `a op b` jumps. */
export const jumpConcrete = (op: number, a: bigint, b: bigint, is32: boolean): boolean => {
  const bits = is32 ? 32 : 64;
  const x = BigInt.asUintN(bits, a);
  const y = BigInt.asUintN(bits, b);
  const sx = BigInt.asIntN(bits, x);
  const sy = BigInt.asIntN(bits, y);
  switch (op) {
    case JmpOp.Jeq:
      return x === y;
    case JmpOp.Jne:
      return x !== y;
    case JmpOp.Jgt:
      return x > y;
    case JmpOp.Jge:
      return x >= y;
    case JmpOp.Jlt:
      return x < y;
    case JmpOp.Jle:
      return x <= y;
    case JmpOp.Jset:
      return (x & y) !== 0n;
    case JmpOp.Jsgt:
      return sx > sy;
    case JmpOp.Jsge:
      return sx >= sy;
    case JmpOp.Jslt:
      return sx < sy;
    case JmpOp.Jsle:
      return sx <= sy;
    default:
      throw new RangeError(`operation ${op.toString(16)} is no comparison`);
  }
};
