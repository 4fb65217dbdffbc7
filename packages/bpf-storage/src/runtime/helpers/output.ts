import type { HostArguments } from "../../engine/helpers.js";
import { ERRNO } from "../../errors.js";
import { RingbufMap } from "../../maps/ringbuf.js";
import { ProgramType } from "../../uapi/program-types.js";
import { hasPacket } from "../context.js";
import { SKB } from "../skb.js";
import { XDP } from "../xdp.js";
import type { HelperContext, HelperEntry } from "./types.js";

/** `BPF_F_INDEX_MASK`, and `BPF_F_CURRENT_CPU`, which is all of it. */
const INDEX_MASK = 0xffffffff;
/** Bytes of a packet behind a record at most (`BPF_F_CTXLEN_MASK`). */
const PART_MOST = 0xfffff;
const NOTHING = new Uint8Array();
/** Bytes of a record at most: what fits 16 bits with its header. */
const RECORD_MOST = 0xffff - 16;

/** Bytes from the start of the packet that a program wants behind its record (`BPF_F_CTXLEN_MASK`); null for more than there are. */
function packetPart(args: HostArguments, { arena, program }: HelperContext): Uint8Array | null {
  const fields = program()?.type === ProgramType.Xdp ? XDP : SKB;
  const [start, end] = [arena.u32(args.low(0) + fields.data), arena.u32(args.low(0) + fields.dataEnd)];
  return args.high(2) > end - start ? null : arena.read(start, args.high(2));
}

const perfEventOutput = (args: HostArguments, context: HelperContext): number => {
  const { arena, host, map, cpu, program } = context;
  const { desc, id } = map(args.low(1));
  const type = program()?.type;
  const most = type !== undefined && hasPacket(type) ? PART_MOST : 0;
  if (args.high(2) > most) return -ERRNO.EINVAL;
  const part = args.high(2) === 0 ? NOTHING : packetPart(args, context);
  if (part === null) return -ERRNO.EFAULT;
  const index = args.low(2) === INDEX_MASK ? cpu() : args.low(2);
  if (index >= desc.maxEntries) return -ERRNO.E2BIG;
  const size = args.low(4);
  if (size > RECORD_MOST) return -ERRNO.E2BIG;
  const record = new Uint8Array(size + part.length);
  record.set(arena.u8.subarray(args.low(3), args.low(3) + size));
  record.set(part, size);
  return (host.perfEvent?.(id, index, record) ?? false) ? 0 : -ERRNO.ENOENT;
};

/** The ring at a pointer; null for a map of another kind. */
const ring = (args: HostArguments, { map }: HelperContext): RingbufMap | null => {
  const found = map(args.low(0));
  return found instanceof RingbufMap ? found : null;
};

const output = (args: HostArguments, context: HelperContext): number =>
  (args.high(3) === 0 ? ring(args, context)?.output(args.low(1), args.low(2), args.low(3)) : undefined) ??
  -ERRNO.EINVAL;

const reserve = (args: HostArguments, context: HelperContext): undefined => {
  const record = args.big(2) === 0n && args.high(1) === 0 ? ring(args, context)?.reserve(args.low(1)) : 0;
  if (record) args.setPointer(record);
};

const commit =
  (discard: boolean) =>
  (args: HostArguments, { rings }: HelperContext): number => {
    const record = args.low(0);
    for (const each of rings()) if (each.holds(record)) each.commit(record, args.low(1), discard);
    return 0;
  };

const query = (args: HostArguments, context: HelperContext): undefined => {
  const told = args.high(1) === 0 ? (ring(args, context)?.query(args.low(1)) ?? 0) : 0;
  args.setResult(told % 2 ** 32, Math.floor(told / 2 ** 32));
};

/** Helpers by which programs tell something to the outside. */
export const OUTPUT_HELPERS: readonly HelperEntry[] = [
  { id: 25, name: "perf_event_output", call: perfEventOutput },
  { id: 130, name: "ringbuf_output", call: output },
  { id: 131, name: "ringbuf_reserve", call: reserve },
  { id: 132, name: "ringbuf_submit", call: commit(false) },
  { id: 133, name: "ringbuf_discard", call: commit(true) },
  { id: 134, name: "ringbuf_query", call: query },
];
