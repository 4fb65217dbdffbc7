import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Bytes } from "../src/index.js";

/** Decodes LEB128 as core spec 5.2.2 defines it. */
function decode(bytes: Uint8Array, isSigned: boolean): { value: bigint; length: number } {
  let value = 0n;
  for (let k = 0; k < bytes.length; k++) {
    const byte = bytes[k] as number;
    value |= BigInt(byte & 0x7f) << BigInt(7 * k);
    if (byte < 0x80) {
      if (isSigned && byte & 0x40) value -= 1n << BigInt(7 * (k + 1));
      return { value, length: k + 1 };
    }
  }
  throw new Error("the last byte has its continuation bit set");
}

const written = (write: (out: Bytes) => void): Uint8Array => {
  const out = new Bytes(1);
  write(out);
  return out.toUint8Array();
};

/** Shortest encoding of a signed value in bytes. */
const shortest = (value: bigint): number => {
  let length = 1;
  while (value < -(1n << BigInt(7 * length - 1)) || value >= 1n << BigInt(7 * length - 1)) length++;
  return length;
};

describe("LEB128 (core spec 5.2.2)", () => {
  const edges = [0, 1, 63, 64, 127, 128, 8191, 8192, 16383, 16384, 0x7fffffff, 0x80000000, 0xffffffff];

  test("u32 decodes to what was written, in the shortest form", () => {
    fc.assert(
      fc.property(fc.oneof(fc.constantFrom(...edges), fc.nat({ max: 0xffffffff })), (value) => {
        const bytes = written((out) => out.u32(value));
        expect(decode(bytes, false)).toEqual({ value: BigInt(value), length: bytes.length });
        expect(bytes.length).toBe(Math.max(1, Math.ceil(BigInt(value).toString(2).length / 7)));
      }),
    );
  });

  test("s32 decodes to what was written, in the shortest form", () => {
    fc.assert(
      fc.property(fc.oneof(fc.constantFrom(...edges.map((e) => e | 0)), fc.integer()), (value) => {
        const bytes = written((out) => out.s32(value));
        expect(decode(bytes, true)).toEqual({ value: BigInt(value), length: shortest(BigInt(value)) });
        expect(bytes.length).toBe(shortest(BigInt(value)));
      }),
    );
  });

  test("s64 decodes to the value of its halves, in the shortest form", () => {
    const half = fc.oneof(fc.constantFrom(0, -1, 1, 0x7fffffff, -0x80000000, 0x3f, 0x40, -0x40, -0x41), fc.integer());
    fc.assert(
      fc.property(half, half, (lo, hi) => {
        const value = (BigInt(hi) << 32n) | BigInt(lo >>> 0);
        const bytes = written((out) => out.s64(lo, hi));
        expect(decode(bytes, true)).toEqual({ value, length: shortest(value) });
        expect(bytes.length).toBe(shortest(value));
      }),
    );
  });

  test("known encodings", () => {
    expect(written((out) => out.u32(624485))).toEqual(Uint8Array.of(0xe5, 0x8e, 0x26));
    expect(written((out) => out.s32(-123456))).toEqual(Uint8Array.of(0xc0, 0xbb, 0x78));
  });
});

describe("Bytes", () => {
  test("grows to hold whatever is appended, in order", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), fc.integer({ min: 0, max: 8 }), (chunks, capacity) => {
        const out = new Bytes(capacity);
        for (const chunk of chunks) out.raw(chunk);
        expect(Buffer.from(out.toUint8Array())).toEqual(Buffer.concat(chunks));
        expect(out.length).toBe(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
      }),
    );
  });

  test("a name is its UTF-8 bytes behind their count", () => {
    expect(written((out) => out.name("π"))).toEqual(Uint8Array.of(2, 0xcf, 0x80));
  });

  test("what is handed out does not change with later writes", () => {
    const out = new Bytes();
    out.u8(1);
    const before = out.toUint8Array();
    out.clear();
    out.u8(2);
    expect(before).toEqual(Uint8Array.of(1));
  });
});
