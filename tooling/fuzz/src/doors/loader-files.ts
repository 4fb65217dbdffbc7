import { gzipSync } from "node:zlib";
import { crc32 } from "../../../../apps/machine/src/boot/xz/check.js";
import type { Random } from "../random.js";

/** Files as loaders take them, whole but for what their contents are: a case begins with one and spoils it, or not. */

/** Values at which a field is most likely to be looked at wrongly. */
const EDGES = [
  0, 1, 2, 3, 4, 7, 8, 0x7f, 0x80, 0xff, 0xfff, 0x1000, 0xffff, 0x100000, 0x1000000, 0x7fffffff, 0x80000000, 0xfffff000,
  0xffffffff,
];
const KERNEL_AT = 0x200000;

/** A 32-bit value: an edge, near one, or anything. */
export function word(random: Random): number {
  const edge = random.pick(EDGES);
  return random.chance(40) ? edge : random.chance(50) ? (edge + random.below(9) - 4) >>> 0 : random.word();
}

/** Bytes that pack in different ways. */
function contents(random: Random, most: number): Uint8Array {
  const bytes = new Uint8Array(random.below(most));
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + 1 + random.below(4000));
    if (random.chance(50)) bytes.fill(random.pick([0, 0xe8, 0xff, random.below(256)]), at, end);
    else for (let k = at; k < end; k++) bytes[k] = random.chance(30) ? random.pick([0xe8, 0xe9, 0]) : random.word();
    at = end;
  }
  return bytes;
}

/** Changes a few bytes, words or the length of a file, or nothing. */
export function spoil(random: Random, file: Uint8Array): Uint8Array {
  let spoilt = file.slice();
  const view = new DataView(spoilt.buffer);
  for (let changes = random.below(8); changes > 0 && spoilt.length > 8; changes--) {
    // Headers are at the beginning, and more is said there.
    const at = random.chance(70) ? random.below(Math.min(spoilt.length - 4, 0x300)) : random.below(spoilt.length - 4);
    if (random.chance(50)) spoilt[at] = random.word();
    else if (random.chance(80)) view.setUint32(at, word(random), true);
    else spoilt.copyWithin(at, random.below(spoilt.length), random.below(spoilt.length));
  }
  if (random.chance(15)) spoilt = spoilt.slice(0, random.below(spoilt.length));
  return spoilt;
}

/** An ELF file of either class with up to `most` program headers. */
export function elfFile(random: Random, most: number): Uint8Array {
  const wide = random.chance(70);
  const [header, row, table] = wide ? [64, 56, 32] : [52, 32, 28];
  const count = random.chance(10) ? random.below(most) : 1 + random.below(4);
  const body = contents(random, 5000);
  const offset = header + row * count;
  const file = new Uint8Array(offset + body.length);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1]);
  view.setUint16(18, random.chance(90) ? (wide ? 62 : 3) : random.word(), true);
  view.setUint32(24, KERNEL_AT + random.below(16), true);
  view.setUint32(table, header, true);
  view.setUint16(wide ? 54 : 42, row, true);
  view.setUint16(wide ? 56 : 44, count, true);
  const fields = wide ? [8, 16, 24, 32, 40] : [4, 8, 12, 16, 20];
  for (let k = 0; k < count; k++) {
    const at = header + row * k;
    const size = random.below(body.length + 1);
    const address = random.chance(80) ? KERNEL_AT + 0x1000 * random.below(2 * k + 1) : word(random);
    view.setUint32(at, random.chance(80) ? 1 : random.pick([0, 1, 3, 4]), true);
    const values = [offset, address, address, size, size + random.below(5000)];
    fields.forEach((field, which) => {
      const odd = random.chance(2);
      view.setUint32(at + field, odd ? word(random) : (values[which] as number), true);
      if (wide && odd) view.setUint32(at + field + 4, random.chance(50) ? word(random) : 0, true);
    });
  }
  file.set(body, offset);
  const extra = random.below(4);
  if (extra === 0 && file.length > offset + 32) multibootHeader(random, view, offset & ~3);
  if (extra === 1 && file.length > offset + 32) view.setUint32(offset, random.chance(70) ? 4 : word(random), true);
  return file;
}

/** A multiboot header at `at`, with addresses or without. */
function multibootHeader(random: Random, view: DataView, at: number): void {
  const flags = random.chance(60) ? random.below(4) : random.pick([1 << 16, 0x10003, word(random)]);
  view.setUint32(at, 0x1badb002, true);
  view.setUint32(at + 4, flags, true);
  view.setUint32(at + 8, -(0x1badb002 + flags), true);
  for (let k = 0; k < 5 && at + 16 + 4 * k <= view.byteLength; k++) {
    view.setUint32(at + 12 + 4 * k, random.chance(60) ? KERNEL_AT + random.below(5000) : word(random), true);
  }
}

