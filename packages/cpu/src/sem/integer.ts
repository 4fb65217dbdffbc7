import { i32, i64, select } from "@vm/wasm";
import type { Ctx, I64, Local64, Row, Size } from "./ctx.js";
import { signExtend, truncate } from "./widths.js";

const ALL: readonly Size[] = [1, 2, 4, 8];
const WIDE: readonly Size[] = [2, 4, 8];
const TWO = ["rr", "rm", "mr", "ri", "mi"];

type Binary = (c: Ctx, a: Local64, b: Local64) => I64;

/** `op0 = op0 OP op1`, flags by `flags`. */
const alu = (name: string, result: Binary, flags: "add" | "adc" | "sub" | "sbb" | "logic", write = true): Row => ({
  name,
  sizes: ALL,
  forms: TWO,
  modify: write,
  reads: !write,
  emit: (c) => {
    const a = c.get(0);
    const b = c.get(1);
    const r = c.f.let("i64", result(c, a, b));
    if (write) c.set(0, r);
    if (flags === "logic") c.flags.logic(r);
    else c.flags[flags](a, b, r);
  },
});

/** `op0 = op0 OP 1` keeping CF: SDM vol. 2, INC and DEC. */
const step = (name: string, delta: 1 | -1): Row => ({
  name,
  sizes: ALL,
  forms: ["r", "m"],
  modify: true,
  emit: (c) => {
    const a = c.get(0);
    const one = c.f.let("i64", i64.const(1));
    const r = c.f.let("i64", i64.add(a, i64.const(delta)));
    c.set(0, r);
    if (delta > 0) c.flags.increment(a, one, r);
    else c.flags.decrement(a, one, r);
  },
});

