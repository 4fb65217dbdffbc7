/** A decoding table of finite state entropy (RFC 8878, 4.1): for each state its symbol, and how the next state comes about. */
export interface FseTable {
  /** Bits of a state. */
  readonly log: number;
  readonly symbols: Uint8Array;
  /** Bits to be read for the next state, and what is added to them. */
  readonly bits: Uint8Array;
  readonly bases: Uint16Array;
}

/** A table that has but one symbol, and its state no bits. */
export const singleSymbol = (symbol: number): FseTable => ({
  log: 0,
  symbols: Uint8Array.of(symbol),
  bits: new Uint8Array(1),
  bases: new Uint16Array(1),
});

/**
 * Makes a table of probabilities in units of 1 / 2^log; -1 is less than one unit (4.1.1).
 * @throws {RangeError} if they are not 1 in all
 */
export function fseTable(log: number, probabilities: readonly number[]): FseTable {
  const size = 2 ** log;
  const symbols = new Uint8Array(size);
  const bits = new Uint8Array(size);
  const bases = new Uint16Array(size);
  const next = probabilities.map((probability) => Math.abs(probability));
  if (next.reduce((sum, count) => sum + count, 0) !== size) throw new RangeError("probabilities that are not 1 in all");
  let high = size - 1;
  probabilities.forEach((probability, symbol) => {
    if (probability === -1) symbols[high--] = symbol;
  });
  const step = (size >>> 1) + (size >>> 3) + 3;
  let at = 0;
  probabilities.forEach((probability, symbol) => {
    for (let k = 0; k < probability; k++) {
      symbols[at] = symbol;
      do at = (at + step) & (size - 1);
      while (at > high);
    }
  });
  for (let state = 0; state < size; state++) {
    const symbol = symbols[state] as number;
    const count = next[symbol] as number;
    next[symbol] = count + 1;
    const width = log - (31 - Math.clz32(count));
    bits[state] = width;
    bases[state] = (count << width) - size;
  }
  return { log, symbols, bits, bases };
}

/** What a table may be at most. */
export interface FseLimits {
  readonly log: number;
  readonly symbol: number;
}

/**
 * Reads the description of a table at `at` (4.1.1).
 * @returns the table and where the description ends
 * @throws {RangeError} if it is damaged, goes beyond `end`, or describes more than `most`
 */
export function readFseTable(bytes: Uint8Array, at: number, end: number, most: FseLimits): [FseTable, number] {
  let position = 8 * at;
  const peek = (count: number): number => {
    let word = 0;
    for (let k = 0; k < 3; k++) {
      const byte = (position >>> 3) + k;
      if (byte < end) word |= (bytes[byte] as number) << (8 * k);
    }
    return (word >>> (position & 7)) & ((1 << count) - 1);
  };
  const log = peek(4) + 5;
  position += 4;
  if (log > most.log) throw new RangeError(`states of ${log} bits; at most ${most.log} are possible`);
  const probabilities: number[] = [];
  // Units that are still to be given away, and one: a probability takes no more bits than that needs.
  for (let rest = 2 ** log + 1; rest > 1; ) {
    if (probabilities.length > most.symbol) throw new RangeError("more symbols than there are");
    const width = 32 - Math.clz32(rest);
    const short = 2 ** width - 1 - rest;
    const low = peek(width - 1);
    let value = low;
    if (low < short) position += width - 1;
    else {
      value = peek(width);
      if (value >= 2 ** (width - 1)) value -= short;
      position += width;
    }
    const probability = value - 1;
    rest -= Math.abs(probability);
    probabilities.push(probability);
    if (probability !== 0) continue;
    for (let more = 3; more === 3; ) {
      more = peek(2);
      position += 2;
      for (let k = 0; k < more; k++) probabilities.push(0);
      if (probabilities.length > most.symbol + 1) throw new RangeError("more symbols than there are");
    }
  }
  const next = Math.ceil(position / 8);
  if (next > end) throw new RangeError("table is cut short");
  return [fseTable(log, probabilities), next];
}
