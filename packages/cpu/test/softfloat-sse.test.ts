import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Flag, Relation, Round, SoftFloat } from "../src/softfloat/index.js";

const MASKED = 0x1f80;
const f = new SoftFloat();

/** One operation on the 64-bit (or, for f32, low 32-bit) lane `a`, `b`; the result replaces what it covers of `a`. */
type Lane = (alo: number, ahi: number, blo: number, bhi: number) => void;

/** EFLAGS.ZF, PF and CF as UCOMISS sets them. */
const COMPARISON_FLAGS = new Map([
  [Relation.Less, 0x01],
  [Relation.Equal, 0x40],
  [Relation.Greater, 0x00],
  [Relation.Unordered, 0x45],
]);

function flagsOf(relation: Relation): void {
  f.lo = COMPARISON_FLAGS.get(relation) ?? 0;
  f.hi = 0;
}

const OPERATIONS: Record<string, { width: 32 | 64; run: Lane }> = {
  add32: { width: 32, run: (a, _, b) => f.add32(a, b) },
  sub32: { width: 32, run: (a, _, b) => f.sub32(a, b) },
  mul32: { width: 32, run: (a, _, b) => f.mul32(a, b) },
  div32: { width: 32, run: (a, _, b) => f.div32(a, b) },
  min32: { width: 32, run: (a, _, b) => f.min32(a, b) },
  max32: { width: 32, run: (a, _, b) => f.max32(a, b) },
  sqrt32: { width: 32, run: (a) => f.sqrt32(a) },
  add64: { width: 64, run: (al, ah, bl, bh) => f.add64(al, ah, bl, bh) },
  sub64: { width: 64, run: (al, ah, bl, bh) => f.sub64(al, ah, bl, bh) },
  mul64: { width: 64, run: (al, ah, bl, bh) => f.mul64(al, ah, bl, bh) },
  div64: { width: 64, run: (al, ah, bl, bh) => f.div64(al, ah, bl, bh) },
  min64: { width: 64, run: (al, ah, bl, bh) => f.min64(al, ah, bl, bh) },
  max64: { width: 64, run: (al, ah, bl, bh) => f.max64(al, ah, bl, bh) },
  sqrt64: { width: 64, run: (al, ah) => f.sqrt64(al, ah) },
  f32ToF64: { width: 64, run: (a) => f.f32ToF64(a) },
  f64ToF32: { width: 32, run: (al, ah) => f.f64ToF32(al, ah) },
  ucom32: { width: 64, run: (a, _, b) => flagsOf(f.compare32(a, b, false)) },
  com32: { width: 64, run: (a, _, b) => flagsOf(f.compare32(a, b, true)) },
  ucom64: { width: 64, run: (al, ah, bl, bh) => flagsOf(f.compare64(al, ah, bl, bh, false)) },
  com64: { width: 64, run: (al, ah, bl, bh) => flagsOf(f.compare64(al, ah, bl, bh, true)) },
  i32ToF32: { width: 32, run: (a) => f.i32ToF32(a) },
  i64ToF32: { width: 32, run: (al, ah) => f.i64ToF32(al, ah) },
  i32ToF64: { width: 64, run: (a) => f.i32ToF64(a) },
  i64ToF64: { width: 64, run: (al, ah) => f.i64ToF64(al, ah) },
  f32ToI32: { width: 64, run: (a) => f.f32ToI32(a) },
  f32ToI32t: { width: 64, run: (a) => f.f32ToI32(a, Round.Zero) },
  f32ToI64: { width: 64, run: (a) => f.f32ToI64(a) },
  f32ToI64t: { width: 64, run: (a) => f.f32ToI64(a, Round.Zero) },
  f64ToI32: { width: 64, run: (al, ah) => f.f64ToI32(al, ah) },
  f64ToI32t: { width: 64, run: (al, ah) => f.f64ToI32(al, ah, Round.Zero) },
  f64ToI64: { width: 64, run: (al, ah) => f.f64ToI64(al, ah) },
  f64ToI64t: { width: 64, run: (al, ah) => f.f64ToI64(al, ah, Round.Zero) },
};
for (let p = 0; p < 8; p++) {
  OPERATIONS[`cmp32_${p}`] = { width: 32, run: (a, _, b) => f.cmpPredicate32(a, b, p) };
  OPERATIONS[`cmp64_${p}`] = { width: 64, run: (al, ah, bl, bh) => f.cmpPredicate64(al, ah, bl, bh, p) };
}
for (const imm of [0, 1, 2, 3, 4, 9, 12]) {
  OPERATIONS[`round32_${imm}`] = { width: 32, run: (a) => f.round32(a, imm) };
  OPERATIONS[`round64_${imm}`] = { width: 64, run: (al, ah) => f.round64(al, ah, imm) };
}

/** A hexadecimal number as little-endian u32 words. */
function words(hex: string, count: number): Uint32Array {
  const padded = hex.padStart(count * 8, "0");
  return Uint32Array.from({ length: count }, (_, i) =>
    Number.parseInt(padded.slice((count - 1 - i) * 8, (count - i) * 8), 16),
  );
}

function hex(value: Uint32Array): string {
  return [...value]
    .reverse()
    .map((w) => w.toString(16).padStart(8, "0"))
    .join("");
}

