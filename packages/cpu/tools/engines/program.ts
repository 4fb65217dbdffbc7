import { Random } from "../random.js";
import { neutral } from "../replay/padding.js";
import {
  ALIAS,
  CODE,
  CODE_PAGES,
  DATA,
  DEVICE,
  FIRST_INTERRUPT,
  halves,
  LAZY,
  PORT,
  READ_ONLY,
  STACK,
  WATCHED,
} from "./machine.js";
import { type Addresses, Repertoire } from "./repertoire.js";

/** Where a displacement relative to RIP leads: an address of the window, or the beginning of a part with something added. */
export type To = { readonly address: number } | { readonly part: number; readonly plus: number };

export interface Displacement {
  /** Offset of its four bytes. */
  readonly at: number;
  /** Offset of the next instruction. */
  readonly next: number;
  readonly to: To;
}

/** Instructions of a program, whose addresses are known when it has been laid out. */
export interface Part {
  readonly bytes: readonly number[];
  readonly displacements: readonly Displacement[];
  /** The part begins a stretch of code there, to which the one before jumps. */
  readonly place?: number;
}

/** What happens between two instructions. */
export interface Event {
  /** Instructions retired by then. */
  readonly at: number;
  readonly what: (typeof QUICK | typeof SLOW)[number];
  /** Anything. */
  readonly a: number;
}

/** What leaves the guest as fast as it was. */
const QUICK = ["interrupt", "nmi", "device", "unmap", "remap", "withhold", "allow", "datapoint", "task"] as const;
/** What has instructions executed one at a time, and what ends that. */
const SLOW = ["watch", "unwatch", "trap", "step", "codepoint", "nopoints"] as const;

/** All that a run depends on besides the engine. */
export interface Program {
  readonly seed: number;
  readonly cpl: 0 | 3;
  /** Linear address of the window. */
  readonly base: bigint;
  readonly rflags: number;
  readonly parts: readonly Part[];
  readonly events: readonly Event[];
  /** Further places at which a run is cut; instruction counts. */
  readonly cuts: readonly number[];
  /** Instructions in all. */
  readonly length: number;
  /** Seed of registers and memory. */
  readonly state: number;
}

/** Registers that point somewhere as long as nobody writes them. */
export const POINTERS: readonly (readonly [register: number, address: number])[] = [
  [3, DATA + 0x800],
  [5, DATA + 0x1800],
  [6, DATA + 0x1010],
  [7, DATA + 0x2020],
  [12, DATA + 0x2ff0],
  [13, STACK],
  [14, CODE + 0x1000],
  [15, DEVICE],
];
export const INDEX = 9;
/** Ports that programs use as often as they like. */
const PORTS = [PORT.interrupt, PORT.unmap, PORT.turn, PORT.rewrite];
/** Addresses of parts, for indirect jumps. */
export const TABLE = DATA + 0x3800;
export const TABLE_ENTRIES = 8;
const COUNTER = DATA + 0x3f00;

/** Where the window may be: low, above 4 GiB, over the 4 GiB boundary, at the top of the lower half, in the upper half. */
const BASES = [0n, 0n, 0x7000_0000_0000n, 0xffee_e000n, 0x7fff_fffe_0000n, -0x8000_0000n, -0x8000_0000_0000n];

const dword = (value: number): number[] => [
  value & 0xff,
  (value >> 8) & 0xff,
  (value >> 16) & 0xff,
  (value >> 24) & 0xff,
];

const repertoires = new Map<boolean, Repertoire>();
function repertoireOf(privileged: boolean): Repertoire {
  const known = repertoires.get(privileged) ?? new Repertoire({ privileged });
  repertoires.set(privileged, known);
  return known;
}

/** The program of a seed. */
export function programOf(seed: number): Program {
  const random = new Random(seed);
  const cpl = random.oneIn(3) ? 0 : 3;
  const base = random.pick(BASES);
  // Some programs stay where they are: what they do seldom fails.
  const calm = random.oneIn(3);
  const repertoire = repertoireOf(cpl === 3 && !calm);
  const count = random.oneIn(2) ? 2 + random.below(10) : 2 + random.below(49);
  const addresses: Addresses = { registers: POINTERS, index: INDEX, base, target: calm ? inData : target };
  const parts: Part[] = [];
  const share = random.pick([1, 3, 4, 5, 7]);
  for (let k = 0; k < count; k++) {
    const part = random.below(10) < share ? plain(repertoire, random, addresses) : special(random, count, cpl, base);
    parts.push(placed(part, random, k, count));
  }
  const length = 100 + random.below(random.oneIn(6) ? 5000 : 600);
  const places = (n: number): number[] =>
    Array.from({ length: n }, () => 1 + random.below(length - 1)).sort((a, b) => a - b);
  const quiet = random.oneIn(3);
  const kinds = random.oneIn(4) ? [...QUICK, ...SLOW] : QUICK;
  return {
    seed,
    cpl,
    base: BigInt.asUintN(64, base),
    rflags: 0x202 | (random.oneIn(2) ? 0x3000 : 0) | (random.oneIn(8) ? 0x40000 : 0),
    parts,
    events: quiet
      ? []
      : places(random.below(8)).map((when) => ({ at: when, what: random.pick(kinds), a: random.below(0x10000) })),
    cuts: places(random.below(12)),
    length,
    state: random.below(2 ** 31),
  };
}

/** Now and then a part begins somewhere else: not far, or in another page. */
function placed(part: Part, random: Random, k: number, count: number): Part {
  if (k > 0 && !random.oneIn(Math.max(8, count / 2))) return part;
  const page = k === 0 ? 0 : random.below(CODE_PAGES - 1);
  return { ...part, place: CODE + page * 0x1000 + (random.oneIn(3) ? 0xfff - random.below(64) : random.below(0xff0)) };
}

