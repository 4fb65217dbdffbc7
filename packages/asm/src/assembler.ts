import { type Encoded, encode, littleEndian } from "./_encode.js";
import type { Fixup } from "./_fixup.js";
import { type Bits, fitsField, matches } from "./_match.js";
import { type Form, parseForm } from "./_notation.js";
import { LOCKABLE, REPEATABLE } from "./_prefixes.js";
import {
  AmbiguousSizeError,
  DisplacementOverflowError,
  LabelError,
  NoSuchFormError,
  UnboundLabelError,
  ValueError,
} from "./errors.js";
import { FORMS, type Mnemonic } from "./forms/index.js";
import { Label } from "./label.js";
import { describeOperand, type Operand, toBigInt } from "./operand.js";

/** How an assembler starts. */
export interface AssemblerOptions {
  /** Address of the first byte, 0 to 2^64 - 1; default 0. */
  readonly org?: number | bigint;
  /** Code width at the start; default 64. Change it mid-stream through `Assembler.bits`. */
  readonly bits?: Bits;
}

/** One method per mnemonic of the form tables. */
export type Mnemonics = { readonly [M in Mnemonic]: (...operands: Operand[]) => Assembler };

/** A fixup with its place in the whole image: `at` and `end` count from the first byte. */
interface PlacedFixup extends Fixup {
  readonly end: number;
}

class CodeBuffer {
  /** Width of the code that follows: 16, 32 or 64. */
  bits: Bits;
  readonly #org: bigint;
  /** What is emitted stands in the first `offset` bytes. */
  #bytes = new Uint8Array(256);
  #offset = 0;
  readonly #fixups: PlacedFixup[] = [];
  readonly #places = new Map<Label, number>();
  #prefix: "lock" | "rep" | "repne" | undefined;

