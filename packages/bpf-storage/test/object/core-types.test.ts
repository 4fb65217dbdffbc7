import { describe, expect, test } from "vitest";
import { CoreKind } from "../../src/object/core/kinds.js";
import type { BtfBuilder } from "../btf/builder.js";
import { type Case, int, outcome, relocate } from "./core-case.js";
import { insn } from "./object-builder.js";

describe("types", () => {
  const local = (btf: BtfBuilder): number => btf.struct("s", 4, [["x", int(btf), 0]]);
  const kernel = (btf: BtfBuilder): number =>
    btf.struct("s", 12, [
      ["x", int(btf), 0],
      ["y", 1, 32],
    ]);
  const nothing = (): void => undefined;
  test.each<[string, number, number, Case["kernel"], string]>([
    ["number in the object", CoreKind.TypeIdLocal, 77, nothing, "2"],
    ["number in the kernel", CoreKind.TypeIdTarget, 77, kernel, "3"],
    ["number in a kernel that has none", CoreKind.TypeIdTarget, 77, nothing, "0"],
    ["existence", CoreKind.TypeExists, 1, kernel, "1"],
    ["existence in a kernel that has none", CoreKind.TypeExists, 1, nothing, "0"],
    ["size", CoreKind.TypeSize, 4, kernel, "12"],
    ["size in a kernel that has none", CoreKind.TypeSize, 4, nothing, "0"],
    ["match of one with more members", CoreKind.TypeMatches, 1, kernel, "1"],
    [
      "match of one with another member",
      CoreKind.TypeMatches,
      1,
      (btf) => btf.struct("s", 4, [["x", btf.int("u32", 4), 0]]),
      "0",
    ],
    [
      "match of one without the member",
      CoreKind.TypeMatches,
      1,
      (btf) => btf.struct("s", 4, [["y", int(btf), 0]]),
      "0",
    ],
  ])("%s", (_, kind, before, target, after) => {
    expect(outcome({ kind, insns: [insn.mov(1, before)], local, kernel: target })).toBe(after);
  });
});

describe("types match", () => {
  type Make = (btf: BtfBuilder) => number;
  const typedef =
    (make: Make): Make =>
    (btf) =>
      btf.typedef("t", make(btf));
  const matches = (local: Make, kernel: Make): boolean =>
    outcome({ kind: CoreKind.TypeMatches, insns: [insn.mov(1, 1)], local: typedef(local), kernel: typedef(kernel) }) ===
    "1";
  const s: Make = (btf) => btf.struct("s", 4, [["x", int(btf), 0]]);
  const empty: Make = (btf) => btf.struct("s", 0, []);
  const fwd: Make = (btf) => btf.fwd("s");
  const pointer =
    (make: Make): Make =>
    (btf) =>
      btf.ptr(make(btf));
  const array =
    (count: number): Make =>
    (btf) =>
      btf.array(int(btf), 1, count);
  const takes =
    (...params: Make[]): Make =>
    (btf) =>
      btf.ptr(
        btf.proto(
          0,
          params.map((make) => ["p", make(btf)] as const),
        ),
      );
  const small: Make = (btf) => btf.enum("e___v1", [["A___v1", 1]]);
  const large: Make = (btf) =>
    btf.enum("e", [
      ["B", 1],
      ["A", 2],
    ]);
  test.each<[string, Make, Make, boolean]>([
    ["behind a pointer, whatever their members", pointer(s), pointer(empty), true],
    ["but not themselves", s, empty, false],
    ["declared ones behind a pointer", pointer(fwd), pointer(s), true],
    ["and the other way round", pointer(s), pointer(fwd), true],
    ["declared ones alone only declared ones", fwd, s, false],
    ["arrays of the same length", array(3), array(3), true],
    ["not of another", array(3), array(4), false],
    ["functions of the same parameters", takes(s, int), takes(s, int), true],
    ["not of others", takes(s), takes(int), false],
    ["not of more", takes(s), takes(s, s), false],
    ["enumerations with all the names, flavour and value aside", small, large, true],
    ["not with fewer", large, small, false],
    ["integers of the same sign", int, (btf) => btf.int("int", 4, 0), false],
  ])("%s", (_, local, kernel, expected) => {
    expect(matches(local, kernel)).toBe(expected);
  });
});

