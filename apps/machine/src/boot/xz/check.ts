import type { Pace } from "../../pace.js";

/** How a block's contents are checked (The .xz File Format, 2.1.1.2). */
export interface Check {
  readonly name: string;
  /** Bytes of the check. */
  readonly size: number;
  /** The check of `bytes`, as it stands in the file. */
  readonly of: (bytes: Uint8Array, pace: Pace) => Promise<Uint8Array>;
}

/** Bytes checked between turns of the event loop. */
const PIECE = 2 ** 20;

/** CRC-32 of IEEE 802.3, reflected. */
const CRC32 = table32(0xedb88320);
/** CRC-64 of ECMA-182, reflected, as pairs of a low and a high half. */
const CRC64 = table64(0xd7870f42, 0xc96c5795);

/** The checks by their number. */
export const CHECKS: ReadonlyMap<number, Check> = new Map<number, Check>([
  [0, { name: "None", size: 0, of: async () => new Uint8Array(0) }],
  [1, { name: "CRC32", size: 4, of: pieceByPiece(crc32Of, (crc) => [~crc.lo]) }],
  [4, { name: "CRC64", size: 8, of: pieceByPiece(crc64Of, (crc) => [~crc.lo, ~crc.hi]) }],
  [10, { name: "SHA-256", size: 32, of: sha256 }],
]);

/** CRC32 of a few bytes. */
export function crc32(bytes: Uint8Array): number {
  const crc = { lo: -1, hi: -1 };
  crc32Of(crc, bytes, 0, bytes.length);
  return ~crc.lo >>> 0;
}

interface Crc {
  lo: number;
  hi: number;
}

function pieceByPiece(
  update: (crc: Crc, bytes: Uint8Array, from: number, to: number) => void,
  words: (crc: Crc) => readonly number[],
): Check["of"] {
  return async (bytes, pace) => {
    const crc = { lo: -1, hi: -1 };
    for (let at = 0; at < bytes.length; at += PIECE) {
      update(crc, bytes, at, Math.min(at + PIECE, bytes.length));
      await pace.breathe();
    }
    return new Uint8Array(Int32Array.from(words(crc)).buffer);
  };
}

function crc32Of(crc: Crc, bytes: Uint8Array, from: number, to: number): void {
  let { lo } = crc;
  for (let at = from; at < to; at++) lo = (CRC32[(lo ^ (bytes[at] as number)) & 0xff] as number) ^ (lo >>> 8);
  crc.lo = lo;
}

function crc64Of(crc: Crc, bytes: Uint8Array, from: number, to: number): void {
  let { lo, hi } = crc;
  for (let at = from; at < to; at++) {
    const row = 2 * ((lo ^ (bytes[at] as number)) & 0xff);
    lo = ((lo >>> 8) | (hi << 24)) ^ (CRC64[row] as number);
    hi = (hi >>> 8) ^ (CRC64[row + 1] as number);
  }
  crc.lo = lo;
  crc.hi = hi;
}

async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>));
}

function table32(polynomial: number): Int32Array {
  return Int32Array.from({ length: 256 }, (_, byte) => {
    let row = byte;
    for (let bit = 0; bit < 8; bit++) row = (row >>> 1) ^ (row & 1 ? polynomial : 0);
    return row;
  });
}

function table64(polynomialLo: number, polynomialHi: number): Int32Array {
  const table = new Int32Array(512);
  for (let byte = 0; byte < 256; byte++) {
    let [lo, hi] = [byte, 0];
    for (let bit = 0; bit < 8; bit++) {
      const odd = lo & 1;
      lo = (lo >>> 1) | (hi << 31);
      hi >>>= 1;
      if (odd) {
        lo ^= polynomialLo;
        hi ^= polynomialHi;
      }
    }
    table.set([lo, hi], 2 * byte);
  }
  return table;
}
