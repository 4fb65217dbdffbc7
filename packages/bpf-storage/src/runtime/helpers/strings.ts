import type { HostArguments } from "../../engine/helpers.js";
import { ERRNO } from "../../errors.js";
import { digitValue, isSpace } from "./characters.js";
import type { HelperContext, HelperEntry } from "./types.js";

const BASES: readonly number[] = [0, 8, 10, 16];
const BASE_MASK = 0x1f;
/** Characters of a number that are looked at. */
const NUMBER_MOST = 63;
const [MINUS, ZERO, X] = [0x2d, 0x30, 0x78];
const MOST = (1n << 64n) - 1n;
const LIMIT = 1n << 63n;

interface Parsed {
  /** Characters read. */
  readonly consumed: number;
  readonly value: bigint;
  readonly negative: boolean;
}

const isX = (code: number | undefined): boolean => ((code ?? 0) | 0x20) === X;

/** The base that a number says it has, and whether it says so in two characters. */
function baseOf(digits: Uint8Array, asked: number): { readonly base: number; readonly prefix: number } {
  const zero = digits[0] === ZERO;
  const hexadecimal = zero && isX(digits[1]);
  const base = asked !== 0 ? asked : !zero ? 10 : hexadecimal && digitValue(digits[2] ?? 0) < 16 ? 16 : 8;
  return { base, prefix: base === 16 && hexadecimal ? 2 : 0 };
}

/** A number as `bpf_strtoul` reads it; or a negative errno. */
function parse(text: Uint8Array, base: number): Parsed | number {
  if (!BASES.includes(base) || text.length === 0) return -ERRNO.EINVAL;
  let at = 0;
  while (at < text.length && isSpace(text[at] as number)) at++;
  const negative = text[at] === MINUS;
  if (negative) at++;
  if (at === text.length) return -ERRNO.EINVAL;
  const digits = text.subarray(at, at + NUMBER_MOST);
  const found = baseOf(digits, base);
  let [value, k] = [0n, found.prefix];
  for (; k < digits.length; k++) {
    const digit = digitValue(digits[k] as number);
    if (digit >= found.base) break;
    value = value * BigInt(found.base) + BigInt(digit);
  }
  if (value > MOST) return -ERRNO.ERANGE;
  return k === found.prefix ? -ERRNO.EINVAL : { consumed: at + k, value, negative };
}

/** Reads a number into memory. @param signed with its sign */
const toNumber =
  (signed: boolean) =>
  (args: HostArguments, { arena }: HelperContext): number => {
    const [at, size, flags, to] = [args.low(0), args.low(1), args.low(2), args.low(3)];
    arena.view.setBigUint64(to, 0n, true);
    if ((flags & ~BASE_MASK) !== 0 || args.high(2) !== 0) return -ERRNO.EINVAL;
    const parsed = parse(arena.u8.subarray(at, at + size), flags);
    if (typeof parsed === "number") return parsed;
    const { value, negative, consumed } = parsed;
    if (negative && !signed) return -ERRNO.EINVAL;
    if (signed && value >= (negative ? LIMIT + 1n : LIMIT)) return -ERRNO.ERANGE;
    arena.view.setBigInt64(to, BigInt.asIntN(64, negative ? -value : value), true);
    return consumed;
  };

/** -1, 0 or 1: how a string of at most so many bytes compares with another. */
function compare(args: HostArguments, { arena }: HelperContext): number {
  const [first, size, second] = [args.low(0), args.low(1), args.low(2)];
  const { u8 } = arena;
  for (let k = 0; k < size; k++) {
    const [a, b] = [u8[first + k] as number, u8[second + k] as number];
    if (a !== b) return a < b ? -1 : 1;
    if (a === 0) return 0;
  }
  return 0;
}

/** Helpers of strings (kernel/bpf/helpers.c). */
export const STRING_HELPERS: readonly HelperEntry[] = [
  { id: 105, name: "strtol", call: toNumber(true) },
  { id: 106, name: "strtoul", call: toNumber(false) },
  { id: 182, name: "strncmp", call: compare },
];
