import type { HostArguments } from "../../engine/helpers.js";
import { ERRNO } from "../../errors.js";
import type { HelperContext, HelperEntry } from "./types.js";

/** Bytes that are read of a string at a time: no further than to the end of such a stretch of addresses. */
const STRETCH = 256;

const read =
  (user: boolean) =>
  (args: HostArguments, { probe }: HelperContext): number =>
    probe(args.low(0), args.low(1), args.low(2), args.high(2), user) ? 0 : -ERRNO.EFAULT;

/** Copies a string, and tells its length with the NUL that it is given in any case (`strncpy_from_kernel_nofault`). */
const readString =
  (user: boolean) =>
  (args: HostArguments, { arena, probe }: HelperContext): number => {
    const [to, size] = [args.low(0), args.low(1)];
    const [low, high] = [args.low(2), args.high(2)];
    if (size === 0) return 0;
    for (let done = 0; done < size; ) {
      const from = low + done;
      const length = Math.min(size - done, STRETCH - (from & (STRETCH - 1)));
      const carry = from > 0xffffffff ? 1 : 0;
      if (!probe(to + done, length, from >>> 0, high + carry, user)) {
        arena.u8.fill(0, to, to + size);
        return -ERRNO.EFAULT;
      }
      const end = arena.u8.subarray(to + done, to + done + length).indexOf(0);
      if (end >= 0) return done + end + 1;
      done += length;
    }
    arena.u8[to + size - 1] = 0;
    return size;
  };

/** Helpers that read memory which may not be there (kernel/trace/bpf_trace.c). */
export const PROBE_HELPERS: readonly HelperEntry[] = [
  { id: 4, name: "probe_read", call: read(false) },
  { id: 45, name: "probe_read_str", call: readString(false) },
  { id: 112, name: "probe_read_user", call: read(true) },
  { id: 113, name: "probe_read_kernel", call: read(false) },
  { id: 114, name: "probe_read_user_str", call: readString(true) },
  { id: 115, name: "probe_read_kernel_str", call: readString(false) },
];
