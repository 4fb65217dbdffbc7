import type { HostArguments } from "../../engine/helpers.js";
import { ERRNO } from "../../errors.js";
import type { Arena } from "../../memory/arena.js";
import { ProgramType } from "../../uapi/program-types.js";
import { leastLength, makeSkbRoom, SKB, setSkbData, socketCookieAt, takeHeadroom } from "../skb.js";
import { replaceByDifference, replaceHalf, replaceWord, sumWords } from "./checksum.js";
import type { HelperContext, HelperEntry } from "./types.js";

const INT_MAX = 0x7fffffff;
/** Bytes of a packet at most (`SKB_MAX_ALLOC`). */
const SKB_MOST = 4 * 4096 - 320;
/** Bytes that `bpf_csum_diff` takes, from and to together (`MAX_BPF_STACK`). */
const DIFF_MOST = 512;
/** Flags of `bpf_skb_store_bytes`, and of `bpf_l4_csum_replace`. */
const Store = { recompute: 1, invalidateHash: 2 } as const;
const Csum = { field: 0xf, pseudo: 0x10, markMangled: 0x20, enforce: 0x40, ipv6: 0x80 } as const;
/** What marks that there is no checksum that is 0 (`CSUM_MANGLED_0`). */
const MANGLED = 0xffff;
const Header = { mac: 0, network: 1 } as const;
const Act = { shot: 2, redirect: 7 } as const;
const Xdp = { aborted: 0, redirect: 4 } as const;
const INGRESS = 1;
/** User of what belongs to no user here. */
const OVERFLOW_UID = 65534;
/** Bytes of `struct bpf_redir_neigh`. */
const NEIGHBOUR_BYTES = 20;

/** What of a packet lies where; words of its context. */
const packet = (arena: Arena, context: number): { readonly data: number; readonly end: number } => ({
  data: arena.u32(context + SKB.data),
  end: arena.u32(context + SKB.dataEnd),
});

/** Copies from a packet, or clears what there was to be copied to. */
function take(arena: Arena, to: number, size: number, from: number, within: boolean): number {
  if (within) arena.u8.copyWithin(to, from, from + size);
  else arena.u8.fill(0, to, to + size);
  return within ? 0 : -ERRNO.EFAULT;
}

/** `bpf_skb_load_bytes`. */
export function loadSkb(arena: Arena, context: number, offset: number, to: number, size: number): number {
  const { data, end } = packet(arena, context);
  return take(arena, to, size, data + offset, offset <= INT_MAX && offset + size <= end - data);
}

/** `bpf_skb_store_bytes`. */
export function storeSkb(
  arena: Arena,
  context: number,
  offset: number,
  from: number,
  size: number,
  flags: number,
): number {
  if ((flags & ~(Store.recompute | Store.invalidateHash)) !== 0) return -ERRNO.EINVAL;
  const { data, end } = packet(arena, context);
  if (offset > INT_MAX || offset + size > end - data) return -ERRNO.EFAULT;
  arena.u8.copyWithin(data + offset, from, from + size);
  if ((flags & Store.invalidateHash) !== 0) forgetHash(arena, context);
  return 0;
}

/** Low word of flags; what no flag has in the upper one is a flag that none is. */
const flagsOf = (args: HostArguments, k: number): number => (args.high(k) === 0 ? args.low(k) : ~0);

function loadRelative(args: HostArguments, { arena }: HelperContext): number {
  const [context, offset, to, size, header] = [args.low(0), args.low(1), args.low(2), args.low(3), args.low(4)];
  const field = header === Header.mac ? SKB.mac : header === Header.network ? SKB.network : null;
  const start = field === null ? 0 : arena.u32(context + field) + offset;
  const within = field !== null && offset <= 0xffff && start + size <= packet(arena, context).end;
  return take(arena, to, size, start, within);
}

function pullData(args: HostArguments, { arena }: HelperContext): number {
  const { data, end } = packet(arena, args.low(0));
  return args.low(1) > end - data ? -ERRNO.ENOMEM : 0;
}

/** Place of a checksum of 16 bits in a packet; a negative errno if there is none. */
function checksumAt(args: HostArguments, arena: Arena): number {
  const offset = args.low(1);
  const { data, end } = packet(arena, args.low(0));
  return offset > 0xffff || (offset & 1) !== 0 || offset + 2 > end - data ? -ERRNO.EFAULT : data + offset;
}

/** The checksum with 0, 2 or 4 bytes of what it covers replaced; -1 for another number, or a difference that has a beginning. */
function replaced(args: HostArguments, checksum: number, bytes: number): number {
  const [from, to] = [args.low(2), args.low(3)];
  if (bytes === 0) return (from | args.high(2)) === 0 ? replaceByDifference(checksum, to) : -1;
  if (bytes === 4) return replaceWord(checksum, from, to);
  return -1;
}

