import { describe, expect, test } from "vitest";
import { CoreKind } from "../../src/object/core/kinds.js";
import type { BtfBuilder } from "../btf/builder.js";
import { type Case, int, load, outcome, relocate } from "./core-case.js";
import { insn, Size } from "./object-builder.js";

describe("fields", () => {
  const local = (btf: BtfBuilder): number => {
    const type = int(btf);
    return btf.struct("task", 16, [
      ["pid", type, 0],
      ["comm", btf.array(btf.int("char", 1, 1), type, 8), 32],
      ["flags", btf.int("unsigned", 4), 96, 0],
    ]);
  };
  const moved = (btf: BtfBuilder): void => {
    const type = int(btf);
    const inner = btf.union("", 40, [["", btf.struct("", 40, [["pid", btf.typedef("pid_t", type), 256]]), 0]]);
    btf.struct("task", 64, [
      ["", inner, 64],
      ["comm", btf.array(btf.int("char", 1, 1), type, 16), 448],
    ]);
  };

  test.each<[string, Partial<Case>, string]>([
    ["byte offset", { kind: CoreKind.FieldByteOffset, access: "0:0", insns: load(Size.W, 0) }, "off 40 size 4"],
    [
      "byte offset of a store",
      { kind: CoreKind.FieldByteOffset, access: "0:0", insns: [insn.store(Size.W, 1, 0, 7)] },
      "off 40 size 4",
    ],
    ["byte offset as a number", { kind: CoreKind.FieldByteOffset, access: "0:0", insns: [insn.mov(1, 0)] }, "40"],
    ["byte offset as 64 bits", { kind: CoreKind.FieldByteOffset, access: "0:0", insns: insn.wide(1) }, "40"],
    [
      "byte offset of an element",
      { kind: CoreKind.FieldByteOffset, access: "0:1:3", insns: load(Size.B, 7) },
      "off 59 size 1",
    ],
    [
      "byte offset in the second of an array",
      { kind: CoreKind.FieldByteOffset, access: "1:0", insns: load(Size.W, 16) },
      "off 104 size 4",
    ],
    ["byte size", { kind: CoreKind.FieldByteSize, access: "0:1", insns: [insn.mov(1, 8)] }, "16"],
    ["byte size of an element", { kind: CoreKind.FieldByteSize, access: "0:1:0", insns: [insn.mov(1, 1)] }, "1"],
    ["existence", { kind: CoreKind.FieldExists, access: "0:0", insns: [insn.mov(1, 1)] }, "1"],
    ["existence of what is not there", { kind: CoreKind.FieldExists, access: "0:2", insns: [insn.mov(1, 1)] }, "0"],
    ["signedness", { kind: CoreKind.FieldSigned, access: "0:0", insns: [insn.mov(1, 1)] }, "1"],
    ["left shift", { kind: CoreKind.FieldLshiftU64, access: "0:0", insns: [insn.mov(1, 32)] }, "32"],
    ["right shift", { kind: CoreKind.FieldRshiftU64, access: "0:0", insns: [insn.mov(1, 32)] }, "32"],
    [
      "byte offset of what is not there",
      { kind: CoreKind.FieldByteOffset, access: "0:2", insns: load(Size.W, 12) },
      "poisoned: byte_off of struct task.flags: the kernel has no such field",
    ],
    [
      "both halves of 64 bits of what is not there",
      { kind: CoreKind.FieldByteOffset, access: "0:2", insns: insn.wide(1, 12) },
      "poisoned: byte_off of struct task.flags: the kernel has no such field",
    ],
    [
      "another value than the types say",
      { kind: CoreKind.FieldByteOffset, access: "0:0", insns: load(Size.W, 4) },
      "core: f, instruction 0: opcode 0x61 has 4: expected 0, as the object's types say",
    ],
    [
      "an instruction that has no such value",
      { kind: CoreKind.FieldByteOffset, access: "0:0", insns: [insn.exit()] },
      "core: f, instruction 0: opcode 0x95, src 0, off 0 takes no value of CO-RE",
    ],
    [
      "a member that the object does not have",
      { kind: CoreKind.FieldByteOffset, access: "0:9", insns: load(Size.W, 0) },
      "core: f, instruction 0: byte_off of struct task + 0:9: struct task has 3 members",
    ],
    [
      "an element beyond the array",
      { kind: CoreKind.FieldByteOffset, access: "0:1:8", insns: load(Size.W, 0) },
      "core: f, instruction 0: byte_off of struct task + 0:1:8: an array has 8 elements",
    ],
    [
      "no numbers",
      { kind: CoreKind.FieldByteOffset, access: "0:x", insns: load(Size.W, 0) },
      "core: f, instruction 0: byte_off of struct task + 0:x: expected numbers",
    ],
    [
      "a newer kind",
      { kind: 13, insns: load(Size.W, 0) },
      "core: f, instruction 0: kind 13 of struct task + 0: this kind of relocation is newer than the loader",
    ],
  ])("%s", (_, one, expected) => {
    expect(outcome({ local, kernel: moved, kind: 0, insns: [], ...one })).toBe(expected);
  });

  test("a record says what became of the instruction", () => {
    const { records } = relocate({
      local,
      kernel: moved,
      kind: CoreKind.FieldByteOffset,
      access: "0:1:3",
      insns: load(Size.B, 7),
    });
    expect(records).toEqual([
      {
        ...{ pc: 0, kind: "byte_off", what: "struct task.comm[3]", access: "0:1:3" },
        text: "<byte_off> [5] struct task.comm[3] (0:1:3 @ offset 7)",
        target: { type: 8, what: "struct task.comm[3]" },
        result: { outcome: "patched", before: 7n, after: 59n },
      },
    ]);
  });
});

