import { describe, expect, test } from "vitest";
import type { Insn } from "../../src/isa/insn.js";
import { kcall, refusal, tc } from "./kfunc-kernel.js";
import { add, addi, call, exit, ja, jeqi, jnei, mov, movi, Size, sti } from "./small-kernel.js";

/** What is known of states in loops, when: a path is covered by one whose needs are known, or in full. */

const PRANDOM = 7;
const at = (off: number): Insn[] => [mov(1, 10), addi(1, off)];
const make = (off: number): Insn[] => [...at(off), movi(2, 0), movi(3, 10), kcall("bpf_iter_num_new")];
const next = (off: number): Insn[] => [...at(off), kcall("bpf_iter_num_next")];
const destroy = (off: number): Insn[] => [...at(off), kcall("bpf_iter_num_destroy")];

/** A jump to a label: always, or where a register is or is not a number. */
type Jump = readonly [to: string, of?: number, is?: "==" | "!=", value?: number];
type Piece = Insn | string | { readonly jump: Jump };
const jump = (...args: Jump): Piece => ({ jump: args });

/** Puts pieces one behind the other: texts are labels of what comes next. */
const assemble = (...pieces: readonly Piece[]): Insn[] => {
  const labels = new Map<string, number>();
  const code: Exclude<Piece, string>[] = [];
  for (const piece of pieces) typeof piece === "string" ? labels.set(piece, code.length) : code.push(piece);
  return code.map((piece, k) => {
    if (!("jump" in piece)) return piece;
    const [to, of, is, value = 0] = piece.jump;
    const distance = (labels.get(to) as number) - k - 1;
    if (of === undefined) return ja(distance);
    return is === "==" ? jeqi(of, value, distance) : jnei(of, value, distance);
  });
};

/** Where the program may write: 16 bytes below the frame pointer; and where it may not. */
const [INSIDE, OUTSIDE] = [-16, -1024];
const write = [mov(1, 10), add(1, 7), sti(Size.Dw, 1, 0, 0)];

/** So many that a state is kept behind them. */
const steps = Array.from({ length: 8 }, () => movi(8, 0));

/** Where the number is forgotten from round to round, it may be any. */
const REFUSED =
  /^EACCES: invalid write to stack|^EINVAL: math between fp pointer and register with unbounded min value/;

/** All orders in which paths can be followed. */
const ORDERS = [false, true].flatMap((jumpFirst) =>
  (["==", "!="] as const).flatMap((first) => (["==", "!="] as const).map((second) => ({ jumpFirst, first, second }))),
);

describe("a loop that is closed", () => {
  test.each(ORDERS)("needs what its rounds hand on: $first $second, jumps first: $jumpFirst", (order) => {
    const program = (offset: number) =>
      assemble(
        ...[
          call(PRANDOM),
          movi(7, INSIDE),
          movi(6, order.first === "==" ? offset : INSIDE),
          jump("start", 0, order.first),
        ],
        movi(6, order.first === "==" ? INSIDE : offset),
        ...[
          "start",
          ...make(-8),
          "head",
          ...next(-8),
          jump("end", 0, "=="),
          call(PRANDOM),
          jump("other", 0, order.second),
        ],
        ...(order.second === "==" ? [mov(7, 6)] : write),
        ...[jump("head"), "other", ...(order.second === "==" ? write : [mov(7, 6)]), jump("head")],
        ...["end", ...destroy(-8), movi(0, 0), exit],
      );
    const { jumpFirst } = order;
    expect(refusal(tc(program(INSIDE), { jumpFirst }))).toBe("");
    expect(refusal(tc(program(OUTSIDE), { jumpFirst }))).toMatch(REFUSED);
  });

  test.each(ORDERS)("needs it in the middle of a round: $first $second, jumps first: $jumpFirst", (order) => {
    const program = (offset: number) =>
      assemble(
        ...[...make(-8), ...make(-24), movi(7, INSIDE), call(PRANDOM)],
        ...(order.first === "=="
          ? [jump("head", 0, "=="), movi(7, offset), jump("middle")]
          : [jump("from outside", 0, "!="), jump("head"), "from outside", movi(7, offset), jump("middle")]),
        ...["head", ...next(-8), jump("end", 0, "=="), call(PRANDOM), jump("body", 0, order.second)],
        ...["middle", ...next(-24), jump("head"), "body", ...write, jump("head")],
        ...["end", ...destroy(-24), ...destroy(-8), movi(0, 0), exit],
      );
    const { jumpFirst } = order;
    expect(refusal(tc(program(INSIDE), { jumpFirst }))).toBe("");
    expect(refusal(tc(program(OUTSIDE), { jumpFirst }))).toMatch(REFUSED);
  });
});

describe("a loop that is open", () => {
  test.each(ORDERS)("may need more than is known: $first $second, jumps first: $jumpFirst", (order) => {
    const program = (offset: number) => {
      const changing = [movi(7, offset), jump("middle")];
      const writing = [...write, jump("head")];
      const [near, far] = order.first === "==" ? [changing, writing] : [writing, changing];
      return assemble(
        ...[...make(-8), movi(7, INSIDE)],
        ...["head", ...next(-8), jump("end", 0, "=="), call(PRANDOM), ...steps],
        ...(order.second === "=="
          ? [jump("near", 0, "==", 1), jump("far", 0, "==", 2)]
          : [jump("far", 0, "==", 2), jump("near", 0, "==", 1)]),
        ...["middle", ...steps, jump("head"), "near", ...near, "far", ...far],
        ...["end", ...destroy(-8), movi(0, 0), exit],
      );
    };
    const { jumpFirst } = order;
    expect(refusal(tc(program(INSIDE), { jumpFirst }))).toBe("");
    expect(refusal(tc(program(OUTSIDE), { jumpFirst }))).toMatch(REFUSED);
  });
});

describe("loops in one another", () => {
  /** As many loops as there are iterators, with the same count in all of them. */
  const nested = (depth: number): Insn[] => {
    const open = (k: number): Piece[] => [
      ...make(-8 * k),
      `head ${k}`,
      ...next(-8 * k),
      jump(`end ${k}`, 0, "=="),
      ...(k === depth ? [addi(6, 1)] : open(k + 1)),
      jump(`head ${k}`),
      `end ${k}`,
      ...destroy(-8 * k),
    ];
    return assemble(movi(6, 0), ...open(1), mov(0, 6), exit);
  };

  test.each([1, 2, 3, 5, 8])(
    "%i of them are followed in steps that grow with their number, not with their rounds",
    (depth) => {
      const verdict = tc(nested(depth));
      expect(refusal(verdict)).toBe("");
      expect(verdict.stats.processed).toBeLessThan(100 * depth);
    },
  );
});