function replaceL3(args: HostArguments, { arena }: HelperContext): number {
  const flags = flagsOf(args, 4);
  if ((flags & ~Csum.field) !== 0) return -ERRNO.EINVAL;
  const at = checksumAt(args, arena);
  if (at < 0) return at;
  const checksum = arena.view.getUint16(at, true);
  const result =
    flags === 2 ? replaceHalf(checksum, args.low(2) & 0xffff, args.low(3) & 0xffff) : replaced(args, checksum, flags);
  if (result < 0) return -ERRNO.EINVAL;
  arena.view.setUint16(at, result, true);
  return 0;
}

function replaceL4(args: HostArguments, { arena }: HelperContext): number {
  const flags = flagsOf(args, 4);
  if ((flags & ~(Csum.field | Csum.pseudo | Csum.markMangled | Csum.enforce | Csum.ipv6)) !== 0) return -ERRNO.EINVAL;
  const at = checksumAt(args, arena);
  if (at < 0) return at;
  const checksum = arena.view.getUint16(at, true);
  const mayBeMissing = (flags & Csum.markMangled) !== 0;
  if (mayBeMissing && (flags & Csum.enforce) === 0 && checksum === 0) return 0;
  const bytes = flags & Csum.field;
  const result =
    bytes === 2 ? replaceWord(checksum, args.low(2) & 0xffff, args.low(3) & 0xffff) : replaced(args, checksum, bytes);
  if (result < 0) return -ERRNO.EINVAL;
  arena.view.setUint16(at, mayBeMissing && result === 0 ? MANGLED : result, true);
  return 0;
}

function difference(args: HostArguments, { arena }: HelperContext): number | undefined {
  const [from, fromSize, to, toSize] = [args.low(0), args.low(1), args.low(2), args.low(3)];
  if (((fromSize | toSize) & 3) !== 0 || fromSize + toSize > DIFF_MOST) return -ERRNO.EINVAL;
  const taken = sumWords(arena, from, fromSize, args.low(4), true);
  args.setResult(sumWords(arena, to, toSize, taken), 0);
  return undefined;
}

function changeTail(args: HostArguments, { arena }: HelperContext): number {
  const [context, length] = [args.low(0), args.low(1)];
  const { data, end } = packet(arena, context);
  if (flagsOf(args, 2) !== 0 || length > SKB_MOST || length < leastLength(arena, context)) return -ERRNO.EINVAL;
  const more = length - (end - data);
  if (more > 0 && !makeSkbRoom(arena, context, 0, more)) return -ERRNO.ENOMEM;
  const now = packet(arena, context);
  if (more > 0) arena.u8.fill(0, now.end, now.end + more);
  setSkbData(arena, context, now.data, now.end + more);
  return 0;
}

function changeHead(args: HostArguments, { arena }: HelperContext): number {
  const [context, more] = [args.low(0), args.low(1)];
  const { data, end } = packet(arena, context);
  if (flagsOf(args, 2) !== 0 || end - data + more > SKB_MOST) return -ERRNO.EINVAL;
  if (!makeSkbRoom(arena, context, more, 0)) return -ERRNO.ENOMEM;
  const now = packet(arena, context);
  const start = now.data - more;
  arena.u8.fill(0, start, now.data);
  setSkbData(arena, context, start, now.end);
  arena.setU32(context + SKB.mac, start);
  takeHeadroom(arena, context, more);
  return 0;
}

function forgetHash(arena: Arena, context: number): void {
  arena.setU32(context + SKB.hash, 0);
  arena.setU32(context + SKB.hashed, 0);
}

function setHash(arena: Arena, context: number, hash: number): number {
  arena.setU32(context + SKB.hash, hash);
  arena.setU32(context + SKB.hashed, 1);
  return 0;
}

/** A number for the packet, the same for the same one. That of Linux is another at each start. */
function recalculateHash(args: HostArguments, { arena }: HelperContext): number | undefined {
  const context = args.low(0);
  if (arena.u32(context + SKB.hashed) === 0) {
    const { end } = packet(arena, context);
    const start = arena.u32(context + SKB.network);
    let hash = 0x811c9dc5;
    for (const byte of arena.u8.subarray(start, Math.max(start, end))) hash = Math.imul(hash ^ byte, 0x01000193);
    setHash(arena, context, hash >>> 0 || 1);
  }
  args.setResult(arena.u32(context + SKB.hash), 0);
  return undefined;
}

function changeType(args: HostArguments, { arena }: HelperContext): number {
  const at = args.low(0) + SKB.pktType;
  if (arena.u32(at) > 3 || args.low(1) > 3) return -ERRNO.EINVAL;
  arena.setU32(at, args.low(1));
  return 0;
}

/** What is asked of the checksums that are known to be right, and how many are counted. */
const Level = { query: 0, increment: 1, decrement: 2, reset: 3 } as const;
const LEVELS = 4;

