import { BpfError, ERRNO } from "../errors.js";
import { MapFlag } from "../uapi/map-types.js";
import { checkFlags, checkSizes } from "./checks.js";
import { MAP } from "./layout.js";
import { type BpfMap, type MapDesc, type MapHost, mapHeader, type Status } from "./map.js";

const PAGE = 4096;
/** Bytes in front of a record: its length with these bits, and the pages that it lies behind the ring's own. */
const HEADER = 8;
const BUSY = 0x80000000;
const DISCARD = 0x40000000;
/** Bytes of a record at most (`RINGBUF_MAX_RECORD_SZ`), and of a ring, which the memory holds twice. */
const RECORD_MOST = 0x3fffffff;
const RING_MOST = 2 ** 30;
/** Pages in front of the records: the ring's own, the consumer's position and the producer's. */
const PAGES_BEFORE = 3;

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
  /** The first record that may still be written to. */
  #pending = 0;

  /**
   * @param wake called when there is something for who reads: not for each record
   * @throws {BpfError} EINVAL, ENOMEM
   */
  constructor(
    readonly host: MapHost,
    readonly desc: MapDesc,
    readonly id: number,
    readonly wake: () => void,
  ) {
    const { keySize, valueSize, maxEntries } = desc;
    checkFlags(desc, MapFlag.NumaNode, "a ring buffer");
    const power = maxEntries !== 0 && (maxEntries & (maxEntries - 1)) === 0;
    const sized = keySize === 0 && valueSize === 0 && power && maxEntries % PAGE === 0;
    checkSizes(desc, "a ring buffer", sized, `neither keys nor values, and a power of 2 of at least ${PAGE} bytes`);
    if (maxEntries > RING_MOST)
      throw new BpfError("ENOMEM", `a ring buffer of ${maxEntries} bytes: expected at most ${RING_MOST}`);
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

  /** Where the records begin in memory: as many bytes as the ring has, and behind them once more for those that reach over its end. */
  get data(): number {
    return this.#data;
  }

  /** How far records have been put in, bytes since the beginning. */
  get producerPosition(): number {
    return this.#producer;
  }

  /** How far who reads has come: written by those who have the ring mapped, to whatever they like. */
  get consumerPosition(): number {
    return this.#consumer;
  }

  set consumerPosition(position: number) {
    this.#consumer = position;
  }

  /** Offset of a record of `size` bytes to be written and then committed; 0 if there is no room. */
  reserve(size: number): number {
    const { arena } = this.host;
    const whole = wholeSize(size);
    const ring = this.desc.maxEntries;
    if (size > RECORD_MOST || whole > ring) return 0;
    this.#skipComplete();
    const end = this.#producer + whole;
    // Neither what has not been read may be lost, nor what is still being written.
    if (end < this.#consumer || end - this.#consumer > ring - 1 || end - this.#pending > ring - 1) return 0;
    const at = this.#data + (this.#producer % ring);
    arena.setU32(at, size | BUSY);
    arena.setU32(at + 4, PAGES_BEFORE + Math.floor((this.#producer % ring) / PAGE));
    this.#producer = end;
    return at + HEADER;
  }

  /** A reserved record is complete, or is not to be read. */
  commit(record: number, flags: number, discard = false): void {
    const { arena } = this.host;
    const ring = this.desc.maxEntries;
    const at = record - HEADER;
    const size = arena.u32(at) & ~BUSY;
    arena.setU32(at, discard ? size | DISCARD : size);
    // What lies behind the end is at the beginning too, as if its pages were mapped twice.
    const over = at + wholeSize(size) - (this.#data + ring);
    if (over > 0) arena.u8.copyWithin(this.#data, this.#data + ring, this.#data + ring + over);
    const first = at - this.#data === this.#consumer % ring;
    if ((flags & RingbufFlag.ForceWakeup) !== 0 || (first && (flags & RingbufFlag.NoWakeup) === 0)) this.wake();
  }

  /** Goes on to the first record that is still being written. */
  #skipComplete(): void {
    const { arena } = this.host;
    while (this.#pending < this.#producer) {
      const header = arena.u32(this.#data + (this.#pending % this.desc.maxEntries));
      if ((header & BUSY) !== 0) return;
      this.#pending += wholeSize(header & RECORD_MOST);
    }
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
