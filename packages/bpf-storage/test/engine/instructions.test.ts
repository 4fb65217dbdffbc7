import { expect, test } from "vitest";
import { KERNEL_HIGH, type Mode } from "../../src/engine/engine.js";
import { program } from "./assemble.js";
import { bench, ENGINES } from "./harness.js";
import { reference } from "./reference.js";

/** A statement of RFC 9669; `a` is in r0 and `b` in r2, both loaded from memory, r1 points to them. */
interface Statement {
  readonly says: string;
  readonly text: string;
  readonly a?: bigint;
  readonly b?: bigint;
  /** r0 after `text`. */
  readonly r0: bigint;
}

const MIN64 = 1n << 63n;
const MAX64 = (1n << 64n) - 1n;
const X = 0x0123456789abcdefn;

const STATEMENTS: readonly Statement[] = [
  // 4.1 arithmetic
  { says: "an overflow wraps around, 64 bits", text: "add %r0, %r2", a: MAX64, b: 2n, r0: 1n },
  { says: "an underflow wraps around, 64 bits", text: "sub %r0, %r2", a: 0n, b: 1n, r0: MAX64 },
  { says: "32-bit arithmetic clears the upper half", text: "add32 %r0, %r2", a: 0xffffffff_ffffffffn, b: 2n, r0: 1n },
  { says: "a 64-bit immediate operand is sign-extended", text: "and %r0, -16", a: X, r0: 0x0123456789abcde0n },
  {
    says: "32-bit multiplication keeps the lower half",
    text: "mul32 %r0, %r2",
    a: 0xffff_ffffn,
    b: 3n,
    r0: 0xffff_fffdn,
  },
  { says: "division by zero gives 0", text: "div %r0, %r2", a: 7n, b: 0n, r0: 0n },
  { says: "division by an immediate zero gives 0", text: "div %r0, 0", a: 7n, r0: 0n },
  {
    says: "32-bit division looks at the lower half of the divisor",
    text: "div32 %r0, %r2",
    a: X,
    b: 1n << 32n,
    r0: 0n,
  },
  { says: "modulo zero leaves the destination", text: "mod %r0, %r2", a: X, b: 0n, r0: X },
  { says: "32-bit modulo zero clears the upper half", text: "mod32 %r0, %r2", a: X, b: 0n, r0: 0x89abcdefn },
  { says: "32-bit modulo an immediate zero clears the upper half", text: "mod32 %r0, 0", a: X, r0: 0x89abcdefn },
  { says: "unsigned division takes a negative immediate as sign-extended", text: "div %r0, -2", a: MAX64, r0: 1n },
  { says: "unsigned 32-bit division takes a negative immediate as 32 bits", text: "div32 %r0, -2", a: MAX64, r0: 1n },
  { says: "signed division truncates toward zero", text: "sdiv %r0, %r2", a: -13n, b: 3n, r0: -4n },
  { says: "signed modulo has the sign of the dividend", text: "smod %r0, %r2", a: -13n, b: 3n, r0: -1n },
  { says: "signed modulo of a negative divisor", text: "smod %r0, %r2", a: 13n, b: -3n, r0: 1n },
  { says: "the lowest number divided by -1 is itself", text: "sdiv %r0, %r2", a: MIN64, b: -1n, r0: MIN64 },
  { says: "the lowest number divided by the immediate -1 is itself", text: "sdiv %r0, -1", a: MIN64, r0: MIN64 },
  { says: "the lowest number modulo -1 is 0", text: "smod %r0, %r2", a: MIN64, b: -1n, r0: 0n },
  { says: "the lowest number modulo the immediate -1 is 0", text: "smod %r0, -1", a: MIN64, r0: 0n },
  {
    says: "the lowest 32-bit number divided by -1",
    text: "sdiv32 %r0, %r2",
    a: 0x80000000n,
    b: 0xffffffffn,
    r0: 0x80000000n,
  },
  { says: "the lowest 32-bit number modulo -1", text: "smod32 %r0, %r2", a: 0x80000000n, b: 0xffffffffn, r0: 0n },
  {
    says: "the lowest 32-bit number divided by the immediate -1",
    text: "sdiv32 %r0, -1",
    a: 0x80000000n,
    r0: 0x80000000n,
  },
  { says: "signed division by zero gives 0", text: "sdiv %r0, %r2", a: -13n, b: 0n, r0: 0n },
  { says: "signed modulo zero leaves the destination", text: "smod %r0, %r2", a: -13n, b: 0n, r0: -13n },
  { says: "a 64-bit shift counts modulo 64", text: "lsh %r0, %r2", a: 1n, b: 65n, r0: 2n },
  { says: "a 32-bit shift counts modulo 32", text: "lsh32 %r0, %r2", a: 1n, b: 33n, r0: 2n },
  { says: "a 32-bit shift by 32 only clears the upper half", text: "rsh32 %r0, %r2", a: X, b: 32n, r0: 0x89abcdefn },
  {
    says: "a 32-bit arithmetic shift takes its sign from bit 31",
    text: "arsh32 %r0, %r2",
    a: 0x80000000n,
    b: 4n,
    r0: 0xf8000000n,
  },
  { says: "a 64-bit arithmetic shift takes its sign from bit 63", text: "arsh %r0, %r2", a: MIN64, b: 63n, r0: MAX64 },
  { says: "negation, 64 bits", text: "neg %r0", a: 1n, r0: MAX64 },
  { says: "negation, 32 bits", text: "neg32 %r0", a: X, r0: 0x76543211n },
  { says: "a move of an immediate is sign-extended to 64 bits", text: "mov %r0, -1", r0: MAX64 },
  { says: "a 32-bit move of an immediate clears the upper half", text: "mov32 %r0, -1", a: X, r0: 0xffffffffn },
  { says: "movsx of 8 bits to 64", text: "movsx864 %r0, %r2", b: 0x1280n, r0: -128n },
  { says: "movsx of 16 bits to 64", text: "movsx1664 %r0, %r2", b: 0x128000n, r0: -32768n },
  { says: "movsx of 32 bits to 64", text: "movsx3264 %r0, %r2", b: 0x180000000n, r0: -(1n << 31n) },
  { says: "movsx of 8 bits to 32 clears the upper half", text: "movsx832 %r0, %r2", b: 0x80n, r0: 0xffffff80n },
  { says: "movsx of 16 bits to 32 clears the upper half", text: "movsx1632 %r0, %r2", b: 0x8000n, r0: 0xffff8000n },
  // 4.2 byte swaps
  { says: "le16 cuts off", text: "le16 %r0", a: X, r0: 0xcdefn },
  { says: "le32 cuts off", text: "le32 %r0", a: X, r0: 0x89abcdefn },
  { says: "le64 changes nothing", text: "le64 %r0", a: X, r0: X },
  { says: "be16 swaps two bytes and clears the rest", text: "be16 %r0", a: X, r0: 0xefcdn },
  { says: "be32 swaps four bytes and clears the rest", text: "be32 %r0", a: X, r0: 0xefcdab89n },
  { says: "be64 swaps eight bytes", text: "be64 %r0", a: X, r0: 0xefcdab8967452301n },
  { says: "bswap16 swaps always", text: "bswap16 %r0", a: X, r0: 0xefcdn },
  { says: "bswap32 swaps always", text: "bswap32 %r0", a: X, r0: 0xefcdab89n },
  { says: "bswap64 swaps always", text: "bswap64 %r0", a: X, r0: 0xefcdab8967452301n },
  // 4.3 jumps
  {
    says: "a 64-bit comparison looks at all bits",
    text: "jeq %r0, %r2, +1\nmov %r0, 9",
    a: 1n,
    b: (1n << 32n) | 1n,
    r0: 9n,
  },
  {
    says: "a 32-bit comparison looks at the lower half",
    text: "jeq32 %r0, %r2, +1\nmov %r0, 9",
    a: 1n,
    b: (1n << 32n) | 1n,
    r0: 1n,
  },
  { says: "jgt is unsigned", text: "jgt %r0, 1, +1\nmov %r0, 9", a: MAX64, r0: MAX64 },
  { says: "jsgt is signed", text: "jsgt %r0, 1, +1\nmov %r0, 9", a: MAX64, r0: 9n },
  { says: "an immediate is sign-extended for a comparison", text: "jeq %r0, -1, +1\nmov %r0, 9", a: MAX64, r0: MAX64 },
  { says: "jset tests bits", text: "jset %r0, %r2, +1\nmov %r0, 9", a: MIN64, b: MIN64, r0: MIN64 },
  {
    says: "jset of 32 bits does not test the upper half",
    text: "jset32 %r0, %r2, +1\nmov %r0, 9",
    a: MIN64,
    b: MIN64,
    r0: 9n,
  },
  {
    says: "jslt of 32 bits takes its sign from bit 31",
    text: "jslt32 %r0, 0, +1\nmov %r0, 9",
    a: 0x80000000n,
    r0: 0x80000000n,
  },
  { says: "ja32 jumps by its immediate", text: "ja32 +1\nmov %r0, 9", a: 1n, r0: 1n },
  { says: "a jump by nothing goes on", text: "jeq %r0, %r0, +0\nadd %r0, 1", a: 1n, r0: 2n },
  // 5 loads and stores
  { says: "a load of a byte is zero-extended", text: "ldxb %r0, [%r1+8]", b: 0xffn, r0: 0xffn },
  { says: "a load of a half word is zero-extended", text: "ldxh %r0, [%r1+8]", b: 0xffffn, r0: 0xffffn },
  { says: "a load of a word is zero-extended", text: "ldxw %r0, [%r1+8]", b: MAX64, r0: 0xffffffffn },
  { says: "a sign-extending load of a byte", text: "ldxsb %r0, [%r1+8]", b: 0x80n, r0: -128n },
  { says: "a sign-extending load of a half word", text: "ldxsh %r0, [%r1+8]", b: 0x8000n, r0: -32768n },
  { says: "a sign-extending load of a word", text: "ldxsw %r0, [%r1+8]", b: 0x80000000n, r0: -(1n << 31n) },
  { says: "a store of an immediate is sign-extended", text: "stdw [%r1+16], -2\nldxdw %r0, [%r1+16]", r0: -2n },
  {
    says: "a store of a byte leaves the others",
    text: "stxdw [%r1+16], %r0\nstb [%r1+17], 0\nldxdw %r0, [%r1+16]",
    a: X,
    r0: 0x0123456789ab00efn,
  },
  { says: "a negative distance", text: "add %r1, 16\nldxdw %r0, [%r1-8]", b: X, r0: X },
  { says: "accesses need no alignment", text: "ldxdw %r0, [%r1+1]", a: X, b: 0xffn, r0: 0xff0123456789abcdn },
  {
    says: "the stack is below r10",
    text: "stxdw [%r10-8], %r0\nmov %r0, 0\nldxw %r0, [%r10-4]",
    a: X,
    r0: 0x01234567n,
  },
  { says: "the frame has 512 bytes", text: "stxb [%r10-512], %r0\nmov %r0, 0\nldxb %r0, [%r10-512]", a: 7n, r0: 7n },
  {
    says: "r10 can be computed with",
    text: "mov %r3, %r10\nadd %r3, -16\nstxdw [%r3+8], %r0\nmov %r0, 0\nldxdw %r0, [%r10-8]",
    a: X,
    r0: X,
  },
  // 5.3 atomics
  { says: "an atomic addition", text: "lock add [%r1+8], %r0\nldxdw %r0, [%r1+8]", a: 1n, b: MAX64, r0: 0n },
  {
    says: "an atomic 32-bit addition leaves the next bytes",
    text: "lock add32 [%r1+8], %r0\nldxdw %r0, [%r1+8]",
    a: 1n,
    b: X | 0xffffffffn,
    r0: 0x0123456700000000n,
  },
  { says: "fetch gives the old value", text: "lock fetch add [%r1+8], %r0", a: 1n, b: X, r0: X },
  {
    says: "32-bit fetch gives it zero-extended",
    text: "lock fetch or32 [%r1+8], %r0",
    a: MAX64,
    b: X,
    r0: 0x89abcdefn,
  },
  { says: "xchg exchanges", text: "lock xchg [%r1+8], %r0\nldxdw %r2, [%r1+8]\nadd %r0, %r2", a: 1n, b: 2n, r0: 3n },
  {
    says: "32-bit xchg clears the upper half of the register",
    text: "lock xchg32 [%r1+8], %r0",
    a: MAX64,
    b: X,
    r0: 0x89abcdefn,
  },
  {
    says: "cmpxchg stores if r0 is equal",
    text: "mov %r3, 7\nlock cmpxchg [%r1+8], %r3\nldxdw %r0, [%r1+8]",
    a: X,
    b: X,
    r0: 7n,
  },
  { says: "cmpxchg gives the old value in r0", text: "mov %r3, 7\nlock cmpxchg [%r1+8], %r3", a: 1n, b: X, r0: X },
  {
    says: "cmpxchg does not store if r0 is not equal",
    text: "mov %r3, 7\nlock cmpxchg [%r1+8], %r3\nldxdw %r0, [%r1+8]",
    a: 1n,
    b: X,
    r0: X,
  },
  {
    says: "32-bit cmpxchg compares and gives the lower half",
    text: "mov %r3, 7\nlock cmpxchg32 [%r1+8], %r3",
    a: X | MIN64,
    b: X,
    r0: 0x89abcdefn,
  },
  {
    says: "32-bit cmpxchg stores the lower half",
    text: "mov %r3, -1\nlock cmpxchg32 [%r1+8], %r3\nldxdw %r0, [%r1+8]",
    a: X | MIN64,
    b: X,
    r0: 0x01234567ffffffffn,
  },
  // 5.4 64-bit immediates
  { says: "lddw loads 64 bits", text: "lddw %r0, 0x8123456789abcdef", r0: 0x8123456789abcdefn },
  // 4.3.2 calls
  {
    says: "a function gets r1 to r5",
    text: "mov %r3, 3\nmov %r4, 4\nmov %r5, 5\ncall local f\nexit\nf:\nmov %r0, %r2\nadd %r0, %r3\nadd %r0, %r4\nadd %r0, %r5\nldxdw %r1, [%r1+0]\nadd %r0, %r1",
    a: 1n,
    b: 2n,
    r0: 15n,
  },
  {
    says: "a call preserves r6 to r9",
    text: "mov %r6, 6\ncall local f\nadd %r0, %r6\nexit\nf:\nmov %r6, 0\nmov %r0, 1",
    r0: 7n,
  },
  {
    says: "a function has a frame of its own",
    text: "stdw [%r10-8], 5\ncall local f\nldxdw %r0, [%r10-8]\nexit\nf:\nstdw [%r10-8], 9",
    r0: 5n,
  },
  {
    says: "a function can use its caller's frame",
    text: "stdw [%r10-8], 5\nmov %r1, %r10\ncall local f\nldxdw %r0, [%r10-8]\nexit\nf:\nstdw [%r1-8], 9",
    r0: 9n,
  },
  {
    says: "functions can be recursive",
    text: "mov %r1, 5\ncall local f\nexit\nf:\nmov %r0, 0\njeq %r1, 0, +5\nmov %r6, %r1\nsub %r1, 1\ncall local f\nadd %r0, %r6\nja +0",
    r0: 15n,
  },
  // linux 6.10
  {
    says: "may_goto goes on 2^23 times",
    text: "mov %r0, 0\nagain:\nmay_goto out\nadd %r0, 1\nja again\nout:",
    r0: 1n << 23n,
  },
  {
    says: "may_goto jumps ever after, and each call has a count of its own",
    text: "mov %r0, 0\ncall local f\nmov %r6, %r0\ncall local f\nadd %r0, %r6\nexit\nf:\nmay_goto out\nja -2\nout:\nmov %r0, 1\nmay_goto end\nmov %r0, 2\nend:",
    r0: 2n,
  },
];

