import { promisify } from "node:util";
import * as zlib from "node:zlib";
import type { Pace } from "../../pace.js";
import { type CutChunk, checkCount } from "../cut.js";
import { keyOf, sha256 } from "../digest.js";
import { CHUNK_BYTES, type Codec } from "../layout.js";
import type { Content } from "../table.js";
import type { NewFile } from "./snapshot-fs.js";

/** Packs 64 KiB, in the host's thread pool. */
export interface Packer {
  readonly codec: Exclude<Codec, "parent" | "raw">;
  pack(bytes: Uint8Array): Promise<Uint8Array>;
}

type Pack = (bytes: Uint8Array) => Promise<Uint8Array>;

const deflateRaw = promisify(zlib.deflateRaw) as (bytes: Uint8Array, options: zlib.ZlibOptions) => Promise<Uint8Array>;
/** From Node 22.15 on. */
const zstd = (
  zlib as { zstdCompress?: (bytes: Uint8Array, end: (error: Error | null, packed: Uint8Array) => void) => void }
).zstdCompress;

/** zstd where the host has it, else deflate: its quickest level, which is two thirds of the time of the usual one and a twentieth larger. */
export const hostPacker: Packer =
  zstd === undefined
    ? { codec: "deflate", pack: (bytes) => deflateRaw(bytes, { level: 1, memLevel: 9 }) }
    : { codec: "zstd", pack: promisify(zstd) as Pack };

/** Contents that are packed at a time: what a busy guest leaves between two turns of the event loop, and not so much that its disks wait long for the same threads. */
const AHEAD = 8;
/** Bytes that are gathered before they are written. */
const WRITE_BYTES = 2 ** 20;

/** A content on its way into the pack. */
interface Under {
  /** Its index. */
  readonly content: number;
  readonly digest: Uint8Array;
  readonly bytes: Uint8Array;
  readonly packed: Promise<Uint8Array>;
}

/** Writes a pack: every content that is not known yet, one behind the other, in the order in which chunks first need it. */
export class PackWriter {
  readonly #file: NewFile;
  readonly #packer: Packer;
  readonly #inParent: (key: string) => boolean;
  readonly #index = new Map<string, number>();
  readonly #under: Under[] = [];
  #gathered: Uint8Array[] = [];
  #gatheredBytes = 0;
  /** By index. A content that is being packed is there once it is written. */
  readonly #contents: (Content | null)[] = [];
  readonly chunks: (readonly [chunk: number, content: number])[] = [];
  /** Bytes of the pack. */
  bytes = 0;

  constructor(file: NewFile, packer: Packer, inParent: (key: string) => boolean) {
    this.#file = file;
    this.#packer = packer;
    this.#inParent = inParent;
  }

  /** Takes a chunk. @throws {SnapshotError} "limit"; what the file says */
  async add({ chunk, bytes }: CutChunk): Promise<void> {
    checkCount(this.chunks.length + 1);
    const digest = sha256(bytes);
    const key = keyOf(digest);
    const known = this.#index.get(key);
    const content = known ?? this.#contents.length;
    this.chunks.push([chunk, content]);
    if (known !== undefined) return;
    this.#index.set(key, content);
    if (this.#inParent(key)) {
      this.#contents.push({ digest, codec: "parent", stored: 0 });
      return;
    }
    const copy = bytes.slice();
    const packed = this.#packer.pack(copy);
    // Whoever waits for it hears of a failure; without a waiter it would end the process.
    packed.catch(() => undefined);
    this.#contents.push(null);
    this.#under.push({ content, digest, bytes: copy, packed });
    if (this.#under.length >= AHEAD) await this.#settle();
  }

  /** Writes what is under way, and returns all contents. */
  async end(pace: Pace): Promise<readonly Content[]> {
    while (this.#under.length > 0) {
      await this.#settle();
      await pace.breathe();
    }
    await this.#flush();
    return this.#contents as Content[];
  }

  async #settle(): Promise<void> {
    const { content, digest, bytes, packed } = this.#under.shift() as Under;
    const smaller = await packed;
    const isSmaller = smaller.length < CHUNK_BYTES;
    const stored = isSmaller ? smaller : bytes;
    const codec = isSmaller ? this.#packer.codec : "raw";
    this.#contents[content] = { digest, codec, stored: stored.length };
    this.bytes += stored.length;
    this.#gathered.push(stored);
    this.#gatheredBytes += stored.length;
    if (this.#gatheredBytes >= WRITE_BYTES) await this.#flush();
  }

  async #flush(): Promise<void> {
    const all = new Uint8Array(this.#gatheredBytes);
    let at = 0;
    for (const part of this.#gathered) {
      all.set(part, at);
      at += part.length;
    }
    this.#gathered = [];
    this.#gatheredBytes = 0;
    if (all.length > 0) await this.#file.write(all);
  }
}
