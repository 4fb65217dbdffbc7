/** Byte strings to decode: systematic over the opcode space with random tails, and random. Deterministic. */

import type { Mode } from "../src/decode/index.js";

/** The bytes a hexadecimal string spells. */
export function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
}

/** xorshift32; `next()` is a u32. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0 || 1;
  }

  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }
}

const MAPS: readonly (readonly number[])[] = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]];
const PREFIXES: readonly (readonly number[])[] = [
  [],
  [0x66],
  [0xf3],
  [0xf2],
  [0x66, 0xf3],
  [0x66, 0xf2],
  [0xf0],
  [0xf2, 0xf3],
];
const EXTRA = [0x67, 0x2e, 0x36, 0x26, 0x3e, 0x64, 0x65, 0x66, 0xf3, 0x48, 0x41] as const;

/**
 * Every map, opcode and mandatory or LOCK prefix, without REX, with a random REX and with one that has W, each with every
 * modrm.reg both as register and as memory form; some with further prefixes.
 * @returns strings of `stride` bytes back to back, each filled up with random bytes
 */
export function systematic(mode: Mode, stride: number, random: Random): Uint8Array {
  const strings: number[][] = [];
  for (const map of MAPS) {
    for (let opcode = 0; opcode < 256; opcode++) {
      for (const prefix of PREFIXES) {
        for (let variant = 0; variant < (mode === 64 ? 3 : 1); variant++) {
          for (let reg = 0; reg < 8; reg++) {
            for (const mod of [3, random.next() % 3]) {
              const extra = random.next() % 4 === 0 ? [EXTRA[random.next() % EXTRA.length] ?? 0x67] : [];
              const rex =
                variant === 0 ? [] : [variant === 1 ? 0x40 | (random.next() & 7) : 0x48 | (random.next() & 7)];
              strings.push([
                ...extra,
                ...prefix,
                ...rex,
                ...map,
                opcode,
                (mod << 6) | (reg << 3) | (random.next() & 7),
              ]);
            }
          }
        }
      }
    }
  }
  return fill(strings, stride, random);
}

/** Every map and opcode with every modrm byte; map 0F also with each mandatory prefix and register operands. */
export function everyModrm(stride: number, random: Random): Uint8Array {
  const strings: number[][] = [];
  for (const start of [...MAPS, [0x66, 0x0f], [0xf3, 0x0f], [0xf2, 0x0f]]) {
    for (let opcode = 0; opcode < 256; opcode++) {
      for (let modrm = start[1] === 0x0f ? 0xc0 : 0; modrm < 256; modrm++) strings.push([...start, opcode, modrm]);
    }
  }
  return fill(strings, stride, random);
}

/** Uniformly random bytes, half of them after a handful of random prefixes. */
export function uniform(count: number, stride: number, random: Random): Uint8Array {
  const strings: number[][] = [];
  for (let i = 0; i < count; i++) {
    const prefixes = i % 2 === 0 ? 0 : random.next() % 14;
    strings.push(Array.from({ length: prefixes }, () => EXTRA[random.next() % EXTRA.length] ?? 0x67));
  }
  return fill(strings, stride, random);
}

function fill(strings: readonly (readonly number[])[], stride: number, random: Random): Uint8Array {
  const bytes = new Uint8Array(strings.length * stride);
  strings.forEach((string, i) => {
    const at = i * stride;
    bytes.set(string, at);
    for (let j = at + string.length; j < at + stride; j++) bytes[j] = random.next() >>> 8;
  });
  return bytes;
}
