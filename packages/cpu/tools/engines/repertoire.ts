import { instanceOf } from "../../src/code/instance.js";
import { DecodeStatus, decode, Insn, Kind } from "../../src/index.js";
import { rowOfInstance } from "../../src/jit/piece.js";
import type { Random } from "../random.js";

/** The start of an instruction with ModRM: everything before it, and its middle field. */
interface Spelling {
  readonly prefixes: readonly number[];
  readonly opcode: readonly number[];
  /** ModRM.reg, or -1 for any. */
  readonly reg: number;
}

/** All spellings of instructions of one name. */
interface Family {
  readonly name: string;
  readonly spellings: Spelling[];
}

const MANDATORY: readonly (readonly number[])[] = [[], [0x66], [0xf3], [0xf2]];
const MAPS: readonly (readonly number[])[] = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]];
const PREFIXES = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3]);
/** Programs have branches of their own, to places of theirs. */
const BRANCHES = new Set(["jmp", "call", "jcc", "loop", "loope", "loopne", "jrcxz", "jecxz", "jcxz"]);
/** What would make the supervisor another one: only in programs of users, where it faults. */
const PRIVILEGED = new Set(
  `movcr movdr lgdt lidt lldt ltr lmsw wrmsr xsetbv clts swapgs sysret sysexit iret retf jmpf callf hlt syscall sysenter popf
  lss lfs lgs invlpg wbinvd invd invpcid rdmsr rdpmc cli mov_cr mov_dr out outs`.split(/\s+/),
);

/** Base register of an address relative to RIP. */
const RIP = 16;
/** Operands that only a supervisor has. */
const SYSTEM: ReadonlySet<Kind> = new Set([Kind.Cr, Kind.Dr]);

export interface Spelled {
  readonly bytes: Uint8Array;
  /** Offset of a displacement relative to RIP, or -1. */
  readonly relativeAt: number;
  /** Address it is to lead to. */
  readonly target: number;
}

/** Where memory operands may lead: registers with the addresses they should have. */
export interface Addresses {
  readonly registers: readonly (readonly [register: number, value: number])[];
  /** A small number. */
  readonly index: number;
  /** Added to every address; a displacement of 64 bits has it too. */
  readonly base: bigint;
  readonly target: (random: Random) => number;
}

/** Every instruction that the decoder accepts in 64-bit mode, by name. */
export class Repertoire {
  readonly #regional: Family[] = [];
  readonly #others: Family[] = [];
  readonly #insn = new Insn();

  /** @param privileged also what only a supervisor may do to itself */
  constructor({ privileged }: { readonly privileged: boolean }) {
    const regional = new Map<string, Family>();
    const others = new Map<string, Family>();
    for (const map of MAPS)
      for (let last = 0; last < 256; last++) {
        if (map.length === 0 && (last === 0x0f || PREFIXES.has(last) || (last & 0xf0) === 0x40)) continue;
        if (map.length === 1 && (last === 0x38 || last === 0x3a)) continue;
        for (const prefixes of MANDATORY)
          for (let reg = 0; reg < 8; reg++)
            for (const mod of [0xc0, 0x00]) {
              const spelling = { prefixes, opcode: [...map, last], reg };
              const insn = this.#decode([...prefixes, ...spelling.opcode, mod | (reg << 3) | 1]);
              if (insn === null || BRANCHES.has(insn.op) || (!privileged && PRIVILEGED.has(insn.op))) continue;
              if (!privileged && insn.operands.some(({ kind }, k) => k < insn.nops && SYSTEM.has(kind))) continue;
              const { op } = insn;
              const into = rowOfInstance(instanceOf(insn)) === null ? others : regional;
              const family = into.get(op) ?? { name: op, spellings: [] };
              into.set(op, family);
              family.spellings.push(spelling);
            }
      }
    this.#regional.push(...regional.values());
    this.#others.push(...others.values());
  }