  constructor({ org = 0, bits = 64 }: AssemblerOptions = {}) {
    this.#org = toBigInt(org, "org");
    if (this.#org < 0n || this.#org >= 1n << 64n) throw new ValueError(`org ${org}: expected 0 to 2^64 - 1`);
    this.bits = bits;
  }

  /** Bytes emitted so far: the offset of the next one. */
  get offset(): number {
    return this.#offset;
  }

  /** A new label, not yet bound. */
  label(name = "label"): Label {
    return new Label(name, this);
  }

  /** Places `label` here. @throws LabelError when it is bound already or belongs to another assembler */
  bind(label: Label): this {
    this.#own(label);
    if (this.#places.has(label)) throw new LabelError(`label ${label.name} is bound twice`);
    this.#places.set(label, this.offset);
    return this;
  }

  /** A new label, bound here. */
  here(name = "label"): Label {
    const label = this.label(name);
    this.bind(label);
    return label;
  }

  /** Offset of a bound label from the first byte. @throws UnboundLabelError */
  offsetOf(label: Label): number {
    const place = this.#places.get(label);
    if (place === undefined) throw new UnboundLabelError(`label ${label.name} is used but not bound`);
    return place;
  }

  /** Address of a bound label: org plus its offset. @throws UnboundLabelError */
  addressOf(label: Label): bigint {
    return this.#org + BigInt(this.offsetOf(label));
  }

  /** Copies bytes as they are: code of forms the tables do not have, or data. */
  emit(bytes: ArrayLike<number>): this {
    const end = this.#offset + bytes.length;
    if (end > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(end, 2 * this.#bytes.length));
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, this.#offset);
    this.#offset = end;
    return this;
  }

  /** Bytes and strings; a string gives one byte for each of its Latin-1 characters. @throws ValueError */
  db(...items: (number | string)[]): this {
    const bytes = items.flatMap((item) =>
      typeof item === "string" ? [...item].map((c) => c.codePointAt(0) ?? 0) : [item],
    );
    for (const byte of bytes) this.#checkData(byte, 1);
    return this.emit(bytes);
  }

  /** 16-bit words; a label gives its address. @throws ValueError */
  dw(...items: (number | bigint | Label)[]): this {
    return this.#data(items, 2);
  }

  /** 32-bit words; a label gives its address. @throws ValueError */
  dd(...items: (number | bigint | Label)[]): this {
    return this.#data(items, 4);
  }

  /** 64-bit words; a label gives its address. @throws ValueError */
  dq(...items: (number | bigint | Label)[]): this {
    return this.#data(items, 8);
  }

  /** `count` bytes of `fill`. @throws ValueError */
  space(count: number, fill = 0): this {
    if (!Number.isSafeInteger(count) || count < 0) throw new ValueError(`space ${count}: expected a count of bytes`);
    this.#checkData(fill, 1);
    return this.emit(new Uint8Array(count).fill(fill));
  }

  /** Pads with `fill` (default NOP) until the address is a multiple of `boundary`, a power of two. @throws ValueError */
  align(boundary: number, fill = 0x90): this {
    if (!Number.isSafeInteger(boundary) || boundary < 1 || !Number.isInteger(Math.log2(boundary))) {
      throw new ValueError(`align ${boundary}: expected a power of two`);
    }
    const step = BigInt(boundary);
    const rest = (this.#org + BigInt(this.offset)) % step;
    return this.space(rest === 0n ? 0 : Number(step - rest), fill);
  }

  /** LOCK for the next instruction, which must write memory and allow it (SDM vol. 2, LOCK). */
  lock(): this {
    return this.#setPrefix("lock");
  }

  /** REP (REPE) for the next instruction, a string instruction. */
  rep(): this {
    return this.#setPrefix("rep");
  }

  /** REPNE for the next instruction, a string instruction. */
  repne(): this {
    return this.#setPrefix("repne");
  }

  /**
   * The bytes with every label resolved. More code may follow and be assembled again.
   *
   * @throws UnboundLabelError, DisplacementOverflowError
   */
  assemble(): Uint8Array {
    if (this.#prefix) throw new NoSuchFormError(`${this.#prefix} prefix without an instruction`);
    const image = this.#bytes.slice(0, this.#offset);
    for (const fixup of this.#fixups) image.set(this.#resolve(fixup), fixup.at);
    return image;
  }

  /** Appends one instruction; the mnemonic methods call it. */
  protected instruction(mnemonic: Mnemonic, operands: readonly Operand[]): void {
    // Most instructions have nothing wrong with them.
    const where = (): string => `${mnemonic} ${operands.map(describeOperand).join(", ")}`.trimEnd();
    const form = this.#select(mnemonic, operands, where);
    const encoded = encode(form, operands, this.bits, where);
    for (const { label } of encoded.fixups) if (label) this.#own(label);
    const prefix = this.#takePrefix(mnemonic, operands, where);
    this.#append({ bytes: [...prefix, ...encoded.bytes], fixups: encoded.fixups }, prefix.length);
  }

  #select(mnemonic: Mnemonic, operands: readonly Operand[], where: () => string): Form {
    const forms = formsOf(mnemonic);
    const first = forms.find((form) => matches(form, operands, this.bits));
    if (!first) throw new NoSuchFormError(`${where()}: no such form in ${this.bits}-bit code`);
    const open = operands.findIndex((o) => typeof o === "object" && o.kind === "mem" && o.size === 0);
    if (open >= 0) {
      const fitting = forms.filter((form) => matches(form, operands, this.bits));
      const sizes = new Set(fitting.map((form) => memorySize(form, open)));
      if (sizes.size > 1)
        throw new AmbiguousSizeError(`${where()}: give the memory operand a size of ${[...sizes].join(", ")} bytes`);
    }
    return first;
  }

  #setPrefix(prefix: "lock" | "rep" | "repne"): this {
    if (this.#prefix) throw new NoSuchFormError(`${prefix} after ${this.#prefix}: one of them at a time`);
    this.#prefix = prefix;
    return this;
  }

  #takePrefix(mnemonic: Mnemonic, operands: readonly Operand[], where: () => string): readonly number[] {
    const prefix = this.#prefix;
    if (!prefix) return [];
    const [first] = operands;
    const allowed =
      prefix === "lock"
        ? LOCKABLE.has(mnemonic) && typeof first === "object" && first.kind === "mem"
        : REPEATABLE.has(mnemonic) && operands.length === 0;
    if (!allowed) throw new NoSuchFormError(`${prefix} ${where()}: the instruction does not take this prefix`);
    this.#prefix = undefined;
    return [prefix === "lock" ? 0xf0 : prefix === "rep" ? 0xf3 : 0xf2];
  }

  #append({ bytes, fixups }: Encoded, skip: number): void {
    const start = this.offset;
    this.emit(bytes);
    for (const fixup of fixups) this.#fixups.push({ ...fixup, at: start + skip + fixup.at, end: this.offset });
  }

  #data(items: readonly (number | bigint | Label)[], width: number): this {
    for (const item of items) {
      if (typeof item === "object") this.#own(item);
      else this.#checkData(item, width);
    }
    for (const item of items) {
      if (typeof item !== "object") this.emit(littleEndian(BigInt(item), width));
      else
        this.#append(
          { bytes: littleEndian(0n, width), fixups: [{ at: 0, width, relative: false, label: item, addend: 0n }] },
          0,
        );
    }
    return this;
  }

  #checkData(item: number | bigint, width: number): void {
    if (!fitsField(toBigInt(item, "data item"), width, width)) {
      throw new ValueError(`data item ${item}: does not fit ${width} byte${width > 1 ? "s" : ""}`);
    }
  }

  #own(label: Label): void {
    if (label.owner !== this) throw new LabelError(`label ${label.name} belongs to another assembler`);
  }

