import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { secretFrom } from "../pki/ecdsa.js";
import { NOTICE } from "./names.js";

/** Bytes that depend on a seed and a label only. Whoever knows the seed knows them, and seeds are no secrets. */
export function seedBytes(seed: string, label: string, size: number): Uint8Array {
  return hkdf(sha256, utf8ToBytes(seed), utf8ToBytes(NOTICE), utf8ToBytes(label), size);
}

/** Secret key of P-256 for a part. */
export function seedSecret(seed: string, part: string): Uint8Array {
  return secretFrom(seedBytes(seed, `key of ${part}`, 48));
}

/** Serial number of a part's certificate: 20 bytes, positive. */
export function seedSerial(seed: string, part: string): Uint8Array {
  const serial = seedBytes(seed, `serial number of ${part}`, 20);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  return serial;
}
