import { describe, expect, it } from "vitest";
import { cloneInsn, DecodeStatus, decode, Insn, Kind, type Mode, SHAPES } from "../src/decode/index.js";
import { STRIDE } from "./decode-reference.js";
import { bytesOf, everyModrm, Random, uniform } from "./decode-samples.js";

const MODES: readonly Mode[] = [64, 32, 16];

/** What lowering and regions work out once for a shape, they work out of this. */
function common({ op, cc, mode, opSize, addrSize, nops, operands }: Insn): string {
  const kinds = operands
    .slice(0, nops)
    .map(({ kind, size }) => `${Kind[kind === Kind.Gpr8High ? Kind.Gpr : kind]}:${size}`);
  return [op, cc, mode === 64, opSize, addrSize, ...kinds].join();
}

describe("instructions of one shape", () => {
  it("have all but register numbers, address and immediates in common", () => {
    const seen = new Map<number, string>();
    const different: string[] = [];
    const insn = new Insn();
    let decoded = 0;
    for (const mode of MODES) {
      for (const bytes of [everyModrm(STRIDE, new Random(mode)), uniform(50_000, STRIDE, new Random(mode + 1))]) {
        for (let at = 0; at < bytes.length; at += STRIDE) {
          if (decode(bytes, at, at + STRIDE, mode, insn) !== DecodeStatus.Ok) continue;
          decoded++;
          const facts = common(insn);
          const first = seen.get(insn.shape);
          if (first === undefined) seen.set(insn.shape, facts);
          else if (first !== facts) different.push(`${insn.shape}: ${first} and ${facts}`);
        }
      }
    }
    expect(different.slice(0, 10)).toEqual([]);
    expect(Math.max(...seen.keys())).toBeLessThan(SHAPES);
    // Most were met more than once.
    expect(decoded).toBeGreaterThan(20 * seen.size);
    expect(seen.size).toBeGreaterThan(2000);
  });
});

describe("a copied instruction", () => {
  it("is equal, and stays when the original is reused", () => {
    const insn = new Insn();
    const load = (hex: string): void => {
      const bytes = bytesOf(hex);
      expect(decode(bytes, 0, bytes.length, 64, insn)).toBe(DecodeStatus.Ok);
    };
    // lock add fs:[r13+rbx*4+0x12345678], 0x11223344; enter 0x1234, 5 has a second immediate.
    for (const hex of ["64f04181849d7856341244332211", "c8341205", "f3a4"]) {
      load(hex);
      const copy = cloneInsn(insn);
      expect(copy).toEqual(insn);
      const before = JSON.stringify(copy);
      load("480fafc1");
      expect(JSON.stringify(copy)).toBe(before);
      expect(copy).not.toEqual(insn);
    }
  });
});
