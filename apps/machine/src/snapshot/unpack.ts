import { Inflate } from "fflate";
import { type Sink, unpackZstd } from "../zstd/zstd.js";
import { CHUNK_BYTES, type Codec } from "./layout.js";

/** What Node offers besides the standard, as far as it is used here. */
interface NodeProcess {
  readonly getBuiltinModule?: (name: "node:zlib") => NodeZlib | undefined;
}

type NodeUnpack = (
  packed: Uint8Array,
  options: { readonly maxOutputLength: number; readonly chunkSize: number },
) => Uint8Array;

interface NodeZlib {
  readonly inflateRawSync: NodeUnpack;
  /** From 22.15 on. */
  readonly zstdDecompressSync?: NodeUnpack;
}

/** Unpacks one stored content: below 2 ms of work, and never more than a chunk's bytes and a MiB of memory. @throws whatever is wrong with it */
export type Unpack = (codec: Exclude<Codec, "parent">, packed: Uint8Array) => Uint8Array;

/** Bytes that are given to the inflater at a time: what one step makes of it is bounded by that. */
const STEP = 1024;

/** One that every host can run. */
export const portableUnpack: Unpack = (codec, packed) => {
  if (codec === "raw") return packed;
  const out = new OneChunk();
  if (codec === "zstd") for (const _ of unpackZstd(packed, out));
  else {
    const stream = new Inflate((part) => out.append(part));
    for (let at = 0; at < packed.length; at += STEP)
      stream.push(packed.subarray(at, at + STEP), at + STEP >= packed.length);
  }
  return out.bytes.subarray(0, out.length);
};

/** With the native code of Node, for the codecs it has; null where there is none. */
export function nodeUnpack({ process } = globalThis as { process?: NodeProcess }): Unpack | null {
  const zlib = process?.getBuiltinModule?.("node:zlib");
  if (zlib === undefined) return null;
  // One buffer with room behind the end, where that is seen: with those of 16 KiB that are the default it takes two or three times as long.
  const bound = { maxOutputLength: CHUNK_BYTES, chunkSize: CHUNK_BYTES + 64 };
  return (codec, packed) => {
    if (codec === "deflate") return plain(zlib.inflateRawSync(packed, bound));
    if (codec === "zstd" && zlib.zstdDecompressSync !== undefined) return plain(zlib.zstdDecompressSync(packed, bound));
    return portableUnpack(codec, packed);
  };
}

/** Node's are `Buffer`s. */
const plain = ({ buffer, byteOffset, length }: Uint8Array): Uint8Array => new Uint8Array(buffer, byteOffset, length);

/** The fastest there is. */
export const unpackContent: Unpack = nodeUnpack() ?? portableUnpack;

/** Takes a chunk, and not a byte more. */
class OneChunk implements Sink {
  readonly bytes = new Uint8Array(CHUNK_BYTES);
  length = 0;

  expect(more: number): void {
    if (more > CHUNK_BYTES - this.length) throw new RangeError(`more than the ${CHUNK_BYTES} bytes of a chunk`);
  }

  append(part: Uint8Array): void {
    this.expect(part.length);
    this.bytes.set(part, this.length);
    this.length += part.length;
  }
}
