import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, concatBytes } from "@noble/hashes/utils.js";
import { vi } from "vitest";

// Most signatures are the same in all of these tests, and verifying one takes milliseconds: each is verified once.
vi.mock("../../src/pki/ecdsa.js", async (original) => {
  const real = await original<typeof import("../../src/pki/ecdsa.js")>();
  const known = new Map<string, boolean>();
  const verifyP256: typeof real.verifyP256 = (key, message, signature) => {
    const id = bytesToHex(sha256(concatBytes(sha256(key), sha256(message), signature)));
    const valid = known.get(id) ?? real.verifyP256(key, message, signature);
    known.set(id, valid);
    return valid;
  };
  return { ...real, verifyP256 };
});
