import fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as S from "../src/state.js";
import { CODE, DATA, FakeMachine, frame, RAX, RCX, RDI, RSI, reg, setReg } from "./fake-machine.js";

/** MOVS STOS LODS SCAS CMPS with operands of 1, 2, 4 and 8 bytes. */
const OPCODE = { movs: 0xa4, cmps: 0xa6, stos: 0xaa, lods: 0xac, scas: 0xae } as const;
const encode = (name: keyof typeof OPCODE, size: number, prefix?: number): number[] => [
  ...(prefix === undefined ? [] : [prefix]),
  ...(size === 2 ? [0x66] : []),
  ...(size === 8 ? [0x48] : []),
  OPCODE[name] + (size === 1 ? 0 : 1),
];
const WINDOW = 0x3000;

interface Case {
  readonly name: keyof typeof OPCODE;
  readonly size: number;
  readonly prefix: number;
  readonly count: number;
  readonly from: number;
  readonly to: number;
  readonly down: boolean;
}
const cases: fc.Arbitrary<Case> = fc.record({
  name: fc.constantFrom(...(Object.keys(OPCODE) as (keyof typeof OPCODE)[])),
  size: fc.constantFrom(1, 2, 4, 8),
  prefix: fc.constantFrom(0xf3, 0xf2),
  count: fc.oneof(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: 300 })),
  from: fc.integer({ min: 0xff0, max: 0x1010 }),
  to: fc.oneof(fc.integer({ min: 0xff0, max: 0x1010 }), fc.integer({ min: 0x1ff0, max: 0x2010 })),
  down: fc.boolean(),
});

/** Executes one element after the other, as SDM vol. 2 writes it down. */
function reference(c: Case, memory: Uint8Array, rax: bigint) {
  let { count, from, to } = c;
  const step = c.down ? -c.size : c.size;
  const load = (at: number): bigint =>
    memory.subarray(at, at + c.size).reduceRight((v, b) => (v << 8n) | BigInt(b), 0n);
  const accumulator = BigInt.asUintN(8 * c.size, rax);
  let zf: boolean | null = null;
  while (count > 0) {
    count--;
    if (c.name === "movs") memory.copyWithin(to, from, from + c.size);
    if (c.name === "stos") for (let k = 0; k < c.size; k++) memory[to + k] = Number((rax >> BigInt(8 * k)) & 0xffn);
    if (c.name === "lods")
      rax =
        c.size === 4 ? load(from) : BigInt.asUintN(64, (rax >> BigInt(8 * c.size)) << BigInt(8 * c.size)) | load(from);
    if (c.name === "scas") zf = accumulator === load(to);
    if (c.name === "cmps") zf = load(from) === load(to);
    if (c.name !== "stos" && c.name !== "scas") from += step;
    if (c.name !== "lods") to += step;
    if (zf !== null && zf !== (c.prefix === 0xf3)) break;
  }
  return { count, from, to, rax, zf };
}

function prepare(c: Case, m: FakeMachine): void {
  m.write(CODE, [...encode(c.name, c.size, c.prefix), 0xf4]);
  setReg(m.vcpu, RCX, c.count);
  setReg(m.vcpu, RSI, DATA + c.from);
  setReg(m.vcpu, RDI, DATA + c.to);
  setReg(m.vcpu, RAX, 0x0101010101010101n);
  m.vcpu.rflags = 2 | (c.down ? S.DF : 0);
  // Long stretches of equal bytes, so that comparisons go on for a while.
  for (let k = 0; k < WINDOW; k++) m.ram[DATA + k] = k % 97 === 0 ? 2 : 1;
}

