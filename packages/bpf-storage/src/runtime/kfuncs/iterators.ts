import type { HostArguments } from "../../engine/helpers.js";
import { ERRNO } from "../../errors.js";
import type { HelperContext } from "../helpers/types.js";
import type { KfuncEntry } from "./types.js";

/** `struct bpf_iter_num`: the number that was last, and the one after the last; i32. */
const NUM = { current: 0, end: 4 } as const;
const LOOPS_MOST = 8 << 20;

function numNew(args: HostArguments, { arena: { view } }: HelperContext): number {
  const [at, start, end] = [args.low(0), args.low(1) | 0, args.low(2) | 0];
  const error = start > end ? ERRNO.EINVAL : end - start > LOOPS_MOST ? ERRNO.E2BIG : 0;
  view.setInt32(at + NUM.current, error === 0 ? start - 1 : 0, true);
  view.setInt32(at + NUM.end, error === 0 ? end : 0, true);
  return -error;
}

/** The next number's place; the iterator itself is where it lies. */
function numNext(args: HostArguments, { arena: { view } }: HelperContext): undefined {
  const at = args.low(0);
  const [current, end] = [view.getInt32(at + NUM.current, true), view.getInt32(at + NUM.end, true)];
  // The number in front of the least wraps around, and so does this sum.
  const next = (current + 1) | 0;
  if (next >= end) {
    view.setInt32(at + NUM.current, 0, true);
    view.setInt32(at + NUM.end, 0, true);
    return;
  }
  view.setInt32(at + NUM.current, next, true);
  args.setPointer(at + NUM.current);
}

const clear =
  (bytes: number) =>
  (args: HostArguments, { arena }: HelperContext): undefined => {
    arena.u8.fill(0, args.low(0), args.low(0) + bytes);
  };

/** `struct bpf_iter_bits` as it is here: a copy of the words, or null; how many bits there are, and the one that was last. 16 bytes. */
const BITS = { words: 0, count: 4, current: 8, bytes: 16 } as const;
/** Words of 64 bits at most (`BITS_ITER_NR_WORDS_MAX`). */
const WORDS_MOST = 511;

function bitsNew(args: HostArguments, { arena, probe }: HelperContext): number {
  const [at, low, high, words] = [args.low(0), args.low(1), args.high(1), args.low(2)];
  arena.u8.fill(0, at, at + BITS.bytes);
  if ((low === 0 && high === 0) || words === 0) return -ERRNO.EINVAL;
  if (words > WORDS_MOST) return -ERRNO.E2BIG;
  const copy = arena.alloc(8 * words);
  if (copy === 0) return -ERRNO.ENOMEM;
  if (!probe(copy, 8 * words, low, high, false)) {
    arena.free(copy);
    return -ERRNO.EFAULT;
  }
  arena.setU32(at + BITS.words, copy);
  arena.setU32(at + BITS.count, 64 * words);
  arena.setU32(at + BITS.current, 0xffffffff);
  return 0;
}

function bitsNext(args: HostArguments, { arena }: HelperContext): undefined {
  const at = args.low(0);
  const [words, count] = [arena.u32(at + BITS.words), arena.u32(at + BITS.count)];
  if (count === 0) return;
  for (let bit = (arena.u32(at + BITS.current) + 1) >>> 0; bit < count; bit++)
    if ((((arena.u8[words + (bit >>> 3)] as number) >> (bit & 7)) & 1) !== 0) {
      arena.setU32(at + BITS.current, bit);
      args.setPointer(at + BITS.current);
      return;
    }
  arena.setU32(at + BITS.count, 0);
}

function bitsDestroy(args: HostArguments, { arena }: HelperContext): undefined {
  const words = arena.u32(args.low(0) + BITS.words);
  if (words !== 0) arena.free(words);
  arena.u8.fill(0, args.low(0), args.low(0) + BITS.bytes);
}

/** Iterators over numbers, and over the bits of words (kernel/bpf/bpf_iter.c, helpers.c). */
export const ITERATOR_KFUNCS: readonly KfuncEntry[] = [
  { name: "bpf_iter_num_new", call: numNew },
  { name: "bpf_iter_num_next", call: numNext },
  { name: "bpf_iter_num_destroy", call: clear(8) },
  { name: "bpf_iter_bits_new", call: bitsNew },
  { name: "bpf_iter_bits_next", call: bitsNext },
  { name: "bpf_iter_bits_destroy", call: bitsDestroy },
];
