import { Relation, SoftFloat } from "../../softfloat/index.js";
import * as S from "../../state.js";
import type { VcpuContext } from "../context/context.js";
import { CR4_OSXMMEXCPT, Vector } from "../registers/constants.js";
import type { Operands, OutsideOperation } from "./operands.js";

/** The arithmetic unit; every operation starts with `begin` and ends with `finish`. */
export const unit = new SoftFloat();

export function begin({ vcpu }: Operands): void {
  unit.setMxcsr(vcpu.i32(S.MXCSR));
}

/** Notes the exceptions in MXCSR; raises #XM for unmasked ones, or #UD if the system does not expect that (SDM vol. 1, 11.5.3). */
export function finish({ vcpu }: { readonly vcpu: VcpuContext }): boolean {
  vcpu.setI32(S.MXCSR, vcpu.i32(S.MXCSR) | unit.reported());
  return !unit.faulted() || vcpu.raise(vcpu.cr4 & CR4_OSXMMEXCPT ? Vector.XM : Vector.UD);
}

/** One element: operands as halves (the high ones are 0 for singles), result in `unit.lo`, `unit.hi`. */
type Lane = (alo: number, ahi: number, blo: number, bhi: number, o: Operands, lane: number) => void;

const result = new Int32Array(4);

/** Applies `lane` to the first `count` elements of `width` doublewords. */
function lanes(width: 1 | 2, count: number, lane: Lane): OutsideOperation {
  return (o) => {
    begin(o);
    for (let n = 0; n < count; n++) {
      const k = n * width;
      if (width === 1) lane(o.a(k), 0, o.b(k), 0, o, n);
      else lane(o.a(k), o.a(k + 1), o.b(k), o.b(k + 1), o, n);
      result[k] = unit.lo;
      if (width === 2) result[k + 1] = unit.hi;
    }
    return finish(o) && o.writeFirst(result, width * count);
  };
}

/** The four forms of an instruction. */
const forms = (name: string, single: Lane, double: Lane): Record<string, OutsideOperation> => ({
  [`${name}ss`]: lanes(1, 1, single),
  [`${name}sd`]: lanes(2, 1, double),
  [`${name}ps`]: lanes(1, 4, single),
  [`${name}pd`]: lanes(2, 2, double),
});

const COMPARISON_FLAGS: ReadonlyMap<Relation, number> = new Map([
  [Relation.Less, S.CF],
  [Relation.Equal, S.ZF],
  [Relation.Greater, 0],
  [Relation.Unordered, S.ZF | S.PF | S.CF],
]);

const compare =
  (width: 1 | 2, signaling: boolean): OutsideOperation =>
  (o) => {
    begin(o);
    const relation =
      width === 1
        ? unit.compare32(o.a(0), o.b(0), signaling)
        : unit.compare64(o.a(0), o.a(1), o.b(0), o.b(1), signaling);
    if (!finish(o)) return false;
    o.vcpu.rflags = (o.vcpu.rflags & ~S.ARITH) | (COMPARISON_FLAGS.get(relation) as number);
    return true;
  };

/** Neighbours combined: the elements of operand 0, then those of operand 1. */
const horizontal32 =
  (op: (a: number, b: number) => void): OutsideOperation =>
  (o) => {
    begin(o);
    for (let n = 0; n < 4; n++) {
      if (n < 2) op(o.a(2 * n), o.a(2 * n + 1));
      else op(o.b(2 * n - 4), o.b(2 * n - 3));
      result[n] = unit.lo;
    }
    return finish(o) && o.writeFirst(result, 4);
  };
const horizontal64 =
  (op: (alo: number, ahi: number, blo: number, bhi: number) => void): OutsideOperation =>
  (o) => {
    begin(o);
    op(o.a(0), o.a(1), o.a(2), o.a(3));
    [result[0], result[1]] = [unit.lo, unit.hi];
    op(o.b(0), o.b(1), o.b(2), o.b(3));
    [result[2], result[3]] = [unit.lo, unit.hi];
    return finish(o) && o.writeFirst(result, 4);
  };

const products = new Int32Array(4);
const pairs = new Int32Array(4);

