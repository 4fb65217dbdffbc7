import type { HostArguments } from "../../engine/helpers.js";
import { ERRNO } from "../../errors.js";
import { bprintf, type FormatValues } from "./bprintf.js";
import type { HelperContext, HelperEntry } from "./types.js";

/** Bytes of a line (`MAX_BPRINTF_BUF`). */
const LINE_MOST = 1024;
/** Values of `bpf_trace_printk` (`MAX_TRACE_PRINTK_VARARGS`), and of those that get an array of them (`MAX_BPRINTF_VARARGS`). */
const PRINTK_VALUES = 3;
const VALUES_MOST = 12;
const EOVERFLOW = 75;

/** Bytes up to a NUL, as Latin-1; null if there is none. */
function text(bytes: Uint8Array): string | null {
  const end = bytes.indexOf(0);
  if (end < 0) return null;
  return Array.from(bytes.subarray(0, end), (byte) => String.fromCharCode(byte)).join("");
}

const half = (address: bigint, shift: bigint): number => Number((address >> shift) & 0xffffffffn);

/** Copies of memory that may not be there. */
function reader({ arena, probe }: HelperContext) {
  return (address: bigint, size: number, user: boolean): Uint8Array | null => {
    const to = arena.alloc(size);
    if (to === 0) return null;
    const there = probe(to, size, half(address, 0n), half(address, 32n), user);
    const bytes = there ? arena.read(to, size) : null;
    arena.free(to);
    return bytes;
  };
}

/** What a format is filled with: `count` values, each asked for by its number. */
function valuesOf(context: HelperContext, count: number, value: (k: number) => bigint): FormatValues {
  const read = reader(context);
  const string = (address: bigint, user: boolean, most: number): string | null => {
    let found = "";
    while (found.length < most) {
      // A string may end where memory does, which is at the end of such a stretch.
      const from = address + BigInt(found.length);
      const bytes = read(from, Math.min(most - found.length, 64 - half(from & 63n, 0n)), user);
      if (bytes === null) return null;
      const part = text(bytes);
      if (part !== null) return found + part;
      found += Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
    }
    return found;
  };
  const symbol = (address: bigint, distance: boolean): string | null =>
    context.host.symbolName?.(half(address, 0n), half(address, 32n), distance) ?? null;
  return { count, value, string, bytes: (address, size) => read(address, size, false), symbol };
}

/** The values that lie in memory, one behind the other; null if there cannot be so many bytes of them. */
function arrayValues(context: HelperContext, at: number, bytes: number): FormatValues | null {
  if (bytes % 8 !== 0 || bytes > 8 * VALUES_MOST || (bytes !== 0 && at === 0)) return null;
  return valuesOf(context, bytes / 8, (k) => context.arena.view.getBigUint64(at + 8 * k, true));
}

/** What a format in memory comes to; or a negative errno. */
function formatted({ arena }: HelperContext, at: number, size: number, values: FormatValues | null): string | number {
  const format = text(arena.u8.subarray(at, at + size));
  return values === null || format === null ? -ERRNO.EINVAL : bprintf(format, values);
}

/** Prints a line. @returns its length, or a negative errno */
function print(context: HelperContext, format: number, size: number, values: FormatValues | null): number {
  const line = formatted(context, format, size, values);
  if (typeof line === "number") return line;
  context.host.trace?.(line.slice(0, LINE_MOST - 1));
  return line.length;
}

const tracePrintk = (args: HostArguments, context: HelperContext): number =>
  print(
    context,
    args.low(0),
    args.low(1),
    valuesOf(context, PRINTK_VALUES, (k) => args.big(2 + k)),
  );

const traceVprintk = (args: HostArguments, context: HelperContext): number =>
  print(context, args.low(0), args.low(1), arrayValues(context, args.low(2), args.low(3)));

/** Writes a line into memory, as much as fits, ended by NUL. @returns bytes of all of it with that */
const snprintf = (args: HostArguments, context: HelperContext): number => {
  const { arena } = context;
  const [to, size, format] = [args.low(0), args.low(1), args.low(2)];
  const line = formatted(context, format, arena.u8.length - format, arrayValues(context, args.low(3), args.low(4)));
  if (typeof line === "number") return line;
  const bytes = arena.u8;
  const length = Math.min(line.length, size - 1);
  for (let k = 0; k < length; k++) bytes[to + k] = line.charCodeAt(k);
  if (size !== 0) bytes[to + length] = 0;
  return line.length + 1;
};

/** Gives bytes to the file that an iterator writes to. */
const toFile = (args: HostArguments, { host }: HelperContext, bytes: Uint8Array): number =>
  (host.seqWrite?.(args.low(0), args.high(0), bytes) ?? false) ? 0 : -EOVERFLOW;

const seqPrintf = (args: HostArguments, context: HelperContext): number => {
  const line = formatted(context, args.low(1), args.low(2), arrayValues(context, args.low(3), args.low(4)));
  if (typeof line === "number") return line;
  return toFile(
    args,
    context,
    Uint8Array.from(line, (character) => character.charCodeAt(0)),
  );
};

/** Helpers that print (kernel/trace/bpf_trace.c, kernel/bpf/helpers.c). */
export const PRINT_HELPERS: readonly HelperEntry[] = [
  { id: 6, name: "trace_printk", call: tracePrintk },
  { id: 126, name: "seq_printf", needs: "seqWrite", call: seqPrintf },
  {
    id: 127,
    name: "seq_write",
    needs: "seqWrite",
    call: (args, context) => toFile(args, context, context.arena.read(args.low(1), args.low(2))),
  },
  { id: 165, name: "snprintf", call: snprintf },
  { id: 177, name: "trace_vprintk", call: traceVprintk },
];
