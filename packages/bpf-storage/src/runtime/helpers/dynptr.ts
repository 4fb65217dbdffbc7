import type { HostArguments } from "../../engine/helpers.js";
import { KERNEL_HIGH } from "../../engine/layout.js";
import { ERRNO } from "../../errors.js";
import { RingbufMap } from "../../maps/ringbuf.js";
import type { Arena } from "../../memory/arena.js";
import { loadSkb, storeSkb } from "./skb.js";
import type { HelperContext, HelperEntry } from "./types.js";
import { copyXdp } from "./xdp.js";

/** `struct bpf_dynptr_kern` (linux/bpf.h): the pointer, the size with kind and permission, and bytes from the pointer to the first. Offsets in bytes. */
const FIELDS = { data: 0, size: 8, offset: 12, bytes: 16 } as const;
/** Bits of the size: bytes, 24 bits; the kind from bit 28 on; whether it may only be read. */
const SIZE_MASK = 0xffffff;
const TYPE_SHIFT = 28;
const TYPE_MASK = 7;
const RDONLY = 0x80000000;

/** What a dynptr points into. */
export const DynptrType = { Local: 1, Ringbuf: 2, Skb: 3, Xdp: 4 } as const;

/** A dynptr, read. */
export interface Dynptr {
  readonly at: number;
  /** Offset of what it points into: a block of memory, or the context of a packet. */
  readonly data: number;
  /** Whether it points to nothing. */
  readonly isNull: boolean;
  readonly size: number;
  readonly offset: number;
  readonly type: number;
  readonly rdonly: boolean;
}

export function readDynptr(arena: Arena, at: number): Dynptr {
  const [low, high] = [arena.u32(at + FIELDS.data), arena.u32(at + FIELDS.data + 4)];
  const size = arena.u32(at + FIELDS.size);
  return {
    ...{
      at,
      data: low,
      isNull: low === 0 && high === 0,
      size: size & SIZE_MASK,
      offset: arena.u32(at + FIELDS.offset),
    },
    ...{ type: (size >>> TYPE_SHIFT) & TYPE_MASK, rdonly: (size & RDONLY) !== 0 },
  };
}

/** Writes one that points to all of what it points into. */
export function initDynptr(arena: Arena, at: number, data: number, type: number, size: number, rdonly = false): void {
  arena.setU32(at + FIELDS.data, data);
  arena.setU32(at + FIELDS.data + 4, KERNEL_HIGH);
  arena.setU32(at + FIELDS.size, (size | (type << TYPE_SHIFT) | (rdonly ? RDONLY : 0)) >>> 0);
  arena.setU32(at + FIELDS.offset, 0);
}

export const clearDynptr = (arena: Arena, at: number): void => {
  arena.u8.fill(0, at, at + FIELDS.bytes);
};

/** Lets it point to less: from `skip` bytes on, `size` bytes. */
export function narrowDynptr(arena: Arena, { at, offset }: Dynptr, skip: number, size: number): void {
  arena.setU32(at + FIELDS.offset, offset + skip);
  arena.setU32(at + FIELDS.size, ((arena.u32(at + FIELDS.size) & ~SIZE_MASK) | size) >>> 0);
}

export const copyDynptr = (arena: Arena, from: number, to: number): void => {
  arena.u8.copyWithin(to, from, from + FIELDS.bytes);
};

/** Whether it has so many bytes at an offset. */
export const holdsBytes = ({ size }: Dynptr, offset: number, length: number): boolean =>
  length <= size && offset <= size - length;

/** Whether it points into memory, and not into a packet. */
export const isMemory = ({ type }: Dynptr): boolean => type === DynptrType.Local || type === DynptrType.Ringbuf;

/** Copies out of it. */
export function loadDynptr(arena: Arena, from: Dynptr, offset: number, to: number, size: number): number {
  const at = from.offset + offset;
  if (from.type === DynptrType.Skb) return loadSkb(arena, from.data, at, to, size);
  if (from.type === DynptrType.Xdp) return copyXdp(arena, from.data, at, to, size, false);
  arena.u8.copyWithin(to, from.data + at, from.data + at + size);
  return 0;
}