const MODES: readonly Mode[] = ["trusted", "checked"];
const cases = ENGINES.flatMap((engine) => MODES.map((mode) => ({ engine, mode, on: bench() })));

test.each(STATEMENTS)("$says", ({ text, a = 0n, b = 0n, r0 }) => {
  for (const { engine, mode, on } of cases) {
    on.view().setBigUint64(on.window, BigInt.asUintN(64, a), true);
    on.view().setBigUint64(on.window + 8, BigInt.asUintN(64, b), true);
    const executable = on.engine.load(program(`ldxdw %r0, [%r1+0]\nldxdw %r2, [%r1+8]\n${text}\nexit`), {
      engine,
      mode,
    });
    executable.run(on.window, KERNEL_HIGH);
    expect(on.engine.fault).toBe(null);
    const found = (BigInt(on.engine.resultHigh) << 32n) | BigInt(on.engine.resultLow);
    expect(found, `${engine}, ${mode}`).toBe(BigInt.asUintN(64, r0));
    executable.dispose();
  }
  // The reference has to say the same of itself.
  const { insns } = program(`ldxdw %r0, [%r1+0]\nldxdw %r2, [%r1+8]\n${text}\nexit`);
  const bytes = new Uint8Array(64);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, a), true);
  new DataView(bytes.buffer).setBigUint64(8, BigInt.asUintN(64, b), true);
  const outcome = reference({ insns, args: [0x1000n], ranges: [{ base: 0x1000n, bytes }], stackTop: 0x100000n });
  expect(outcome).toEqual({ kind: "returned", r0: BigInt.asUintN(64, r0) });
});
