import type { MemslotDesc } from "@vm/mmu";
import { Pace } from "../pace.js";
import { type Chain, closeAll, type Generation, locateAll, openPacks, type Place, readChain } from "./chain.js";
import { sameBytes, sha256 } from "./digest.js";
import { SnapshotError } from "./error.js";
import { readUpTo, unreadable } from "./head.js";
import { CHUNK_BYTES, type Codec } from "./layout.js";
import type { ParentName } from "./manifest.js";
import { ReadAhead } from "./read-ahead.js";
import type { SnapshotFile, SnapshotSource } from "./source.js";
import { type Unpack, unpackContent } from "./unpack.js";
import { decodeValue } from "./value-codec.js";

/** How long work on a snapshot is followed and ended. */
export interface SnapshotWork {
  /** Ends it: it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Hears of the bytes of guest memory that are done. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

export interface ReadOptions {
  /** Ends the opening. */
  readonly signal?: AbortSignal | undefined;
  /** How contents are unpacked; default the fastest there is. */
  readonly unpack?: Unpack | undefined;
}

/** Where the bytes of a chunk are: one range of one file. */
export interface StoredRange {
  /** 0 is the snapshot itself, 1 its parent, and so on. */
  readonly generation: number;
  /** Name of the file in that folder. */
  readonly file: string;
  /** First byte. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  readonly codec: Exclude<Codec, "parent">;
}

/** A content, for who reads it. */
interface StoredContent extends Pick<StoredRange, "offset" | "length" | "codec"> {
  readonly content: number;
  /** One that has it. */
  readonly chunk: number;
  readonly file: SnapshotFile;
  /** Of the file. */
  readonly name: string;
}

/** What an open snapshot is made of. */
interface Parts {
  readonly chain: Chain;
  /** By generation. */
  readonly packs: readonly SnapshotFile[];
  /** By content of the first generation. */
  readonly places: readonly Place[];
  readonly state: unknown;
  readonly unpack: Unpack;
}

/** A snapshot that is open: all but memory is here and checked, memory comes by the chunk. Its files are never written, so any number may be open at once. */
export class Snapshot {
  readonly #parts: Parts;
  #ahead: ReadAhead | null = null;
  /** 64 hexadecimal digits, the checksum of all that the snapshot says: what a child knows it by. */
  readonly id: string;
  /** What its writer gave as `meta`. */
  readonly meta: unknown;
  /** What its writer gave as `state`. */
  readonly state: unknown;
  /** In the order of their addresses. */
  readonly memslots: readonly MemslotDesc[];
  /** Nearest first. */
  readonly parents: readonly ParentName[];
  /** Numbers of the chunks that are not all zeros, ascending. Not to be written. */
  readonly chunks: Uint32Array;
  /** Bytes of guest memory, touched or not. */
  readonly totalBytes: number;
  /** Bytes of its files, without its parents'. */
  readonly storedBytes: number;

  private constructor(parts: Parts) {
    const [{ head }, ...parents] = parts.chain;
    this.#parts = parts;
    this.id = head.id;
    this.meta = head.manifest.meta;
    this.state = parts.state;
    this.memslots = head.manifest.memslots;
    this.parents = parents.map(({ name, head: { id } }) => ({ name, id }));
    this.chunks = head.table.chunks;
    this.totalBytes = this.memslots.reduce((sum, { size }) => sum + size, 0);
    this.storedBytes = head.bytes + head.table.packBytes;
  }

  /**
   * Opens a snapshot. All of its head and of its parents' heads but their states is read and checked, and the sizes of the packs are; what is in the packs is checked
   * as it is read, or by {@link Snapshot.verify}.
   * @throws {SnapshotError} any code but "state", "busy", "full" and "readonly"
   */
  static async read(source: SnapshotSource, { signal, unpack = unpackContent }: ReadOptions = {}): Promise<Snapshot> {
    const pace = new Pace(signal);
    const chain = await readChain(source, pace);
    const state = decodeValue(chain[0].head.state, `${source.name}: its state`);
    const places = await locateAll(chain, pace);
    return new Snapshot({ chain, places, state, unpack, packs: await openPacks(chain) });
  }

  /** Number of the chunk that has the byte at `gpa`. */
  chunkOf(gpa: number): number {
    return Math.floor(gpa / CHUNK_BYTES);
  }

  /**
   * A chunk: 65536 bytes, the caller's, all zeros if none is stored. What of it is outside of the memslots has no meaning.
   * @throws {SnapshotError} "range" if no byte of it is memory; "corrupt" if it is not that of its checksum; "size", "io"
   */
  async readChunk(chunk: number): Promise<Uint8Array> {
    const content = this.#contentOf(chunk);
    return content < 0 ? this.#zeros(chunk) : this.#readContent(content, chunk);
  }

