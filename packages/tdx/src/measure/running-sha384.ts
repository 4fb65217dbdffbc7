import { sha384 } from "@noble/hashes/sha2.js";

/** A SHA-384 under way. */
export interface RunningSha384 {
  update(bytes: Uint8Array): void;
  /** Of all that came until now, 48 bytes; does not end anything. */
  digest(): Uint8Array;
  /** Another one, that has seen the same so far. */
  clone(): RunningSha384;
}

/** What Node offers besides the standard, as far as it is used here. */
interface NodeProcess {
  readonly getBuiltinModule?: (name: "node:crypto") => { createHash(name: "sha384"): NodeHash } | undefined;
}

interface NodeHash {
  update(bytes: Uint8Array): unknown;
  copy(): NodeHash;
  digest(): Uint8Array;
}

const ofNode = (hash: NodeHash): RunningSha384 => ({
  update: (bytes) => void hash.update(bytes),
  digest: () => new Uint8Array(hash.copy().digest()),
  clone: () => ofNode(hash.copy()),
});

const portable = (hash: ReturnType<typeof sha384.create>): RunningSha384 => ({
  update: (bytes) => void hash.update(bytes),
  digest: () => hash.clone().digest(),
  clone: () => portable(hash.clone()),
});

/** The one of Node, which is native code; null where there is none. */
export function nodeSha384({ process } = globalThis as { process?: NodeProcess }): RunningSha384 | null {
  const crypto = process?.getBuiltinModule?.("node:crypto");
  return crypto === undefined ? null : ofNode(crypto.createHash("sha384"));
}

/** One that every host can run, and takes ten times as long. */
export const portableSha384 = (): RunningSha384 => portable(sha384.create());

/** The fastest there is. */
export const runningSha384 = (): RunningSha384 => nodeSha384() ?? portableSha384();
