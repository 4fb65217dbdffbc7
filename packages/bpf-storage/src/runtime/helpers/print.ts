import type { HostArguments } from "../../engine/helpers.js";
import { ERRNO } from "../../errors.js";
import type { HelperContext, HelperEntry } from "./types.js";

/** Bytes of a string argument, and of a whole line (`MAX_BPRINTF_BUF`). */
const STRING_MOST = 256;
const LINE_MOST = 1024;
/** Arguments of `bpf_trace_vprintk` (`MAX_BPRINTF_VARARGS`). */
const ARGUMENTS_MOST = 12;
const CONVERSION = /%(-|0)?(\d*)(ll|l|hh|h)?([diuxXpcs%]|p[ks])/g;

/** What a conversion of a format stands for. */
interface Arguments {
  /** The next argument, unsigned. */
  readonly next: () => bigint;
  /** The string at an address of the kernel. */
  readonly string: (address: bigint) => string;
}

/** Formats as bpf_trace_printk does: `%d %u %x %p %c %s` with `l` and `ll`, width and `0` or `-`. What it does not know stays as it is. */
export function formatText(format: string, { next, string }: Arguments): string {
  return format.replace(
    CONVERSION,
    (_, flag: string | undefined, width: string, length: string | undefined, kind: string) => {
      if (kind === "%") return "%";
      const text = convert(kind, length, next(), string);
      if (flag === "-") return text.padEnd(Number(width));
      return text.padStart(Number(width), flag === "0" ? "0" : " ");
    },
  );
}

function convert(kind: string, length: string | undefined, value: bigint, string: (address: bigint) => string): string {
  const bits = length?.startsWith("l") === true ? 64 : length === "hh" ? 8 : length === "h" ? 16 : 32;
  switch (kind) {
    case "d":
    case "i":
      return String(BigInt.asIntN(bits, value));
    case "u":
      return String(BigInt.asUintN(bits, value));
    case "x":
      return BigInt.asUintN(bits, value).toString(16);
    case "X":
      return BigInt.asUintN(bits, value).toString(16).toUpperCase();
    case "c":
      return String.fromCharCode(Number(value & 0xffn));
    case "s":
    case "ps":
      return string(value);
    default:
      return value.toString(16).padStart(16, "0");
  }
}

/** Bytes up to a NUL, as Latin-1. */
function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Array.from(end < 0 ? bytes : bytes.subarray(0, end), (byte) => String.fromCharCode(byte)).join("");
}

/** Prints a line. @returns its length, or a negative errno */
function print({ arena, host, probe }: HelperContext, format: number, size: number, next: () => bigint): number {
  if (size === 0 || size > LINE_MOST) return -ERRNO.EINVAL;
  const string = (address: bigint): string => {
    const to = arena.alloc(STRING_MOST);
    if (to === 0) return "";
    // A string may end where memory does.
    let length = STRING_MOST;
    const [low, high] = [Number(address & 0xffffffffn), Number(address >> 32n)];
    while (length > 0 && !probe(to, length, low, high, false)) length >>= 1;
    const read = text(arena.read(to, length));
    arena.free(to);
    return read;
  };
  const line = formatText(text(arena.read(format, size)), { next, string });
  host.trace?.(line);
  return line.length;
}

const tracePrintk = (args: HostArguments, context: HelperContext): number => {
  let k = 2;
  return print(context, args.low(0), args.low(1), () => (k <= 4 ? args.big(k++) : 0n));
};

const traceVprintk = (args: HostArguments, context: HelperContext): number => {
  const [data, bytes] = [args.low(2), args.low(3)];
  if (bytes % 8 !== 0 || bytes > 8 * ARGUMENTS_MOST) return -ERRNO.EINVAL;
  let at = 0;
  const next = (): bigint => {
    const value = at < bytes ? context.arena.view.getBigUint64(data + at, true) : 0n;
    at += 8;
    return value;
  };
  return print(context, args.low(0), args.low(1), next);
};

/** Helpers that print for who looks on (kernel/trace/bpf_trace.c). */
export const PRINT_HELPERS: readonly HelperEntry[] = [
  { id: 6, name: "trace_printk", call: tracePrintk },
  { id: 177, name: "trace_vprintk", call: traceVprintk },
];
