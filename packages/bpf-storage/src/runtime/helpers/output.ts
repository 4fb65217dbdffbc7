import type { HostArguments } from "../../engine/helpers.js";
import { ERRNO } from "../../errors.js";
import type { HelperContext, HelperEntry } from "./types.js";

/** `BPF_F_INDEX_MASK`, and `BPF_F_CURRENT_CPU`, which is all of it. */
const INDEX_MASK = 0xffffffff;
/** Bytes of a record at most: what fits 16 bits with its header. */
const RECORD_MOST = 0xffff - 16;

const perfEventOutput = (args: HostArguments, { arena, host, map, cpu }: HelperContext): number => {
  const { desc, id } = map(args.low(1));
  if (args.high(2) !== 0) return -ERRNO.EINVAL;
  const index = args.low(2) === INDEX_MASK ? cpu() : args.low(2);
  if (index >= desc.maxEntries) return -ERRNO.E2BIG;
  const size = args.low(4);
  if (size > RECORD_MOST) return -ERRNO.E2BIG;
  const taken = host.perfEvent?.(id, index, arena.read(args.low(3), size)) ?? false;
  return taken ? 0 : -ERRNO.ENOENT;
};

/** Helpers by which programs tell something to the outside. */
export const OUTPUT_HELPERS: readonly HelperEntry[] = [{ id: 25, name: "perf_event_output", call: perfEventOutput }];