/** Integer arithmetic, logic and data movement. SDM vol. 2, in the order of vol. 1, 5.1. */
export const INTEGER: readonly Row[] = [
  alu("add", (_, a, b) => i64.add(a, b), "add"),
  alu("or", (_, a, b) => i64.or(a, b), "logic"),
  alu("adc", (c, a, b) => i64.add(i64.add(a, b), c.flags.carry()), "adc"),
  alu("sbb", (c, a, b) => i64.sub(i64.sub(a, b), c.flags.carry()), "sbb"),
  alu("and", (_, a, b) => i64.and(a, b), "logic"),
  alu("sub", (_, a, b) => i64.sub(a, b), "sub"),
  alu("xor", (_, a, b) => i64.xor(a, b), "logic"),
  alu("cmp", (_, a, b) => i64.sub(a, b), "sub", false),
  alu("test", (_, a, b) => i64.and(a, b), "logic", false),
  step("inc", 1),
  step("dec", -1),
  {
    name: "not",
    sizes: ALL,
    forms: ["r", "m"],
    modify: true,
    emit: (c) => c.set(0, i64.xor(c.get(0), i64.const(-1))),
  },
  {
    name: "neg",
    sizes: ALL,
    forms: ["r", "m"],
    modify: true,
    emit: (c) => {
      const a = c.get(0);
      const r = c.f.let("i64", i64.sub(i64.const(0), a));
      c.set(0, r);
      c.flags.sub(c.f.let("i64", i64.const(0)), a, r);
    },
  },
  { name: "mov", sizes: ALL, forms: TWO, emit: (c) => c.set(0, c.get(1)) },
  { name: "movabs", sizes: [8], forms: ["rI"], emit: (c) => c.set(0, c.get(1)) },
  ...([1, 2] as const).flatMap((from): Row[] => [
    { name: `movzx${from}`, sizes: WIDE, forms: ["rr", "rm"], emit: (c) => c.set(0, c.get(1, from)) },
    { name: `movsx${from}`, sizes: WIDE, forms: ["rr", "rm"], emit: (c) => c.set(0, signExtend(c.get(1, from), from)) },
  ]),
  { name: "movsx4", sizes: WIDE, forms: ["rr", "rm"], emit: (c) => c.set(0, signExtend(c.get(1, 4), 4)) },
  { name: "lea", sizes: WIDE, forms: ["rm"], emit: (c) => c.set(0, c.offset()) },
  {
    name: "xchg",
    sizes: ALL,
    forms: ["rr", "mr"],
    modify: true,
    emit: (c) => {
      const a = c.get(0);
      const b = c.get(1);
      c.set(0, b);
      c.set(1, a);
    },
  },
  {
    name: "xadd",
    sizes: ALL,
    forms: ["rr", "mr"],
    modify: true,
    emit: (c) => {
      const a = c.get(0);
      const b = c.get(1);
      const r = c.f.let("i64", i64.add(a, b));
      // XADD r, r: the sum is written last.
      c.set(1, a);
      c.set(0, r);
      c.flags.add(a, b, r);
    },
  },
  {
    name: "cmpxchg",
    sizes: ALL,
    forms: ["rr", "mr"],
    modify: true,
    emit: (c) => {
      const old = c.get(0);
      const b = c.get(1);
      const rax = c.f.let("i64", c.reg(0));
      c.if(
        i64.eq(rax, old),
        () => c.set(0, b),
        // A destination that differs stays, all 64 bits of a register (recorded from hardware).
        () => c.setReg(0, old),
      );
      c.flags.sub(rax, old, c.f.let("i64", i64.sub(rax, old)));
    },
  },
  {
    name: "bswap",
    sizes: WIDE,
    forms: ["r"],
    emit: (c) => c.set(0, byteSwap(c)),
  },
  { name: "cbw", sizes: WIDE, forms: [""], emit: (c) => c.setReg(0, signExtend(c.reg(0, half(c.size)), half(c.size))) },
  {
    name: "cwd",
    sizes: WIDE,
    forms: [""],
    emit: (c) => c.setReg(2, i64.shr_s(signExtend(c.reg(0), c.size), i64.const(63))),
  },
  ...conditional(),
  { name: "clc", sizes: [4], forms: [""], emit: (c) => c.flags.setCarry(i64.const(0)) },
  { name: "stc", sizes: [4], forms: [""], emit: (c) => c.flags.setCarry(i64.const(1)) },
  { name: "cmc", sizes: [4], forms: [""], emit: (c) => c.flags.setCarry(i64.xor(c.flags.carry(), i64.const(1))) },
  {
    name: "sahf",
    sizes: [4],
    forms: [""],
    emit: (c) => {
      const of = i32.wrap_i64(i64.shl(c.flags.overflow(), i64.const(11)));
      c.flags.unpack(
        c.f.let("i32", i32.or(i32.and(i32.wrap_i64(i64.shr_u(c.reg(0, 2), i64.const(8))), i32.const(0xd5)), of)),
      );
    },
  },
];

const half = (size: Size): Size => (size / 2) as Size;

/** BSWAP. A 16-bit operand is undefined in the SDM; the recorded CPU clears it. */
function byteSwap(c: Ctx): I64 {
  if (c.size === 2) return i64.const(0);
  let v = c.get(0);
  const swap = (mask: number, by: number): void => {
    const m = i64.const2(mask, mask);
    v = c.f.let("i64", i64.or(i64.and(i64.shr_u(v, i64.const(by)), m), i64.shl(i64.and(v, m), i64.const(by))));
  };
  swap(0x00ff00ff, 8);
  swap(0x0000ffff, 16);
  return c.size === 8 ? i64.rotl(v, i64.const(32)) : truncate(v, 4);
}

/** CMOVcc and SETcc, one row a condition. */
function conditional(): Row[] {
  return Array.from({ length: 16 }, (_, cc) => cc).flatMap((cc): Row[] => [
    {
      name: `cmov${cc}`,
      sizes: WIDE,
      forms: ["rr"],
      emit: (c) => {
        const old = c.get(0);
        const value = c.get(1);
        // A 32-bit destination is zero-extended even if the condition is false.
        c.set(0, select(c.flags.condition(cc), value, old));
      },
    },
    { name: `set${cc}`, sizes: [1], forms: ["r", "m"], emit: (c) => c.set(0, i64.extend_i32_u(c.flags.condition(cc))) },
  ]);
}
