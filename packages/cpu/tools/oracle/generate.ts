import {
  Decoder,
  DecoderOptions,
  FlowControl,
  type Instruction,
  InstructionInfoFactory,
  Mnemonic,
  OpAccess,
  OpKind,
  Register,
} from "iced-x86";
import { Seg } from "../../src/index.js";
import type { Random } from "../random.js";
import { type Classified, classified, generalRegister } from "../replay/classify.js";
import { CODE_OFFSET, CODE_PAGE, type CodeBits, DATA_PAGE, GS_BASE, Override } from "../replay/initial-state.js";
import type { Segments } from "../replay/segments.js";
import { differsAmongVendors } from "../replay/vendors.js";
import { chooseSegments, chooseStackPointer } from "./choose-segments.js";
import { chooseDescriptorOperands, holdsTrap, otherDescriptors, usesDescriptors } from "./segment-operands.js";
import { type Template, templates } from "./templates.js";
import { areaFor, chooseComponents, namesComponentsByAddress, usesComponents } from "./xsave-operands.js";

/** An instruction with the overrides that make it do something. */
export interface Candidate {
  readonly code: Uint8Array;
  readonly insn: Classified;
  readonly overrides: ReadonlyMap<number, bigint>;
  /** 2 if a NOP follows that belongs to it. */
  readonly instructions: 1 | 2;
  /** Goes on with the next instruction, unless it raises something. */
  readonly straight: boolean;
  /** Leaves something else on processors of another vendor. */
  readonly vendors: boolean;
  /** General registers it may write. */
  readonly writes: ReadonlySet<number>;
  /** Offset of a displacement relative to RIP, or -1. */
  readonly relativeAt: number;
  /** Segment registers that are not flat. */
  readonly segments?: Segments;
}

/** What surrounds the instructions that are made. */
export interface Surroundings {
  readonly bits: CodeBits;
  /** Segments that are not flat: none, chosen anew for every instruction, or the same for all of a round. */
  readonly segments: "none" | "each" | "round";
  /** Also what loads segments and jumps between them, with descriptors to be loaded. */
  readonly loads: boolean;
}

/** What the host decides and not the instruction: identification, time, tables of descriptors, system calls, transactions. */
const EXCLUDED = new Set(
  `Rdtsc Rdtscp Rdpmc Cpuid Rdrand Rdseed Xgetbv Rdpid Sgdt Sidt Sldt Smsw Str Syscall Sysenter Sysexit Sysret Sysexitq Sysretq
  Int Int1 Vmcall Vmmcall Vmfunc Getsec`
    .split(/\s+/)
    .map((name) => Mnemonic[name as keyof typeof Mnemonic]),
);

const MASKED_MOVES = new Set([Mnemonic.Maskmovq, Mnemonic.Maskmovdqu]);
const BIT_TESTS = new Set([Mnemonic.Bt, Mnemonic.Bts, Mnemonic.Btr, Mnemonic.Btc]);
const POPF = new Set([Mnemonic.Popf, Mnemonic.Popfd, Mnemonic.Popfq]);
const NOP = 0x90;
const DIVISIONS = new Set([Mnemonic.Div, Mnemonic.Idiv]);
const FXRSTOR = new Set([Mnemonic.Fxrstor, Mnemonic.Fxrstor64]);
const SEEDED_START = DATA_PAGE + 0x600;
const TAIL = [0, 1, 0x7f, 0x80, 0xff];
const [RCX, RDX, RBX, RSP, RSI, RDI] = [1, 2, 3, 4, 6, 7] as const;

/** Rounds that try everything. */
const EXPLORING_ROUNDS = 3;

/** Makes instructions of the offered features, with memory operands in the data page. */
export class InstructionGenerator {
  readonly #random: Random;
  readonly #bits: CodeBits;
  readonly #variety: Surroundings["segments"];
  readonly #loads: boolean;
  #segments: Segments | undefined;
  readonly #info = new InstructionInfoFactory();
  /** Templates that gave something wanted, of the first rounds; later ones keep to them. */
  readonly #fruitful = new Set<number>();
  #rounds = 0;

