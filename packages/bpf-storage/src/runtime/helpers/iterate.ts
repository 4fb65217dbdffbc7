import type { HostArguments } from "../../engine/helpers.js";
import { KERNEL_HIGH } from "../../engine/layout.js";
import { ERRNO } from "../../errors.js";
import { ArrayMap } from "../../maps/array.js";
import { HashMap } from "../../maps/hash.js";
import type { HelperContext, HelperEntry } from "./types.js";

/** Calls a function of the program for every element, until it says to stop. @returns how many there were */
const forEachElement = (args: HostArguments, { arena, map, callback }: HelperContext): number => {
  const over = map(args.low(0));
  const [index, low, high] = [args.low(1), args.low(2), args.high(2)];
  if (args.big(3) !== 0n || !(over instanceof ArrayMap || over instanceof HashMap)) return -ERRNO.EINVAL;
  const size = Math.max(8, over.desc.keySize);
  const [key, next] = [arena.alloc(size), arena.alloc(size)];
  if (key === 0 || next === 0) return -ERRNO.ENOMEM;
  let count = 0;
  for (let more = over.nextKey(0, key) === 0; more; count++) {
    // Before the function has its turn, which may delete the element.
    more = over.nextKey(key, next) === 0;
    const value = over.lookup(key);
    const told = callback(index, [over.address, KERNEL_HIGH, key, KERNEL_HIGH, value, KERNEL_HIGH, low, high]);
    if (told !== 0) more = false;
    arena.u8.copyWithin(key, next, next + size);
  }
  arena.free(key);
  arena.free(next);
  return count;
};

const lookupPerCpu = (args: HostArguments, { map, cpus }: HelperContext): undefined => {
  const over = map(args.low(0));
  const cpu = args.low(2);
  if (cpu >= cpus) return;
  const inArray = over instanceof ArrayMap ? over.at(over.host.arena.u32(args.low(1)), cpu) : 0;
  const found = over instanceof HashMap ? over.at(args.low(1), cpu) : inArray;
  if (found !== 0) args.setPointer(found);
};

/** Helpers that go through maps. */
export const ITERATION_HELPERS: readonly HelperEntry[] = [
  { id: 164, name: "for_each_map_elem", call: forEachElement },
  { id: 195, name: "map_lookup_percpu_elem", call: lookupPerCpu },
];