describe("enumerations", () => {
  const local = (btf: BtfBuilder): number =>
    btf.enum("e", [
      ["A", 1],
      ["B___old", 2],
    ]);
  const kernel = (btf: BtfBuilder): number =>
    btf.enum("e", [
      ["B", 7],
      ["C", 8],
    ]);
  test.each<[string, Partial<Case>, string]>([
    ["existence of a name, flavour aside", { kind: CoreKind.EnumvalExists, access: "1", insns: [insn.mov(1, 1)] }, "1"],
    [
      "existence of a name that is not there",
      { kind: CoreKind.EnumvalExists, access: "0", insns: [insn.mov(1, 1)] },
      "0",
    ],
    ["value of a name, flavour aside", { kind: CoreKind.EnumvalValue, access: "1", insns: insn.wide(1, 2) }, "7"],
    [
      "value of a name that is not there",
      { kind: CoreKind.EnumvalValue, access: "0", insns: insn.wide(1, 1) },
      "poisoned: enumval_value of enum e::A: the kernel has no such type or value",
    ],
    [
      "value of 64 bits",
      {
        ...{ kind: CoreKind.EnumvalValue, access: "1", insns: insn.wide(1, 2) },
        kernel: (btf: BtfBuilder) => btf.enum64("e", [["B", 0x1234_5678_9abcn]]),
      },
      `${0x1234_5678_9abcn}`,
    ],
    [
      "value of an enumeration without sign",
      {
        ...{ kind: CoreKind.EnumvalValue, access: "0", insns: insn.wide(1, -16) },
        local: (btf: BtfBuilder) => btf.enum("e", [["B", -16]]),
        kernel: (btf: BtfBuilder) => btf.enum("e", [["B", -2]]),
      },
      "4294967294",
    ],
    [
      "value of an enumeration with sign",
      {
        ...{ kind: CoreKind.EnumvalValue, access: "0", insns: insn.wide(1, -16, -1) },
        local: (btf: BtfBuilder) => btf.enum("e", [["B", -16]], true),
        kernel: (btf: BtfBuilder) => btf.enum("e", [["B", -2]], true),
      },
      "-2",
    ],
    [
      "a name that the object does not have",
      { kind: CoreKind.EnumvalValue, access: "2", insns: insn.wide(1, 2) },
      "core: f, instruction 0: enumval_value of enum e + 2: no such name in an enumeration",
    ],
  ])("%s", (_, one, expected) => {
    expect(outcome({ local, kernel, kind: 0, insns: [], ...one })).toBe(expected);
  });
});

test("structures that contain each other in ever more ways end in an error", () => {
  // Each has the next twice: 2 to the 30th ways.
  const nested = (btf: BtfBuilder): number => {
    let last = btf.struct("s0", 4, [["x", int(btf), 0]]);
    for (let k = 1; k < 30; k++)
      last = btf.struct(`s${k}`, 8, [
        ["a", last, 0],
        ["b", last, 32],
      ]);
    return btf.struct("s", 8, [["a", last, 0]]);
  };
  expect(outcome({ kind: CoreKind.TypeMatches, insns: [insn.mov(1, 1)], local: nested, kernel: nested })).toBe(
    "limit: f, instruction 0: types of CO-RE take too many steps to compare",
  );
});

test("a record has what libbpf's log has", () => {
  const local = (btf: BtfBuilder): number => btf.typedef("mode", btf.enum("", [["A", 3]]));
  const { records } = relocate({ kind: CoreKind.EnumvalExists, insns: [insn.mov(1, 1)], local, kernel: local });
  expect(records[0]?.text).toBe("<enumval_exists> [2] typedef mode::A = 3");
});
