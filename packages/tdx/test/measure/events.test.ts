import { sha384 } from "@noble/hashes/sha2.js";
import { describe, expect, test } from "vitest";
import { checkDigest, describeEvent, eventTypeName, type LogEvent } from "../../src/index.js";
import { event } from "./log.js";

const ascii = (text: string) => [...new TextEncoder().encode(text)];
const wide = (text: string) => ascii(text).flatMap((code) => [code, 0]);
const u64 = (value: number) => [...new Uint8Array(new BigUint64Array([BigInt(value)]).buffer)];

const GLOBAL = [0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c];
const SECURE_BOOT = [...GLOBAL, ...u64(10), ...u64(1), ...wide("SecureBoot"), 1];

const of = (type: number, data: readonly number[], digestOf: readonly number[] = data): LogEvent => ({
  mrIndex: 1,
  type,
  data: Uint8Array.from(data),
  digest: sha384(Uint8Array.from(digestOf)),
});

describe("what an event says", () => {
  test.each([
    ["variable", 0x8000_0001, SECURE_BOOT, "SecureBoot (8be4df61-93ca-11d2-aa0d-00e098032b8c), 1 bytes"],
    [
      "variable cut short",
      0x8000_0001,
      SECURE_BOOT.slice(0, 40),
      "40 bytes: 61dfe48bca93d211aa0d00e098032b8c0a000000000000000100000000000000...",
    ],
    [
      "variable with a name of 2^63 characters",
      0x8000_0001,
      [...GLOBAL, ...u64(2 ** 53), ...u64(2 ** 53)],
      "61dfe48bca93d211aa0d00e098032b8c00000000000020000000000000002000",
    ],
    ["separator", 4, [0, 0, 0, 0], "separator 00000000"],
    ["text", 0x0d, ascii("/boot/vmlinuz\0"), "/boot/vmlinuz"],
    [
      "firmware",
      0x8000_000a,
      [3, ...ascii("FV1"), ...u64(0xffe0_0000), ...u64(0x2_0000)],
      "FV1, 131072 bytes at 0xffe00000",
    ],
    [
      "tables",
      0x8000_000b,
      [3, ...ascii("HOB"), ...u64(1), ...GLOBAL, ...u64(5)],
      "HOB: 8be4df61-93ca-11d2-aa0d-00e098032b8c",
    ],
    ["tables that are not there", 0x8000_000b, [3, ...ascii("HOB"), ...u64(9)], "HOB: "],
    [
      "image",
      0x8000_0003,
      [...u64(0x1000), ...u64(77), ...u64(0), ...u64(20), 4, 4, 8, 0, ...wide("\\a"), 0x7f, 0xff, 4, 0],
      "image of 77 bytes: \\a",
    ],
    [
      "image with a node of no length",
      0x8000_0003,
      [...u64(0), ...u64(77), ...u64(0), ...u64(4), 4, 4, 0, 0],
      "image of 77 bytes",
    ],
    [
      "partitions",
      0x8000_0006,
      [...new Array(56).fill(0), ...GLOBAL, ...new Array(20).fill(0), ...u64(12)],
      "disk 8be4df61-93ca-11d2-aa0d-00e098032b8c, 12 partitions",
    ],
    ["bytes", 0x0a, [1, 2, 255], "0102ff"],
    ["nothing", 0x0a, [], ""],
  ])("of a %s", (_name, type, data, expected) => {
    expect(describeEvent(of(type, data))).toBe(expected);
  });

  test("has the name of its type, or its number", () => {
    expect([3, 0x8000_00e0, 0x0800_0001, 0x1234].map(eventTypeName)).toEqual([
      "EV_NO_ACTION",
      "EV_EFI_VARIABLE_AUTHORITY",
      "dstack runtime event",
      "0x00001234",
    ]);
  });
});

describe("the digest of an event", () => {
  test.each([4, 5, 8, 0x8000_0001, 0x8000_0006, 0x8000_0007, 0x8000_000c, 0x8000_00e0])(
    "of type %s is of its data",
    (type) => {
      expect(checkDigest(event(1, type, "abcd"))).toBe("matches");
      expect(checkDigest({ ...event(1, type, "abcd"), data: Uint8Array.of(1) })).toBe("differs");
    },
  );

  test("of a variable for booting is of its content, or of its data", () => {
    expect(checkDigest(of(0x8000_0002, SECURE_BOOT, [1]))).toBe("matches");
    expect(checkDigest(of(0x8000_0002, SECURE_BOOT))).toBe("matches");
    expect(checkDigest(of(0x8000_0002, SECURE_BOOT, [2]))).toBe("differs");
  });

  test("of what GRUB does is of the words behind what it is", () => {
    expect(checkDigest(of(0x0d, ascii("grub_cmd: set x=1\0"), ascii("set x=1")))).toBe("matches");
    expect(checkDigest(of(0x0d, ascii("kernel_cmdline: quiet\0"), ascii("quiet")))).toBe("matches");
    expect(checkDigest(of(0x0d, ascii("kernel_cmdline: quieT\0"), ascii("quiet")))).toBe("differs");
  });

  test("of other types does not follow from the data", () => {
    for (const type of [3, 0x0a, 0x8000_000a, 0x8000_0003, 0x0800_0001])
      expect(checkDigest(of(type, [1, 2, 3])), `${type}`).toBe("unknown");
    expect(checkDigest(of(0x0d, ascii("/boot/vmlinuz")))).toBe("unknown");
  });
});
