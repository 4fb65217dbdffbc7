import { type Mode as CodeBits, DecodeStatus, decode, Insn } from "@vm/cpu";
import type { Random } from "../random.js";
import * as L from "./layout.js";
import type { Mode } from "./start.js";

const PREFIXES = [0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65];
const MAPS: readonly (readonly number[])[] = [[], [], [], [0x0f], [0x0f], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]];

/** MSRs worth a try: those there are, and some there are not. */
const MSRS = [
  0x10, 0x1b, 0x3a, 0x3b, 0x48, 0x49, 0x8b, 0xfe, 0x10a, 0x10b, 0x174, 0x175, 0x176, 0x179, 0x17a, 0x1a0, 0x1d9, 0x277,
  0x2ff, 0x400, 0x401, 0x6e0, 0x800, 0x808, 0x830, 0xda0, 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084,
  0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103, 0x12345678,
];

const le32 = (value: number): number[] => [
  value & 0xff,
  (value >>> 8) & 0xff,
  (value >>> 16) & 0xff,
  (value >>> 24) & 0xff,
];
const movEcx = (value: number, bits: CodeBits): number[] => [...(bits === 16 ? [0x66] : []), 0xb9, ...le32(value)];

/** Instructions of the system, and sequences that random bytes do not hit upon. */
const SYSTEM: readonly ((r: Random, bits: CodeBits) => readonly number[])[] = [
  (r, bits) => [...movEcx(r.pick(MSRS), bits), 0x0f, r.pick([0x30, 0x32])],
  (r, bits) => [...movEcx(r.pick(MSRS), bits), 0x31, 0xd2, 0x0f, 0x30],
  // MOV to and from CR and DR.
  (r) => [0x0f, r.pick([0x20, 0x22]), 0xc0 | (r.pick([0, 2, 3, 4]) << 3) | r.below(8)],
  (r) => [0x0f, r.pick([0x21, 0x23]), 0xc0 | r.below(64)],
  // MOV EAX, CR; flip a bit; MOV CR, EAX.
  (r) => {
    const cr = r.pick([0, 3, 4]) << 3;
    return [0x0f, 0x20, 0xc0 | cr, 0x0f, 0xba, 0xf8, r.below(32), 0x0f, 0x22, 0xc0 | cr];
  },
  (r) => [0x0f, 0x01, r.below(256)],
  (r) => [0x0f, 0x00, r.below(256)],
  (r) => [0x0f, r.pick([0x05, 0x07, 0x34, 0x35, 0x06, 0x08, 0x09, 0xa2, 0x31, 0x33])],
  (r) => [0xcd, r.chance(50) ? r.below(32) : r.below(256)],
  (r) => [r.pick([0xcc, 0xce, 0xf1, 0xcf, 0xca, 0xcb, 0x9c, 0x9d, 0x9b, 0xd7])],
  (r) => [0x48, r.pick([0xcf, 0xcb])],
  (r) => [r.pick([0xfa, 0xfb, 0xfb, 0xfc, 0xfd])],
  () => [0xfb, 0xf4],
  () => [0xf4],
  (r) => [r.pick([0xe4, 0xe5, 0xe6, 0xe7, 0xec, 0xed, 0xee, 0xef, 0x6c, 0x6d, 0x6e, 0x6f]), r.below(256)],
  // Far jumps and calls, direct and through memory; loads of far pointers.
  (r) => [r.pick([0x9a, 0xea]), ...le32(L.CODE + r.below(L.CODE_BYTES)), r.below(0xa0), 0],
  (r) => [0xff, (r.below(3) << 6) | (r.pick([3, 5]) << 3) | r.below(8), ...r.bytes(4)],
  (r) => [r.pick([0xc4, 0xc5]), r.below(0xc0), ...r.bytes(4)],
  // Segment registers.
  (r) => [0x66, 0xb8, r.below(0xa0), 0, 0x8e, 0xc0 | (r.below(6) << 3)],
  (r) => [r.pick([0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f])],
  (r) => [0x0f, r.pick([0xa0, 0xa1, 0xa8, 0xa9])],
  // FXSAVE, XSAVE and their kin.
  (r) => [0x0f, 0xae, r.below(256), ...r.bytes(4)],
  (r) => [0x0f, 0xc7, r.below(256), ...r.bytes(4)],
  // Shadows.
  (r) => [0x8e, 0xd0, r.pick([0xcc, 0x90, 0x9c, 0xf4])],
  // REP with a moderate count.
  (r) => [
    ...(r.chance(70) ? [0x31, 0xc9, 0xb1, r.below(256)] : []),
    r.pick([0xf2, 0xf3]),
    r.pick([0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 0x6c, 0x6d, 0x6e, 0x6f]),
  ],
  // A short loop.
  (r) => [0xb9, ...le32(r.below(20)), ...r.bytes(r.below(3)), 0xe2, 0x100 - 2 - r.below(4)],
  // Code that writes code: MOV byte [address], imm8.
  (r, bits) =>
    bits === 16
      ? [0x2e, 0xc6, 0x06, r.below(256), r.below(L.CODE_BYTES >> 8), r.below(256)]
      : bits === 32
        ? [0xc6, 0x05, ...le32(L.CODE + r.below(L.CODE_BYTES)), r.below(256)]
        : [0xc6, 0x05, ...le32(r.below(128) - 64), r.below(256)],
  // Page tables.
  (r, bits) =>
    bits === 16
      ? [0x90]
      : [
          0x81,
          r.pick([0x0c, 0x24, 0x34]),
          0x25,
          ...le32(L.PAGE_TABLES + 8 * r.below(0xa00)),
          ...le32(1 << r.below(32)),
        ],
  // A register that points somewhere useful again.
  (r, bits) =>
    bits === 16
      ? [0xb8 | r.below(8), r.below(256), r.below(256)]
      : [0xb8 | r.below(8), ...le32(L.DATA + r.below(0x40000))],
  // The stack again where it should be.
  (r, bits) => (bits === 16 ? [0xbc, 0, 0xa0] : [0xbc, ...le32(L.STACKS + 0x1000 + 16 * r.below(0x600))]),
];

const insn = new Insn();

/** Bytes of an instruction that the decoder accepts, most of the time. */
function instruction(random: Random, bits: CodeBits): readonly number[] {
  for (let tries = 0; tries < 8; tries++) {
    const bytes = [
      ...(random.chance(25) ? [random.pick(PREFIXES)] : []),
      ...(random.chance(4) ? [random.pick(PREFIXES)] : []),
      ...(bits === 64 && random.chance(45) ? [0x40 | random.below(16)] : []),
      ...random.pick(MAPS),
      ...random.bytes(2),
      ...(random.chance(50) ? [random.below(256), 0, 0, 0] : random.bytes(4)),
      ...random.bytes(5),
    ];
    const status = decode(Uint8Array.from(bytes), 0, bytes.length, bits, insn);
    if (status === DecodeStatus.Ok) return bytes.slice(0, insn.len);
  }
  return random.bytes(3);
}

/** A stream of `length` bytes: instructions, sequences of the system, plain noise. */
export function stream(random: Random, { bits }: Mode, length: number): Uint8Array {
  const bytes: number[] = [];
  const noise = random.pick([2, 10, 60]);
  const system = random.pick([5, 25, 60]);
  while (bytes.length < length) {
    if (random.chance(noise)) bytes.push(...random.bytes(1 + random.below(8)));
    else if (random.chance(system)) bytes.push(...random.pick(SYSTEM)(random, bits));
    else bytes.push(...instruction(random, bits));
  }
  return Uint8Array.from(bytes.slice(0, length));
}