function checksumLevel(args: HostArguments, { arena }: HelperContext): number {
  const at = args.low(0) + SKB.checked;
  const count = arena.u32(at);
  if (args.high(1) !== 0) return -ERRNO.EINVAL;
  switch (args.low(1)) {
    case Level.query:
      return count === 0 ? -ERRNO.EACCES : count - 1;
    case Level.increment:
      arena.setU32(at, Math.min(LEVELS, count + 1));
      return 0;
    case Level.decrement:
      arena.setU32(at, Math.max(0, count - 1));
      return 0;
    case Level.reset:
      arena.setU32(at, 0);
      return 0;
    default:
      return -ERRNO.EINVAL;
  }
}

/** Where contexts have the pointer to their socket: `struct bpf_sock_addr` and `struct bpf_sock_ops`, bytes. */
const SOCKET_IN_CONTEXT: ReadonlyMap<ProgramType | undefined, number> = new Map([
  [ProgramType.CgroupSockAddr, 64],
  [ProgramType.SockOps, 184],
]);

function socketCookie(args: HostArguments, { arena, program, host, unique }: HelperContext): undefined {
  const type = program()?.type;
  const inContext = SOCKET_IN_CONTEXT.get(type);
  if (inContext !== undefined) {
    const sk = args.low(0) + inContext;
    const { low, high } = host.socketCookie?.(arena.u32(sk), arena.u32(sk + 4)) ?? { low: 0, high: 0 };
    args.setResult(low, high);
    return;
  }
  if (type === ProgramType.Tracing || type === ProgramType.Lsm || type === ProgramType.Syscall) {
    const { low, high } = host.socketCookie?.(args.low(0), args.high(0)) ?? { low: 0, high: 0 };
    args.setResult(low, high);
    return;
  }
  const at = socketCookieAt(args.low(0));
  if (arena.u32(at) === 0) arena.setU32(at, unique());
  args.setResult(arena.u32(at), 0);
}

function redirect(args: HostArguments, { program }: HelperContext): number {
  const flags = flagsOf(args, 1);
  if (program()?.type === ProgramType.Xdp) return flags === 0 ? Xdp.redirect : Xdp.aborted;
  return (flags & ~INGRESS) === 0 ? Act.redirect : Act.shot;
}

function redirectNeighbour(args: HostArguments): number {
  const size = args.low(2);
  return (size !== 0 && size < NEIGHBOUR_BYTES) || flagsOf(args, 3) !== 0 ? Act.shot : Act.redirect;
}

/** Helpers of packets with a `struct __sk_buff` (net/core/filter.c). Nothing is sent: `bpf_redirect` tells what comes of it. */
export const SKB_HELPERS: readonly HelperEntry[] = [
  {
    id: 9,
    name: "skb_store_bytes",
    call: (args, { arena }) => storeSkb(arena, args.low(0), args.low(1), args.low(2), args.low(3), flagsOf(args, 4)),
  },
  { id: 10, name: "l3_csum_replace", call: replaceL3 },
  { id: 11, name: "l4_csum_replace", call: replaceL4 },
  // Packets here belong to no class, and have taken no route.
  { id: 17, name: "get_cgroup_classid", call: () => 0 },
  { id: 23, name: "redirect", call: redirect },
  { id: 24, name: "get_route_realm", call: () => 0 },
  {
    id: 26,
    name: "skb_load_bytes",
    call: (args, { arena }) => loadSkb(arena, args.low(0), args.low(1), args.low(2), args.low(3)),
  },
  { id: 28, name: "csum_diff", call: difference },
  { id: 32, name: "skb_change_type", call: changeType },
  { id: 34, name: "get_hash_recalc", call: recalculateHash },
  { id: 38, name: "skb_change_tail", call: changeTail },
  { id: 39, name: "skb_pull_data", call: pullData },
  // The sum over a whole packet is none that a device has told.
  { id: 40, name: "csum_update", call: () => -ERRNO.ENOTSUPP },
  {
    id: 41,
    name: "set_hash_invalid",
    call: (args, { arena }) => {
      forgetHash(arena, args.low(0));
      return 0;
    },
  },
  { id: 43, name: "skb_change_head", call: changeHead },
  { id: 46, name: "get_socket_cookie", call: socketCookie },
  {
    id: 47,
    name: "get_socket_uid",
    call: (args, { arena }) => (arena.u32(args.low(0) + SKB.sk) === 0 ? OVERFLOW_UID : 0),
  },
  { id: 48, name: "set_hash", call: (args, { arena }) => setHash(arena, args.low(0), args.low(1)) },
  { id: 68, name: "skb_load_bytes_relative", call: loadRelative },
  { id: 135, name: "csum_level", call: checksumLevel },
  { id: 151, name: "skb_cgroup_classid", call: () => 0 },
  { id: 152, name: "redirect_neigh", call: redirectNeighbour },
  { id: 155, name: "redirect_peer", call: (args) => (flagsOf(args, 1) === 0 ? Act.redirect : Act.shot) },
];
