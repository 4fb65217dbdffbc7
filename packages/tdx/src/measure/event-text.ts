import { bytesToHex } from "@noble/hashes/utils.js";
import { u16, u32, u64 } from "../bytes/struct.js";
import type { LogEvent } from "./event-log.js";
import { guidText, isText, utf8, utf16 } from "./event-strings.js";
import { measuredVariable } from "./event-variable.js";

/** Bytes that are shown of data that is no text. */
const SHOWN = 32;

/**
 * What an event says was measured, in a line or, for a command of several lines, in more. It is what the TD wrote: nobody has checked it, and
 * it may hold any character.
 */
export function describeEvent({ type, data }: LogEvent): string {
  return TEXTS.get(type)?.(data) ?? fallback(data);
}

/** Text of the types that are more than text. Null where the data is not what the type says. */
const TEXTS: ReadonlyMap<number, (data: Uint8Array) => string | null> = new Map([
  [0x04, (data: Uint8Array) => `separator ${bytesToHex(data.subarray(0, SHOWN))}`],
  [0x8000_0001, variable],
  [0x8000_0002, variable],
  [0x8000_000c, variable],
  [0x8000_00e0, variable],
  [0x8000_0003, image],
  [0x8000_0004, image],
  [0x8000_0005, image],
  [0x8000_0006, partitions],
  [0x8000_000a, blob],
  [0x8000_000b, tables],
]);

function fallback(data: Uint8Array): string {
  if (isText(data)) return utf8(data);
  const shown = bytesToHex(data.subarray(0, SHOWN));
  return data.length > SHOWN ? `${data.length} bytes: ${shown}...` : shown;
}

function variable(data: Uint8Array): string | null {
  const found = measuredVariable(data);
  return found && `${found.name} (${found.vendor}), ${found.content.length} bytes`;
}

/** UEFI_IMAGE_LOAD_EVENT: address, length, link-time address and length of the device path, u64 each, and the path. */
function image(data: Uint8Array): string | null {
  if (data.length < 32) return null;
  const file = filePath(data.subarray(32));
  return `image of ${u64.read(data, 8)} bytes${file === "" ? "" : `: ${file}`}`;
}

/** The names of files in a device path: nodes of type 4 (media), subtype 4 (file path) or 6 (firmware file). */
function filePath(path: Uint8Array): string {
  const names: string[] = [];
  for (let at = 0; at + 4 <= path.length; ) {
    const size = u16.read(path, at + 2);
    if (size < 4 || at + size > path.length || path[at] === 0x7f) break;
    const node = path.subarray(at + 4, at + size);
    if (path[at] === 4 && path[at + 1] === 4) names.push(utf16(node));
    if (path[at] === 4 && path[at + 1] === 6 && node.length === 16) names.push(guidText(node));
    at += size;
  }
  return names.join("");
}

/** UEFI_GPT_DATA: the header of the partition table, 92 bytes, and a number of partitions. */
function partitions(data: Uint8Array): string | null {
  return data.length < 100 ? null : `disk ${guidText(data.subarray(56, 72))}, ${u64.read(data, 92)} partitions`;
}

/** UEFI_PLATFORM_FIRMWARE_BLOB2: a counted name, address and length. */
function blob(data: Uint8Array): string | null {
  const end = 1 + (data[0] ?? 0);
  if (data.length < end + 16) return null;
  const place = `${u64.read(data, end + 8)} bytes at 0x${u64.read(data, end).toString(16)}`;
  return `${utf8(data.subarray(1, end))}, ${place}`;
}

/** UEFI_HANDOFF_TABLE_POINTERS2: a counted name, a number of tables, and for each its GUID and its address. */
function tables(data: Uint8Array): string | null {
  const end = 1 + (data[0] ?? 0);
  if (data.length < end + 8) return null;
  const count = u32.read(data, end);
  const guids: string[] = [];
  for (let at = end + 8; at + 24 <= data.length && guids.length < count; at += 24)
    guids.push(guidText(data.subarray(at, at + 16)));
  return `${utf8(data.subarray(1, end))}: ${guids.join(", ")}`;
}
