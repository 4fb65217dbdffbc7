import { KERNEL_HIGH } from "../engine/layout.js";
import { PacketContext } from "../engine/packet.js";
import type { Arena } from "../memory/arena.js";

/**
 * `struct __sk_buff` (linux/bpf.h) as programs have it, offsets in bytes; from `network` on what the kernel's own struct has besides. Fields are as wide as the
 * uapi says: `tc_index`, `tc_classid` and `queue_mapping`, of which the kernel keeps 16 bits, keep what is written.
 */
export const SKB = {
  ...{ len: 0, pktType: 4, mark: 8, protocol: 16, ifindex: 40, cb: 48, hash: 68, data: PacketContext.data },
  ...{ dataEnd: PacketContext.dataEnd, family: 88, remoteIp4: 92, localIp4: 96, remoteIp6: 100, localIp6: 116 },
  ...{ dataMeta: 140, wireLen: 160, sk: 168, network: PacketContext.network, mac: PacketContext.mac },
  /** The block that the packet is in, and where it ends. */
  ...{ block: 200, blockEnd: 204 },
  /** Whether `hash` is that of the packet. */
  ...{ hashed: 208 },
  /** Bytes that the kernel would have in front of the packet, and where it would believe the header of the transport, counted from the first of them. */
  ...{ headroom: 212, transport: 216 },
  /** How many of its checksums a device has found to be right. */
  ...{ checked: 220, size: 224 },
} as const;

/** `struct bpf_sock` (linux/bpf.h), and behind it the number that tells sockets apart. */
const SOCK = {
  family: 4,
  src4: 24,
  src6: 28,
  dst4: 52,
  dst6: 56,
  state: 72,
  rxQueue: 76,
  cookie: 80,
  size: 88,
} as const;

/** Bytes of a header of Ethernet, and of those that follow it. */
export const ETH_HLEN = 14;
const IP_HLEN = 20;
const IP6_HLEN = 40;
const ETH_P = { ip: 0x0800, ip6: 0x86dd, snap: 0x0001, llc: 0x0004 } as const;
/** Least number of a protocol in a header of Ethernet; below, it is a length. */
const ETH_P_LEAST = 0x600;
const AF = { inet: 2, inet6: 10 } as const;
/** The device of a packet that nobody has sent: `lo`. */
const LOOPBACK = 1;
const TCP_CLOSE = 7;
/** Room in front of a packet (`NET_SKB_PAD`), and behind it. */
const HEADROOM = 64;
const TAILROOM = 64;
/** Where no header is, 16 bits. */
const UNSET = 0xffff;
/** Kinds of packets by their destination (linux/if_packet.h); `lo` has the address 0. */
const PACKET = { host: 0, multicast: 2, other: 3 } as const;

/** Protocol of a frame: what its header says, or what comes of it where it says a length (`eth_type_trans`). */
function protocolOf(frame: Uint8Array): number {
  const at = (k: number): number => ((frame[k] ?? 0) << 8) | (frame[k + 1] ?? 0);
  if (frame.length < ETH_HLEN) return 0;
  const type = at(12);
  if (type >= ETH_P_LEAST) return type;
  return frame.length >= ETH_HLEN + 2 && at(ETH_HLEN) === 0xffff ? ETH_P.snap : ETH_P.llc;
}

function packetType(frame: Uint8Array): number {
  if (frame.subarray(0, 6).every((byte) => byte === 0)) return PACKET.host;
  return ((frame[0] ?? 0) & 1) !== 0 ? PACKET.multicast : PACKET.other;
}

/**
 * Makes a packet as BPF_PROG_TEST_RUN does (net/bpf/test_run.c), on `lo`, of a socket that has been neither bound nor connected.
 * @param frame with its header of Ethernet
 * @param link whether programs see that header, or what comes behind it
 * @returns the offset of the context; 0 if there is no memory
 */
export function makeSkb(arena: Arena, frame: Uint8Array, link: boolean): number {
  const context = arena.alloc(SKB.size + SOCK.size);
  if (context === 0) return 0;
  const length = HEADROOM + frame.length + TAILROOM;
  const block = arena.alloc(length);
  if (block === 0) {
    arena.free(context);
    return 0;
  }
  const mac = block + HEADROOM;
  const network = mac + Math.min(ETH_HLEN, frame.length);
  const protocol = protocolOf(frame);
  arena.u8.set(frame, mac);
  const { view } = arena;
  const set = (field: number, value: number): void => view.setUint32(context + field, value, true);
  view.setUint16(context + SKB.protocol, protocol);
  set(SKB.pktType, packetType(frame));
  set(SKB.ifindex, LOOPBACK);
  set(SKB.network, network);
  set(SKB.mac, mac);
  set(SKB.block, block);
  set(SKB.blockEnd, block + length);
  set(SKB.headroom, HEADROOM + (link ? 0 : network - mac));
  set(SKB.transport, UNSET);
  setSkbData(arena, context, link ? mac : network, mac + frame.length);
  set(SKB.wireLen, arena.u32(context + SKB.len));
  makeSock(arena, context, protocol);
  return context;
}