/** A file that is no ELF, with a multiboot header. */
export function multibootFile(random: Random): Uint8Array {
  const file = new Uint8Array(64 + random.below(9000));
  multibootHeader(random, new DataView(file.buffer), 4 * random.below(Math.min(file.length, 8192) / 4 - 8));
  return file;
}

const PACKINGS = [
  gzip,
  lz4,
  zstd,
  xz,
  (random: Random, plain: Uint8Array) => (random.chance(50) ? plain : contents(random, 500)),
];

/** A bzImage whose payload is packed in one of the ways that there are. */
export function bzImage(random: Random): Uint8Array {
  const plain = random.chance(60) ? elfFile(random, 50) : contents(random, 100_000);
  const packed = random.pick(PACKINGS)(random, plain);
  const payload = random.chance(40) ? spoil(random, packed) : packed;
  const codeSize = random.below(2000);
  const file = new Uint8Array(1024 + codeSize + payload.length + 4);
  const view = new DataView(file.buffer);
  view.setUint8(0x1f1, 1);
  view.setUint8(0x201, 0x6a);
  view.setUint32(0x202, 0x53726448, true);
  view.setUint16(0x206, random.chance(80) ? 0x20f : 0x200 + random.below(16), true);
  view.setUint8(0x211, 1);
  view.setUint32(0x214, 0x100000, true);
  view.setUint32(0x22c, random.chance(80) ? 0x7fffffff : word(random), true);
  view.setUint8(0x234, 1);
  view.setUint16(0x236, random.chance(80) ? 0x7f : random.word(), true);
  view.setUint32(0x238, random.chance(80) ? 2047 : word(random), true);
  view.setUint32(0x248, codeSize, true);
  view.setUint32(0x24c, payload.length + 4, true);
  view.setUint32(0x258, random.chance(80) ? KERNEL_AT : word(random), true);
  view.setUint32(0x260, random.chance(80) ? 0x10000 : word(random), true);
  file.set(payload, 1024 + codeSize);
  view.setUint32(file.length - 4, random.chance(80) ? plain.length : word(random), true);
  return file;
}

function gzip(random: Random, plain: Uint8Array): Uint8Array {
  const members = random.chance(90) ? 1 : random.below(50);
  return Buffer.concat(new Array<Uint8Array>(members).fill(gzipSync(plain)));
}

/** Blocks of literals, or of sequences of any kind. */
function lz4(random: Random, plain: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [Uint8Array.of(0x02, 0x21, 0x4c, 0x18)];
  const block = (bytes: Uint8Array): void => {
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, random.chance(98) ? bytes.length : word(random), true);
    parts.push(length, bytes);
  };
  if (random.chance(50)) {
    const more = Math.floor(Math.max(plain.length - 15, 0) / 255);
    const tail = Math.max(plain.length - 15, 0) % 255;
    const token = Math.min(plain.length, 15) << 4;
    const lengths = plain.length < 15 ? [token] : [token, ...new Array<number>(more).fill(255), tail];
    block(Buffer.concat([Uint8Array.from(lengths), plain]));
  } else {
    for (let blocks = 1 + random.below(20); blocks > 0; blocks--) {
      const bytes = Uint8Array.from(random.bytes(random.below(3000)));
      if (random.chance(50)) bytes.fill(255, random.below(bytes.length + 1));
      block(Buffer.concat([Uint8Array.of(0x1f, 0, 1, 0), bytes]));
    }
  }
  return Buffer.concat(parts);
}

/** Raw and repeated blocks, and compressed ones of any contents. */
function zstd(random: Random, plain: Uint8Array): Uint8Array {
  const header = random.chance(90)
    ? [0x28, 0xb5, 0x2f, 0xfd, 0, random.below(256)]
    : [0x28, 0xb5, 0x2f, 0xfd, random.below(256), ...random.bytes(10)];
  const parts: Uint8Array[] = [Uint8Array.from(header)];
  const block = (last: boolean, type: number, size: number, bytes: Uint8Array): void => {
    const head = (last ? 1 : 0) | (type << 1) | (size << 3);
    parts.push(Uint8Array.of(head & 0xff, (head >>> 8) & 0xff, head >>> 16), bytes);
  };
  if (random.chance(40)) {
    for (let at = 0; at < plain.length; at += 0x20000) {
      const bytes = plain.subarray(at, at + 0x20000);
      block(at + bytes.length >= plain.length, 0, bytes.length, bytes);
    }
  } else {
    for (let blocks = 1 + random.below(30); blocks > 0; blocks--) {
      if (random.chance(30)) block(blocks === 1, 1, random.below(0x20001), Uint8Array.of(random.below(256)));
      else {
        const bytes = compressedBlock(random);
        block(blocks === 1, 2, bytes.length, bytes);
      }
    }
  }
  return Buffer.concat(parts);
}