  /** As {@link Snapshot.readChunk}, at once; null where its files cannot be read so. */
  readChunkNow(chunk: number): Uint8Array | null {
    const content = this.#contentOf(chunk);
    if (content < 0) return this.#zeros(chunk);
    const stored = this.#stored(content, chunk);
    const ahead = this.#ahead?.take(content) ?? null;
    if (ahead !== null) return this.#unpacked(stored, ahead);
    const { file, offset, length } = stored;
    if (file.readNow === undefined) return null;
    this.#ahead?.forget(content);
    const packed = new Uint8Array(length);
    let done: number;
    try {
      done = file.readNow(offset, packed);
    } catch (cause) {
      throw unreadable(stored.name, cause);
    }
    return this.#unpacked(stored, packed.subarray(0, done));
  }

  #zeros(chunk: number): Uint8Array {
    const begin = chunk * CHUNK_BYTES;
    const isMemory = this.memslots.some(({ gpa, size }) => gpa < begin + CHUNK_BYTES && gpa + size > begin);
    if (!Number.isInteger(chunk) || !isMemory) {
      const name = this.#parts.chain[0].source.name;
      throw new SnapshotError("range", `${name}: chunk ${chunk} is not of its memory`);
    }
    return new Uint8Array(CHUNK_BYTES);
  }

  /** Reads what these chunks need from now on, in that order, before anybody asks for them. Once. @param chunks those that are all zeros need nothing */
  readAhead(chunks: readonly number[]): void {
    const contents = chunks.map((chunk) => this.#contentOf(chunk)).filter((content) => content >= 0);
    this.#ahead = new ReadAhead(contents.map((content) => this.#stored(content, 0)));
  }

  /** SHA-256 of a chunk; null if it is all zeros, or no memory. */
  digestOf(chunk: number): Uint8Array | null {
    const content = this.#contentOf(chunk);
    return content < 0 ? null : this.#parts.chain[0].head.table.digest(content);
  }

  /** Where a chunk is stored; null if it is all zeros, or no memory. */
  rangeOf(chunk: number): StoredRange | null {
    const content = this.#contentOf(chunk);
    return content < 0 ? null : this.#rangeOf(content);
  }

  /** Reads and checks every content. @throws {SnapshotError} what {@link Snapshot.readChunk} does */
  async verify({ signal, onProgress }: SnapshotWork = {}): Promise<void> {
    const pace = new Pace(signal);
    const { contentOf } = this.#parts.chain[0].head.table;
    let seen = 0;
    for (const [k, chunk] of this.chunks.entries()) {
      // Contents are in the order in which chunks name them.
      if (contentOf[k] === seen) await this.#readContent(seen++, chunk);
      onProgress?.((k + 1) * CHUNK_BYTES);
      await pace.breathe();
    }
  }

  /** Lets go of the files. */
  async close(): Promise<void> {
    this.#ahead?.close();
    await closeAll(this.#parts.packs);
  }

  #contentOf(chunk: number): number {
    return this.#parts.chain[0].head.table.find(chunk);
  }

  #rangeOf(index: number): StoredRange {
    const { generation, content } = this.#parts.places[index] as Place;
    const { manifest, table } = (this.#parts.chain[generation] as Generation).head;
    return {
      generation,
      file: manifest.pack,
      offset: table.offsets[content] as number,
      length: table.stored[content] as number,
      codec: table.codecs[content] as StoredRange["codec"],
    };
  }

  async #readContent(content: number, chunk: number): Promise<Uint8Array> {
    const stored = this.#stored(content, chunk);
    const { file, offset, length, name } = stored;
    const ahead = (await this.#ahead?.get(content)) ?? null;
    return this.#unpacked(stored, ahead ?? (await readUpTo(file, offset, length, name)));
  }

  #stored(content: number, chunk: number): StoredContent {
    const { chain, packs } = this.#parts;
    const { generation, file, offset, length, codec } = this.#rangeOf(content);
    const name = `${(chain[generation] as Generation).source.name}/${file}`;
    return { ...{ content, chunk, offset, length, codec, name }, file: packs[generation] as SnapshotFile };
  }

  /** The bytes of a content, checked. @param packed fewer than there should be if the file has become shorter */
  #unpacked({ content, chunk, offset, length, codec, name }: StoredContent, packed: Uint8Array): Uint8Array {
    const { chain, unpack } = this.#parts;
    const where = `chunk ${chunk}, ${length} bytes at ${offset} of ${name},`;
    if (packed.length < length) throw new SnapshotError("size", `${where} was cut off since the snapshot was opened`);
    let bytes: Uint8Array;
    try {
      bytes = unpack(codec, packed);
    } catch (cause) {
      throw new SnapshotError("corrupt", `${where} is damaged: it is no ${codec} of ${CHUNK_BYTES} bytes`, { cause });
    }
    if (bytes.length !== CHUNK_BYTES || !sameBytes(sha256(bytes), chain[0].head.table.digest(content)))
      throw new SnapshotError("corrupt", `${where} is damaged: it is not that of its checksum`);
    return bytes;
  }
}