  #resolve({ label, addend, relative, width, end }: PlacedFixup): number[] {
    const target = (label ? this.addressOf(label) : 0n) + addend;
    const value = relative ? BigInt.asIntN(64, target - (this.#org + BigInt(end))) : BigInt.asUintN(64, target);
    const bits = BigInt(width * 8);
    const ok = relative ? BigInt.asIntN(width * 8, value) === value : value < 1n << bits;
    if (!ok) {
      const name = label?.name ?? `0x${addend.toString(16)}`;
      throw new DisplacementOverflowError(
        `${relative ? "distance to" : "address of"} ${name}: ${value} does not fit ${bits} bits`,
      );
    }
    return littleEndian(value, width);
  }
}

/** Bytes form `form` accesses through its memory operand number `i`. */
function memorySize(form: Form, i: number): number {
  const pattern = form.patterns[i];
  return pattern && "size" in pattern ? pattern.size : 0;
}

const cache = new Map<Mnemonic, readonly Form[]>();

function formsOf(mnemonic: Mnemonic): readonly Form[] {
  let forms = cache.get(mnemonic);
  if (!forms) {
    forms = FORMS[mnemonic].flatMap(parseForm);
    cache.set(mnemonic, forms);
  }
  return forms;
}

class MnemonicBuffer extends CodeBuffer {
  static {
    for (const mnemonic of Object.keys(FORMS) as Mnemonic[]) {
      Object.defineProperty(MnemonicBuffer.prototype, mnemonic, {
        value(this: MnemonicBuffer, ...operands: Operand[]): MnemonicBuffer {
          this.instruction(mnemonic, operands);
          return this;
        },
      });
    }
  }
}

/**
 * A two-pass x86 assembler: instructions append bytes at once, labels are resolved by `assemble()`.
 * Every instruction is a method named as in the SDM, operands in Intel order; all methods return the assembler.
 *
 * @throws NoSuchFormError, AmbiguousSizeError, AddressError, DisplacementOverflowError from the instruction methods,
 *   before anything is appended
 */
export interface Assembler extends CodeBuffer, Mnemonics {}
export const Assembler = MnemonicBuffer as unknown as new (options?: AssemblerOptions) => Assembler;
