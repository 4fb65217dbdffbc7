import { BpfError } from "../errors.js";
import type { Arena } from "../memory/arena.js";
import { ProgramType } from "../uapi/program-types.js";
import { freeSkb, makeSkb, skbOutput } from "./skb.js";
import { freeXdp, makeXdp, xdpOutput } from "./xdp.js";

/** Bytes that a context has at least, where it is what the caller says. */
const LEAST = 192;

/** What a program is called with, in memory. */
export interface Context {
  /** Offset of what r1 points to. */
  readonly address: number;
  /** The data as the program has left it: of a packet what BPF_PROG_TEST_RUN gives back, or else what r1 points to. */
  readonly output: () => Uint8Array<ArrayBuffer>;
  readonly free: () => void;
}

/** Programs that get a packet without its header of Ethernet, and those that get it whole. */
const PACKETS: ReadonlyMap<ProgramType, "network" | "link"> = new Map([
  ...([ProgramType.SocketFilter, ProgramType.CgroupSkb] as const).map((type) => [type, "network"] as const),
  ...([ProgramType.LwtIn, ProgramType.LwtOut, ProgramType.LwtXmit] as const).map((type) => [type, "network"] as const),
  ...([ProgramType.SchedCls, ProgramType.SchedAct] as const).map((type) => [type, "link"] as const),
]);

/** Whether programs of a kind have a packet whose place their context tells in 32 bits, the lower half of a pointer. */
export const hasPacket = (type: ProgramType): boolean => type === ProgramType.Xdp || PACKETS.has(type);

/**
 * The context of a run on some data: a frame of Ethernet for programs of networks, what r1 points to for all others.
 *
 * Structures are those of linux/bpf.h themselves, with what BPF_PROG_TEST_RUN puts into them. Their fields `data` and `data_end` have 32 bits, which is the
 * lower half of a pointer here, and all that an access takes of it.
 * @throws {BpfError} ENOMEM
 */
export function makeContext(arena: Arena, type: ProgramType, data: Uint8Array): Context {
  const at = (made: number): number => {
    if (made === 0) throw new BpfError("ENOMEM", `no context for a program with ${data.length} bytes of data`);
    return made;
  };
  const packet = PACKETS.get(type);
  if (packet !== undefined) {
    const address = at(makeSkb(arena, data, packet === "link"));
    const output = (): Uint8Array<ArrayBuffer> => skbOutput(arena, address, packet === "link");
    return { address, output, free: () => freeSkb(arena, address) };
  }
  if (type === ProgramType.Xdp) {
    const address = at(makeXdp(arena, data));
    return { address, output: () => xdpOutput(arena, address), free: () => freeXdp(arena, address) };
  }
  const address = at(arena.alloc(Math.max(data.length, LEAST)));
  arena.u8.set(data, address);
  return { address, output: () => arena.read(address, data.length), free: () => arena.free(address) };
}
