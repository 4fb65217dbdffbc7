import { BpfError, ERRNO } from "../errors.js";
import { MapFlag } from "../uapi/map-types.js";
import { MAP } from "./layout.js";
import { type BpfMap, type MapDesc, type MapHost, mapHeader, type Status } from "./map.js";

const PAGE = 4096;
/** Bytes in front of a record: its length with these bits, and a word that nobody reads here. */
const HEADER = 8;
const BUSY = 0x80000000;
const DISCARD = 0x40000000;
/** Bytes of a record at most (`RINGBUF_MAX_RECORD_SZ`), and of a ring (`RINGBUF_MAX_DATA_SZ` and what offsets of 32 bits hold twice). */
const RECORD_MOST = 0x3fffffff;
const RING_MOST = 2 ** 30;

/** Flags of what puts records in. */
export const RingbufFlag = { NoWakeup: 1, ForceWakeup: 2 } as const;
/** What `bpf_ringbuf_query` tells. */
export const RingbufQuery = { AvailData: 0, RingSize: 1, ConsPos: 2, ProdPos: 3 } as const;

/**
 * A ring of records (kernel/bpf/ringbuf.c). Where Linux maps its pages twice, one behind the other, so that a record that reaches over the end can be written
 * in one go, the memory here is twice as large: a record begins in the first half, and may end in the second.
 */
export class RingbufMap implements BpfMap {
  readonly address: number;
  readonly #data: number;
  #producer = 0;
  #consumer = 0;

  /** @param wake called when there is something for who reads: not for each record */
  constructor(
    readonly host: MapHost,
    readonly desc: MapDesc,
    readonly id: number,
    readonly wake: () => void,
  ) {
    const { keySize, valueSize, maxEntries, flags } = desc;
    const power = maxEntries !== 0 && (maxEntries & (maxEntries - 1)) === 0;
    if (keySize !== 0 || valueSize !== 0 || !power || maxEntries % PAGE !== 0 || (flags & ~MapFlag.NumaNode) !== 0)
      throw new BpfError(
        "EINVAL",
        `a ring buffer with keys of ${keySize}, values of ${valueSize}, ${maxEntries} bytes and flags 0x${flags.toString(16)}: expected 0, 0, a power of 2 of at least ${PAGE}, and 0`,
      );
    if (maxEntries > RING_MOST)
      throw new BpfError("E2BIG", `a ring buffer of ${maxEntries} bytes: expected at most ${RING_MOST}`);
    this.#data = host.arena.alloc(2 * maxEntries);
    this.address = this.#data === 0 ? 0 : mapHeader(host.arena, desc, id, MAP.own);
    if (this.address !== 0) return;
    if (this.#data !== 0) host.arena.free(this.#data);
    throw new BpfError("ENOMEM", `a ring buffer of ${maxEntries} bytes`);
  }

  /** Whether a record that was reserved lies here. */
  holds(record: number): boolean {
    return record >= this.#data && record < this.#data + 2 * this.desc.maxEntries;
  }

  /** Offset of a record of `size` bytes to be written and then committed; 0 if there is no room. */
  reserve(size: number): number {
    const { arena } = this.host;
    const whole = wholeSize(size);
    const ring = this.desc.maxEntries;
    if (size > RECORD_MOST || whole > ring || this.#producer + whole - this.#consumer > ring - 1) return 0;
    const at = this.#data + (this.#producer % ring);
    arena.setU32(at, size | BUSY);
    this.#producer += whole;
    return at + HEADER;
  }

  /** A reserved record is complete, or is not to be read. */
  commit(record: number, flags: number, discard = false): void {
    const { arena } = this.host;
    const at = record - HEADER;
    const size = arena.u32(at) & ~BUSY;
    arena.setU32(at, discard ? size | DISCARD : size);
    const first = at - this.#data === this.#consumer % this.desc.maxEntries;
    if ((flags & RingbufFlag.ForceWakeup) !== 0 || (first && (flags & RingbufFlag.NoWakeup) === 0)) this.wake();
  }

  /** Puts in a copy. */
  output(from: number, size: number, flags: number): Status {
    if ((flags & ~(RingbufFlag.NoWakeup | RingbufFlag.ForceWakeup)) !== 0) return -ERRNO.EINVAL;
    const record = this.reserve(size);
    if (record === 0) return -ERRNO.EAGAIN;
    this.host.arena.u8.copyWithin(record, from, from + size);
    this.commit(record, flags);
    return 0;
  }

  /** What `bpf_ringbuf_query` tells; 0 for what it does not know. */
  query(what: number): number {
    switch (what) {
      case RingbufQuery.AvailData:
        return this.#producer - this.#consumer;
      case RingbufQuery.RingSize:
        return this.desc.maxEntries;
      case RingbufQuery.ConsPos:
        return this.#consumer;
      case RingbufQuery.ProdPos:
        return this.#producer;
      default:
        return 0;
    }
  }

  /** Takes the records that are complete, up to the first that is not. */
  *consume(): Generator<Uint8Array<ArrayBuffer>> {
    const { arena } = this.host;
    while (this.#consumer < this.#producer) {
      const at = this.#data + (this.#consumer % this.desc.maxEntries);
      const header = arena.u32(at);
      if ((header & BUSY) !== 0) return;
      const size = header & RECORD_MOST;
      const bytes = (header & DISCARD) === 0 ? arena.read(at + HEADER, size) : null;
      this.#consumer += wholeSize(size);
      if (bytes !== null) yield bytes;
    }
  }

  lookup(): number {
    return -ERRNO.ENOTSUPP;
  }

  update(): Status {
    return -ERRNO.ENOTSUPP;
  }

  delete(): Status {
    return -ERRNO.ENOTSUPP;
  }

  nextKey(): Status {
    return -ERRNO.ENOTSUPP;
  }

  free(): void {
    const { arena, rcu } = this.host;
    rcu.call(() => {
      arena.free(this.#data);
      arena.free(this.address);
    });
  }
}

/** Bytes that a record takes of the ring. */
const wholeSize = (size: number): number => (size + HEADER + 7) & ~7;
