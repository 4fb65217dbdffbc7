import { describe, expect, test } from "vitest";
import { Btf } from "../../src/btf/btf.js";
import { describeType } from "../../src/btf/describe.js";
import { findMember } from "../../src/btf/member.js";
import { alignOf, sizeOf } from "../../src/btf/size.js";
import { BtfBuilder } from "./builder.js";

const build = new BtfBuilder();
const int = build.int("int", 4, 1);
const char = build.int("char", 1, 2);
const inner = build.struct("", 8, [
  ["c", int, 0],
  ["d", int, 32, 5],
]);
const outer = build.struct("outer", 24, [
  ["a", char, 0],
  ["", inner, 64],
  ["tail", build.array(build.typedef("number", build.const(int)), int, 2), 128],
]);
const packed = build.struct("packed", 5, [
  ["a", char, 0],
  ["b", int, 8],
]);
const empty = build.struct("empty", 0, []);
const fwd = build.fwd("nowhere");
const pointer = build.ptr(build.const(outer));
const big = build.array(build.array(char, int, 0xffffffff), int, 2);
const callback = build.ptr(
  build.proto(int, [
    ["", build.ptr(0)],
    ["n", int],
    ["", 0],
  ]),
);
const tagged = build.ptr(build.typeTag("rcu", outer));
const constant = build.const(build.ptr(char));
const table = build.ptr(build.array(char, int, 16));
const anonymous = build.union("", 4, [["x", int, 0]]);
const func = build.func("f", build.proto(0));
const btf = new Btf(build.build());

describe("bytes of types", () => {
  test.each([
    ["int", int, 4],
    ["outer", outer, 24],
    ["a pointer", pointer, 8],
    ["an empty structure", empty, 0],
  ])("%s", (_, id, size) => {
    expect(sizeOf(btf, id)).toBe(size);
  });

  test.each([
    ["void", 0, "EINVAL: type 0 is a VOID, which has no size"],
    ["a forward declaration", fwd, `EINVAL: type ${fwd} is a FWD, which has no size`],
    ["4 GB", big, `E2BIG: type ${big} has more than 4 GB`],
  ])("%s has none", (_, id, message) => {
    expect(() => sizeOf(btf, id)).toThrow(message);
  });

  test.each([
    ["int", int, 4],
    ["a structure: that of its largest member", outer, 4],
    ["a packed structure", packed, 1],
    ["a pointer", pointer, 8],
  ])("alignment of %s", (_, id, bytes) => {
    expect(alignOf(btf, id)).toBe(bytes);
  });
});

describe("members", () => {
  test.each([
    ["a", { bitOffset: 0, bitSize: 0, type: char }],
    ["c", { bitOffset: 64, bitSize: 0, type: int }],
    ["d", { bitOffset: 96, bitSize: 5, type: int }],
  ])("%s, also in a structure without a name", (path, member) => {
    expect(findMember(btf, outer, path)).toEqual(member);
  });

  test("there is null for what is not there", () => {
    expect(findMember(btf, outer, "x")).toBeNull();
    expect(findMember(btf, outer, "a.x")).toBeNull();
  });

  test("a structure in itself is searched once", () => {
    const loop = new BtfBuilder();
    loop.struct("s", 4, [["", 1, 0]]);
    expect(findMember(new Btf(loop.build()), 1, "x")).toBeNull();
  });
});

describe("types are told as C would write them", () => {
  test.each([
    [0, "void"],
    [pointer, "const struct outer *"],
    [callback, "int (*)(void *, int n, ...)"],
    [tagged, '__attribute__((btf_type_tag("rcu"))) struct outer *'],
    [constant, "char * const"],
    [table, "char (*)[16]"],
    [anonymous, "union (anonymous)"],
    [fwd, "struct nowhere"],
    [func, "void f(void)"],
    [999, "type 999"],
  ])("%i is %s", (id, text) => {
    expect(describeType(btf, id)).toBe(text);
  });

  test("with the name of something", () => {
    expect(describeType(btf, callback, "f")).toBe("int (*f)(void *, int n, ...)");
    expect(describeType(btf, table, "t")).toBe("char (*t)[16]");
  });

  test("a type without end is cut", () => {
    const loop = new BtfBuilder();
    loop.ptr(1);
    expect(describeType(new Btf(loop.build()), 1)).toMatch(/^\.\.\. \*+$/);
  });
});