  constructor(random: Random, { bits, segments, loads }: Surroundings) {
    this.#random = random;
    this.#bits = bits;
    this.#variety = segments;
    this.#loads = loads;
  }

  /** One pass over all opcodes: at most one candidate for each instruction code that `wanted` says is wanted. */
  round(wanted: (insn: Classified) => boolean): Candidate[] {
    const found = new Map<string, Candidate>();
    const exploring = this.#rounds++ < EXPLORING_ROUNDS;
    if (this.#variety === "round") this.#segments = chooseSegments(this.#random, this.#bits);
    for (const template of templates(this.#bits, this.#random, (key) => exploring || this.#fruitful.has(key))) {
      const candidate = this.#attempt(template, (insn) => {
        if (!wanted(insn)) return false;
        this.#fruitful.add(template.key);
        return !found.has(insn.code);
      });
      if (candidate !== null) found.set(candidate.insn.code, candidate);
    }
    return [...found.values()];
  }

  #attempt(template: Template, wanted: (insn: Classified) => boolean): Candidate | null {
    const bytes = this.#spell(template);
    return this.#decoded(bytes, (insn, decoder) => {
      const special = usesDescriptors(insn);
      if ((special && !this.#loads) || !isComparable(insn, this.#variety !== "none")) return null;
      const about = classified(insn);
      if (!about.offered || !wanted(about)) return null;
      const overrides = new Map<number, bigint>();
      if (this.#variety === "each") this.#segments = chooseSegments(this.#random, this.#bits);
      this.#chooseStack(overrides);
      this.#chooseRegisters(insn, overrides);
      const target = special ? DATA_PAGE + 0x680 + 8 * this.#random.below(0x40) : (areaFor(insn) ?? this.#target());
      const relativeAt = this.#chooseAddress(insn, decoder, bytes, overrides, target);
      const descriptors = special
        ? new Map([...(this.#segments ?? []), ...otherDescriptors(this.#random)])
        : this.#segments;
      if (special && descriptors !== undefined) {
        const stack = DATA_PAGE + 0x800;
        chooseDescriptorOperands(insn, this.#random, descriptors, { target, stack, bytes, overrides });
      }
      // The address may have become part of another instruction.
      const same = this.#decoded(bytes, (again) => again.code === insn.code && again.length === insn.length);
      if (same !== true) return null;
      const alone = bytes.slice(0, insn.length);
      const held = special && holdsTrap(insn);
      return {
        code: held ? Uint8Array.of(...alone, NOP) : alone,
        instructions: held ? 2 : 1,
        insn: about,
        overrides,
        straight: !special && insn.flowControl === FlowControl.Next && !POPF.has(insn.mnemonic),
        vendors: differsAmongVendors(about, alone, this.#bits),
        writes: this.#writes(insn),
        relativeAt,
        ...(descriptors === undefined ? {} : { segments: descriptors }),
      };
    });
  }

  #decoded<T>(bytes: Uint8Array, look: (insn: Instruction, decoder: Decoder) => T): T | null {
    const decoder = new Decoder(this.#bits, bytes, DecoderOptions.None);
    decoder.ip = BigInt(CODE_PAGE + CODE_OFFSET);
    const insn = decoder.decode();
    try {
      return insn.isInvalid ? null : look(insn, decoder);
    } finally {
      insn.free();
      decoder.free();
    }
  }

  /** Fifteen bytes that begin with the template; what follows ModRM and SIB is random. */
  #spell({ prefixes, opcode, reg, modrm }: Template): Uint8Array {
    const random = this.#random;
    const mod = random.oneIn(2) ? 3 : random.below(3);
    const chosen = modrm ?? (mod << 6) | ((reg ?? random.below(8)) << 3) | random.below(8);
    const start = [...prefixes, ...opcode, chosen];
    if (chosen >> 6 !== 3 && (chosen & 7) === 4) start.push(random.below(256));
    return Uint8Array.from({ length: 15 }, (_, k) =>
      k < start.length ? (start[k] as number) : random.oneIn(4) ? random.pick(TAIL) : random.below(256),
    );
  }

  #writes(insn: Instruction): ReadonlySet<number> {
    const info = this.#info.info(insn);
    const written = new Set<number>();
    for (const used of info.usedRegisters()) {
      const { register, access } = used;
      used.free();
      const writes = access === OpAccess.Write || access === OpAccess.CondWrite;
      if (!writes && access !== OpAccess.ReadWrite && access !== OpAccess.ReadCondWrite) continue;
      const full = registerOf(register);
      if (full >= 0) written.add(full);
    }
    info.free();
    return written;
  }

  /** Somewhere in the data page: mostly aligned, now and then at its end. */
  #target(): number {
    const random = this.#random;
    const choice = random.below(100);
    if (choice >= 97) return DATA_PAGE + 0xff8 + random.below(16);
    const align = choice < 80 ? 64 : choice < 90 ? 1 : 8;
    return DATA_PAGE + 0x680 + random.below(0x280 / align) * align;
  }

  /** First byte of what a segment register refers to. */
  #baseOf(register: Register): number {
    const chosen = this.#segments?.get(register - Register.ES)?.base;
    return chosen ?? (register === Register.GS ? GS_BASE : 0);
  }

  /** Without segments RSP is in the data page anyway. In blocks of a round every instruction wants the same. */
  #chooseStack(overrides: Map<number, bigint>): void {
    const stack = this.#segments?.get(Seg.SS);
    if (stack === undefined) return;
    if (this.#variety === "each") overrides.set(RSP, chooseStackPointer(this.#random, stack));
    else overrides.set(RSP, BigInt((DATA_PAGE + 0x800 - stack.base) >>> 0));
  }

  /** Registers that are addresses or counts without being part of a memory operand, and operands that should not always fault. */
  #chooseRegisters(insn: Instruction, overrides: Map<number, bigint>): void {
    const random = this.#random;
    const segment = this.#baseOf(insn.segmentPrefix === Register.None ? Register.DS : insn.segmentPrefix);
    if (MASKED_MOVES.has(insn.mnemonic)) {
      const at = random.oneIn(8) ? 0xff0 + random.below(16) : 0x820 + random.below(64);
      overrides.set(RDI, BigInt.asUintN(this.#bits, BigInt(DATA_PAGE + at - segment)));
    } else if (insn.isStringInstruction) {
      overrides.set(RSI, BigInt.asUintN(this.#bits, BigInt(DATA_PAGE + 0x700 + random.below(64) - segment)));
      overrides.set(
        RDI,
        BigInt.asUintN(this.#bits, BigInt(DATA_PAGE + 0x820 + random.below(64) - this.#baseOf(Register.ES))),
      );
      if (insn.hasRepPrefix || insn.hasRepnePrefix) overrides.set(RCX, BigInt(random.below(9)));
    }
    if (usesComponents(insn)) chooseComponents(insn, random, overrides);
    if (insn.mnemonic === Mnemonic.Xlatb)
      overrides.set(RBX, BigInt.asUintN(this.#bits, BigInt(DATA_PAGE + 0x700 - segment)));
    if (DIVISIONS.has(insn.mnemonic) && random.oneIn(2)) overrides.set(RDX, BigInt(random.below(3)));
    const bitString =
      BIT_TESTS.has(insn.mnemonic) && insn.op0Kind === OpKind.Memory && insn.op1Kind === OpKind.Register;
    if (bitString && !random.oneIn(4)) overrides.set(generalRegister(insn.op1Register), BigInt(random.below(1024)));
  }

  /** Makes a memory operand point into the data page. @returns the offset of a displacement relative to RIP, or -1 */
  #chooseAddress(
    insn: Instruction,
    decoder: Decoder,
    bytes: Uint8Array,
    overrides: Map<number, bigint>,
    target: number,
  ): number {
    const random = this.#random;
    const hasMemory = Array.from({ length: insn.opCount }, (_, k) => insn.opKind(k)).includes(OpKind.Memory);
    if (!hasMemory) return -1;
    if (FXRSTOR.has(insn.mnemonic) && !random.oneIn(8)) validMxcsr(target + 24, random, overrides);
    if (insn.mnemonic === Mnemonic.Ldmxcsr && random.oneIn(2)) validMxcsr(target, random, overrides);
    const wanted = BigInt(target - this.#baseOf(insn.memorySegment));
    const { memoryBase, memoryIndex, memoryIndexScale: scale } = insn;
    const offsets = decoder.getConstantOffsets(insn);
    const [at, size] = [offsets.displacementOffset, offsets.displacementSize];
    offsets.free();
    const view = new DataView(bytes.buffer);
    if (memoryBase === Register.RIP || memoryBase === Register.EIP) {
      view.setUint32(at, Number(BigInt.asUintN(32, wanted - BigInt(CODE_PAGE + CODE_OFFSET + insn.length))), true);
      return at;
    }
    if (memoryBase === Register.None && memoryIndex === Register.None) {
      if (size === 8) view.setBigUint64(at, BigInt.asUintN(64, wanted), true);
      else if (size === 4) view.setUint32(at, Number(BigInt.asUintN(32, wanted)), true);
      else if (size === 2) view.setUint16(at, Number(BigInt.asUintN(16, wanted)), true);
      return -1;
    }
    const base = generalRegister(memoryBase);
    const index = generalRegister(memoryIndex);
    const rest = wanted - insn.memoryDisplacementU64;
    const put = (register: number, value: bigint): void => {
      overrides.set(register, BigInt.asUintN(this.#bits, value));
    };
    if (base >= 0 && index >= 0 && base !== index) {
      const distance = BigInt(random.below(17)) - (random.oneIn(2) ? 8n : 0n);
      put(index, distance);
      put(base, rest - distance * BigInt(scale));
    } else if (index < 0) put(base, rest);
    else put(index, BigInt.asUintN(this.#bits, rest) / BigInt(base < 0 ? scale : scale + 1));
    return -1;
  }
}

/** Whether the outcome depends on nothing but the state the recorder sets up. */
function isComparable(insn: Instruction, segmented: boolean): boolean {
  if (EXCLUDED.has(insn.mnemonic) || insn.isVsib || (insn.segmentPrefix === Register.FS && !segmented)) return false;
  if (namesComponentsByAddress(insn)) return false;
  for (let k = 0; k < insn.opCount; k++) {
    if (insn.opKind(k) !== OpKind.Register) continue;
    const register = insn.opRegister(k);
    if (register >= Register.CR0 && register <= Register.DR15) return false;
    if (register >= Register.TR0 && register <= Register.TR7) return false;
  }
  return true;
}

const HIGH_BYTES = [Register.AH, Register.CH, Register.DH, Register.BH];

/** The general register a register is part of, or -1. */
function registerOf(register: Register): number {
  const high = HIGH_BYTES.indexOf(register);
  if (high >= 0) return high;
  if (register >= Register.AL && register <= Register.BL) return register - Register.AL;
  if (register >= Register.SPL && register <= Register.R15L) return register - Register.SPL + 4;
  return generalRegister(register);
}

/** Writes an MXCSR without reserved bits at `address`, which is 8-aligned or there is no such override. */
function validMxcsr(address: number, random: Random, overrides: Map<number, bigint>): void {
  const offset = address - SEEDED_START;
  if (offset < 0 || offset >= 0x400 || offset % 8 !== 0) return;
  overrides.set(Override.Memory + offset / 8, random.word() & ~0xffff0000n);
}
