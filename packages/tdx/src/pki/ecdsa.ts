import { p256 } from "@noble/curves/nist.js";
import { concatBytes } from "@noble/hashes/utils.js";
import { type DerReader, readUnsigned, readWhole, Tag } from "./der-read.js";
import { integer, sequence } from "./der-write.js";
import { PkiError } from "./errors.js";

const OPTIONS = { prehash: true, lowS: false, format: "compact" } as const;

/** Whether 65 bytes, 4 and the two coordinates, are a point of P-256. */
export function isPublicKey(key: Uint8Array): boolean {
  return key.length === 65 && key[0] === 4 && p256.utils.isValidPublicKey(key, false);
}

/**
 * Whether a signature is one of ECDSA with P-256 and SHA-256.
 *
 * @param key 65 bytes that are a point: see {@link isPublicKey}
 * @param signature r and s, 32 bytes each, big-endian; both from 1 to the order - 1, else it is none
 */
export function verifyP256(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  return inRange(signature) && p256.verify(signature, message, key, OPTIONS);
}

const ORDER = p256.Point.Fn.ORDER;

function inRange(signature: Uint8Array): boolean {
  if (signature.length !== 64) return false;
  return [signature.subarray(0, 32), signature.subarray(32)].every((half) => {
    const value = half.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
    return value > 0n && value < ORDER;
  });
}

/** Signs with ECDSA, P-256 and SHA-256, deterministically (RFC 6979). @returns r and s, 32 bytes each */
export function signP256(secret: Uint8Array, message: Uint8Array): Uint8Array {
  return p256.sign(message, secret, OPTIONS);
}

/** 65 bytes, 4 and the two coordinates. */
export function publicKeyOf(secret: Uint8Array): Uint8Array {
  return p256.getPublicKey(secret, false);
}

/** A secret key from at least 40 bytes that look random. */
export function secretFrom(bytes: Uint8Array): Uint8Array {
  const value = bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  return p256.Point.Fn.toBytes((value % (ORDER - 1n)) + 1n);
}

/** r and s, 32 bytes each, of a signature in DER: RFC 3279, 2.2.3. @throws {PkiError} `der` */
export function readEcdsaSignature(bytes: Uint8Array): Uint8Array {
  const reader: DerReader = readWhole(bytes, Tag.sequence, "signature");
  const halves = ["r", "s"].map((name) => {
    const magnitude = readUnsigned(reader.next(Tag.integer, `signature's ${name}`), `signature's ${name}`);
    if (magnitude.length > 32) throw new PkiError("der", `signature's ${name}: ${magnitude.length} bytes; at most 32`);
    const half = new Uint8Array(32);
    half.set(magnitude, 32 - magnitude.length);
    return half;
  });
  reader.end("signature");
  return concatBytes(...halves);
}

/** The inverse of {@link readEcdsaSignature}. */
export function writeEcdsaSignature(signature: Uint8Array): Uint8Array {
  return sequence(integer(signature.subarray(0, 32)), integer(signature.subarray(32)));
}
