import { decode, encode } from "@msgpack/msgpack";
import { SnapshotError } from "./error.js";
import { LIMITS } from "./layout.js";
import { scanMsgpack } from "./msgpack-scan.js";

/** Integers beyond 53 bits are bigints on both sides: none loses its type or a bit. */
const BIGINTS = { useBigInt64: true } as const;
/** UTF-8 cannot say it. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * Encodes null, booleans, numbers (-0 becomes 0), bigints of 64 bits, text, `Uint8Array`s, arrays and plain objects as MessagePack. A property that is undefined is left out.
 * @param name what the value is, for the message
 * @throws {SnapshotError} "state" for any other value, with the way to it; "limit" for more than {@link LIMITS}
 */
export function encodeValue(value: unknown, name: string, limit: number): Uint8Array {
  new Walk().enter(value, name, 0);
  const bytes = encode(value, { ...BIGINTS, ignoreUndefined: true, maxDepth: LIMITS.depth + 2 });
  if (bytes.length > limit) throw new SnapshotError("limit", `${name} takes ${bytes.length} bytes: at most ${limit}`);
  return bytes;
}

/**
 * @returns what {@link encodeValue} was given; `Uint8Array`s are views of `bytes`
 * @throws {SnapshotError} "corrupt" if it is anything else
 */
export function decodeValue(bytes: Uint8Array, name: string): unknown {
  const why = scanMsgpack(bytes);
  if (why !== null) throw new SnapshotError("corrupt", `${name} is damaged: ${why}`);
  try {
    return decode(bytes, BIGINTS);
  } catch (cause) {
    throw new SnapshotError("corrupt", `${name} is damaged: it cannot be decoded`, { cause });
  }
}

/** A look at every value before anything of it is encoded. */
class Walk {
  #values = 0;

  enter(value: unknown, path: string, depth: number): void {
    if (++this.#values > LIMITS.values)
      throw new SnapshotError("limit", `${path}: more than ${LIMITS.values} values; keep what is long in a Uint8Array`);
    if (value === null || typeof value === "boolean" || typeof value === "number" || value instanceof Uint8Array)
      return;
    if (typeof value === "string") {
      if (LONE_SURROGATE.test(value)) refuse(path, "text with half of a surrogate pair");
    } else if (typeof value === "bigint") {
      if (BigInt.asUintN(64, value) !== value && BigInt.asIntN(64, value) !== value)
        refuse(path, "a bigint of more than 64 bits");
    } else if (depth >= LIMITS.depth) throw new SnapshotError("limit", `${path}: more than ${LIMITS.depth} levels`);
    else if (Array.isArray(value)) value.forEach((item, k) => void this.enter(item, `${path}[${k}]`, depth + 1));
    else if (isPlain(value)) this.#properties(value, path, depth);
    else refuse(path, `a ${typeof value === "object" ? (value.constructor?.name ?? "object") : typeof value}`);
  }

  #properties(value: object, path: string, depth: number): void {
    for (const [key, item] of Object.entries(value)) {
      if (key === "__proto__" || LONE_SURROGATE.test(key)) refuse(path, `a property named ${JSON.stringify(key)}`);
      this.#values++;
      if (item !== undefined) this.enter(item, `${path}.${key}`, depth + 1);
    }
  }
}

function refuse(path: string, what: string): never {
  const accepted = "null, booleans, numbers, bigints of 64 bits, text, Uint8Array, arrays and plain objects";
  throw new SnapshotError("state", `${path} is ${what}, which cannot be stored: accepted are ${accepted}`);
}

function isPlain(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}
