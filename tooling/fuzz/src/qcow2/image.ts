import { deflateRawSync } from "node:zlib";
import type { Random } from "../random.js";

/** A small sound qcow2 image, and where its parts are. */
export interface Image {
  readonly bytes: Uint8Array;
  /** Header, and the tables: what is worth spoiling. First byte and length. */
  readonly parts: readonly (readonly [number, number])[];
}

const HEADER_BYTES = 112;

/**
 * An image of a few clusters, some of them data, some zeros, some compressed and some nowhere: header, refcount table, one
 * refcount block, L1 table, one L2 table, then the clusters.
 */
export function sound(random: Random): Image {
  const clusterBits = random.pick([9, 9, 10, 12, 12, 16]);
  const size = 2 ** clusterBits;
  const version = random.pick([2, 3, 3]);
  const order = version === 2 ? 4 : random.pick([0, 1, 2, 3, 4, 4, 5, 6]);
  const clusters = 6 + random.below(12);
  const bytes = new Uint8Array((clusters + 5) * size);
  const view = new DataView(bytes.buffer);
  const u64 = (at: number, value: number): void => view.setBigUint64(at, BigInt(value));
  view.setUint32(0, 0x514649fb);
  view.setUint32(4, version);
  view.setUint32(20, clusterBits);
  u64(24, 512 * (1 + random.below((size / 512) * (size / 8))));
  view.setUint32(36, 1);
  u64(40, 3 * size);
  u64(48, size);
  view.setUint32(56, 1);
  if (version === 3) {
    view.setUint32(96, order);
    view.setUint32(100, HEADER_BYTES);
    view.setUint32(92, random.chance(20) ? 1 : 0);
  }
  u64(size, 2 * size);
  const count = (cluster: number): void => {
    const bits = 2 ** order;
    if (order < 3) {
      const perByte = 8 / bits;
      const at = 2 * size + Math.floor(cluster / perByte);
      view.setUint8(at, view.getUint8(at) | (1 << ((cluster % perByte) * bits)));
    } else view.setUint8(2 * size + ((cluster + 1) * bits) / 8 - 1, 1);
  };
  for (let cluster = 0; cluster < clusters + 5; cluster++) count(cluster);
  const COPIED = 2 ** 63;
  view.setBigUint64(3 * size, BigInt(4 * size) | BigInt(COPIED));
  for (let k = 0; k < clusters; k++) {
    const at = (5 + k) * size;
    const entry = 4 * size + 8 * random.below(random.chance(70) ? clusters : size / 8);
    const kind = random.below(10);
    if (kind < 5) {
      bytes.fill(k + 1, at, at + size);
      view.setBigUint64(entry, BigInt(at) | BigInt(COPIED));
    } else if (kind < 7 && version === 3) view.setBigUint64(entry, BigInt(at) | BigInt(COPIED) | 1n);
    else {
      const packed = deflateRawSync(new Uint8Array(size).fill(k), { windowBits: 12 });
      bytes.set(packed.subarray(0, size), at);
      const sectors = Math.ceil(packed.length / 512) - 1;
      view.setBigUint64(entry, BigInt(at) | (BigInt(sectors) << BigInt(62 - (clusterBits - 8))) | (1n << 62n));
    }
  }
  const parts = [
    [0, HEADER_BYTES],
    [size, 64],
    [2 * size, Math.min(size, 128)],
    [3 * size, 8],
    [4 * size, Math.min(size, 8 * clusters)],
    [5 * size, clusters * size],
  ] as const;
  return { bytes, parts };
}

/** Spoils an image: a few bytes, words, or offsets of one part into another. */
export function spoil(random: Random, { bytes, parts }: Image): void {
  const view = new DataView(bytes.buffer);
  const times = random.chance(15) ? 0 : 1 + random.below(6);
  for (let k = 0; k < times; k++) {
    const [from, length] = random.pick(parts.slice(0, random.chance(85) ? 5 : 6));
    const at = from + random.below(length);
    const word = Math.min(from + (random.below(length) & ~7), bytes.length - 8);
    switch (random.below(5)) {
      case 0:
        view.setUint8(at, random.word() & 0xff);
        break;
      case 1:
        view.setUint8(at, view.getUint8(at) ^ (1 << random.below(8)));
        break;
      case 2:
        view.setUint32(word, random.word());
        break;
      case 3:
        view.setUint32(word + 4, random.pick([0, 1, 0xffff_ffff, 0x8000_0000, random.below(2 ** 20)]));
        break;
      default:
        view.setBigUint64(word, BigInt(random.pick(parts)[0]) | (random.chance(50) ? 1n << 63n : 0n));
    }
  }
}
