import { describe, expect, it } from "vitest";
import { Btf, findBtf, findKallsyms, prototype } from "../src/index.js";
import { random } from "./fuzz.js";
import { ascii, BASE, image, type Order } from "./linux-image.js";
import { bytes, le } from "./raw-tool.js";

describe("the kernel's symbol table", () => {
  it.each<[Order, boolean]>([
    ["before 6.4", true],
    ["6.1.y with sequence numbers", true],
    ["since 6.4", true],
    ["since 6.4", false],
  ])("is found %s (per-CPU offsets: %s)", (order, percpu) => {
    const symbols = findKallsyms(image(order, 2000, percpu));
    expect(symbols?.size).toBe(2000);
    expect(symbols?.get("sym_1")).toBe(BASE + 16n);
    expect(symbols?.get("sym_1999")).toBe(BASE + 16n * 1999n);
    expect(symbols?.get(`sym_300${"x".repeat(200)}`)).toBe(BASE + 16n * 300n);
    if (percpu) expect(symbols?.get("sym_0")).toBe(0n);
  });

  it("is not found where it is not", () => {
    const next = random(5);
    expect(findKallsyms(Uint8Array.from({ length: 1 << 16 }, () => next(256)))).toBeNull();
    const tokens = ascii("0\x001\x002\x003\x004\x005\x006\x007\x008\x009\0");
    expect(findKallsyms(bytes(new Uint8Array(100), tokens, new Uint8Array(100)))).toBeNull();
  });
});

