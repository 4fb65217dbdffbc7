import type { HostArguments } from "../../engine/helpers.js";
import { ERRNO } from "../../errors.js";
import type { Arena } from "../../memory/arena.js";
import { ProgramType } from "../../uapi/program-types.js";
import {
  clearDynptr,
  copyDynptr,
  type Dynptr,
  DynptrType,
  holdsBytes,
  initDynptr,
  isMemory,
  narrowDynptr,
  readDynptr,
} from "../helpers/dynptr.js";
import type { HelperContext } from "../helpers/types.js";
import { xdpLength, xdpPlace } from "../helpers/xdp.js";
import { SKB } from "../skb.js";
import type { KfuncEntry } from "./types.js";

function fromPacket(args: HostArguments, arena: Arena, type: number, size: number, rdonly: boolean): number {
  const [context, at] = [args.low(0), args.low(2)];
  if ((args.low(1) | args.high(1)) !== 0) {
    clearDynptr(arena, at);
    return -ERRNO.EINVAL;
  }
  initDynptr(arena, at, context, type, size, rdonly);
  return 0;
}

/** Programs that may write to their packet (`may_access_direct_pkt_data`). */
const WRITERS: readonly (ProgramType | undefined)[] = [
  ...[ProgramType.SchedCls, ProgramType.SchedAct, ProgramType.LwtXmit, ProgramType.SkSkb, ProgramType.SkMsg],
];

/** Of a packet that the program may not write to, it may only be read. */
function fromSkb(args: HostArguments, { arena, program }: HelperContext): number {
  const rdonly = !WRITERS.includes(program()?.type);
  return fromPacket(args, arena, DynptrType.Skb, arena.u32(args.low(0) + SKB.len), rdonly);
}

const fromXdp = (args: HostArguments, { arena }: HelperContext): number =>
  fromPacket(args, arena, DynptrType.Xdp, xdpLength(arena, args.low(0)), false);

function adjust(args: HostArguments, { arena }: HelperContext): number {
  const [start, end] = [args.low(1), args.low(2)];
  const dynptr = readDynptr(arena, args.low(0));
  if (dynptr.isNull || start > end) return -ERRNO.EINVAL;
  if (start > dynptr.size || end > dynptr.size) return -ERRNO.ERANGE;
  narrowDynptr(arena, dynptr, start, end - start);
  return 0;
}

function clone(args: HostArguments, { arena }: HelperContext): number {
  const [from, to] = [args.low(0), args.low(1)];
  if (readDynptr(arena, from).isNull) {
    clearDynptr(arena, to);
    return -ERRNO.EINVAL;
  }
  copyDynptr(arena, from, to);
  return 0;
}

/** Where so many bytes of a dynptr are in memory; 0 if they are not there. */
function placeOf(arena: Arena, of: Dynptr, offset: number, size: number): number {
  const at = of.offset + offset;
  if (isMemory(of)) return of.data + at;
  if (of.type === DynptrType.Xdp) return Math.max(0, xdpPlace(arena, of.data, at, size));
  const [data, end] = [arena.u32(of.data + SKB.data), arena.u32(of.data + SKB.dataEnd)];
  return at + size <= end - data ? data + at : 0;
}

/** A pointer to bytes, which lie in one piece always: nothing is copied to the buffer that the program gives for that. */
const slice =
  (write: boolean) =>
  (args: HostArguments, { arena }: HelperContext): undefined => {
    const [offset, size] = [args.low(1), args.low(3)];
    const of = readDynptr(arena, args.low(0));
    if (of.isNull || (write && of.rdonly) || !holdsBytes(of, offset, size)) return;
    const place = placeOf(arena, of, offset, size);
    if (place !== 0) args.setPointer(place);
  };

const told =
  (tell: (dynptr: Dynptr) => number) =>
  (args: HostArguments, { arena }: HelperContext): number =>
    tell(readDynptr(arena, args.low(0)));

/** Kfuncs of dynptrs (kernel/bpf/helpers.c, net/core/filter.c). */
export const DYNPTR_KFUNCS: readonly KfuncEntry[] = [
  { name: "bpf_dynptr_from_skb", call: fromSkb },
  { name: "bpf_dynptr_from_xdp", call: fromXdp },
  { name: "bpf_dynptr_adjust", call: adjust },
  { name: "bpf_dynptr_is_null", call: told(({ isNull }) => (isNull ? 1 : 0)) },
  { name: "bpf_dynptr_is_rdonly", call: told(({ isNull, rdonly }) => (!isNull && rdonly ? 1 : 0)) },
  { name: "bpf_dynptr_size", call: told(({ isNull, size }) => (isNull ? -ERRNO.EINVAL : size)) },
  { name: "bpf_dynptr_clone", call: clone },
  { name: "bpf_dynptr_slice", call: slice(false) },
  { name: "bpf_dynptr_slice_rdwr", call: slice(true) },
];