describe("repeated string instructions", () => {
  test("do what one element after the other does: any size, direction, overlap, page", () => {
    fc.assert(
      fc.property(cases, (c) => {
        const m = new FakeMachine();
        prepare(c, m);
        const memory = m.ram.slice(DATA, DATA + WINDOW);
        const expected = reference(c, memory, 0x0101010101010101n);
        m.go();
        expect(reg(m.vcpu, RCX)).toBe(BigInt(expected.count));
        expect(reg(m.vcpu, RSI)).toBe(BigInt(DATA + expected.from));
        expect(reg(m.vcpu, RDI)).toBe(BigInt(DATA + expected.to));
        expect(reg(m.vcpu, RAX)).toBe(expected.rax);
        if (expected.zf !== null) expect((m.vcpu.rflags & S.ZF) !== 0).toBe(expected.zf);
        expect(Buffer.compare(m.ram.subarray(DATA, DATA + WINDOW), memory)).toBe(0);
      }),
      { numRuns: 250 },
    );
  });

  test.each([2, 4, 8])("going down, take %d bytes over two pages from the frames of both", (size) => {
    const m = new FakeMachine();
    const [low, high] = [0x60000, 0x61000];
    m.map(low, { gfn: 0x50 });
    m.map(high, { gfn: 0x40 });
    const last = high - size / 2;
    for (let k = -64; k < 64; k++) m.ram[(k < 0 ? 0x51000 : 0x40000) + k] = k & 0xff;
    m.write(CODE, [...encode("movs", size, 0xf3), 0xf4]);
    setReg(m.vcpu, RCX, 4);
    setReg(m.vcpu, RSI, last);
    setReg(m.vcpu, RDI, DATA + 3 * size);
    m.vcpu.rflags = 2 | S.DF;
    m.go();
    const expected = Array.from({ length: 4 * size }, (_, k) => (k - size / 2 - 3 * size) & 0xff);
    expect([...m.ram.subarray(DATA, DATA + 4 * size)]).toEqual(expected);
  });

  test("stop at a fault with the registers at the element that faults, and go on from there", () => {
    fc.assert(
      fc.property(cases, (c) => {
        const m = new FakeMachine();
        prepare(c, m);
        const memory = m.ram.slice(DATA, DATA + WINDOW);
        const expected = reference(c, memory, 0x0101010101010101n);
        for (const page of [0, 0x1000, 0x2000]) m.map(DATA + page, { absent: true });
        m.gate(14, { ist: 1 });
        for (let faults = 0; m.go().reason === "hlt" && m.vcpu.counts.faults > faults; faults++) {
          const f = frame(m, true);
          expect(f.ip).toBe(CODE);
          const page = m.vcpu.cr2Lo & ~0xfff;
          expect(page >= DATA && page < DATA + WINDOW).toBe(true);
          m.map(page, {});
          // Back to the instruction, as IRETQ would.
          m.vcpu.activity = "active";
          m.vcpu.rflags = f.flags & ~S.RF;
          m.vcpu.setRip(CODE, 0);
          setReg(m.vcpu, 4, f.sp);
        }
        expect(reg(m.vcpu, RCX)).toBe(BigInt(expected.count));
        expect(reg(m.vcpu, RSI)).toBe(BigInt(DATA + expected.from));
        expect(reg(m.vcpu, RDI)).toBe(BigInt(DATA + expected.to));
        expect(reg(m.vcpu, RAX)).toBe(expected.rax);
        expect(Buffer.compare(m.ram.subarray(DATA, DATA + WINDOW), memory)).toBe(0);
      }),
      { numRuns: 150 },
    );
  });

  test("a count of zero does nothing, not even touch an absent page, and leaves the flags", () => {
    for (const name of Object.keys(OPCODE) as (keyof typeof OPCODE)[]) {
      const m = new FakeMachine();
      m.write(CODE, [...encode(name, 4, 0xf3), 0xf4]);
      setReg(m.vcpu, RSI, 0x7fff0000);
      setReg(m.vcpu, RDI, 0x7fff0000);
      m.vcpu.rflags = 2 | S.ZF | S.CF;
      m.go();
      expect(m.vcpu.counts.faults).toBe(0);
      expect([reg(m.vcpu, RSI), reg(m.vcpu, RDI), m.vcpu.rflags]).toEqual([0x7fff0000n, 0x7fff0000n, 2 | S.ZF | S.CF]);
    }
  });

  test("each chunk, which ends where a page does, retires as one instruction", () => {
    const m = new FakeMachine();
    m.assemble(CODE, (a) => a.rep().stosb().hlt());
    setReg(m.vcpu, RDI, DATA + 0xffe);
    setReg(m.vcpu, RCX, 2 + 4096 + 10);
    m.go();
    expect(m.vcpu.retired).toBe(3 + 1);
  });

  test("an interrupt between two chunks finds the registers at the next element, and RIP at the instruction", () => {
    const m = new FakeMachine();
    m.assemble(CODE, (a) => a.rep().stosb().hlt());
    setReg(m.vcpu, RDI, DATA + 0xf00);
    setReg(m.vcpu, RCX, 0x1800);
    m.vcpu.rflags = 2 | S.IF;
    m.vcpu.run(1);
    m.interrupt(0x40);
    m.go();
    expect(frame(m, false)).toMatchObject({ ip: CODE });
    expect([reg(m.vcpu, RDI), reg(m.vcpu, RCX)]).toEqual([BigInt(DATA + 0x1000), 0x1700n]);
  });

  test("with TF every element traps", () => {
    const m = new FakeMachine();
    m.assemble(CODE, (a) => a.rep().stosb());
    setReg(m.vcpu, RDI, DATA);
    setReg(m.vcpu, RCX, 5);
    m.vcpu.rflags = 2 | S.TF;
    m.go();
    expect(frame(m, false)).toMatchObject({ ip: CODE });
    expect(reg(m.vcpu, RCX)).toBe(4n);
  });

  test("a 32-bit address size uses ECX, ESI and EDI and clears their upper halves", () => {
    const m = new FakeMachine();
    m.assemble(CODE, (a) => a.emit([0x67, 0xf3, 0xa4]).hlt());
    m.ram.set([1, 2, 3], DATA);
    setReg(m.vcpu, RCX, 0x500000003n);
    setReg(m.vcpu, RSI, 0x600000000n + BigInt(DATA));
    setReg(m.vcpu, RDI, 0x700000000n + BigInt(DATA + 0x10));
    m.go();
    expect([reg(m.vcpu, RCX), reg(m.vcpu, RSI), reg(m.vcpu, RDI)]).toEqual([0n, BigInt(DATA + 3), BigInt(DATA + 0x13)]);
    expect(m.q(DATA + 0x10)).toBe(0x030201n);
  });
});
