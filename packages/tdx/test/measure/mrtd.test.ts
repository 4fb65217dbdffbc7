import { createHash } from "node:crypto";
import { bytesToHex } from "@noble/hashes/utils.js";
import { describe, expect, test } from "vitest";
import { FieldError, Mrtd } from "../../src/index.js";

/** SHA-384 by Node over what a description of the module says is hashed. */
function reference(...parts: Uint8Array[]): string {
  const hash = createHash("sha384");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}

function block(name: string, gpa: bigint): Uint8Array {
  const bytes = Buffer.alloc(128);
  bytes.write(name, 0, "ascii");
  bytes.writeBigUInt64LE(gpa, 16);
  return bytes;
}

const CHUNK = Uint8Array.from({ length: 256 }, (_, k) => k);

describe("MRTD", () => {
  test("of nothing is SHA-384 of nothing", () => {
    expect(bytesToHex(new Mrtd().digest())).toBe(reference());
  });

  test("is SHA-384 over a block of 128 bytes a page, and one with 256 of content a chunk", () => {
    const mrtd = new Mrtd();
    mrtd.pageAdd(0xffff_f000);
    mrtd.extend(0xffff_f100, CHUNK);
    mrtd.pageAdd(2 ** 51);
    const blocks = [block("MEM.PAGE.ADD", 0xffff_f000n), block("MR.EXTEND", 0xffff_f100n), CHUNK];
    expect(bytesToHex(mrtd.digest())).toBe(reference(...blocks, block("MEM.PAGE.ADD", 1n << 51n)));
  });

  test("depends on the order", () => {
    const [one, other] = [new Mrtd(), new Mrtd()];
    one.pageAdd(0x1000);
    one.pageAdd(0x2000);
    other.pageAdd(0x2000);
    other.pageAdd(0x1000);
    expect(one.digest()).not.toEqual(other.digest());
  });

  test("goes on after it was looked at, and its clone goes its own way", () => {
    const mrtd = new Mrtd();
    mrtd.pageAdd(0);
    const before = mrtd.digest();
    const clone = mrtd.clone();
    mrtd.pageAdd(0x1000);
    expect(clone.digest()).toEqual(before);
    expect(mrtd.digest()).not.toEqual(before);
    clone.pageAdd(0x1000);
    expect(clone.digest()).toEqual(mrtd.digest());
  });

  test("takes no address that is not aligned or not below 2^52, and no other length: nothing changes then", () => {
    const mrtd = new Mrtd();
    const before = mrtd.digest();
    for (const gpa of [1, 0x800, -0x1000, 2 ** 52, 0.5, Number.NaN])
      expect(() => mrtd.pageAdd(gpa), `${gpa}`).toThrow(FieldError);
    expect(() => mrtd.extend(0x80, CHUNK)).toThrow("it has to be a multiple of 256 below 2^52");
    expect(() => mrtd.extend(0, new Uint8Array(255))).toThrow("chunk has 255 bytes");
    expect(mrtd.digest()).toEqual(before);
  });
});
