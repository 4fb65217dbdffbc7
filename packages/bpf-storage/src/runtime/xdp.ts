import type { Arena } from "../memory/arena.js";

/** `struct xdp_md` (linux/bpf.h), offsets in bytes; from `frame` on what the kernel's own struct has besides: where the frame begins and may end. */
export const XDP = {
  ...{ data: 0, dataEnd: 4, dataMeta: 8, ingressIfindex: 12, frame: 24, frameEnd: 28, size: 32 },
} as const;

/** Bytes at the start of a frame that are the kernel's own (`struct xdp_frame`). */
export const XDP_FRAME_BYTES = 40;
/** Room in front of a packet (`XDP_PACKET_HEADROOM`), of a frame, and at its end for the kernel's own (`struct skb_shared_info`). */
const HEADROOM = 256;
const FRAME_BYTES = 4096;
const SHARED_BYTES = 320;
/** The device that a packet has come by: `lo`. */
const LOOPBACK = 1;

/** Makes a packet as BPF_PROG_TEST_RUN does (net/bpf/test_run.c). A larger one than a page holds has a larger frame here. @returns the context; 0 if there is no memory */
export function makeXdp(arena: Arena, packet: Uint8Array): number {
  const room = Math.max(FRAME_BYTES - SHARED_BYTES, HEADROOM + packet.length);
  const context = arena.alloc(XDP.size);
  if (context === 0) return 0;
  const frame = arena.alloc(room);
  if (frame === 0) {
    arena.free(context);
    return 0;
  }
  const data = frame + HEADROOM;
  arena.u8.set(packet, data);
  arena.setU32(context + XDP.data, data);
  arena.setU32(context + XDP.dataMeta, data);
  arena.setU32(context + XDP.dataEnd, data + packet.length);
  arena.setU32(context + XDP.ingressIfindex, LOOPBACK);
  arena.setU32(context + XDP.frame, frame);
  arena.setU32(context + XDP.frameEnd, frame + room);
  return context;
}

/** The packet with the meta data in front of it. */
export function xdpOutput(arena: Arena, context: number): Uint8Array<ArrayBuffer> {
  const meta = arena.u32(context + XDP.dataMeta);
  return arena.read(meta, arena.u32(context + XDP.dataEnd) - meta);
}

export function freeXdp(arena: Arena, context: number): void {
  arena.free(arena.u32(context + XDP.frame));
  arena.free(context);
}
