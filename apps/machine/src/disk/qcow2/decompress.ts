import { Inflate } from "fflate";
import { type Sink, unpackZstdFrame } from "../../zstd/zstd.js";
import { DiskError } from "../error.js";

/** Bytes that are given to a decompressor at a time: what one step makes of it is bounded by that. */
const STEP = 1024;

/**
 * Unpacks a compressed cluster: raw deflate, or a zstd frame. What follows behind it in `packed` does not matter.
 * @returns exactly `size` bytes
 * @throws {DiskError} "corrupt" if it is damaged or holds less
 */
export function decompressCluster(packed: Uint8Array, size: number, type: "zlib" | "zstd"): Uint8Array {
  const cluster = new Cluster(size);
  try {
    if (type === "zstd") for (const _ of unpackZstdFrame(packed, cluster)) if (cluster.full) break;
    if (type === "zlib") inflate(packed, cluster);
  } catch (cause) {
    if (!cluster.full) throw new DiskError("corrupt", `the qcow2 image is damaged: a ${type} cluster`, { cause });
  }
  if (!cluster.full) throw new DiskError("corrupt", `the qcow2 image is damaged: a ${type} cluster is too short`);
  return cluster.bytes;
}

function inflate(packed: Uint8Array, cluster: Cluster): void {
  const stream = new Inflate((part) => cluster.append(part.subarray(0, cluster.bytes.length - cluster.length)));
  for (let at = 0; at < packed.length && !cluster.full; at += STEP) stream.push(packed.subarray(at, at + STEP));
}

/** What comes out of a compressed cluster. */
class Cluster implements Sink {
  readonly bytes: Uint8Array;
  length = 0;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
  }

  get full(): boolean {
    return this.length === this.bytes.length;
  }

  expect(more: number): void {
    if (more > this.bytes.length - this.length)
      throw new RangeError(`more than the ${this.bytes.length} bytes of a cluster`);
  }

  append(chunk: Uint8Array): void {
    this.expect(chunk.length);
    this.bytes.set(chunk, this.length);
    this.length += chunk.length;
  }
}