const inData = (random: Random): number => DATA + (random.below(0x3700) & (random.oneIn(2) ? ~15 : ~0));

/** Where a memory operand leads. */
function target(random: Random): number {
  const choice = random.below(40);
  if (choice < 26) return inData(random);
  if (choice < 30) return DATA + 0x1000 * (1 + random.below(3)) - random.below(16);
  if (choice < 31) return LAZY + random.below(0xff0);
  if (choice < 32) return LAZY - random.below(16);
  if (choice < 33) return READ_ONLY + random.below(0xff0);
  if (choice < 34) return WATCHED + random.below(0xff0);
  if (choice < 36) return DEVICE + random.below(0x80);
  if (choice < 38) return CODE + random.below(0x2000);
  if (choice < 39) return ALIAS + random.below(0x2000);
  return 0x3000 + random.below(0x40000);
}

function plain(repertoire: Repertoire, random: Random, addresses: Addresses): Part {
  const { bytes, relativeAt, target: address } = repertoire.draw(random, addresses);
  const to = { address };
  return { bytes: [...bytes], displacements: relativeAt < 0 ? [] : [{ at: relativeAt, next: bytes.length, to }] };
}

/** `code`, a displacement to `to`, and what follows it in the same instruction. */
function relative(code: readonly number[], to: To, rest: readonly number[] = []): Part {
  const bytes = [...code, 0, 0, 0, 0, ...rest];
  return { bytes, displacements: [{ at: code.length, next: bytes.length, to }] };
}

function join(a: Part, b: Part): Part {
  const moved = b.displacements.map(({ at, next, to }) => ({
    at: at + a.bytes.length,
    next: next + a.bytes.length,
    to,
  }));
  return { bytes: [...a.bytes, ...b.bytes], displacements: [...a.displacements, ...moved] };
}

const only = (...bytes: number[]): Part => ({ bytes, displacements: [] });

/** Control flow, what changes nothing, code that is written, pointers that are mended, ports. */
function special(random: Random, count: number, cpl: 0 | 3, base: bigint): Part {
  const part = (plus = 0): To => ({ part: random.below(count), plus });
  const choice = random.below(40);
  if (choice < 2) return eitherWay(random);
  // Jcc, JMP, CALL, RET.
  if (choice < 12) return relative([0x0f, 0x80 | random.below(16)], part());
  if (choice < 14) return relative([0xe9], part());
  if (choice < 17) return relative([0xe8], part());
  if (choice < 19) return random.oneIn(6) ? only(0xc2, 8, 0) : only(0xc3);
  // LOOP, LOOPcc or JRCXZ over a jump.
  if (choice < 20) return join(only(random.pick([0xe0, 0xe1, 0xe2, 0xe3]), 5), relative([0xe9], part()));
  // A counter in memory, and elsewhere as long as it is not zero: SUB, JNZ.
  if (choice < 24)
    return join(relative([0x80, 0x2d], { address: COUNTER + random.below(4) }, [1]), relative([0x0f, 0x85], part()));
  if (choice < 28) return throughTable(random, base + BigInt(TABLE));
  // A pointer as it should be: LEA.
  if (choice < 33) {
    const [register, address] = random.pick(POINTERS);
    return relative([0x48 | ((register >> 3) << 2), 0x8d, ((register & 7) << 3) | 5], { address });
  }
  // AND of the index.
  if (choice < 34) return only(0x49, 0x83, 0xe0 | (INDEX & 7), 0x3f);
  if (choice < 36) return rewriting(random, part(random.below(8)));
  if (choice < 37) return only(...neutral((limit) => random.below(limit)));
  if (choice < 38 && cpl === 3) return only(0xcd, FIRST_INTERRUPT + random.below(8));
  return only(0xe6, random.oneIn(20) ? PORT.step : random.pick(PORTS));
}

/** Two ways that meet again, one of which reads what is 64 bits wide and the other writes 32: MOV; Jcc; CMP, SETcc, JMP or MOV. */
function eitherWay(random: Random): Part {
  const [register, told] = [random.below(3), random.below(3)];
  const random32 = (): number[] => dword(random.below(2 ** 31));
  const whole = [0x48, 0xb8 | register, random.below(16), 0, 0, 0, ...random32()];
  const reads = [0x83, 0xf8 | register, random.below(16), 0x0f, 0x90 | random.below(16), 0xc0 | told];
  const writes = [0xb8 | register, ...random32()];
  const skip = [0xeb, writes.length];
  return only(...whole, 0x70 | random.below(16), reads.length + skip.length, ...reads, ...skip, ...writes);
}

/** movzx r11d, reg8; and r11d, 7; mov r10, table; jmp or call [r10 + 8 * r11] */
function throughTable(random: Random, table: bigint): Part {
  const how = random.oneIn(3) ? 0x14 : 0x24;
  const [lo, hi] = halves(table);
  const index = [0x44, 0x0f, 0xb6, 0xd8 | random.below(4), 0x41, 0x83, 0xe3, TABLE_ENTRIES - 1];
  return only(...index, 0x49, 0xba, ...dword(lo), ...dword(hi), 0x43, 0xff, how, 0xda);
}

/** A store into code: MOV, XOR and INC of a byte, MOV of AL and of RAX. */
function rewriting(random: Random, to: To): Part {
  switch (random.below(5)) {
    case 0:
      return relative([0xc6, 0x05], to, [random.below(256)]);
    case 1:
      return relative([0x80, 0x35], to, [1 << random.below(8)]);
    case 2:
      return relative([0xfe, 0x05], to);
    case 3:
      return relative([0x88, 0x05], to);
    default:
      return relative([0x48, 0x89, 0x05], to);
  }
}
