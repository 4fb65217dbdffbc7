import { describe, expect, test } from "vitest";
import { checkBtf } from "../../src/btf/check.js";
import { BtfKind } from "../../src/btf/kinds.js";
import { BtfBuilder } from "./builder.js";

/** What the kernel says of type information that starts with int [1] and char [2]. */
function verdict(build: (btf: BtfBuilder) => unknown): string {
  const btf = new BtfBuilder();
  btf.int("int", 4, 1);
  btf.int("char", 1, 2);
  build(btf);
  try {
    return `${checkBtf(btf.build()).count - 3} more`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

describe("what BPF_BTF_LOAD accepts", () => {
  test.each<[string, (btf: BtfBuilder) => unknown]>([
    ["a structure that points to itself", (btf) => [btf.struct("s", 8, [["next", 4, 0]]), btf.ptr(3)]],
    ["const void", (btf) => btf.const(0)],
    ["a pointer to a function", (btf) => btf.ptr(btf.proto(0, [["", 1]]))],
    [
      "an array without elements at the end",
      (btf) =>
        btf.struct("s", 4, [
          ["a", 1, 0],
          ["b", btf.array(1, 1, 0), 32],
        ]),
    ],
    ["a bit field", (btf) => btf.struct("s", 4, [["a", 1, 3, 7]])],
    ["a section of variables", (btf) => btf.datasec(".data", 4, [[btf.var("v", 1), 0, 4]])],
    ["tags before qualifiers", (btf) => btf.ptr(btf.typeTag("rcu", btf.const(1)))],
    ["a tag of a member", (btf) => btf.declTag("t", btf.struct("s", 4, [["a", 1, 0]]), 0)],
    ["names with letters of Latin-1 and dots", (btf) => btf.struct("a.\u00e9_1", 0, [])],
  ])("%s", (_, build) => {
    expect(verdict(build)).toMatch(/^\d more$/);
  });
});

describe("what it refuses, and how", () => {
  test.each<[string, (btf: BtfBuilder) => unknown]>([
    ["EINVAL: [3] nr_bits exceeds type_size", (btf) => btf.int("i", 4, 0, 33)],
    ["EINVAL: [3] nr_bits exceeds 128", (btf) => btf.int("i", 4, 0, 129)],
    ["ENOTSUPP: Unsupported encoding", (btf) => btf.int("i", 4, 3)],
    ["EINVAL: [3] Invalid name", (btf) => btf.struct("1", 0, [])],
    ["EINVAL: [3] Invalid name", (btf) => btf.raw(BtfKind.Ptr, "p", 0, 1)],
    ["EINVAL: [3] Invalid name", (btf) => btf.typedef("", 1)],
    ["EINVAL: [3] vlen != 0", (btf) => btf.raw(BtfKind.Ptr, "", 1, 1)],
    ["EINVAL: [3] Invalid btf_info kind_flag", (btf) => btf.raw(BtfKind.Ptr, "", 0, 1, [], true)],
    ["EINVAL: [3] Invalid btf_info:2010001", (btf) => btf.raw(BtfKind.Ptr, "", 0x10001, 1)],
    ["EINVAL: [3] Invalid kind:20", (btf) => btf.raw(20, "", 0, 1)],
    ["EINVAL: [3] Unexpected size", (btf) => btf.enum("e", [], false, 3)],
    ["EINVAL: [3] Invalid name", (btf) => btf.enum("e", [["", 1]])],
    ["EINVAL: [3] type != 0", (btf) => btf.raw(BtfKind.Fwd, "f", 0, 1)],
    ["EINVAL: [4] Invalid func linkage", (btf) => btf.func("f", btf.proto(0), 2)],
    ["EINVAL: [3] Linkage not supported", (btf) => btf.var("v", 1, 2)],
    ["EINVAL: [3] size == 0", (btf) => btf.datasec(".data", 0, [])],
    ["EINVAL: [4] Invalid offset", (btf) => btf.datasec(".data", 4, [[btf.var("v", 1), 4, 4]])],
    ["EINVAL: [4] Invalid offset+size", (btf) => btf.datasec(".data", 4, [[btf.var("v", 1), 2, 4]])],
    ["EINVAL: [4] Invalid size", (btf) => btf.datasec(".data", 4, [[btf.var("v", 1), 0, 2]])],
    ["EINVAL: [3] Not a VAR kind member", (btf) => btf.datasec(".data", 4, [[1, 0, 4]])],
    ["EINVAL: [3] Invalid type_size", (btf) => btf.float("f", 3)],
    ["EINVAL: [3] Invalid value", (btf) => btf.declTag("", 1)],
    ["EINVAL: [4] Invalid component_idx", (btf) => btf.declTag("t", btf.struct("s", 4, [["a", 1, 0]]), 1)],
    ["EINVAL: [3] Invalid type_id", (btf) => btf.declTag("t", 1)],
    ["EINVAL: [3] Invalid elem", (btf) => btf.array(0, 1, 1)],
    ["EINVAL: [4] Invalid index", (btf) => btf.array(1, btf.ptr(1), 1)],
    ["EINVAL: [3] Array size overflows U32_MAX", (btf) => btf.array(1, 1, 0x40000000)],
    ["EINVAL: [3] Member exceeds struct_size", (btf) => btf.struct("s", 3, [["a", 1, 0]])],
    ["EINVAL: [3] Member bits_offset exceeds its struct size", (btf) => btf.struct("s", 3, [["a", 1, 32]])],
    [
      "EINVAL: [3] Invalid member bits_offset",
      (btf) =>
        btf.struct("s", 8, [
          ["a", 1, 32],
          ["b", 1, 0],
        ]),
    ],
    ["EINVAL: [3] Invalid member bits_offset", (btf) => btf.union("u", 8, [["a", 1, 32]])],
    ["EINVAL: [4] Member is not byte aligned", (btf) => btf.struct("s", 16, [["a", btf.ptr(1), 1]])],
    ["EINVAL: [3] Invalid member bitfield_size", (btf) => btf.struct("s", 8, [["a", 1, 0, 33]])],
    ["EINVAL: [4] Invalid member bitfield_size", (btf) => btf.struct("s", 8, [["a", btf.ptr(1), 0, 3]])],
    ["EINVAL: [4] Member is not properly aligned", (btf) => btf.struct("s", 16, [["a", btf.float("f", 8), 32]])],
    ["EINVAL: [4] Invalid member", (btf) => btf.struct("s", 8, [["a", btf.fwd("f"), 0]])],
    ["EINVAL: [3] Invalid type_id", (btf) => btf.ptr(99)],
    ["EINVAL: [3] Invalid return type", (btf) => btf.proto(99)],
    [
      "EINVAL: [3] Invalid arg#1",
      (btf) =>
        btf.proto(0, [
          ["a", 0],
          ["b", 1],
        ]),
    ],
    ["EINVAL: [4] Invalid arg#1", (btf) => btf.func("f", btf.proto(0, [["", 1]]))],
    ["EEXIST: [3] Loop detected", (btf) => btf.ptr(3)],
    ["EEXIST: [3] Loop detected", (btf) => btf.struct("s", 8, [["a", 3, 0]])],
    ["EEXIST: [3] Loop detected", (btf) => [btf.typedef("a", 4), btf.typedef("b", 3)]],
    [
      "E2BIG: [35] Exceeded max resolving depth:32",
      (btf) => {
        for (let k = 0; k < 40; k++) btf.const(4 + k);
        btf.int("long", 8);
      },
    ],
    ["EINVAL: [5] Type tags don't precede modifiers", (btf) => btf.const(btf.typeTag("t", btf.const(1)))],
  ])("%s", (message, build) => {
    expect(verdict(build)).toBe(message);
  });

  test.each([
    ["EINVAL: hdr_len not found", (bytes: Uint8Array) => bytes.subarray(0, 7)],
    ["EINVAL: btf_header not found", (bytes: Uint8Array) => bytes.with(4, 200)],
    ["EINVAL: Invalid magic", (bytes: Uint8Array) => bytes.with(0, 0)],
    ["ENOTSUPP: Unsupported version", (bytes: Uint8Array) => bytes.with(2, 2)],
    ["ENOTSUPP: Unsupported flags", (bytes: Uint8Array) => bytes.with(3, 2)],
    ["E2BIG: Unsupported btf_header", (bytes: Uint8Array) => bytes.with(4, 28)],
    ["EINVAL: Section overlap found", (bytes: Uint8Array) => bytes.with(16, 4)],
    ["EINVAL: Unsupported section found", (bytes: Uint8Array) => bytes.with(20, 1)],
    ["EINVAL: Invalid string section", (bytes: Uint8Array) => bytes.with(bytes.length - 1, 1)],
  ])("%s", (message, change) => {
    const btf = new BtfBuilder();
    btf.int("int", 4);
    expect(() => checkBtf(change(btf.build()))).toThrow(message);
  });
});
