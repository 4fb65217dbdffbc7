import { Node, NodeKind } from "./node.js";

/**
 * What is known of an expression when it is written: constants are computed, operations that change nothing are left out, and of i64
 * values it is noted how many bits they can have.
 */

const isConst = (node: Node): boolean => node.kind === NodeKind.ConstI64;
const isZero = (node: Node): boolean => isConst(node) && node.x === 0 && node.y === 0;
const whole = ({ x, y }: Node): bigint => (BigInt(y) << 32n) | BigInt(x >>> 0);
const constant = (value: bigint): Node =>
  constant64(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));

/** A constant by its halves. */
export function constant64(lo: number, hi: number): Node {
  return narrowed(new Node(NodeKind.ConstI64, 0, null, null, null, lo, hi), hi === 0 ? 32 - Math.clz32(lo) : 64);
}

/** Notes that the i64 `node` has `width` significant bits at most. */
export function narrowed(node: Node, width: number): Node {
  node.width = width;
  return node;
}

/** Bits of a mask 2^k - 1 with k <= 32, else 64. */
function maskWidth({ x, y }: Node): number {
  if (y !== 0 || (x & (x + 1)) !== 0) return 64;
  return 32 - Math.clz32(x);
}

type Fold = (a: bigint, b: bigint) => bigint;

const operation =
  (op: number, fold: Fold, neutral: (a: Node, b: Node) => Node | null, width: (a: Node, b: Node) => number) =>
  (a: Node, b: Node): Node => {
    if (isConst(a) && isConst(b)) return constant(fold(whole(a), whole(b)));
    return neutral(a, b) ?? narrowed(new Node(NodeKind.Op, op, a, b), width(a, b));
  };

const rightZero = (a: Node, b: Node): Node | null => (isZero(b) ? a : null);
const eitherZero = (a: Node, b: Node): Node | null => (isZero(b) ? a : isZero(a) ? b : null);
const all = (): number => 64;
const wider = (a: Node, b: Node): number => Math.max(a.width, b.width);
const shiftedRight = (a: Node, b: Node): number => (isConst(b) ? Math.max(0, a.width - (b.x & 63)) : a.width);

function masked(a: Node, b: Node): Node | null {
  if (!isConst(b)) return null;
  if (a.width <= maskWidth(b) && maskWidth(b) < 64) return a;
  if (a.kind !== NodeKind.Op || a.op !== AND || a.b === null || !isConst(a.b)) return null;
  return and64(a.a as Node, constant(whole(a.b) & whole(b)));
}

const AND = 0x83;
export const add64 = operation(0x7c, (a, b) => a + b, eitherZero, all);
export const sub64 = operation(0x7d, (a, b) => a - b, rightZero, all);
export const and64: (a: Node, b: Node) => Node = operation(
  AND,
  (a, b) => a & b,
  masked,
  (a, b) => Math.min(a.width, b.width),
);
export const or64 = operation(0x84, (a, b) => a | b, eitherZero, wider);
export const xor64 = operation(0x85, (a, b) => a ^ b, eitherZero, wider);
export const shl64 = operation(0x86, (a, b) => a << (b & 63n), rightZero, all);
export const shrS64 = operation(0x87, (a, b) => a >> (b & 63n), rightZero, all);
export const shrU64 = operation(0x88, (a, b) => BigInt.asUintN(64, a) >> (b & 63n), rightZero, shiftedRight);

/** Comparisons of integers and their opposites. */
const OPPOSITE = new Map<number, number>(
  [
    [0x46, 0x47],
    [0x48, 0x4e],
    [0x49, 0x4f],
    [0x4a, 0x4c],
    [0x4b, 0x4d],
    [0x51, 0x52],
    [0x53, 0x59],
    [0x54, 0x5a],
    [0x55, 0x57],
    [0x56, 0x58],
  ].flatMap(([a, b]) => [
    [a as number, b as number],
    [b as number, a as number],
  ]),
);

/** `i32.eqz` */
export function not(a: Node): Node {
  const opposite = a.kind === NodeKind.Op ? OPPOSITE.get(a.op) : undefined;
  return opposite === undefined ? new Node(NodeKind.Op, 0x45, a) : new Node(NodeKind.Op, opposite, a.a, a.b);
}
