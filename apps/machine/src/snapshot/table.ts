import type { Pace } from "../pace.js";
import { DIGEST_BYTES, keyOf } from "./digest.js";
import { SnapshotError } from "./error.js";
import { CHUNK_BYTES, CODECS, type Codec } from "./layout.js";

/** SHA-256 of the 64 KiB (32), stored bytes (4), codec (1), zero (3). */
export const CONTENT_ENTRY_BYTES = 40;
/** Number of the chunk (4), index of its content (4). */
export const CHUNK_ENTRY_BYTES = 8;
/** Entries that are read or made between two looks at the clock. */
const STEP = 1024;

/** What a chunk holds, kept once however many chunks hold it. */
export interface Content {
  /** SHA-256 of the 64 KiB. */
  readonly digest: Uint8Array;
  readonly codec: Codec;
  /** Bytes in the pack: 65536 if raw, fewer if packed, 0 if it is in a parent. */
  readonly stored: number;
}

/**
 * Which chunks are not zero, and where their contents are. The contents come first, in the order in which chunks name them; those that are not in a parent
 * are the pack, one behind the other: ranges cannot overlap, and no byte of the pack is nobody's.
 */
export class ChunkTable {
  /** Numbers of the chunks that are not zero, ascending. */
  readonly chunks: Uint32Array;
  /** By place in `chunks`: index of the content. */
  readonly contentOf: Uint32Array;
  /** By index of the content. */
  readonly codecs: readonly Codec[];
  readonly stored: Uint32Array;
  /** First byte in the pack. */
  readonly offsets: Float64Array;
  readonly #digests: Uint8Array;
  /** Digest, as a key, to index of the content. */
  readonly byKey: ReadonlyMap<string, number>;
  readonly packBytes: number;

  private constructor(parts: {
    chunks: Uint32Array;
    contentOf: Uint32Array;
    codecs: readonly Codec[];
    stored: Uint32Array;
    offsets: Float64Array;
    digests: Uint8Array;
    byKey: ReadonlyMap<string, number>;
    packBytes: number;
  }) {
    ({
      chunks: this.chunks,
      contentOf: this.contentOf,
      codecs: this.codecs,
      stored: this.stored,
      offsets: this.offsets,
    } = parts);
    this.#digests = parts.digests;
    this.byKey = parts.byKey;
    this.packBytes = parts.packBytes;
  }

  digest(content: number): Uint8Array {
    return this.#digests.subarray(content * DIGEST_BYTES, (content + 1) * DIGEST_BYTES);
  }

  /** The content of a chunk, -1 if it is all zeros. */
  find(chunk: number): number {
    let low = 0;
    let high = this.chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.chunks[middle] as number) < chunk) low = middle + 1;
      else high = middle;
    }
    return this.chunks[low] === chunk ? (this.contentOf[low] as number) : -1;
  }

  /**
   * @param bytes contents, then chunks
   * @param counts of each; what they take is the length of `bytes`
   * @throws {SnapshotError} "corrupt", "range"
   */
  static async read(
    bytes: Uint8Array,
    counts: { readonly contents: number; readonly chunks: number },
    name: string,
    pace: Pace,
  ): Promise<ChunkTable> {
    const damaged = (why: string): SnapshotError => new SnapshotError("corrupt", `${name} is damaged: ${why}`);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const stored = new Uint32Array(counts.contents);
    const offsets = new Float64Array(counts.contents);
    const digests = new Uint8Array(counts.contents * DIGEST_BYTES);
    const codecs: Codec[] = [];
    const byKey = new Map<string, number>();
    let packBytes = 0;
    for (let k = 0; k < counts.contents; k++) {
      if (k % STEP === 0) await pace.breathe();
      const at = k * CONTENT_ENTRY_BYTES;
      const digest = bytes.subarray(at, at + DIGEST_BYTES);
      const length = view.getUint32(at + DIGEST_BYTES, true);
      const rest = view.getUint32(at + DIGEST_BYTES + 4, true);
      const codec = CODECS[rest];
      if (codec === undefined || !fits(codec, length))
        throw damaged(`content ${k} of ${length} bytes and codec ${rest}`);
      if (byKey.set(keyOf(digest), k).size !== k + 1) throw damaged(`content ${k} is there twice`);
      digests.set(digest, k * DIGEST_BYTES);
      codecs.push(codec);
      stored[k] = length;
      offsets[k] = packBytes;
      packBytes += length;
    }
    const chunks = new Uint32Array(counts.chunks);
    const contentOf = new Uint32Array(counts.chunks);
    let named = 0;
    for (let k = 0; k < counts.chunks; k++) {
      if (k % STEP === 0) await pace.breathe();
      const at = counts.contents * CONTENT_ENTRY_BYTES + k * CHUNK_ENTRY_BYTES;
      const chunk = view.getUint32(at, true);
      const content = view.getUint32(at + 4, true);
      if (k > 0 && chunk <= (chunks[k - 1] as number))
        throw new SnapshotError("range", `${name}: chunk ${chunk} behind chunk ${chunks[k - 1]}, they must ascend`);
      if (content > named || content >= counts.contents) throw damaged(`chunk ${chunk} names content ${content}`);
      if (content === named) named++;
      chunks[k] = chunk;
      contentOf[k] = content;
    }
    if (named !== counts.contents) throw damaged(`content ${named} belongs to no chunk`);
    return new ChunkTable({ chunks, contentOf, codecs, stored, offsets, digests, byKey, packBytes });
  }
}

function fits(codec: Codec, length: number): boolean {
  if (codec === "parent") return length === 0;
  return codec === "raw" ? length === CHUNK_BYTES : length > 0 && length < CHUNK_BYTES;
}

/** Encodes what {@link ChunkTable.read} reads. */
export async function encodeTable(
  contents: readonly Content[],
  chunks: readonly (readonly [chunk: number, content: number])[],
  pace: Pace,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(contents.length * CONTENT_ENTRY_BYTES + chunks.length * CHUNK_ENTRY_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [k, { digest, codec, stored }] of contents.entries()) {
    if (k % STEP === 0) await pace.breathe();
    const at = k * CONTENT_ENTRY_BYTES;
    bytes.set(digest, at);
    view.setUint32(at + DIGEST_BYTES, stored, true);
    view.setUint32(at + DIGEST_BYTES + 4, CODECS.indexOf(codec), true);
  }
  for (const [k, [chunk, content]] of chunks.entries()) {
    if (k % STEP === 0) await pace.breathe();
    const at = contents.length * CONTENT_ENTRY_BYTES + k * CHUNK_ENTRY_BYTES;
    view.setUint32(at, chunk, true);
    view.setUint32(at + 4, content, true);
  }
  return bytes;
}
