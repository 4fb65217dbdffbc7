import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Btf } from "../../src/btf/btf.js";
import { BtfKind } from "../../src/btf/kinds.js";
import { essentialName } from "../../src/btf/names.js";
import { BtfBuilder } from "./builder.js";

const VMLINUX = "/sys/kernel/btf/vmlinux";

describe("types are what the bytes say", () => {
  const build = new BtfBuilder();
  const int = build.int("int", 4, 1);
  const ids = {
    int,
    ptr: build.ptr(int),
    array: build.array(int, int, 3),
    struct: build.struct("s", 8, [
      ["a", int, 0, 3],
      ["b", int, 32, 0],
    ]),
    union: build.union("u", 4, [["", int, 0]]),
    enum: build.enum("e", [["A", -1]], true),
    unsigned: build.enum("f", [["B", -1]]),
    fwd: build.fwd("later", true),
    typedef: build.typedef("t", int),
    func: build.func("f", build.proto(0, [["x", int]]), 0),
    var: build.var("v", int, 2),
    datasec: build.datasec(".data", 4, [[11, 0, 4]]),
    float: build.float("double", 8),
    declTag: build.declTag("tag", 4, 1),
    typeTag: build.typeTag("rcu", int),
    enum64: build.enum64("g", [["C", -2n]], true),
  };
  const btf = new Btf(build.build());
  test.each([
    ["int", { kind: BtfKind.Int, name: "int", size: 4, bits: 32, bitOffset: 0, encoding: 1 }],
    ["ptr", { kind: BtfKind.Ptr, type: int }],
    ["array", { kind: BtfKind.Array, type: int, indexType: int, count: 3 }],
    ["union", { kind: BtfKind.Union, size: 4, members: [{ name: "", type: int, bitOffset: 0, bitSize: 0 }] }],
    ["enum", { kind: BtfKind.Enum, signed: true, values: [{ name: "A", value: -1n }] }],
    ["unsigned", { kind: BtfKind.Enum, signed: false, values: [{ name: "B", value: 0xffffffffn }] }],
    ["fwd", { kind: BtfKind.Fwd, name: "later", union: true }],
    ["typedef", { kind: BtfKind.Typedef, name: "t", type: int }],
    ["func", { kind: BtfKind.Func, name: "f", linkage: 0 }],
    ["var", { kind: BtfKind.Var, name: "v", type: int, linkage: 2 }],
    ["datasec", { kind: BtfKind.Datasec, name: ".data", variables: [{ type: 11, offset: 0, size: 4 }] }],
    ["float", { kind: BtfKind.Float, size: 8 }],
    ["declTag", { kind: BtfKind.DeclTag, name: "tag", type: 4, component: 1 }],
    ["typeTag", { kind: BtfKind.TypeTag, name: "rcu", type: int }],
    ["enum64", { kind: BtfKind.Enum64, size: 8, values: [{ name: "C", value: -2n }] }],
  ] as const)("%s", (name, expected) => {
    expect(btf.type(ids[name])).toMatchObject(expected);
  });

  test("a member of a structure with bit fields has its bits apart from its offset", () => {
    expect(btf.type(ids.struct)).toMatchObject({
      members: [
        { name: "a", bitOffset: 0, bitSize: 3 },
        { name: "b", bitOffset: 32, bitSize: 0 },
      ],
    });
  });

  test("0 is void, and numbers beyond the last are no types", () => {
    expect(btf.type(0)).toEqual({ id: 0, kind: BtfKind.Void, name: "" });
    expect(() => btf.type(btf.count)).toThrow(`EINVAL: Invalid type_id ${btf.count}: there are ${btf.count}`);
  });
});

describe("kinds that are newer", () => {
  const build = new BtfBuilder();
  build.raw(20, "newer", 2, 7, [1, 2, 3]);
  const int = build.int("int", 4);

  test("are passed over if the bytes tell their size", () => {
    const btf = new Btf(build.build([[4, 4]]));
    expect(btf.type(1)).toEqual({ id: 1, kind: -1, number: 20, name: "newer", sizeOrType: 7 });
    expect(btf.find("int", BtfKind.Int)).toBe(int);
  });

  test("are refused if they do not", () => {
    expect(() => new Btf(build.build())).toThrow("EINVAL: Invalid kind:20 of type 1, whose size is not known");
  });
});

