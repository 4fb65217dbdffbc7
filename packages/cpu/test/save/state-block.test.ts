import fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as S from "../../src/state.js";
import { type FakeMachine, snapshot } from "../fake-machine.js";
import { machineFor, steps } from "../random-program.js";
import { BLOCK_FIELDS, type Meaning, NO_OFFSETS } from "./block-fields.js";
import { move } from "./move.js";

const INSTRUCTIONS = 200;

const fields = (meaning: Meaning) => BLOCK_FIELDS.filter((field) => field.meaning === meaning);
const held = (m: FakeMachine, meaning: Meaning): [string | null, string][] =>
  fields(meaning).map(({ name, at, size }) => [name, Buffer.from(m.vcpu.bytes(at, size)).toString("hex")]);

/** Calls `look` between random programs' slices of one to seven instructions. */
function between(look: (m: FakeMachine) => void): void {
  fc.assert(
    fc.property(steps, (program) => {
      const m = machineFor(program);
      for (let k = 0; m.vcpu.retired < INSTRUCTIONS; k++) {
        m.vcpu.run(1 + (k % 7));
        look(m);
      }
    }),
    { numRuns: 15 },
  );
}

describe("the state block, field by field", () => {
  test("is covered from its first byte to its last, each byte once", () => {
    let at = 0;
    for (const field of BLOCK_FIELDS) {
      expect(field.at, `before ${field.name ?? "a gap"}`).toBe(at);
      expect(field.size).toBeGreaterThan(0);
      at += field.size;
    }
    expect(at).toBe(S.STATE_SIZE);
  });

  test("has every offset of state.ts in the table", () => {
    const known = new Set<string | null>(BLOCK_FIELDS.map(({ name }) => name));
    const missing = Object.keys(S).filter((name) => !known.has(name) && !NO_OFFSETS.has(name));
    expect(missing).toEqual([]);
  });

  test("is zero between two runs where it is said to be, and where nothing is", () => {
    between((m) => {
      for (const meaning of ["zero", "unused"] as const)
        for (const [name, bytes] of held(m, meaning)) expect(bytes, name ?? "a gap").toMatch(/^0*$/);
      // Behind the ten bytes of an x87 register.
      for (let k = 0; k < 8; k++) expect([...m.vcpu.bytes(S.FPR + 16 * k + 10, 6)]).toEqual([0, 0, 0, 0, 0, 0]);
    });
  });

  test("is restored where it is derived, but for the hint that an interrupt may wait", () => {
    const other = machineFor([]);
    between((m) => {
      move(m, other);
      const hint = ([name]: readonly [string | null, string]): boolean => name !== "INTR_PENDING";
      // 64-bit code asks no segment for its bounds.
      const bounded = ([name]: readonly [string | null, string]): boolean =>
        name !== "SEG_RANGE" && name !== "CS_LIMIT";
      const wanted = held(m, "derived").filter(hint);
      const got = held(other, "derived").filter(hint);
      expect(got.filter(bounded)).toEqual(wanted.filter(bounded));
    });
  });

  test("may hold anything where it is transient", () => {
    fc.assert(
      fc.property(steps, (program) => {
        const [one, two] = [machineFor(program), machineFor(program)];
        for (let k = 0; one.vcpu.retired < INSTRUCTIONS; k++) {
          for (const { at, size } of fields("transient")) two.vcpu.bytes(at, size).fill(0x5a);
          for (const m of [one, two]) m.vcpu.run(1 + (k % 7));
        }
        expect(snapshot(two.vcpu)).toBe(snapshot(one.vcpu));
        expect(two.bus.log).toEqual(one.bus.log);
      }),
      { numRuns: 20 },
    );
  });
});
