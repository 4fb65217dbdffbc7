import { i32, i64x2, v128 } from "@vm/wasm";
import type { I64, Row, V128 } from "./ctx.js";
import { shuffle, ZERO } from "./vector.js";

/** Moves of 16 bytes. */
const whole = (name: string, aligned: boolean): Row => ({
  name,
  sizes: [8],
  forms: ["xx", "xm", "mx"],
  sse: true,
  unaligned: !aligned,
  emit: (c) => {
    if (aligned) c.aligned();
    c.setX(0, c.getX(1));
  },
});

const zeroExtended = (low: I64): V128 => i64x2.replace_lane(ZERO, 0, low);

/** MOVSS and MOVSD: between registers they merge, from memory they zero the rest. */
const scalar = (name: string, size: 4 | 8): Row[] => [
  { name, sizes: [size], forms: ["xx"], sse: true, emit: (c) => c.setXLow(0, c.get(1), size) },
  { name, sizes: [size], forms: ["xm"], sse: true, emit: (c) => c.setX(0, zeroExtended(c.get(1))) },
  { name, sizes: [size], forms: ["mx"], sse: true, emit: (c) => c.set(0, c.get(1)) },
];

/** MOVD and MOVQ: the vector register is zero-extended. */
const integer = (name: string, size: 4 | 8, from: readonly string[]): Row[] => [
  { name, sizes: [size], forms: from, sse: true, emit: (c) => c.setX(0, zeroExtended(c.get(1))) },
  { name, sizes: [size], forms: ["rx", "mx"], sse: true, emit: (c) => c.set(0, c.get(1)) },
];

/** Moves of 8 bytes from and to memory: the low or the high half of the register. */
const half = (name: string, high: boolean): Row[] => [
  {
    name,
    sizes: [8],
    forms: ["xm"],
    sse: true,
    emit: (c) => {
      const value = c.get(1);
      if (high) c.setX(0, i64x2.replace_lane(c.getX(0), 1, value));
      else c.setXLow(0, value, 8);
    },
  },
  {
    name,
    sizes: [8],
    forms: ["mx"],
    sse: true,
    emit: (c) => c.set(0, high ? i64x2.extract_lane(c.getX(1), 1) : c.get(1)),
  },
];

/** Data movement; `code/rows.ts` lists the mnemonics that are the same instruction for another type. SDM vol. 1, 5.5.1.1, 5.6.1.1, 5.6.3. */
export const SSE_MOVE: readonly Row[] = [
  whole("movups", false),
  whole("movaps", true),
  ...scalar("movss", 4),
  ...scalar("movsd", 8),
  ...integer("movd", 4, ["xr", "xm"]),
  ...integer("movq", 8, ["xr", "xm", "xx"]),
  ...half("movlps", false),
  ...half("movhps", true),
  {
    name: "movhlps",
    sizes: [8],
    forms: ["xx"],
    sse: true,
    emit: (c) => c.setX(0, shuffle(c.getX(0), c.getX(1), 8, [3, 1])),
  },
  {
    name: "movlhps",
    sizes: [8],
    forms: ["xx"],
    sse: true,
    emit: (c) => c.setX(0, shuffle(c.getX(0), c.getX(1), 8, [0, 2])),
  },
  {
    name: "ptest",
    sizes: [8],
    forms: ["xx"],
    sse: true,
    emit: (c) => {
      const a = c.getX(0);
      const b = c.getX(1);
      c.flags.compare(i32.eqz(v128.any_true(v128.and(a, b))), i32.eqz(v128.any_true(v128.andnot(b, a))));
    },
  },
];