/** Runs one recorded case and says what this machine did, in the recording's form. */
function replay(name: string, mxcsr: string, aHex: string, bHex: string): string {
  const packed = name.startsWith("p_");
  const operation = OPERATIONS[packed ? name.slice(2) : name];
  if (operation === undefined) throw new Error(`unknown operation ${name}`);
  const count = packed ? 4 : 2;
  const a = words(aHex, count);
  const b = words(bHex, count);
  const result = Uint32Array.from(a);
  // cvtps2dq's lanes are 32 bits wide, while the scalar form writes a whole register.
  const width = name === "p_f32ToI32" ? 32 : operation.width;
  const step = width / 32;
  f.setMxcsr(Number.parseInt(mxcsr, 16));
  for (let i = 0; i < (packed ? count : step); i += step) {
    const high = packed && step === 1 ? 0 : i + 1;
    operation.run(a[i] ?? 0, a[high] ?? 0, b[i] ?? 0, b[high] ?? 0);
    result[i] = f.lo;
    if (step === 2) result[i + 1] = f.hi;
  }
  return f.faulted() ? `${f.reported().toString(16)} fault` : `${hex(result)} ${f.reported().toString(16)}`;
}

describe("every recorded case of a real processor comes out the same: result, MXCSR flags, #XM", () => {
  const lines = readFileSync(new URL("./softfloat-sse.vectors.txt", import.meta.url), "utf8")
    .trim()
    .split("\n");
  const groups = new Map<string, string[]>();
  for (const line of lines) {
    const name = line.slice(0, line.indexOf(" "));
    groups.set(name, [...(groups.get(name) ?? []), line]);
  }

  it("covers every operation", () => {
    const recorded = new Set([...groups.keys()].map((name) => name.replace(/^p_/, "")));
    expect([...recorded].sort()).toEqual(Object.keys(OPERATIONS).sort());
  });

  for (const [name, cases] of groups) {
    it(`${name}: ${cases.length} cases`, () => {
      const wrong: string[] = [];
      for (const line of cases) {
        const [, mxcsr = "", a = "", b = "", r = "", flags = "", fault] = line.split(" ");
        const got = replay(name, mxcsr, a, b);
        const want =
          fault === "fault" ? `${flags} fault` : `${r.padStart(name.startsWith("p_") ? 32 : 16, "0")} ${flags}`;
        if (got !== want) wrong.push(`${line} -> ${got}`);
      }
      expect(wrong).toEqual([]);
    });
  }
});

describe("against the host's own doubles, rounding to nearest with everything masked", () => {
  const view = new DataView(new ArrayBuffer(8));
  let seed = 1;
  const random = (): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed;
  };
  const double = (lo: number, hi: number): number => {
    view.setUint32(0, hi);
    view.setUint32(4, lo);
    return view.getFloat64(0);
  };
  const cases = Array.from({ length: 2000 }, () => [random(), random(), random(), random()] as const);

  function agrees(
    operation: (c: readonly [number, number, number, number]) => void,
    host: (a: number, b: number) => number,
  ): void {
    for (const c of cases) {
      f.setMxcsr(MASKED);
      operation(c);
      const want = host(double(c[0], c[1]), double(c[2], c[3]));
      const got = double(f.lo, f.hi);
      if (!Object.is(got, want)) expect.fail(`${c.map((w) => w.toString(16)).join(" ")}: ${got}, not ${want}`);
    }
  }

  it("add64 is +", () =>
    agrees(
      ([al, ah, bl, bh]) => f.add64(al, ah, bl, bh),
      (a, b) => a + b,
    ));
  it("sub64 is -", () =>
    agrees(
      ([al, ah, bl, bh]) => f.sub64(al, ah, bl, bh),
      (a, b) => a - b,
    ));
  it("mul64 is *", () =>
    agrees(
      ([al, ah, bl, bh]) => f.mul64(al, ah, bl, bh),
      (a, b) => a * b,
    ));
  it("div64 is /", () =>
    agrees(
      ([al, ah, bl, bh]) => f.div64(al, ah, bl, bh),
      (a, b) => a / b,
    ));
  it("sqrt64 is Math.sqrt", () =>
    agrees(
      ([al, ah]) => f.sqrt64(al, ah),
      (a) => Math.sqrt(a),
    ));

  it("f64ToF32 is Math.fround", () => {
    for (const [lo, hi] of cases) {
      f.setMxcsr(MASKED);
      f.f64ToF32(lo, hi);
      view.setUint32(0, f.lo);
      const got = view.getFloat32(0);
      if (!Object.is(got, Math.fround(double(lo, hi)))) expect.fail(`${hi.toString(16)} ${lo.toString(16)}: ${got}`);
    }
  });
});

describe("an unmasked exception of one lane decides for the instruction (SDM Vol. 1, 11.5.3)", () => {
  const ONE = 0x3f800000;
  const THIRD = 0x40400000;
  const SNAN = 0x7fa00001;

  it("post-computation flags of other lanes are dropped when an operand exception is unmasked", () => {
    f.setMxcsr(MASKED & ~0x80);
    f.div32(ONE, THIRD);
    f.add32(SNAN, ONE);
    expect([f.flags, f.reported(), f.faulted()]).toEqual([Flag.P | Flag.I, Flag.I, true]);
  });

  it("they are kept when the unmasked exception is itself found after computing", () => {
    f.setMxcsr(MASKED & ~0x1000);
    f.div32(ONE, THIRD);
    f.add32(SNAN, ONE);
    expect([f.reported(), f.faulted()]).toEqual([Flag.P | Flag.I, true]);
  });
});