/** Literals of one kind or another, then sequences by predefined tables, single symbols or whatever comes. */
function compressedBlock(random: Random): Uint8Array {
  const literals = random.chance(50)
    ? [0b101 | (random.below(16) << 4), random.below(256), random.below(256)]
    : random.bytes(random.below(60));
  const modes = random.chance(60) ? random.pick([0, 0x54, 0xa8, 0xfc]) : random.below(256) & 0xfc;
  const codes = [random.below(36), random.below(32), random.below(53)];
  const bits = random.bytes(random.below(3000));
  return Uint8Array.from([...literals, random.below(256), modes, ...codes, ...bits, 1 + random.below(255)]);
}

/** One or more blocks of LZMA2 chunks, mostly with headers and sums that are right. */
function xz(random: Random, plain: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0, 1, ...sum(Uint8Array.of(0, 1)))];
  const records: [number, number][] = [];
  const blocks = random.chance(90) ? 1 : random.below(4);
  for (let k = 0; k < blocks; k++) {
    const x86 = random.chance(60);
    const filters = [...(x86 ? [4, 0] : []), 0x21, 1, random.chance(80) ? 16 : random.below(256)];
    const head = [0, x86 ? 1 : 0, ...filters];
    while ((head.length + 4) % 4 !== 0) head.push(0);
    head[0] = head.length / 4;
    const [chunks, size] = random.chance(40) ? copied(plain) : anyChunks(random);
    const checkSum = x86 || random.chance(10) ? random.bytes(4) : sum(plain);
    parts.push(summed(head), chunks, new Uint8Array(-chunks.length & 3), Uint8Array.from(checkSum));
    records.push([head.length + 4 + chunks.length + 4, size]);
  }
  const index = [
    0,
    ...variable(records.length),
    ...records.flatMap(([packed, size]) => [...variable(packed), ...variable(size)]),
  ];
  while (index.length % 4 !== 0) index.push(0);
  const backward = Uint8Array.of(...u32((index.length + 4) / 4 - 1), 0, 1);
  parts.push(summed(index), Uint8Array.from(sum(backward)), backward, Uint8Array.of(0x59, 0x5a));
  return Buffer.concat(parts);
}

/** Chunks that are not packed, and how many bytes they hold. */
function copied(plain: Uint8Array): [Uint8Array, number] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < plain.length; at += 0x10000) {
    const bytes = plain.subarray(at, at + 0x10000);
    chunks.push(Uint8Array.of(at === 0 ? 1 : 2, (bytes.length - 1) >>> 8, (bytes.length - 1) & 0xff), bytes);
  }
  return [Buffer.concat([...chunks, new Uint8Array(1)]), plain.length];
}

/** LZMA chunks of random bits, which unpack to something for a while. */
function anyChunks(random: Random): [Uint8Array, number] {
  const chunks: number[] = [];
  let size = 0;
  for (let left = 1 + random.below(20); left > 0; left--) {
    const unpacked = 1 + random.below(2 ** 21);
    const packed = random.bytes(6 + random.below(500));
    packed[0] = 0;
    const high = ((unpacked - 1) >>> 16) & 0x1f;
    chunks.push(0xe0 | high, ((unpacked - 1) >>> 8) & 0xff, (unpacked - 1) & 0xff);
    chunks.push((packed.length - 1) >>> 8, (packed.length - 1) & 0xff, 0x5d, ...packed);
    size += unpacked;
  }
  return [Uint8Array.of(...chunks, 0), size];
}

const u32 = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
const sum = (bytes: Uint8Array): number[] => u32(crc32(bytes));
const summed = (bytes: readonly number[]): Uint8Array => Uint8Array.of(...bytes, ...sum(Uint8Array.from(bytes)));
const variable = (value: number): number[] =>
  value < 0x80 ? [value] : [(value % 0x80) | 0x80, ...variable(Math.floor(value / 0x80))];