/** DPPS and DPPD: products selected by imm[7:4], summed, written where imm[3:0] says. An unmasked exception stops between the steps. */
const dotProduct32: OutsideOperation = (o) => {
  begin(o);
  for (let n = 0; n < 4; n++) {
    const selected = o.imm & (0x10 << n);
    if (selected) unit.mul32(o.a(n), o.b(n));
    products[n] = selected ? unit.lo : 0;
  }
  if (!finish(o)) return false;
  // Every element has a sum of its own, which starts with its neighbour: that decides which of several NaNs comes out.
  for (let n = 0; n < 4; n++) {
    unit.add32((products[n ^ 1] as number) >>> 0, (products[n] as number) >>> 0);
    pairs[n] = unit.lo;
  }
  if (!finish(o)) return false;
  for (let n = 0; n < 4; n++) {
    unit.add32((pairs[n] as number) >>> 0, (pairs[n ^ 2] as number) >>> 0);
    result[n] = o.imm & (1 << n) ? unit.lo : 0;
  }
  return finish(o) && o.writeFirst(result, 4);
};
const dotProduct64: OutsideOperation = (o) => {
  begin(o);
  for (let n = 0; n < 4; n += 2) {
    const selected = o.imm & (0x10 << (n >> 1));
    if (selected) unit.mul64(o.a(n), o.a(n + 1), o.b(n), o.b(n + 1));
    products[n] = selected ? unit.lo : 0;
    products[n + 1] = selected ? unit.hi : 0;
  }
  if (!finish(o)) return false;
  for (let n = 0; n < 4; n += 2) {
    // Here every sum starts with the element's own product (recorded from hardware).
    const other = n ^ 2;
    unit.add64(
      (products[n] as number) >>> 0,
      (products[n + 1] as number) >>> 0,
      (products[other] as number) >>> 0,
      (products[other + 1] as number) >>> 0,
    );
    const selected = o.imm & (1 << (n >> 1));
    result[n] = selected ? unit.lo : 0;
    result[n + 1] = selected ? unit.hi : 0;
  }
  return finish(o) && o.writeFirst(result, 4);
};

const bits = new Uint32Array(1);
const float = new Float32Array(bits.buffer);

/** RCPSS and RSQRTSS: no exceptions, denormals count as zeros, here to full precision (the SDM asks for 1.5 * 2^-12). */
const approximate =
  (f: (x: number) => number): Lane =>
  (_al, _ah, b) => {
    const magnitude = b & 0x7fffffff;
    bits[0] = magnitude < 0x00800000 ? b & 0x80000000 : b;
    unit.hi = 0;
    if (magnitude > 0x7f800000) unit.lo = (b | 0x00400000) >>> 0;
    else {
      const r = f(float[0] as number);
      float[0] = r;
      // The default NaN is negative; tiny results become zeros.
      const out = bits[0] as number;
      unit.lo = Number.isNaN(r) ? 0xffc00000 : Math.abs(r) < 2 ** -126 ? out & 0x80000000 : out;
    }
  };
const reciprocal = approximate((x) => 1 / x);
const reciprocalRoot = approximate((x) => (x === 0 ? 1 / x : 1 / Math.sqrt(x)));

export const FLOAT: Readonly<Record<string, OutsideOperation>> = {
  ...forms(
    "add",
    (a, _, b) => unit.add32(a, b),
    (al, ah, bl, bh) => unit.add64(al, ah, bl, bh),
  ),
  ...forms(
    "sub",
    (a, _, b) => unit.sub32(a, b),
    (al, ah, bl, bh) => unit.sub64(al, ah, bl, bh),
  ),
  ...forms(
    "mul",
    (a, _, b) => unit.mul32(a, b),
    (al, ah, bl, bh) => unit.mul64(al, ah, bl, bh),
  ),
  ...forms(
    "div",
    (a, _, b) => unit.div32(a, b),
    (al, ah, bl, bh) => unit.div64(al, ah, bl, bh),
  ),
  ...forms(
    "min",
    (a, _, b) => unit.min32(a, b),
    (al, ah, bl, bh) => unit.min64(al, ah, bl, bh),
  ),
  ...forms(
    "max",
    (a, _, b) => unit.max32(a, b),
    (al, ah, bl, bh) => unit.max64(al, ah, bl, bh),
  ),
  ...forms(
    "sqrt",
    (_al, _ah, b) => unit.sqrt32(b),
    (_al, _ah, bl, bh) => unit.sqrt64(bl, bh),
  ),
  ...forms(
    "cmp",
    (a, _, b, _bh, o) => unit.cmpPredicate32(a, b, o.imm & 7),
    (al, ah, bl, bh, o) => unit.cmpPredicate64(al, ah, bl, bh, o.imm & 7),
  ),
  ...forms(
    "round",
    (_al, _ah, b, _bh, o) => unit.round32(b, o.imm),
    (_al, _ah, bl, bh, o) => unit.round64(bl, bh, o.imm),
  ),
  addsubps: lanes(1, 4, (a, _, b, _bh, _o, n) => (n & 1 ? unit.add32(a, b) : unit.sub32(a, b))),
  addsubpd: lanes(2, 2, (al, ah, bl, bh, _, n) => (n & 1 ? unit.add64(al, ah, bl, bh) : unit.sub64(al, ah, bl, bh))),
  haddps: horizontal32((a, b) => unit.add32(a, b)),
  hsubps: horizontal32((a, b) => unit.sub32(a, b)),
  haddpd: horizontal64((al, ah, bl, bh) => unit.add64(al, ah, bl, bh)),
  hsubpd: horizontal64((al, ah, bl, bh) => unit.sub64(al, ah, bl, bh)),
  dpps: dotProduct32,
  dppd: dotProduct64,
  comiss: compare(1, true),
  comisd: compare(2, true),
  ucomiss: compare(1, false),
  ucomisd: compare(2, false),
  rcpss: lanes(1, 1, reciprocal),
  rcpps: lanes(1, 4, reciprocal),
  rsqrtss: lanes(1, 1, reciprocalRoot),
  rsqrtps: lanes(1, 4, reciprocalRoot),
};
