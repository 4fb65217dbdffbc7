import { ERRNO } from "../../errors.js";
import { isControl, isDigit, isPunctuation, isSpace } from "./characters.js";

/** Formats as the kernel's helpers take them (kernel/bpf/helpers.c, bpf_bprintf_prepare; lib/vsprintf.c). Text is of Latin-1: a character a byte. */

/** Bytes that the values of all conversions take (`MAX_BPRINTF_BIN_ARGS`). */
const BINARY_MOST = 512;

/** What a format is filled with. */
export interface FormatValues {
  /** How many there are. */
  readonly count: number;
  /** Value `k`, unsigned. */
  readonly value: (k: number) => bigint;
  /** Up to `most` bytes of a string, without the NUL that ends it; null if it cannot be read. */
  readonly string: (address: bigint, user: boolean, most: number) => string | null;
  /** Bytes of the kernel; null if they cannot be read. */
  readonly bytes: (address: bigint, size: number) => Uint8Array | null;
  /** What the kernel calls an address, with the distance from it if asked; null if it has no name. */
  readonly symbol: (address: bigint, distance: boolean) => string | null;
}

interface Conversion {
  readonly left: boolean;
  readonly zero: boolean;
  readonly plus: boolean;
  readonly space: boolean;
  readonly width: number;
}

class Refused extends Error {
  constructor(readonly errno: number) {
    super();
  }
}

/** The text, or a negative errno: EINVAL for a format that the kernel refuses, ENOSPC for values that take too much room. */
export function bprintf(format: string, values: FormatValues): string | number {
  try {
    return new Formatter(format, values).text();
  } catch (error) {
    if (error instanceof Refused) return -error.errno;
    throw error;
  }
}

const pad = (text: string, { left, width }: Conversion, fill = " "): string =>
  left ? text.padEnd(width) : text.padStart(width, fill);

function integer(value: bigint, kind: string, conversion: Conversion): string {
  const { left, zero, plus, space, width } = conversion;
  const signed = kind === "d" || kind === "i";
  const negative = signed && value < 0n;
  const sign = negative ? "-" : signed && plus ? "+" : signed && space ? " " : "";
  const lower = (negative ? -value : value).toString(kind === "x" || kind === "X" ? 16 : 10);
  const digits = kind === "X" ? lower.toUpperCase() : lower;
  if (zero && !left) return sign + digits.padStart(width - sign.length, "0");
  return pad(sign + digits, conversion);
}

/** An address of IPv4, or of IPv6 with all of its digits; `plain`: as `%pi4` and `%pi6`. */
function address(bytes: Uint8Array, plain: boolean): string {
  const parts = [...bytes];
  if (parts.length === 4) return parts.map((byte) => String(byte).padStart(plain ? 3 : 1, "0")).join(".");
  const hex = parts.map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return plain ? hex : (hex.match(/.{4}/g) ?? []).join(":");
}

class Formatter {
  #at = 0;
  #taken = 0;
  /** Bytes that values have taken so far. */
  #binary = 0;

  constructor(
    readonly format: string,
    readonly values: FormatValues,
  ) {}

