import { Code, type Instruction, Mnemonic, OpKind, Register } from "iced-x86";
import type { Random } from "../random.js";
import { CODE_OFFSET, CODE_PAGE, DATA_PAGE, Override } from "../replay/initial-state.js";
import { DESCRIPTORS, FIRST_FREE, type Segment, selectorOf } from "../replay/segments.js";
import { otherCode, otherData } from "./choose-segments.js";

/** What loads, stores or inspects segments, other than by an operand that is a segment register. */
const MNEMONICS = new Set(
  `Lds Les Lfs Lgs Lss Lar Lsl Verr Verw Iret Iretd Iretq Retf`
    .split(/\s+/)
    .map((name) => Mnemonic[name as keyof typeof Mnemonic]),
);
const FAR_POINTERS = new Set([Mnemonic.Lds, Mnemonic.Les, Mnemonic.Lfs, Mnemonic.Lgs, Mnemonic.Lss]);
const RETURNS = new Set([Mnemonic.Iret, Mnemonic.Iretd, Mnemonic.Iretq, Mnemonic.Retf]);
const INSPECTIONS = new Set([Mnemonic.Lar, Mnemonic.Lsl, Mnemonic.Verr, Mnemonic.Verw]);

const isSegment = (register: Register): boolean => register >= Register.ES && register <= Register.GS;
const isFarMemory = (insn: Instruction): boolean => insn.isJmpFarIndirect || insn.isCallFarIndirect;
const isFarImmediate = (insn: Instruction): boolean => insn.isJmpFar || insn.isCallFar;

/** Whether the outcome depends on descriptors. */
export function usesDescriptors(insn: Instruction): boolean {
  if (MNEMONICS.has(insn.mnemonic) || isFarMemory(insn) || isFarImmediate(insn)) return true;
  for (let k = 0; k < insn.opCount; k++)
    if (insn.opKind(k) === OpKind.Register && isSegment(insn.opRegister(k))) return true;
  return false;
}

/** Whether nothing is trapped before the next instruction has been executed: MOV SS and POP SS. */
export const holdsTrap = (insn: Instruction): boolean =>
  (insn.mnemonic === Mnemonic.Mov || insn.mnemonic === Mnemonic.Pop) &&
  insn.opKind(0) === OpKind.Register &&
  insn.op0Register === Register.SS;

/** Descriptors that no segment register has yet: of all kinds, some not present, the last two absent. */
export function otherDescriptors(random: Random): ReadonlyMap<number, Segment> {
  const others = new Map<number, Segment>();
  for (let k = FIRST_FREE; k < DESCRIPTORS - 2; k++)
    others.set(k, random.oneIn(2) ? otherCode(random) : otherData(random));
  return others;
}

/** Selectors of Linux's own descriptors, and of places behind its table. */
const LINUX = [0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x80, 0x88, 0x1000];

/** A selector: mostly of the other descriptors, mostly with privilege 3. */
export function chooseSelector(random: Random, descriptors: ReadonlyMap<number, Segment>): number {
  const privilege = random.oneIn(5) ? random.below(4) : 3;
  const choice = random.below(10);
  if (choice === 0) return random.below(4);
  if (choice === 1) return random.pick(LINUX) | privilege;
  if (choice === 2) return random.pick([4, DESCRIPTORS << 3, 0xfff8]) | 4 | privilege;
  return (selectorOf(random.pick([...descriptors.keys(), DESCRIPTORS - 1])) & ~3) | privilege;
}

/** An offset in a segment of code, of any of the bases there are. */
const chooseOffset = (random: Random): number =>
  (random.oneIn(4) ? CODE_PAGE : 0) + CODE_OFFSET + random.below(64) + (random.oneIn(12) ? 0x1000 : 0);

/** Collects bytes of the seeded memory as overrides. */
class Memory {
  readonly #overrides: Map<number, bigint>;
  readonly #random: Random;

  constructor(overrides: Map<number, bigint>, random: Random) {
    this.#overrides = overrides;
    this.#random = random;
  }

  /** Writes `size` bytes at a linear address; outside the seeded memory nothing. */
  put(address: number, value: number, size: number): void {
    for (let k = 0; k < size; k++) this.#byte(address + k, k < 6 ? Math.floor(value / 2 ** (8 * k)) % 256 : 0);
  }

  #byte(address: number, value: number): void {
    const offset = address - DATA_PAGE - 0x600;
    if (offset < 0 || offset >= 0x400) return;
    const what = Override.Memory + (offset >> 3);
    const shift = BigInt(8 * (offset & 7));
    const old = this.#overrides.get(what) ?? this.#random.word();
    this.#overrides.set(what, (old & ~(0xffn << shift)) | (BigInt(value) << shift));
  }
}

/**
 * Gives an instruction that uses descriptors selectors and offsets to work with.
 * @param target linear address of its memory operand
 * @param stack linear address of the top of the stack
 * @param bytes its code, in which a far pointer may stand
 */
export function chooseDescriptorOperands(
  insn: Instruction,
  random: Random,
  descriptors: ReadonlyMap<number, Segment>,
  {
    target,
    stack,
    bytes,
    overrides,
  }: { target: number; stack: number; bytes: Uint8Array; overrides: Map<number, bigint> },
): void {
  const memory = new Memory(overrides, random);
  const selector = (): number => chooseSelector(random, descriptors);
  const size = operandSize(insn);
  if (isFarImmediate(insn)) {
    const view = new DataView(bytes.buffer);
    const offset = chooseOffset(random);
    if (size === 2) view.setUint16(insn.length - 4, offset & 0xffff, true);
    else view.setUint32(insn.length - 6, offset, true);
    view.setUint16(insn.length - 2, selector(), true);
  } else if (isFarMemory(insn) || FAR_POINTERS.has(insn.mnemonic)) {
    memory.put(target, chooseOffset(random), size);
    memory.put(target + size, selector(), 2);
  } else if (RETURNS.has(insn.mnemonic)) {
    memory.put(stack, chooseOffset(random), size);
    memory.put(stack + size, selector(), 2);
    if (insn.mnemonic === Mnemonic.Retf) return;
    // Flags, with TF: another trap than the recorder's would come too late.
    memory.put(stack + 2 * size, 0x302 | (random.below(0x1000) & 0xcd5), size);
    memory.put(stack + 3 * size, DATA_PAGE + 0x700, size);
    memory.put(stack + 4 * size, selector(), 2);
  } else if (insn.mnemonic === Mnemonic.Pop) memory.put(stack, selector(), 2);
  else if (insn.mnemonic === Mnemonic.Mov || INSPECTIONS.has(insn.mnemonic)) {
    const source = INSPECTIONS.has(insn.mnemonic) ? insn.opCount - 1 : 1;
    if (insn.opKind(source) === OpKind.Memory) memory.put(target, selector(), 2);
    else {
      const register = insn.opRegister(source);
      const number = [Register.AX, Register.EAX, Register.RAX]
        .map((first) => register - first)
        .find((k) => k >= 0 && k < 16);
      if (number !== undefined) overrides.set(number, (random.word() & ~0xffffn) | BigInt(selector()));
    }
  }
}

/** Bytes of an offset in a far pointer or on the stack. */
function operandSize(insn: Instruction): 2 | 4 | 8 {
  const name = Code[insn.code] as string;
  if (/^(Iretq|Retfq|.*m1664|.*_r64_)/.test(name)) return 8;
  return /^(Iretd|Retfd|.*m1632|.*ptr1632|.*_r32_)/.test(name) ? 4 : 2;
}
