import { sha256 as portableSha256 } from "@noble/hashes/sha2.js";
import type { Pace } from "../pace.js";

/** What Node offers besides the standard, as far as it is used here. */
interface NodeProcess {
  readonly getBuiltinModule?: (name: "node:crypto") => { createHash(name: "sha256"): NodeHash } | undefined;
}

interface NodeHash {
  update(bytes: Uint8Array): NodeHash;
  digest(): Uint8Array;
}

/** Bytes of a SHA-256 (FIPS 180-4). */
export const DIGEST_BYTES = 32;
/** Bytes that are hashed between two looks at the clock. */
const STEP = 2 ** 18;

const crypto = (globalThis as { process?: NodeProcess }).process?.getBuiltinModule?.("node:crypto");

/**
 * SHA-256 of up to a few hundred KiB. In Node it is native code: 1,000 MB/s where the portable one has 70, and BLAKE3 in JavaScript a third of that. That is why
 * it is the hash of the format.
 */
export const sha256: (bytes: Uint8Array) => Uint8Array =
  crypto === undefined ? portableSha256 : (bytes) => new Uint8Array(crypto.createHash("sha256").update(bytes).digest());

/** The same for many bytes: the event loop gets its turns. */
export async function sha256Of(bytes: Uint8Array, pace: Pace): Promise<Uint8Array> {
  const hash = crypto?.createHash("sha256") ?? portableSha256.create();
  for (let at = 0; at < bytes.length; at += STEP) {
    hash.update(bytes.subarray(at, at + STEP));
    await pace.breathe();
  }
  return new Uint8Array(hash.digest());
}

/** A digest as a key of a map: a character for each byte. */
export const keyOf = (digest: Uint8Array): string => String.fromCharCode(...digest);

/** Lower-case hexadecimal. */
export const hexOf = (digest: Uint8Array): string =>
  Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Whether both are the same bytes. */
export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, k) => byte === b[k]);