describe("names", () => {
  test.each([
    ["task_struct", "task_struct"],
    ["task_struct___old", "task_struct"],
    ["a___b___c", "a___b"],
    ["a____b", "a____b"],
    ["___a", "___a"],
    ["a___", "a___"],
  ])("%s without flavour is %s", (name, essential) => {
    expect(essentialName(name)).toBe(essential);
  });

  test("types are found by name and kind, and by their name without flavour", () => {
    const build = new BtfBuilder();
    const struct = build.struct("x", 0, []);
    const typedef = build.typedef("x", struct);
    const old = build.struct("x___old", 0, []);
    build.struct("x____other", 0, []);
    const btf = new Btf(build.build());
    expect(btf.find("x")).toBe(struct);
    expect(btf.find("x", BtfKind.Typedef)).toBe(typedef);
    expect(btf.all("x")).toEqual([struct, typedef]);
    expect(btf.flavours("x")).toEqual([struct, typedef, old]);
    expect(btf.find("y")).toBeNull();
  });
});

test("split type information goes on where its base ends", () => {
  const build = new BtfBuilder();
  const int = build.int("int", 4);
  const base = new Btf(build.build());
  const more = new BtfBuilder(base.count, base.stringBytes);
  const pointer = more.ptr(int);
  const own = more.typedef("number", int);
  const shared = more.raw(BtfKind.Typedef, "", 0, int);
  // Names may be the base's.
  const bytes = more.build();
  new DataView(bytes.buffer).setUint32(24 + 24, build.string("int"), true);
  const btf = new Btf(bytes, base);
  expect(btf.all("int")).toEqual([int, shared]);
  expect(btf.type(own)).toMatchObject({ name: "number", type: int });
  expect(btf.resolved(own)).toMatchObject({ name: "int" });
  expect([btf.kind(pointer), btf.find("int"), btf.find("number")]).toEqual([BtfKind.Ptr, int, own]);
  expect(base.find("number")).toBeNull();
});

test("typedefs that lead to each other end in an error", () => {
  const build = new BtfBuilder();
  build.typedef("a", 2);
  build.typedef("b", 1);
  expect(() => new Btf(build.build()).resolve(1)).toThrow("EINVAL: type 1 leads through more than 32 others");
});

describe("what is no type information", () => {
  const build = new BtfBuilder();
  build.int("int", 4);
  const good = build.build();
  const changed = (at: number, byte: number): Uint8Array => good.with(at, byte);
  test.each([
    ["nothing", new Uint8Array(0), "EINVAL: 0 bytes of BTF: hdr_len not found"],
    ["another magic number", changed(0, 0), "EINVAL: Invalid magic 0xeb00: expected 0xeb9f"],
    ["big-endian", good.with(0, 0xeb).with(1, 0x9f), "ENOTSUPP: big-endian BTF: little-endian is what is read"],
    ["version 2", changed(2, 2), "ENOTSUPP: Unsupported version 2 of BTF: expected 1"],
    ["flags", changed(3, 1), "ENOTSUPP: Unsupported flags 0x1 of BTF: expected none"],
    ["a header that is too long", changed(4, 200), "EINVAL: hdr_len 200 of 45 bytes: btf_header not found"],
    ["types beyond the end", changed(12, 200), "EINVAL: types from 24 to 224 of 45 bytes"],
    ["half a type", changed(12, 8), "EINVAL: 8 bytes behind the last type"],
    ["strings without end", changed(44, 1), "EINVAL: Invalid string section: expected one that begins and ends with 0"],
  ])("%s", (_, bytes, message) => {
    expect(() => new Btf(bytes)).toThrow(message);
  });
});

describe.skipIf(!existsSync(VMLINUX))("a kernel's own", () => {
  test("is read in pieces, and has its structures", async () => {
    const bytes = new Uint8Array(readFileSync(VMLINUX));
    let pieces = 0;
    for (const work = Btf.read(bytes); work.next().done !== true; ) pieces++;
    expect(pieces).toBeGreaterThan(10);
    const btf = await Btf.parse(bytes);
    const task = btf.find("task_struct", BtfKind.Struct);
    expect(btf.type(task ?? 0)).toMatchObject({ kind: BtfKind.Struct, name: "task_struct" });
  });
});
