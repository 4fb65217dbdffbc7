import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";
import { encode } from "@msgpack/msgpack";
import { sha256 } from "../../src/snapshot/digest.js";
import { CHUNK_BYTES } from "../../src/snapshot/layout.js";
import { memslot } from "./guest-memory.js";

/** What is changed of a sound snapshot of one chunk, the second of four; every checksum is right again behind it. */
export interface Edit {
  readonly version?: number;
  /** First byte of the file. */
  readonly magic?: number;
  /** Length of the state as the header says it. */
  readonly stateLength?: number;
  /** The state as it is encoded. */
  readonly state?: Uint8Array;
  /** Fields of the manifest. */
  readonly manifest?: object;
  /** Fields of the content and the chunk in the table. */
  readonly entry?: {
    readonly digest?: Uint8Array;
    readonly stored?: number;
    readonly codec?: number;
    readonly chunk?: number;
    readonly content?: number;
  };
  /** Times that the content is in the table. */
  readonly contents?: number;
  /** The words of the chunks. */
  readonly chunkEntries?: readonly number[];
  /** What is in the pack. */
  readonly packed?: Uint8Array;
}

/** What the chunk holds. */
export const CRAFTED_CHUNK = new Uint8Array(CHUNK_BYTES).map((_, k) => k % 251);

const words = (...values: readonly number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);

/** The files of a snapshot as the description of the format says, without the code that is tested. */
export function craftFiles(edit: Edit): ReadonlyMap<string, Uint8Array> {
  const packed = edit.packed ?? deflateRawSync(CRAFTED_CHUNK);
  const {
    digest = sha256(CRAFTED_CHUNK),
    stored = packed.length,
    codec = 2,
    chunk = 1,
    content = 0,
  } = edit.entry ?? {};
  const contents = edit.contents ?? 1;
  const chunkEntries = edit.chunkEntries ?? [chunk, content];
  const fields = {
    meta: null,
    memslots: [memslot(0, 0, 64)],
    parent: null,
    pack: "chunks-1",
    chunks: chunkEntries.length / 2,
    contents,
    ...edit.manifest,
  };
  const manifest = encode(fields, { useBigInt64: true });
  const one = Buffer.concat([digest, words(stored, codec)]);
  const table = Buffer.concat([...new Array<Uint8Array>(contents).fill(one), words(...chunkEntries)]);
  const state = edit.state ?? encode({ sound: true });
  const lengths = words(manifest.length, table.length, edit.stateLength ?? state.length, 0);
  const head = Buffer.concat([
    Uint8Array.of(edit.magic ?? 0x89),
    Buffer.from("VMSN\r\n\x1a", "latin1"),
    words(edit.version ?? 1, 0),
    lengths,
    sha256(manifest),
    sha256(table),
    sha256(state),
  ]);
  return new Map([
    ["snapshot", Buffer.concat([head, sha256(head), manifest, table, state])],
    ["chunks-1", packed],
  ]);
}

/** Writes them into a folder. */
export function craft(path: string, edit: Edit): void {
  mkdirSync(path, { recursive: true });
  for (const [name, bytes] of craftFiles(edit)) writeFileSync(join(path, name), bytes);
}
