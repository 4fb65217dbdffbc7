import { ERRNO } from "../errors.js";
import type { Arena } from "../memory/arena.js";
import type { Generation } from "../storage/storage-helpers.js";

/** A context as callers of BPF_PROG_TEST_RUN give and get it. */
export interface ShownContext {
  /** Bytes. */
  readonly size: number;
  /** Whether a program can be run with it, on a packet of so many bytes that is there. @returns 0 or a negative errno */
  readonly check: (given: Uint8Array, packet: number) => number;
  /** Writes what the caller says of it to where the program sees it. */
  readonly put: (arena: Arena, context: number, given: Uint8Array) => void;
  /** What is told of it after the run. */
  readonly get: (arena: Arena, context: number, given: Uint8Array) => Uint8Array;
}

/** A field, from `start` to `end` exclusive, bytes. */
type Field = readonly [start: number, end: number];

/** `struct __sk_buff`: what a caller may say (`convert___skb_to_skb`): mark, priority to ifindex, cb, tstamp to gso_segs, gso_size, hwtstamp. */
const SKB_BYTES = 192;
const SKB_FIELDS: readonly Field[] = [
  [8, 12],
  [32, 44],
  [48, 68],
  [152, 168],
  [176, 180],
  [184, 192],
];
const Skb = { ifindex: 40, wireLen: 160, gsoSegs: 164 } as const;
const GSO_SEGS_MOST = 65535;
const PACKET_MOST = 65536;
const LOOPBACK = 1;

const word = (bytes: Uint8Array, at: number): number =>
  new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);

/** Whether all bytes outside of some fields are zeros. */
function zeroOutside(bytes: Uint8Array, fields: readonly Field[]): boolean {
  return bytes.every((byte, at) => byte === 0 || fields.some(([start, end]) => at >= start && at < end));
}

const copyFields = (from: Uint8Array, to: Uint8Array, fields: readonly Field[]): void => {
  for (const [start, end] of fields) to.set(from.subarray(start, end), start);
};

export const SKB_CONTEXT: ShownContext = {
  size: SKB_BYTES,
  check: (given, packet) => {
    if (word(given, Skb.ifindex) > LOOPBACK) return -ERRNO.ENODEV;
    const wire = word(given, Skb.wireLen);
    const fits = wire === 0 || (wire >= packet && wire <= PACKET_MOST);
    return zeroOutside(given, SKB_FIELDS) && fits && word(given, Skb.gsoSegs) <= GSO_SEGS_MOST ? 0 : -ERRNO.EINVAL;
  },
  put: (arena, context, given) => {
    const seen = arena.u8.subarray(context, context + SKB_BYTES);
    const kept = { ifindex: word(seen, Skb.ifindex), wireLen: word(seen, Skb.wireLen) };
    copyFields(given, seen, SKB_FIELDS);
    arena.setU32(context + Skb.ifindex, word(given, Skb.ifindex) || kept.ifindex);
    arena.setU32(context + Skb.wireLen, word(given, Skb.wireLen) || kept.wireLen);
  },
  get: (arena, context) => {
    const shown = new Uint8Array(SKB_BYTES);
    copyFields(arena.u8.subarray(context, context + SKB_BYTES), shown, SKB_FIELDS);
    return shown;
  },
};

/** `struct xdp_md`: where the packet begins and ends, in bytes from the start of what the caller gives, of which what is in front is meta data. */
const XDP_BYTES = 24;
const Xdp = { data: 0, dataEnd: 4, dataMeta: 8, ingressIfindex: 12, rxQueueIndex: 16, egressIfindex: 20 } as const;
/** Bytes of meta data: what is known of it in 6.1, what there is room for in 6.12 behind the kernel's own. */
const META_MOST: Readonly<Record<Generation, number>> = { "6.1": 32, "6.12": 256 - 40 };

/** Where the part of a packet ends that programs see, and how much in front of it is meta data. */
export interface XdpPlaces {
  readonly meta: number;
  readonly end: number;
}

/** What the caller says of that; null for what cannot be. */
export function xdpPlaces(given: Uint8Array | null, packet: number, generation: Generation): XdpPlaces | null {
  if (given === null) return { meta: 0, end: packet };
  const [meta, end] = [word(given, Xdp.data), word(given, Xdp.dataEnd)];
  if (word(given, Xdp.dataMeta) !== 0 || end > packet || meta > end) return null;
  return meta % 4 === 0 && meta <= META_MOST[generation] ? { meta, end } : null;
}

export const XDP_CONTEXT: ShownContext = {
  size: XDP_BYTES,
  check: (given) => {
    const [device, queue] = [word(given, Xdp.ingressIfindex), word(given, Xdp.rxQueueIndex)];
    if (word(given, Xdp.egressIfindex) !== 0) return -ERRNO.EINVAL;
    if (device > LOOPBACK) return -ERRNO.ENODEV;
    return queue === 0 ? 0 : -ERRNO.EINVAL;
  },
  put: (arena, context, given) => {
    arena.setU32(context + Xdp.data, arena.u32(context + Xdp.dataMeta) + word(given, Xdp.data));
  },
  get: (arena, context, given) => {
    const shown = given.slice();
    const view = new DataView(shown.buffer);
    const meta = arena.u32(context + Xdp.dataMeta);
    view.setUint32(Xdp.data, arena.u32(context + Xdp.data) - meta, true);
    view.setUint32(Xdp.dataEnd, arena.u32(context + Xdp.dataEnd) - meta, true);
    return shown;
  },
};
