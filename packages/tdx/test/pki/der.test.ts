import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseCertificate } from "../../src/pki/certificate.js";
import { parseCrl } from "../../src/pki/crl.js";
import { DerReader, readNamedBits, readOid, readSmall, readUnsigned, Tag } from "../../src/pki/der-read.js";
import { der, integer, namedBits, oid } from "../../src/pki/der-write.js";
import { readEcdsaSignature, writeEcdsaSignature } from "../../src/pki/ecdsa.js";
import { PkiError } from "../../src/pki/errors.js";
import { parsePem, writePem } from "../../src/pki/pem.js";
import { parseSgxExtension, writeSgxExtension } from "../../src/pki/sgx-extension.js";
import { certificateOf, crlOf, PLATFORM } from "../../src/simulated/certificates.js";
import { CERTIFICATES_VALID } from "../../src/simulated/platform.js";

const one = (bytes: Uint8Array, tag: number) => new DerReader(bytes).next(tag, "test");

describe("distinguished encoding", () => {
  it.each([
    ["a length of 127 in two bytes", `0481 7f${"00".repeat(127)}`],
    ["a length of 128 in three bytes", `048200 80${"00".repeat(128)}`],
    ["a length of four bytes", "0484 00000001 00"],
    ["an indefinite length", "0480 00 0000"],
    ["a length beyond the end", "0402 00"],
    ["no length", "04"],
    ["nothing", ""],
  ])("%s is not read", (_, text) => {
    expect(() => one(hexToBytes(text.replaceAll(" ", "")), Tag.octetString)).toThrow(PkiError);
  });

  it("reads back integers, and only their shortest encodings", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 24 }), (magnitude) => {
        const written = integer(magnitude);
        const shortest = bytesToHex(magnitude).replace(/^(?:00)+(?=..)/, "");
        expect(bytesToHex(readUnsigned(one(written, Tag.integer), "test"))).toBe(shortest);
        const padded = der(Tag.integer, Uint8Array.of(0), one(written, Tag.integer).content);
        expect(() => readUnsigned(one(padded, Tag.integer), "test")).toThrow(PkiError);
      }),
    );
    expect(() => readSmall(one(integer(256), Tag.integer), 255, "test")).toThrow("more than 255");
    expect(() => readUnsigned(one(hexToBytes("020180"), Tag.integer), "test")).toThrow("negative");
  });

  it("reads back object identifiers", () => {
    const arcs = fc.tuple(
      fc.constantFrom("0.5", "1.2", "2.5", "2.999"),
      fc.array(fc.nat(2 ** 31 - 1), { maxLength: 4 }),
    );
    fc.assert(
      fc.property(arcs, ([first, rest]) => {
        const dotted = [first, ...rest].join(".");
        expect(readOid(one(oid(dotted), Tag.oid), "test")).toBe(dotted);
      }),
    );
    expect(() => readOid(one(hexToBytes("0603558001"), Tag.oid), "test")).toThrow("zero too many");
    expect(() => readOid(one(hexToBytes("06025581"), Tag.oid), "test")).toThrow("does not end");
  });

  it("reads back named bits, and only without zeros at the end", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 31 - 1 }), (bits) => {
        expect(readNamedBits(one(namedBits(bits), Tag.bitString), "test")).toBe(bits);
      }),
    );
    for (const text of ["03020780", "030206c0", "03020001"])
      readNamedBits(one(hexToBytes(text), Tag.bitString), "test");
    for (const text of ["0301 00", "030206 80", "030200 80", "030207 c0", "030208 80", "0303 0780 00"])
      expect(() => readNamedBits(one(hexToBytes(text.replaceAll(" ", "")), Tag.bitString), "test")).toThrow(PkiError);
  });

  it("reads back signatures, and none of more than 32 bytes a half or with something behind", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 64, maxLength: 64 }), (signature) => {
        const written = writeEcdsaSignature(signature);
        expect(readEcdsaSignature(written)).toEqual(signature);
        expect(() => readEcdsaSignature(Uint8Array.of(...written, 0))).toThrow(PkiError);
      }),
    );
    const long = der(Tag.sequence, integer(new Uint8Array(33).fill(1)), integer(1));
    expect(() => readEcdsaSignature(long)).toThrow("at most 32");
  });

  it("is the only one that certificates and lists are read in: any bit flipped is another one, or none", () => {
    const certificate = certificateOf("der", "pck", CERTIFICATES_VALID);
    const list = crlOf("der", "root", CERTIFICATES_VALID);
    for (const [bytes, parse] of [
      [certificate, parseCertificate],
      [list, parseCrl],
    ] as const) {
      const { signedBytes, signature } = parse(bytes);
      fc.assert(
        fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
          const changed = bytes.with(bit >> 3, (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7)));
          try {
            const other = parse(changed);
            return (
              bytesToHex(other.signedBytes) !== bytesToHex(signedBytes) ||
              bytesToHex(other.signature) !== bytesToHex(signature)
            );
          } catch (error) {
            return error instanceof PkiError;
          }
        }),
        { numRuns: 400 },
      );
    }
  });

  it("throws nothing but PkiError for random bytes", () => {
    const parsers = [
      parseCertificate,
      parseCrl,
      parseSgxExtension,
      readEcdsaSignature,
      (b: Uint8Array) => parsePem(b, 3),
    ];
    const start = fc.constantFrom("", "30", "3003020101", "30820100", "300d0609");
    fc.assert(
      fc.property(fc.constantFrom(...parsers), start, fc.uint8Array({ maxLength: 200 }), (parse, head, tail) => {
        expect(() => parse(Uint8Array.of(...hexToBytes(head), ...tail))).toThrow(PkiError);
      }),
      { numRuns: 500 },
    );
  });
});

describe("PEM", () => {
  it("reads back what it writes, with zero bytes and empty lines behind", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { minLength: 1, maxLength: 3 }), (all) => {
        const text = all.map(writePem).join("");
        for (const shape of [
          text,
          `${text}\n\0\0`,
          text.replaceAll("\n", "\r\n"),
          text.trimEnd(),
          all.map(writePem).join("\n"),
        ])
          expect(parsePem(shape, 3)).toEqual(all);
      }),
    );
  });

  it("refuses more certificates than are wanted, and text of megabytes", () => {
    const text = writePem(new Uint8Array(10));
    expect(() => parsePem(text + text, 1)).toThrow("more than 1");
    expect(() => parsePem("\0".repeat(70_000), 1)).toThrow("at most");
    expect(() => parsePem("", 1)).toThrow(PkiError);
  });

  it("refuses base64 with bits behind the last byte", () => {
    const text = writePem(Uint8Array.of(1));
    expect(text).toContain("AQ==");
    expect(() => parsePem(text.replace("AQ==", "AR=="), 1)).toThrow("bits behind");
  });
});

describe("the SGX extension", () => {
  it("reads back what it writes", () => {
    expect(parseSgxExtension(writeSgxExtension(PLATFORM))).toEqual(PLATFORM);
  });
});
