import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { AluOp, JmpOp } from "../../src/isa/opcodes.js";
import { ALL, eq, ONE, shrU, sub } from "../../src/verifier/int64.js";
import { Draft, isConst, type Scalar } from "../../src/verifier/scalar.js";
import { input, program } from "./generate.js";

/** Faults planted in transfer functions are found by generated programs: the check of soundness has teeth. */

interface Fault {
  readonly where: "alu" | "branch" | "extend";
  /** The operation, or the comparison. */
  readonly op?: number;
}

const planted: { fault: Fault | undefined } = { fault: undefined };

/** Claims one number less than there is, the greatest; of what nothing is known of, the greater half less. */
const short = (s: Scalar): Scalar => {
  if (isConst(s) || s.umin === s.umax) return s;
  const to = Draft.of(s);
  to.umax = eq(s.umax, ALL) ? shrU(s.umax, 1) : sub(s.umax, ONE);
  return to.settle();
};

const faultyAlu = (real: typeof import("../../src/verifier/scalar-alu.js")) => {
  const wrong = (s: Scalar): Scalar => (planted.fault?.where === "extend" ? short(s) : s);
  return {
    ...real,
    alu: (op: number, a: Scalar, b: Scalar, bits: 32 | 64) => {
      const result = real.alu(op, a, b, bits);
      return planted.fault?.where === "alu" && planted.fault.op === op ? short(result) : result;
    },
    signExtend: (a: Scalar, bits: 8 | 16 | 32, width: 32 | 64) => wrong(real.signExtend(a, bits, width)),
    zeroExtend: (a: Scalar, bytes: number) => wrong(real.zeroExtend(a, bytes)),
    zeroExtend32: (a: Scalar) => wrong(real.zeroExtend32(a)),
  };
};

const faultyBranch = (real: typeof import("../../src/verifier/scalar-branch.js")) => {
  return {
    ...real,
    refine: (op: number, taken: boolean, a: Scalar, b: Scalar, is32: boolean) => {
      const after = real.refine(op, taken, a, b, is32);
      const isWrong = planted.fault?.where === "branch" && planted.fault.op === op;
      return isWrong && after !== undefined ? { a: short(after.a), b: after.b } : after;
    },
  };
};

/** The check, over modules of its own in which faults can be planted: those of other test files stay as they are. */
let contained: typeof import("./contained.js");
const ALU = "../../src/verifier/scalar-alu.js";
const BRANCH = "../../src/verifier/scalar-branch.js";

beforeAll(async () => {
  vi.resetModules();
  vi.doMock(ALU, async (original) => faultyAlu(await original<typeof import("../../src/verifier/scalar-alu.js")>()));
  vi.doMock(BRANCH, async (original) =>
    faultyBranch(await original<typeof import("../../src/verifier/scalar-branch.js")>()),
  );
  contained = await import("./contained.js");
});

afterAll(() => {
  vi.doUnmock(ALU);
  vi.doUnmock(BRANCH);
  vi.resetModules();
});

/** Most programs that are tried for one fault. */
const TRIES = 600;

const isFound = (fault: Fault): boolean => {
  planted.fault = fault;
  try {
    const details = fc.check(
      fc.property(program, fc.array(input, { minLength: 6, maxLength: 6 }), (insns, inputs) => {
        const claims = contained.collectClaims(insns, true);
        if (claims?.verdict.accepted === true) for (const each of inputs) contained.runWithin(insns, claims, each);
      }),
      { numRuns: TRIES, seed: 1, endOnFailure: true },
    );
    return details.failed;
  } finally {
    planted.fault = undefined;
  }
};

describe("a fault is found", () => {
  const ops = Object.entries(AluOp).filter(([name]) => !["Neg", "End", "Mov"].includes(name));
  for (const [name, op] of ops)
    test(`in ${name}`, { timeout: 60_000 }, () => expect(isFound({ where: "alu", op })).toBe(true));
  const comparisons = Object.entries(JmpOp).filter(([name]) => !["Ja", "Call", "Exit", "Jcond"].includes(name));
  for (const [name, op] of comparisons)
    test(`in what ${name} teaches`, { timeout: 60_000 }, () => expect(isFound({ where: "branch", op })).toBe(true));
  test("in extensions", { timeout: 60_000 }, () => expect(isFound({ where: "extend" })).toBe(true));
});
