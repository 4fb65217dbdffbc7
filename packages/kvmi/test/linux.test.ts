import { describe, expect, it } from "vitest";
import { Btf, findBtf, findKallsyms } from "../src/index.js";
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

  it("is found in the kernel's read-only data; small ones are not the kernel's own", () => {
    const padded = bytes(header(0x11000), types, strings, new Uint8Array(0x11000 - strings.length));
    expect(findBtf(bytes(new Uint8Array(100), header(strings.length), types, strings, padded))?.sizeOf("task")).toBe(
      24,
    );
    expect(findBtf(bytes(header(strings.length), types, strings))).toBeNull();
    expect(findBtf(padded.subarray(0, 5000))).toBeNull();
  });
});