describe("the kernel's type information", () => {
  const strings = ascii("\0task\0pid\0inner\0x\0flags\0word\0");
  const name = (text: string): number => new TextDecoder().decode(strings).indexOf(`\0${text}\0`) + 1;
  const type = (nameOf: number, kind: number, n: number, size: number, flag = 0): Uint8Array =>
    bytes(le(4, nameOf), le(4, ((flag << 31) | (kind << 24) | n) >>> 0), le(4, size));
  const member = (of: string | null, typeId: number, bit: number): Uint8Array =>
    bytes(le(4, of === null ? 0 : name(of)), le(4, typeId), le(4, bit));
  const types = bytes(
    // 1: int, 2: struct inner { word x @4 }, 3: typedef of 2, 4: const 3, 5: anonymous union { inner @0 }, 6: task
    type(name("word"), 1, 0, 4),
    le(4, 32),
    type(name("inner"), 4, 1, 8),
    member("x", 1, 32),
    type(name("word"), 8, 0, 2),
    type(0, 10, 0, 3),
    type(0, 5, 1, 8),
    member("inner", 4, 0),
    type(name("task"), 4, 3, 24, 1),
    member("pid", 1, 0),
    member(null, 5, 8 * 8),
    member("flags", 1, (3 << 24) | (8 * 16 + 2)),
  );
  const header = (size: number): Uint8Array =>
    bytes([0x9f, 0xeb, 1, 0], le(4, 24), le(4, 0), le(4, types.length), le(4, types.length), le(4, size));
  const btf = new Btf(bytes(header(strings.length), types, strings));

  it("tells sizes, and members through typedefs, qualifiers and structures without a name", () => {
    expect([btf.size, btf.sizeOf("task"), btf.sizeOf("inner"), btf.sizeOf("nothing")]).toEqual([6, 24, 8, null]);
    expect(btf.member("task", "pid")).toEqual({ offset: 0, bits: null, type: 1 });
    expect(btf.member("task", "inner.x")?.offset).toBe(12);
    expect(btf.member("task", "flags")).toEqual({ offset: 16, bits: { shift: 2, size: 3 }, type: 1 });
    expect(btf.member("task", "x")).toBeNull();
    expect(btf.member("task", "pid.x")).toBeNull();
    expect(btf.member("nothing", "x")).toBeNull();
  });

  it("tells what functions take and give", () => {
    const names = ascii("\0char\0fn\0path\0count\0color\0RED\0BLUE\0none\0_Bool\0");
    const at = (text: string): number => new TextDecoder().decode(names).indexOf(`\0${text}\0`) + 1;
    const KINDS = { int: 1, ptr: 2, array: 3, struct: 4, enum: 6, const: 10, func: 12, proto: 13, enum64: 19 };
    const all = bytes(
      // 1: char, 2: const char, 3: const char *, 4: char *, 5: unsigned long, 6: enum color { RED = 1, BLUE = -1 }, 7: a structure of 24 bytes, 8: void *
      type(at("char"), KINDS.int, 0, 1),
      le(4, 8),
      type(0, KINDS.const, 0, 1),
      type(0, KINDS.ptr, 0, 2),
      type(0, KINDS.ptr, 0, 1),
      type(0, KINDS.int, 0, 8),
      le(4, 64),
      type(at("color"), KINDS.enum, 2, 4, 1),
      bytes(le(4, at("RED")), le(4, 1), le(4, at("BLUE")), le(4, 0xffffffff)),
      type(0, KINDS.struct, 0, 24),
      type(0, KINDS.ptr, 0, 0),
      // 9: bool, 10: enum of 64 bits { RED = 2^32 + 1 }
      type(at("_Bool"), KINDS.int, 0, 1),
      le(4, (4 << 24) | 8),
      type(0, KINDS.enum64, 1, 8),
      bytes(le(4, at("RED")), le(4, 1), le(4, 1)),
      // 11: bool (const char *path, char *, unsigned long count, color, struct, void *, enum64, ...), 12: fn
      type(0, KINDS.proto, 8, 9),
      ...[
        ["path", 3],
        [null, 4],
        ["count", 5],
        ["color", 6],
        [null, 7],
        [null, 8],
        [null, 10],
        [null, 0],
      ].map(([of, id]) => bytes(le(4, of === null ? 0 : at(of as string)), le(4, id as number))),
      type(at("fn"), KINDS.func, 0, 11),
    );
    const head = bytes(
      [0x9f, 0xeb, 1, 0],
      le(4, 24),
      le(4, 0),
      le(4, all.length),
      le(4, all.length),
      le(4, names.length),
    );
    const found = prototype(new Btf(bytes(head, all, names)), "fn");
    expect(found?.parameters.map((each) => each.name)).toEqual(["path", "", "count", "color", "", "", ""]);
    expect(found?.variadic).toBe(true);
    expect(found?.result).toEqual({ kind: "int", size: 1, signed: false, bool: true });
    const [path, buffer, count, color, struct, pointer, wide] = found?.parameters.map((each) => each.type) ?? [];
    expect(path).toEqual({ kind: "pointer", text: true, constant: true });
    expect(buffer).toEqual({ kind: "pointer", text: true, constant: false });
    expect(count).toEqual({ kind: "int", size: 8, signed: false, bool: false });
    expect(color).toMatchObject({ kind: "enum", size: 4, signed: true });
    expect(struct).toEqual({ kind: "aggregate", size: 24 });
    expect(pointer).toEqual({ kind: "pointer", text: false, constant: false });
    const named = (of: typeof color, value: bigint): string | null => (of?.kind === "enum" ? of.nameOf(value) : null);
    expect([1n, -1n, 0xffffffffn, 2n].map((value) => named(color, value))).toEqual(["RED", "BLUE", "BLUE", null]);
    expect([1n, 0x1_0000_0001n].map((value) => named(wide, value))).toEqual([null, "RED"]);
    expect(prototype(new Btf(bytes(head, all, names)), "none")).toBeNull();
  });

  it("is found in the kernel's read-only data; small ones are not the kernel's own", () => {
    const padded = bytes(header(0x11000), types, strings, new Uint8Array(0x11000 - strings.length));
    expect(findBtf(bytes(new Uint8Array(100), header(strings.length), types, strings, padded))?.sizeOf("task")).toBe(
      24,
    );
    expect(findBtf(bytes(header(strings.length), types, strings))).toBeNull();
    expect(findBtf(padded.subarray(0, 5000))).toBeNull();
  });
});
