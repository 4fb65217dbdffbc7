import { bytes, Struct, u8, u16, u32, u64 } from "../bytes/struct.js";

/** What is wrong with a CCEL table. */
export type CcelErrorCode =
  /** Not the 56 bytes that the table has. */
  | "length"
  /** It does not start with "CCEL". */
  | "signature"
  /** Its bytes do not add up to zero. */
  | "checksum"
  /** The log of another kind of confidential guest than a TD. */
  | "cc-type"
  /** No memory, or memory that wraps. */
  | "log-area";

/** Bytes that are not a CCEL table of a TD. The message says what, and what would be accepted. */
export class CcelError extends Error {
  override readonly name = "CcelError";

  constructor(
    readonly code: CcelErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/** Where a TD's event log is. */
export interface CcelTable {
  /** Bytes of memory that the log may fill. */
  readonly logAreaLength: bigint;
  /** Guest-physical address of that memory. */
  readonly logAreaStart: bigint;
  /** Who made the table: 6 characters at most. */
  readonly oemId: string;
  /** 8 characters at most. */
  readonly oemTableId: string;
  readonly oemRevision: number;
}

/** Layout of the table, 56 bytes. Source: ACPI 6.5, "CC Event Log ACPI Table". */
const CCEL = new Struct({
  signature: bytes(4),
  length: u32,
  revision: u8,
  checksum: u8,
  oemId: bytes(6),
  oemTableId: bytes(8),
  oemRevision: u32,
  creatorId: bytes(4),
  creatorRevision: u32,
  ccType: u8,
  ccSubtype: u8,
  reserved: u16,
  logAreaLength: u64,
  logAreaStart: u64,
});
/** Bytes of the table. */
export const CCEL_SIZE = CCEL.size;
/** The kind of confidential guest: a TD. */
const CC_TYPE_TDX = 2;

/** Parses the ACPI table that says where a TD's event log is. @throws {CcelError} for everything else; nothing else */
export function parseCcel(table: Uint8Array): CcelTable {
  if (table.length !== CCEL_SIZE)
    throw new CcelError("length", `a CCEL table of ${table.length} bytes; it has ${CCEL_SIZE}`);
  const read = CCEL.read(table);
  const signature = String.fromCharCode(...read.signature);
  if (signature !== "CCEL") throw new CcelError("signature", `a table that starts with "${signature}"; "CCEL" does it`);
  if (read.length !== CCEL_SIZE)
    throw new CcelError("length", `a CCEL table that says it has ${read.length} bytes; it has ${CCEL_SIZE}`);
  const sum = checksum(table);
  if (sum !== 0) throw new CcelError("checksum", `the bytes of the CCEL table add up to ${sum} modulo 256; 0 is right`);
  if (read.ccType !== CC_TYPE_TDX)
    throw new CcelError("cc-type", `a CCEL table of guest type ${read.ccType}; 2 (TDX) is known`);
  const { logAreaLength, logAreaStart, oemRevision } = read;
  if (logAreaLength === 0n || logAreaStart + logAreaLength > 1n << 64n) {
    const area = `0x${logAreaStart.toString(16)} + 0x${logAreaLength.toString(16)}`;
    throw new CcelError("log-area", `the log's area ${area}; it has to have bytes and to end below 2^64`);
  }
  const text = (field: Uint8Array) => String.fromCharCode(...field).replace(/[\0 ]+$/, "");
  return { logAreaLength, logAreaStart, oemRevision, oemId: text(read.oemId), oemTableId: text(read.oemTableId) };
}

/**
 * The ACPI table for a TD's event log.
 *
 * @throws {FieldError} for names that are too long or not ASCII, and numbers that do not fit
 */
export function writeCcel({ logAreaLength, logAreaStart, oemId, oemTableId, oemRevision }: CcelTable): Uint8Array {
  const table = CCEL.write({
    signature: padded("CCEL", 4),
    length: CCEL_SIZE,
    revision: 1,
    checksum: 0,
    oemId: padded(oemId, 6),
    oemTableId: padded(oemTableId, 8),
    oemRevision,
    creatorId: padded("VM", 4),
    creatorRevision: 1,
    ccType: CC_TYPE_TDX,
    ccSubtype: 0,
    reserved: 0,
    logAreaLength,
    logAreaStart,
  });
  table[CCEL.offsetOf("checksum")] = (256 - checksum(table)) % 256;
  return table;
}

/** Text with spaces up to a length; longer text stays too long for its field, which refuses it. */
const padded = (text: string, length: number): Uint8Array => new TextEncoder().encode(text.padEnd(length, " "));

const checksum = (table: Uint8Array): number => table.reduce((sum, byte) => (sum + byte) % 256, 0);