/** The socket, and what the context has of it. */
function makeSock(arena: Arena, context: number, protocol: number): void {
  const { view, u8 } = arena;
  const sock = context + SKB.size;
  const network = arena.u32(context + SKB.network);
  const room = arena.u32(context + SKB.dataEnd) - network;
  view.setUint32(context + SKB.sk, sock, true);
  view.setUint32(context + SKB.sk + 4, KERNEL_HIGH, true);
  view.setUint32(sock + SOCK.state, TCP_CLOSE, true);
  view.setInt32(sock + SOCK.rxQueue, -1, true);
  const [v4, v6] = [protocol === ETH_P.ip && room >= IP_HLEN, protocol === ETH_P.ip6 && room >= IP6_HLEN];
  if (!v4 && !v6) return;
  const family = v4 ? AF.inet : AF.inet6;
  view.setUint32(sock + SOCK.family, family, true);
  view.setUint32(context + SKB.family, family, true);
  const [source, size] = v4 ? [network + 12, 4] : [network + 8, 16];
  const places: readonly [number, number][] = v4
    ? [
        [SOCK.src4, SKB.localIp4],
        [SOCK.dst4, SKB.remoteIp4],
      ]
    : [
        [SOCK.src6, SKB.localIp6],
        [SOCK.dst6, SKB.remoteIp6],
      ];
  for (const [k, [inSock, inContext]] of places.entries()) {
    u8.copyWithin(sock + inSock, source + k * size, source + (k + 1) * size);
    u8.copyWithin(context + inContext, source + k * size, source + (k + 1) * size);
  }
}

/** The number that tells the packet's socket apart, in two words; none so far are 0. */
export const socketCookieAt = (context: number): number => context + SKB.size + SOCK.cookie;

/** Puts the first byte of the packet, and the one after the last, where all look for them. */
export function setSkbData(arena: Arena, context: number, data: number, end: number): void {
  arena.setU32(context + SKB.data, data);
  arena.setU32(context + SKB.dataMeta, data);
  arena.setU32(context + SKB.dataEnd, end);
  arena.setU32(context + SKB.len, end - data);
}

/** Makes room for so many bytes in front of a packet and behind it, which may move it. False: no memory. */
export function makeSkbRoom(arena: Arena, context: number, front: number, behind: number): boolean {
  const word = (field: number): number => arena.u32(context + field);
  const [block, data, end] = [word(SKB.block), word(SKB.data), word(SKB.dataEnd)];
  if (data - block >= front && word(SKB.blockEnd) - end >= behind) return true;
  // Headers in front of what programs see are kept.
  const length = HEADROOM + front + (end - block) + behind + TAILROOM;
  const moved = arena.alloc(length);
  if (moved === 0) return false;
  const by = moved + HEADROOM + front - block;
  arena.u8.copyWithin(block + by, block, end);
  arena.free(block);
  arena.setU32(context + SKB.block, moved);
  arena.setU32(context + SKB.blockEnd, moved + length);
  for (const field of [SKB.network, SKB.mac]) arena.setU32(context + field, word(field) + by);
  setSkbData(arena, context, data + by, end + by);
  return true;
}

/**
 * So many bytes are put in front of a packet. Where the kernel has to make room for them, it moves what it knows of headers with the packet, even where it
 * knows of none (`skb_headers_offset_update`).
 */
export function takeHeadroom(arena: Arena, context: number, bytes: number): void {
  const room = arena.u32(context + SKB.headroom);
  const made = Math.ceil(Math.max(0, bytes - room) / HEADROOM) * HEADROOM;
  arena.setU32(context + SKB.headroom, room + made - bytes);
  if (made > 0) arena.setU32(context + SKB.transport, (arena.u32(context + SKB.transport) + made) & UNSET);
}

/** Bytes that a packet has at least: those in front of the last header that is known (`__bpf_skb_min_len`). */
export function leastLength(arena: Arena, context: number): number {
  const transport = arena.u32(context + SKB.transport);
  const behind = transport - arena.u32(context + SKB.headroom);
  if (transport !== UNSET && behind > 0) return behind;
  return Math.max(0, arena.u32(context + SKB.network) - arena.u32(context + SKB.data));
}

/** The packet as BPF_PROG_TEST_RUN gives it back: in front of one without its header of Ethernet there are as many zeros. */
export function skbOutput(arena: Arena, context: number, link: boolean): Uint8Array<ArrayBuffer> {
  const data = arena.u32(context + SKB.data);
  const bytes = arena.read(data, arena.u32(context + SKB.dataEnd) - data);
  if (link) return bytes;
  const whole = new Uint8Array(ETH_HLEN + bytes.length);
  whole.set(bytes, ETH_HLEN);
  return whole;
}

export function freeSkb(arena: Arena, context: number): void {
  arena.free(arena.u32(context + SKB.block));
  arena.free(context);
}