  text(): string {
    const { format } = this;
    let text = "";
    for (; this.#at < format.length; this.#at++) {
      const code = this.#code(0);
      if (isControl(code)) throw new Refused(ERRNO.EINVAL);
      if (format[this.#at] !== "%") text += format[this.#at];
      else if (format[this.#at + 1] === "%") {
        text += "%";
        this.#at++;
      } else text += this.#conversion();
    }
    return text;
  }

  /** The character so many behind the one that is looked at; 0 at the end. */
  #code(ahead: number): number {
    const code = this.format.charCodeAt(this.#at + ahead);
    return Number.isNaN(code) ? 0 : code;
  }

  #is(ahead: number, characters: string): boolean {
    const found = this.format[this.#at + ahead];
    return found !== undefined && characters.includes(found);
  }

  /** Whether a conversion ends in front of the character so many behind. */
  #ends(ahead: number): boolean {
    const code = this.#code(ahead);
    return code === 0 || isSpace(code) || isPunctuation(code);
  }

  #take(): bigint {
    return this.values.value(this.#taken++);
  }

  #room(bytes: number, aligned: boolean): void {
    if (aligned) this.#binary = (this.#binary + 3) & ~3;
    if (BINARY_MOST - this.#binary < bytes) throw new Refused(ERRNO.ENOSPC);
    this.#binary += bytes;
  }

  #conversion(): string {
    if (this.#taken >= this.values.count) throw new Refused(ERRNO.EINVAL);
    this.#at++;
    if (this.#code(0) > 127) throw new Refused(ERRNO.EINVAL);
    const flags = this.#flags();
    if (this.#is(0, "p")) return this.#pointer(flags);
    if (this.#is(0, "s")) return this.#string(flags, false);
    if (this.#is(0, "c")) {
      this.#room(1, false);
      return pad(String.fromCharCode(Number(this.#take() & 0xffn)), flags);
    }
    let long = 0;
    while (long < 2 && this.#is(0, "l")) {
      long++;
      this.#at++;
    }
    if (!this.#is(0, "iduxX")) throw new Refused(ERRNO.EINVAL);
    const kind = this.format[this.#at] as string;
    const bits = long === 0 ? 32 : 64;
    this.#room(bits / 8, true);
    const value = this.#take();
    const signed = kind === "d" || kind === "i";
    return integer(signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value), kind, flags);
  }

  #flags(): Conversion {
    const start = this.#at;
    while (this.#is(0, "0+- ")) this.#at++;
    const flags = this.format.slice(start, this.#at);
    const digits = this.#at;
    if (this.#is(0, "123456789")) while (isDigit(this.#code(0))) this.#at++;
    const has = (flag: string): boolean => flags.includes(flag);
    return {
      ...{ left: has("-"), zero: has("0"), plus: has("+"), space: has(" ") },
      // A field of 24 bits with its sign.
      width: Math.max(0, (Number(this.format.slice(digits, this.#at)) << 8) >> 8),
    };
  }

  #pointer(flags: Conversion): string {
    if (this.#ends(1)) return this.#address(flags);
    if (this.#is(1, "ku") && this.#is(2, "s")) {
      const user = this.#is(1, "u");
      this.#at += 2;
      return this.#string(flags, user);
    }
    if (this.#is(1, "Kx")) {
      this.#at++;
      return this.#address(flags);
    }
    if (this.#is(1, "sSB")) {
      const distance = !this.#is(1, "s");
      this.#at++;
      if (!distance || this.#is(0, "S")) this.#room(8, true);
      const value = this.#take();
      return pad(this.values.symbol(value, distance) ?? `0x${value.toString(16)}`, flags);
    }
    if (!this.#is(1, "iI") || !this.#is(2, "46")) throw new Refused(ERRNO.EINVAL);
    const [plain, size] = [this.#is(1, "i"), this.#is(2, "4") ? 4 : 16];
    this.#at += 2;
    if (BINARY_MOST - this.#binary < size) throw new Refused(ERRNO.ENOSPC);
    const text = address(this.values.bytes(this.#take(), size) ?? new Uint8Array(size), plain);
    this.#binary += text.length + 1;
    return pad(text, flags);
  }

  /** A pointer in all of its 16 digits: what the kernel makes unreadable for others is shown. */
  #address(flags: Conversion): string {
    this.#room(8, true);
    const value = this.#take();
    return integer(value, "x", flags.width === 0 ? { ...flags, zero: true, left: false, width: 16 } : flags);
  }

  #string(flags: Conversion, user: boolean): string {
    if (!this.#ends(1)) throw new Refused(ERRNO.EINVAL);
    const room = BINARY_MOST - this.#binary;
    if (room <= 0) throw new Refused(ERRNO.ENOSPC);
    const text = this.values.string(this.#take(), user, room - 1) ?? "";
    this.#binary += text.length + 1;
    return pad(text, flags);
  }
}
