import { BpfError } from "../errors.js";
import type { Arena } from "../memory/arena.js";
import { ProgramType } from "../uapi/program-types.js";

/** `struct xdp_md` and `struct __sk_buff` (linux/bpf.h), as far as data is concerned: offsets in bytes. */
const XDP = { data: 0, dataEnd: 4, dataMeta: 8, size: 24 };
const SKB = { len: 0, data: 76, dataEnd: 80, size: 192 };
/** Room in front of a packet and behind it, which programs may ask for (`XDP_PACKET_HEADROOM`). */
const HEADROOM = 256;

/** What a program is called with, in memory. */
export interface Context {
  /** Offset of what r1 points to. */
  readonly address: number;
  readonly free: () => void;
}

/**
 * The context of a run on some data: a packet for programs of networks, what r1 points to for all others.
 *
 * Structures are those of linux/bpf.h themselves. Their fields `data` and `data_end` have 32 bits, which is the lower half of a pointer here, and all that an
 * access takes of it.
 * @throws {BpfError} ENOMEM
 */
export function makeContext(arena: Arena, type: ProgramType, data: Uint8Array): Context {
  switch (type) {
    case ProgramType.Xdp:
      return packetContext(arena, data, XDP.size, (view, at, start, end) => {
        view.setUint32(at + XDP.data, start, true);
        view.setUint32(at + XDP.dataEnd, end, true);
        view.setUint32(at + XDP.dataMeta, start, true);
      });
    case ProgramType.SocketFilter:
    case ProgramType.SchedCls:
    case ProgramType.SchedAct:
    case ProgramType.CgroupSkb:
      return packetContext(arena, data, SKB.size, (view, at, start, end) => {
        view.setUint32(at + SKB.len, end - start, true);
        view.setUint32(at + SKB.data, start, true);
        view.setUint32(at + SKB.dataEnd, end, true);
      });
    default: {
      const address = allocate(arena, Math.max(data.length, SKB.size));
      arena.u8.set(data, address);
      return { address, free: () => arena.free(address) };
    }
  }
}

function packetContext(
  arena: Arena,
  data: Uint8Array,
  size: number,
  fill: (view: DataView, at: number, start: number, end: number) => void,
): Context {
  const address = allocate(arena, size);
  const packet = allocate(arena, data.length + 2 * HEADROOM);
  arena.u8.set(data, packet + HEADROOM);
  fill(arena.view, address, packet + HEADROOM, packet + HEADROOM + data.length);
  return {
    address,
    free: () => {
      arena.free(packet);
      arena.free(address);
    },
  };
}

function allocate(arena: Arena, size: number): number {
  const at = arena.alloc(size);
  if (at === 0) throw new BpfError("ENOMEM", `no ${size} bytes for the context of a program`);
  return at;
}
