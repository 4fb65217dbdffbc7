import fc from "fast-check";
import type { Insn } from "../../../src/isa/insn.js";
import { LD_IMM64 } from "../../../src/isa/opcodes.js";
import { EDGES } from "../generate.js";
import type { Case } from "./judge.js";

/** Programs that differ a little from given ones: most of what they teach is at the edge of what is allowed. */

/** Instructions of a program that is changed, at most: longer ones take a kernel long, and teach no more. */
const LONGEST = 300;
const near = fc.constantFrom(1, -1, 2, -2, 4, -4, 8, -8, 16, -16);
const register = fc.integer({ min: 0, max: 10 });

/** A change of one instruction; none where it is half of a wide one. */
const change: fc.Arbitrary<(insn: Insn) => Insn> = fc.oneof(
  fc.constantFrom(...EDGES).map((imm) => (insn: Insn) => ({ ...insn, imm })),
  near.map((by) => (insn: Insn) => ({ ...insn, imm: (insn.imm + by) | 0 })),
  near.map((by) => (insn: Insn) => ({ ...insn, off: Math.max(-0x8000, Math.min(0x7fff, insn.off + by)) })),
  fc.integer({ min: -20, max: 20 }).map((off) => (insn: Insn) => ({ ...insn, off })),
  register.map((dst) => (insn: Insn) => ({ ...insn, dst })),
  register.map((src) => (insn: Insn) => ({ ...insn, src })),
  // Another width, another source, another size or operation.
  fc.constantFrom(3, 8, 0x08, 0x10, 0x18, 0x10, 0x20, 0x40, 0x80).map((bits) => (insn: Insn) => ({
    ...insn,
    code: insn.code ^ bits,
  })),
  fc.constant((insn: Insn) => ({ code: 0xbf, dst: insn.dst % 10, src: insn.src, off: 0, imm: 0 })),
);

type Edit = (insns: Insn[], at: number) => Insn[];
const edit: fc.Arbitrary<Edit> = fc.oneof(
  {
    weight: 8,
    arbitrary: change.map(
      (make): Edit =>
        (insns, at) =>
          insns.with(at, make(insns[at] as Insn)),
    ),
  },
  { weight: 1, arbitrary: fc.constant<Edit>((insns, at) => insns.toSpliced(at, 1)) },
  { weight: 1, arbitrary: fc.constant<Edit>((insns, at) => insns.toSpliced(at, 0, insns[at] as Insn)) },
);

const apply = (insns: readonly Insn[], edits: readonly (readonly [number, Edit])[]): Insn[] =>
  edits.reduce<Insn[]>(
    (now, [where, make]) => {
      const at = where % now.length;
      const isHalf = now[at - 1]?.code === LD_IMM64 || now[at]?.code === LD_IMM64;
      return isHalf || now.length === 1 ? now : make(now, at);
    },
    [...insns],
  );

/** Mutants of `seeds`, with one or two changes each. */
export const mutants = (seeds: readonly Case[]): fc.Arbitrary<Case> =>
  fc
    .tuple(
      fc.constantFrom(...seeds.filter(({ insns }) => insns.length <= LONGEST)),
      fc.array(fc.tuple(fc.nat({ max: LONGEST }), edit), { minLength: 1, maxLength: 2 }),
    )
    .map(([seed, edits]) => ({ ...seed, name: `mutant of ${seed.name}`, insns: apply(seed.insns, edits) }));