const flagsOf = (args: HostArguments, k: number): number => (args.high(k) === 0 ? args.low(k) : ~0);

function fromMemory(args: HostArguments, { arena }: HelperContext): number {
  const [data, size, at] = [args.low(0), args.low(1), args.low(3)];
  const error = size > SIZE_MASK ? ERRNO.E2BIG : flagsOf(args, 2) !== 0 ? ERRNO.EINVAL : 0;
  if (error === 0) initDynptr(arena, at, data, DynptrType.Local, size);
  else clearDynptr(arena, at);
  return -error;
}

function reserve(args: HostArguments, { arena, map }: HelperContext): number {
  const [size, at] = [args.low(1), args.low(3)];
  const ring = map(args.low(0));
  clearDynptr(arena, at);
  if (flagsOf(args, 2) !== 0) return -ERRNO.EINVAL;
  if (size > SIZE_MASK) return -ERRNO.E2BIG;
  const record = ring instanceof RingbufMap ? ring.reserve(size) : 0;
  if (record === 0) return -ERRNO.EINVAL;
  initDynptr(arena, at, record, DynptrType.Ringbuf, size);
  return 0;
}

const commit =
  (discard: boolean) =>
  (args: HostArguments, { arena, rings }: HelperContext): number => {
    const { data, isNull, at } = readDynptr(arena, args.low(0));
    if (isNull) return 0;
    for (const ring of rings()) if (ring.holds(data)) ring.commit(data, args.low(1), discard);
    clearDynptr(arena, at);
    return 0;
  };

function read(args: HostArguments, { arena }: HelperContext): number {
  const [to, size, offset] = [args.low(0), args.low(1), args.low(3)];
  const from = readDynptr(arena, args.low(2));
  if (from.isNull || flagsOf(args, 4) !== 0) return -ERRNO.EINVAL;
  return holdsBytes(from, offset, size) ? loadDynptr(arena, from, offset, to, size) : -ERRNO.E2BIG;
}

function write(args: HostArguments, { arena }: HelperContext): number {
  const [offset, from, size, flags] = [args.low(1), args.low(2), args.low(3), flagsOf(args, 4)];
  const to = readDynptr(arena, args.low(0));
  if (to.isNull || to.rdonly) return -ERRNO.EINVAL;
  if (!holdsBytes(to, offset, size)) return -ERRNO.E2BIG;
  const at = to.offset + offset;
  if (to.type === DynptrType.Skb) return storeSkb(arena, to.data, at, from, size, flags);
  if (flags !== 0) return -ERRNO.EINVAL;
  if (to.type === DynptrType.Xdp) return copyXdp(arena, to.data, at, from, size, true);
  arena.u8.copyWithin(to.data + at, from, from + size);
  return 0;
}

function data(args: HostArguments, { arena }: HelperContext): undefined {
  const [offset, size] = [args.low(1), args.low(2)];
  const of = readDynptr(arena, args.low(0));
  if (of.isNull || of.rdonly || !isMemory(of) || !holdsBytes(of, offset, size)) return;
  args.setPointer(of.data + of.offset + offset);
}

/** Helpers of dynptrs, pointers that know their size (kernel/bpf/helpers.c, ringbuf.c). */
export const DYNPTR_HELPERS: readonly HelperEntry[] = [
  { id: 197, name: "dynptr_from_mem", call: fromMemory },
  { id: 198, name: "ringbuf_reserve_dynptr", call: reserve },
  { id: 199, name: "ringbuf_submit_dynptr", call: commit(false) },
  { id: 200, name: "ringbuf_discard_dynptr", call: commit(true) },
  { id: 201, name: "dynptr_read", call: read },
  { id: 202, name: "dynptr_write", call: write },
  { id: 203, name: "dynptr_data", call: data },
];
