import type { HostArguments } from "../../engine/helpers.js";
import { ERRNO } from "../../errors.js";
import { BloomFilter } from "../../maps/bloom-filter.js";
import { QueueMap } from "../../maps/queue.js";
import type { HelperContext, HelperEntry } from "./types.js";

const lookup = (args: HostArguments, { map }: HelperContext): undefined => {
  const found = map(args.low(0)).lookup(args.low(1));
  if (found > 0) args.setPointer(found);
};

const next =
  (take: boolean) =>
  (args: HostArguments, { map }: HelperContext): number => {
    const of = map(args.low(0));
    if (of instanceof QueueMap) return of.next(args.low(1), take);
    return of instanceof BloomFilter && !take ? of.peek(args.low(1)) : -ERRNO.EOPNOTSUPP;
  };

/** Helpers of maps (kernel/bpf/helpers.c). What generated code does is here for maps of other kinds. */
export const MAP_HELPERS: readonly HelperEntry[] = [
  { id: 1, name: "map_lookup_elem", call: lookup },
  {
    id: 2,
    name: "map_update_elem",
    call: (args, { map }) => map(args.low(0)).update(args.low(1), args.low(2), args.big(3)),
  },
  {
    id: 3,
    name: "map_delete_elem",
    call: (args, { map }) => map(args.low(0)).delete(args.low(1)),
  },
  { id: 87, name: "map_push_elem", call: (args, { map }) => map(args.low(0)).update(0, args.low(1), args.big(2)) },
  { id: 88, name: "map_pop_elem", call: next(true) },
  { id: 89, name: "map_peek_elem", call: next(false) },
];