describe("fields of another size", () => {
  const of =
    (make: (btf: BtfBuilder) => number): ((btf: BtfBuilder) => number) =>
    (btf) =>
      btf.struct("s", 8, [["x", make(btf), 0]]);
  const u32 = of((btf) => btf.int("u32", 4));
  const u64 = of((btf) => btf.int("u64", 8));
  const s64 = of((btf) => btf.int("s64", 8, 1));
  const pointer = of((btf) => btf.ptr(0));
  const read = (local: Case["local"], kernel: Case["local"], size: number): string =>
    outcome({ kind: CoreKind.FieldByteOffset, access: "0:0", insns: load(size, 0), local, kernel });

  test("unsigned integers are loaded as large as they are", () => {
    expect(read(u32, u64, Size.W)).toBe("off 0 size 8");
    expect(read(u64, u32, Size.Dw)).toBe("off 0 size 4");
  });

  test("pointers are 8 bytes in all objects", () => {
    expect(read(pointer, pointer, Size.Dw)).toBe("off 0 size 8");
  });

  test("signed ones would get another value", () => {
    expect(read(u32, s64, Size.W)).toBe(
      "poisoned: the field has 8 bytes instead of 4, and neither is a pointer or unsigned integer",
    );
  });

  test("the load has to be of the size that the object's types say", () => {
    expect(read(u32, u64, Size.B)).toBe("core: f, instruction 0: a load or store of 1 bytes of a field of 4");
  });
});

describe("bit fields", () => {
  const local = (btf: BtfBuilder): number => btf.struct("s", 4, [["x", btf.int("unsigned", 4), 0, 3]]);
  const kernel = (btf: BtfBuilder): number => btf.struct("s", 8, [["x", btf.int("unsigned", 4), 27, 9]]);
  test.each([
    ["the word that has all of it", CoreKind.FieldByteOffset, 0, "0"],
    ["as large as it has to be", CoreKind.FieldByteSize, 4, "8"],
    ["shifted left to the top", CoreKind.FieldLshiftU64, 61, "28"],
    ["and right to the bottom", CoreKind.FieldRshiftU64, 61, "55"],
    ["with its sign", CoreKind.FieldSigned, 0, "0"],
  ])("%s", (_, kind, before, after) => {
    expect(outcome({ kind, access: "0:0", insns: [insn.mov(1, before)], local, kernel })).toBe(after);
  });

  test("one that no load has whole is refused", () => {
    const wide = (btf: BtfBuilder): number => btf.struct("s", 16, [["x", btf.int("long", 8), 40, 60]]);
    expect(outcome({ kind: CoreKind.FieldByteSize, access: "0:0", insns: [insn.mov(1, 4)], local, kernel: wide })).toBe(
      "core: f, instruction 0: struct s.x: a bit field that no load of 8 bytes has whole",
    );
  });
});

describe("flexible arrays", () => {
  const of =
    (count: number) =>
    (btf: BtfBuilder): number => {
      const type = int(btf);
      return btf.struct("s", 4 + 4 * count, [
        ["n", type, 0],
        ["a", btf.array(type, type, count), 32],
      ]);
    };
  const at = (index: number, local: number, kernel: number): string =>
    outcome({
      kind: CoreKind.FieldByteOffset,
      access: `0:1:${index}`,
      insns: [insn.mov(1, 4 + 4 * index)],
      local: of(local),
      kernel: of(kernel),
    });

  test("have as many elements as are asked for", () => {
    expect(at(5, 0, 0)).toBe("24");
    expect(at(5, 8, 0)).toBe("24");
  });

  test("others have what they have", () => {
    expect(at(5, 0, 3)).toBe("poisoned: byte_off of struct s.a[5]: the kernel has no such field");
  });
});
