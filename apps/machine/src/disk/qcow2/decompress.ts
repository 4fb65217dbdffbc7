import { Inflate } from "fflate";
import { Decompress } from "fzstd";
import { DiskError } from "../error.js";

/** Bytes that are given to a decompressor at a time: what one step makes of it is bounded by that. */
const STEP = 1024;
/** The largest window a zstd frame may ask for: as large as a cluster can be. */
const MAX_WINDOW = 2 ** 21;
const ZSTD_MAGIC = 0xfd2f_b528;

/**
 * Unpacks a compressed cluster: raw deflate, or a zstd frame. What follows behind it in `packed` does not matter.
 * @returns exactly `size` bytes
 * @throws {DiskError} "corrupt" if it is damaged or holds less
 */
export function decompressCluster(packed: Uint8Array, size: number, type: "zlib" | "zstd"): Uint8Array {
  const cluster = new Uint8Array(size);
  let done = 0;
  const take = (part: Uint8Array): void => {
    cluster.set(part.subarray(0, size - done), done);
    done += Math.min(part.length, size - done);
  };
  try {
    if (type === "zstd") checkWindow(packed);
    const stream = type === "zlib" ? new Inflate(take) : new Decompress(take);
    for (let at = 0; at < packed.length && done < size; at += STEP) stream.push(packed.subarray(at, at + STEP));
  } catch (cause) {
    if (done < size) throw new DiskError("corrupt", `the qcow2 image is damaged: a ${type} cluster`, { cause });
  }
  if (done < size) throw new DiskError("corrupt", `the qcow2 image is damaged: a ${type} cluster is too short`);
  return cluster;
}

/** RFC 8878, 3.1.1.1: refuses a frame that would make its reader allocate more than a cluster needs. */
function checkWindow(packed: Uint8Array): void {
  if (packed.length < 6) throw new DiskError("corrupt", "a zstd cluster has no frame");
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  if (view.getUint32(0, true) !== ZSTD_MAGIC) throw new DiskError("corrupt", "a zstd cluster has no frame");
  const descriptor = view.getUint8(4);
  const single = (descriptor & 0x20) !== 0;
  if (single) {
    // The content size stands in for the window: 1, 2, 4 or 8 bytes behind the dictionary's number.
    const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0;
    const length = [1, 2, 4, 8][descriptor >> 6] ?? 8;
    let content = 0;
    for (let k = length - 1; k >= 0; k--) content = content * 256 + (packed[5 + dictionary + k] ?? 0);
    if (length === 2) content += 256;
    if (content > MAX_WINDOW) throw new DiskError("corrupt", `a zstd cluster of ${content} bytes`);
    return;
  }
  const window = view.getUint8(5);
  const base = 2 ** (10 + (window >> 3));
  if (base + (base / 8) * (window & 7) > MAX_WINDOW)
    throw new DiskError("corrupt", "a zstd cluster with a window of its own size");
}
