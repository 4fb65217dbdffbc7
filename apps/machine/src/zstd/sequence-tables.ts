import { type FseLimits, type FseTable, fseTable } from "./fse.js";

/** One of the three codes of a sequence: how its tables may look, and what its symbols stand for (RFC 8878, 3.1.1.3.2.1). */
export interface SequenceCode {
  readonly most: FseLimits;
  /** The table of which nothing need be told (3.1.1.3.2.2). */
  readonly predefined: FseTable;
  /** Of a symbol: its value, and how many bits that are added to it follow. */
  readonly bases: Uint32Array;
  readonly bits: Uint8Array;
}

function code(most: FseLimits, predefined: FseTable, first: number, bits: readonly number[]): SequenceCode {
  const bases = new Uint32Array(bits.length);
  let base = first;
  bits.forEach((width, symbol) => {
    bases[symbol] = base;
    base += 2 ** width;
  });
  return { most, predefined, bases, bits: Uint8Array.from(bits) };
}

const zeros = (count: number): number[] => new Array<number>(count).fill(0);

export const LITERAL_LENGTHS = code(
  { log: 9, symbol: 35 },
  fseTable(
    6,
    [4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1],
  ),
  0,
  [...zeros(16), 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
);

export const MATCH_LENGTHS = code(
  { log: 9, symbol: 52 },
  fseTable(
    6,
    [
      1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
      1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
    ],
  ),
  3,
  [...zeros(32), 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
);

export const OFFSETS = code(
  { log: 8, symbol: 31 },
  fseTable(5, [1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1]),
  1,
  Array.from({ length: 32 }, (_, symbol) => symbol),
);