  /** Names of the instructions that there are. */
  get names(): string[] {
    return [...new Set([...this.#regional, ...this.#others].map(({ name }) => name))].sort();
  }

  #decode(start: readonly number[]): Insn | null {
    const bytes = new Uint8Array(16);
    bytes.set(start);
    return decode(bytes, 0, 16, 64, this.#insn) === DecodeStatus.Ok ? this.#insn : null;
  }

  /** An instruction, with a memory operand that leads somewhere as long as the registers are what they should be. */
  draw(random: Random, addresses: Addresses): Spelled {
    for (;;) {
      const family = random.pick(random.oneIn(5) ? this.#others : this.#regional);
      const spelled = this.#spell(random, random.pick(family.spellings), addresses);
      const status = decode(spelled.bytes, 0, spelled.bytes.length, 64, this.#insn);
      if (status !== DecodeStatus.Ok || BRANCHES.has(this.#insn.op)) continue;
      // What was meant as ModRM may have become something else.
      const relativeAt = this.#insn.base === RIP && this.#insn.dispSize === 4 ? spelled.relativeAt : -1;
      return { ...spelled, relativeAt, bytes: spelled.bytes.slice(0, this.#insn.len) };
    }
  }

  #spell(random: Random, { prefixes, opcode, reg }: Spelling, { registers, index, base, target }: Addresses): Spelled {
    const start = [...prefixes];
    if (random.oneIn(25)) start.push(random.pick([0x64, 0x65, 0x67, 0xf0, 0xf3]));
    const to = target(random);
    let rex = random.oneIn(3) ? 0 : 0x40 | random.below(16);
    const field = reg === -1 ? random.below(8) : reg;
    const code: number[] = [...opcode];
    let relativeAt = -1;
    const isOffset = opcode.length === 1 && ((opcode[0] as number) & 0xfc) === 0xa0;
    if (isOffset)
      return finish(random, [...start, ...(rex === 0 ? [] : [rex]), ...code, ...qword(base + BigInt(to))], -1, to);
    if (random.oneIn(2)) code.push(0xc0 | (field << 3) | random.below(8));
    else if (random.oneIn(3)) {
      code.push((field << 3) | 5);
      relativeAt = 0;
    } else {
      const [register, value] = random.pick(registers);
      const indexed = random.oneIn(4);
      const sib = indexed || (register & 7) === 4;
      const away = to - value;
      const short = away >= -128 && away < 128;
      rex = rex === 0 && register >= 8 ? 0x41 : rex === 0 ? 0 : (rex & ~3) | (register >> 3);
      code.push((short ? 0x40 : 0x80) | (field << 3) | (sib ? 4 : register & 7));
      if (sib) {
        // Without REX.X, index 4 is none.
        if (indexed && index >= 8) rex = (rex === 0 ? 0x40 : rex) | 2;
        code.push((random.below(4) << 6) | ((indexed ? index & 7 : 4) << 3) | (register & 7));
      }
      code.push(...(short ? [away & 0xff] : dword(away)));
    }
    const bytes = [...start, ...(rex === 0 ? [] : [rex]), ...code];
    if (relativeAt === 0) relativeAt = bytes.length;
    return finish(random, bytes, relativeAt, to);
  }
}

const SPECIAL = [0, 1, 0x7f, 0x80, 0xff, 0xfe];

/** Sixteen bytes; what follows is random. */
function finish(random: Random, start: readonly number[], relativeAt: number, target: number): Spelled {
  const bytes = Uint8Array.from(
    { length: 20 },
    (_, k) => start[k] ?? (random.oneIn(3) ? random.pick(SPECIAL) : random.below(256)),
  );
  return { bytes, relativeAt, target };
}

const dword = (value: number): number[] => [
  value & 0xff,
  (value >> 8) & 0xff,
  (value >> 16) & 0xff,
  (value >> 24) & 0xff,
];
const qword = (value: bigint): number[] => {
  const v = BigInt.asUintN(64, value);
  return [...dword(Number(v & 0xffffffffn) | 0), ...dword(Number(v >> 32n) | 0)];
};
