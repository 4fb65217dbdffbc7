import { type GuestReader, UnmappedError } from "@vm/kvmi";
import { errorText, isRestart } from "./errno-names.js";
import { FLAG_SETS, type FlagSet, flagsText, NAME_SETS } from "./flag-sets.js";
import { hex, orPointer, pointer, quoted, stringAt } from "./quoted.js";
import type { ArgumentKind, SyscallShape } from "./syscall-table.js";

/** Bytes of a path, and of any other text or buffer, that are shown. */
const PATH_MOST = 256;
const BYTES_MOST = 32;
/** Strings of a vector that are shown, and bytes of it that are read at all. */
const VECTOR_SHOWN = 16;
const VECTOR_MOST = 1024;
/** What may be a number or an address is an address from here on. */
const VALUE_MOST = 0x10000n;
const AT_FDCWD = -100n;
/** O_CREAT, and what O_TMPFILE has beyond O_DIRECTORY. */
const CREATES = 0o20000100n;

/** Shows the arguments of one system call: those that it gives once it has given them, and those whose memory it has to bring in when that is there. */
export class SyscallArguments {
  readonly #kinds: readonly ArgumentKind[];
  readonly #values: readonly bigint[];
  readonly #texts: readonly (string | null)[];

  private constructor(kinds: readonly ArgumentKind[], values: readonly bigint[], texts: readonly (string | null)[]) {
    this.#kinds = kinds;
    this.#values = values;
    this.#texts = texts;
  }

  /** @param values of the six registers that arguments are in */
  static async read(shape: SyscallShape, values: readonly bigint[], reader: GuestReader): Promise<SyscallArguments> {
    const { parameters } = shape;
    const texts = await Promise.all(parameters.map((kind, k) => argument(kind, values, k, reader).catch(later)));
    return new SyscallArguments(parameters, values, texts);
  }

  /** As `3, "text", 4`. @param result null while it is not known */
  async text(result: bigint | null, reader: GuestReader): Promise<string> {
    const parts: string[] = [];
    // A program that has been replaced has taken its memory with it.
    const gone = result === 0n && this.#kinds.includes("strings");
    for (const [k, known] of this.#texts.entries()) {
      const kind = this.#kinds[k] as ArgumentKind;
      // No file is created: there are no permissions to tell of.
      if (kind === "creat" && ((this.#values[k - 1] ?? 0n) & CREATES) === 0n) continue;
      const value = this.#values[k] ?? 0n;
      if (known !== null) parts.push(known);
      else if (gone || result === null) parts.push(pointer(value));
      else if (kind === "out") parts.push(await given(value, result, reader));
      else parts.push((await argument(kind, this.#values, k, reader).catch(later)) ?? pointer(value));
    }
    return parts.join(", ");
  }
}

/** What is not mapped yet, perhaps. */
function later(error: unknown): null {
  if (error instanceof UnmappedError) return null;
  throw error;
}

/** The six registers of a system call that the table does not have. */
export const unknownArguments = (values: readonly bigint[]): string => values.map(hex).join(", ");

/** A result as strace(1) has it: `-1 ENOENT`, `? ERESTARTSYS`, a number or an address. */
export function syscallResult(value: bigint, address: boolean): string {
  const signed = BigInt.asIntN(64, value);
  const error = errorText(signed);
  if (error !== null) return `${isRestart(signed) ? "?" : "-1"} ${error.replace(/^-\d+ /, "")}`;
  return address ? pointer(value) : `${signed}`;
}

/** What the call has put into a buffer. */
async function given(address: bigint, result: bigint, reader: GuestReader): Promise<string> {
  const size = BigInt.asIntN(64, result);
  return size < 0n ? pointer(address) : orPointer(address, () => bytesAt(reader, address, size));
}

/** @throws {UnmappedError} */
async function bytesAt(reader: GuestReader, address: bigint, size: bigint): Promise<string> {
  if (address === 0n) return pointer(address);
  const shown = size < BigInt(BYTES_MOST) ? Number(size) : BYTES_MOST;
  return quoted(await reader.read(address, shown), BigInt(shown) === size);
}

/** @throws {UnmappedError} */
async function textAt(reader: GuestReader, address: bigint, most: number): Promise<string> {
  if (address === 0n) return pointer(address);
  const { bytes, whole } = await reader.cString(address, most);
  return quoted(bytes, whole);
}

/** One argument; null: the call gives it. @throws {UnmappedError} if what it leads to is not there */
async function argument(
  kind: ArgumentKind,
  values: readonly bigint[],
  k: number,
  reader: GuestReader,
): Promise<string | null> {
  const value = values[k] ?? 0n;
  const int = BigInt.asIntN(32, value);
  switch (kind) {
    case "out":
      return null;
    case "in":
      return bytesAt(reader, value, values[k + 1] ?? 0n);
    case "path":
      return textAt(reader, value, PATH_MOST);
    case "string":
      return textAt(reader, value, BYTES_MOST);
    case "strings":
      return value === 0n ? pointer(value) : vector(reader, value);
    case "vars":
      return orPointer(value, async () => `${hex(value)} /* ${await vectorLength(reader, value)} vars */`);
    case "dirfd":
      return int === AT_FDCWD ? "AT_FDCWD" : `${int}`;
    case "fd":
    case "int":
      return `${int}`;
    case "uint":
      return `${BigInt.asUintN(32, value)}`;
    case "long":
      return `${BigInt.asIntN(64, value)}`;
    case "size":
      return `${value}`;
    case "value":
      return value < VALUE_MOST ? `${value}` : hex(value);
    case "pointer":
      return pointer(value);
    case "mode":
    case "creat":
      return `0${BigInt.asUintN(32, value).toString(8).padStart(3, "0")}`;
    case "clone": {
      // The low byte is the signal that the parent gets.
      const signal = NAME_SETS.signal.get(Number(value & 0xffn));
      const flags = flagsText(FLAG_SETS.clone, Number(value & 0xffffff00n));
      return signal === undefined ? flags : flags === "0" ? signal : `${flags}|${signal}`;
    }
    default:
      if (kind in FLAG_SETS)
        return flagsText(FLAG_SETS[kind as keyof typeof FLAG_SETS] as FlagSet, Number(BigInt.asUintN(32, value)));
      return NAME_SETS[kind as keyof typeof NAME_SETS].get(Number(int)) ?? (kind === "ioctl" ? hex(value) : `${int}`);
  }
}

/** A vector of strings, as far as it is shown. */
async function vector(reader: GuestReader, address: bigint): Promise<string> {
  const parts: string[] = [];
  for (let k = 0; ; k++) {
    const string = await reader.u64(address + BigInt(8 * k));
    if (string === 0n) return `[${parts.join(", ")}]`;
    if (k === VECTOR_SHOWN) return `[${parts.join(", ")}, ...]`;
    parts.push(await stringAt(reader, string, BYTES_MOST));
  }
}

/** How many strings a vector has. */
async function vectorLength(reader: GuestReader, address: bigint): Promise<string> {
  for (let k = 0; k < VECTOR_MOST; k++) if ((await reader.u64(address + BigInt(8 * k))) === 0n) return `${k}`;
  return `more than ${VECTOR_MOST}`;
}
