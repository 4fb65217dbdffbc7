import type { HostArguments } from "../../engine/helpers.js";
import { ERRNO } from "../../errors.js";
import { SlotMap } from "../../maps/slots.js";
import type { Arena } from "../../memory/arena.js";
import type { Generation } from "../../storage/storage-helpers.js";
import { ETH_HLEN } from "../skb.js";
import { XDP, XDP_FRAME_BYTES } from "../xdp.js";
import type { HelperContext, HelperEntry } from "./types.js";

/** Bytes of meta data at most, a multiple of 4 (`xdp_metalen_invalid`). Since 6.9 it is the room for their number that ends them. */
const META_MOST: Readonly<Record<Generation, number>> = { "6.1": 32, "6.12": 252 };
/** Offsets and lengths of copies at most. */
const COPY_MOST = 0xffff;
const Xdp = { aborted: 0, redirect: 4, fallback: 3 } as const;
const BROADCAST = 8;
const EXCLUDE_INGRESS = 16;

interface Frame {
  readonly data: number;
  readonly end: number;
  readonly meta: number;
  /** Where the packet may begin at the earliest. */
  readonly first: number;
  /** Where it may end at the latest. */
  readonly last: number;
}

const frame = (arena: Arena, context: number): Frame => ({
  data: arena.u32(context + XDP.data),
  end: arena.u32(context + XDP.dataEnd),
  meta: arena.u32(context + XDP.dataMeta),
  first: arena.u32(context + XDP.frame) + XDP_FRAME_BYTES,
  last: arena.u32(context + XDP.frameEnd),
});

/** Bytes of the packet. */
export const xdpLength = (arena: Arena, context: number): number => {
  const { data, end } = frame(arena, context);
  return end - data;
};

function adjustHead(args: HostArguments, { arena }: HelperContext): number {
  const [context, by] = [args.low(0), args.low(1) | 0];
  const { data, end, meta, first } = frame(arena, context);
  const bytes = Math.max(0, data - meta);
  if (data + by < first + bytes || data + by > end - ETH_HLEN) return -ERRNO.EINVAL;
  arena.u8.copyWithin(meta + by, meta, meta + bytes);
  arena.setU32(context + XDP.dataMeta, meta + by);
  arena.setU32(context + XDP.data, data + by);
  return 0;
}

function adjustTail(args: HostArguments, { arena }: HelperContext): number {
  const [context, by] = [args.low(0), args.low(1) | 0];
  const { data, end, last } = frame(arena, context);
  if (end + by > last || end + by < data + ETH_HLEN) return -ERRNO.EINVAL;
  if (by > 0) arena.u8.fill(0, end, end + by);
  arena.setU32(context + XDP.dataEnd, end + by);
  return 0;
}

function adjustMeta(args: HostArguments, { arena, generation }: HelperContext): number {
  const [context, by] = [args.low(0), args.low(1) | 0];
  const { data, meta, first } = frame(arena, context);
  const bytes = data - (meta + by);
  if (meta + by < first || bytes < 0) return -ERRNO.EINVAL;
  if (bytes % 4 !== 0 || bytes > META_MOST[generation]) return -ERRNO.EACCES;
  arena.setU32(context + XDP.dataMeta, meta + by);
  return 0;
}

/** Where bytes of a packet are; a negative errno if they are not there (`bpf_xdp_pointer`). */
export function xdpPlace(arena: Arena, context: number, offset: number, size: number): number {
  const { data, end } = frame(arena, context);
  if (offset > COPY_MOST || size > COPY_MOST) return -ERRNO.EFAULT;
  return offset + size > end - data ? -ERRNO.EINVAL : data + offset;
}

/** `bpf_xdp_load_bytes`, or the other way around. */
export function copyXdp(
  arena: Arena,
  context: number,
  offset: number,
  buffer: number,
  size: number,
  store: boolean,
): number {
  const place = xdpPlace(arena, context, offset, size);
  if (place < 0) return place;
  const [to, from] = store ? [place, buffer] : [buffer, place];
  arena.u8.copyWithin(to, from, from + size);
  return 0;
}

const copy =
  (store: boolean) =>
  (args: HostArguments, { arena }: HelperContext): number =>
    copyXdp(arena, args.low(0), args.low(1), args.low(2), args.low(3), store);

/** What comes of sending a packet to who is in a slot of a map. */
function redirectMap(args: HostArguments, { map }: HelperContext): number {
  const over = map(args.low(0));
  const flags = args.high(2) === 0 ? args.low(2) : ~0;
  if ((flags & ~(Xdp.fallback | BROADCAST | EXCLUDE_INGRESS)) !== 0) return Xdp.aborted;
  const there = over instanceof SlotMap && args.high(1) === 0 && over.word(args.low(1)) !== 0;
  return there || (flags & BROADCAST) !== 0 ? Xdp.redirect : flags & Xdp.fallback;
}

/** Helpers of packets with a `struct xdp_md` (net/core/filter.c). Packets are in one piece. */
export const XDP_HELPERS: readonly HelperEntry[] = [
  { id: 44, name: "xdp_adjust_head", call: adjustHead },
  { id: 51, name: "redirect_map", call: redirectMap },
  { id: 54, name: "xdp_adjust_meta", call: adjustMeta },
  { id: 65, name: "xdp_adjust_tail", call: adjustTail },
  { id: 188, name: "xdp_get_buff_len", call: (args, { arena }) => xdpLength(arena, args.low(0)) },
  { id: 189, name: "xdp_load_bytes", call: copy(false) },
  { id: 190, name: "xdp_store_bytes", call: copy(true) },
];
