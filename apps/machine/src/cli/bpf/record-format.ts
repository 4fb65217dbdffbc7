import { UsageError } from "../errors.js";
import { printable } from "../printable.js";

/** A field of a record. */
interface Field {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Bytes, as compilers place it. */
  readonly alignment: number;
  readonly text: (view: DataView, at: number) => string;
}

/** How records are shown. */
export type RecordFormat = readonly Field[];

const WANTED = "fields such as comm:char[16] delta_us:u64 pid:s32, of char[n], u8 to u64, s8 to s64 and x8 to x64";
const FIELDS_MOST = 64;
const TEXT_MOST = 4096;
/** Bytes of a record that are shown when nobody says what they are. */
const SHOWN = 64;

/** The fields that `--bpf-record` names. @throws {UsageError} */
export function parseRecordFormat(text: string): RecordFormat {
  const words = text.split(/[\s,]+/).filter((word) => word !== "");
  if (words.length === 0 || words.length > FIELDS_MOST)
    throw new UsageError(`--bpf-record "${text}": expected 1 to ${FIELDS_MOST} ${WANTED}`);
  return words.map((word) => {
    const [, name = "", type = ""] = /^(\w+):(\w+(?:\[\d+\])?)$/.exec(word) ?? [];
    const field = fieldOf(name, type);
    if (field === null) throw new UsageError(`--bpf-record "${word}": expected ${WANTED}`);
    return field;
  });
}

function fieldOf(name: string, type: string): Field | null {
  const chars = /^char\[(\d+)\]$/.exec(type);
  if (chars !== null) {
    const size = Number(chars[1]);
    if (size < 1 || size > TEXT_MOST) return null;
    return { name, size, alignment: 1, text: (view, at) => printable(cString(view, at, size)) };
  }
  const [, kind, bits] = /^([usx])(8|16|32|64)$/.exec(type) ?? [];
  if (kind === undefined) return null;
  const size = Number(bits) / 8;
  return { name, size, alignment: size, text: (view, at) => numberText(kind, unsigned(view, at, size), 8 * size) };
}

function unsigned(view: DataView, at: number, size: number): bigint {
  let value = 0n;
  for (let k = size - 1; k >= 0; k--) value = (value << 8n) | BigInt(view.getUint8(at + k));
  return value;
}

function numberText(kind: string, value: bigint, bits: number): string {
  if (kind === "x") return `0x${value.toString(16)}`;
  return String(kind === "s" ? BigInt.asIntN(bits, value) : value);
}

function cString(view: DataView, at: number, size: number): string {
  let text = "";
  for (let k = 0; k < size && view.getUint8(at + k) !== 0; k++) text += String.fromCharCode(view.getUint8(at + k));
  return text;
}

/** A record as a line; its bytes if there is no format. */
export function recordText(bytes: Uint8Array, format: RecordFormat | null): string {
  if (format === null) return bytesText(bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: string[] = [];
  let at = 0;
  for (const { name, size, alignment, text } of format) {
    at = Math.ceil(at / alignment) * alignment;
    if (at + size > bytes.length) {
      parts.push(`${name} is not in the ${bytes.length} bytes`);
      break;
    }
    parts.push(`${name}=${text(view, at)}`);
    at += size;
  }
  return parts.join(" ");
}

function bytesText(bytes: Uint8Array): string {
  const shown = bytes.subarray(0, SHOWN);
  const hex = Array.from(shown, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const characters = Array.from(shown, (byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
  return `${hex}${bytes.length > SHOWN ? "..." : ""}  ${characters}`;
}
