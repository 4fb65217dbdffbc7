import { Inflate } from "fflate";
import { turn } from "../../turn.js";
import { type Sink, unpackZstdFrame } from "../../zstd/zstd.js";
import { DiskError } from "../error.js";

/** Bytes that are given to the inflater at a time: what one step makes of it is bounded by that. */
const STEP = 1024;
/** Bytes that go in and come out between two turns of the event loop. */
const TURN_BYTES = 256 * 1024;

/**
 * Unpacks a compressed cluster: raw deflate, or a zstd frame. What follows behind it in `packed` does not matter.
 * @returns exactly `size` bytes
 * @throws {DiskError} "corrupt" if it is damaged or holds less
 */
export async function decompressCluster(packed: Uint8Array, size: number, type: "zlib" | "zstd"): Promise<Uint8Array> {
  const cluster = new Cluster(size);
  const steps = type === "zstd" ? unpackZstdFrame(packed, cluster) : inflate(packed, cluster);
  let turned = 0;
  try {
    for (let given = STEP; !cluster.full && !steps.next().done; given += STEP) {
      if (given + cluster.length - turned < TURN_BYTES) continue;
      turned = given + cluster.length;
      await turn();
    }
  } catch (cause) {
    if (!cluster.full) throw new DiskError("corrupt", `the qcow2 image is damaged: a ${type} cluster`, { cause });
  }
  if (!cluster.full) throw new DiskError("corrupt", `the qcow2 image is damaged: a ${type} cluster is too short`);
  return cluster.bytes;
}

function* inflate(packed: Uint8Array, cluster: Cluster): Generator<void> {
  const stream = new Inflate((part) => cluster.append(part.subarray(0, cluster.bytes.length - cluster.length)));
  for (let at = 0; at < packed.length; at += STEP) {
    stream.push(packed.subarray(at, at + STEP));
    yield;
  }
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
