import { FunctionBuilder, i32, i64, type Local, v128 } from "@vm/wasm";
import { instanceOf } from "../code/instance.js";
import type { Insn } from "../decode/index.js";
import type { Ctx, I32, I64, Local64, Size, Stamp, V128 } from "../sem/ctx.js";
import type { Flags, FlagWriter } from "../sem/flags.js";
import { constantOf, type Piece, rowOfInstance } from "./piece.js";

/** What an instruction does to the flags, and whether it can be part of a region at all. */
export interface Effects {
  /** It needs flags as they were before. */
  readonly reads: boolean;
  /** Nothing of what they were stays. */
  readonly writes: boolean;
  /** Some of its ways write flags, and they meet again. */
  readonly merges: boolean;
  /** TypeScript executes it, always. */
  readonly outside: boolean;
  /** General registers that it uses besides its operands, and those of them that it writes. */
  readonly registers: ReadonlySet<number>;
  readonly written: ReadonlySet<number>;
}

/** An instruction as a region has it. */
export interface Regular {
  readonly piece: Piece;
  readonly effects: Effects;
}

/**
 * The instruction at page offset `offset` for a region, or null if it is not for regions: the interpreter or TypeScript must execute it.
 * @param record of the interpreter
 */
export function regular(insn: Insn, offset: number, record: number): Regular | null {
  const instance = instanceOf(insn);
  const row = rowOfInstance(instance);
  if (row === null) return null;
  const piece: Piece = { instance, row, offset, record };
  const effects = effectsOf(piece);
  return effects.outside ? null : { piece, effects };
}

/** By what they follow from. */
const known = new Map<string, Effects>();
/** By number of the template, three each: any last operand, 0, another constant. */
const byTemplate: (Effects | undefined)[] = [];

/** Effects of an instruction: its semantics, run over a context that only listens. */
export function effectsOf(piece: Piece): Effects {
  const { instance } = piece;
  // What a shift does depends on its count.
  const count = instance.form.length > 1 ? constantOf(instance, instance.form.length - 1) : null;
  const fixed = count === null ? 0 : (count & (instance.size === 8 ? 63 : 31)) === 0 ? 1 : 2;
  const index = 3 * instance.template.number + fixed;
  const effects = byTemplate[index];
  if (effects !== undefined) return effects;
  while (byTemplate.length < index) byTemplate.push(undefined);
  byTemplate[index] = effectsBy(piece, fixed);
  return byTemplate[index];
}

function effectsBy(piece: Piece, fixed: number): Effects {
  const { instance, row } = piece;
  const key = `${row.name}.${instance.size}.${instance.form}.${fixed}`;
  let effects = known.get(key);
  if (effects === undefined) {
    effects = new Listener(piece).listen();
    known.set(key, effects);
  }
  return effects;
}

/** Hears what an emitter says of flags; everything else is nothing to it. */
class Listener implements Ctx, Flags {
  readonly f = new FunctionBuilder(0, 0, [], null);
  readonly size: Size;
  readonly operands: number;
  readonly legacy = false;
  readonly flags: Flags = this;
  readonly #piece: Piece;
  readonly #i64: Local64 = this.f.local("i64");
  readonly #x: Local<"v128"> = this.f.local("v128");
  #reads = false;
  #written = false;
  #touched = false;
  #merges = false;
  #ended = false;
  readonly #registers = new Set<number>();
  readonly #changed = new Set<number>();

  constructor(piece: Piece) {
    this.#piece = piece;
    this.size = piece.instance.size as Size;
    this.operands = piece.instance.form.length;
  }

  listen(): Effects {
    this.f.scope(() => this.#piece.row.emit(this));
    return {
      reads: this.#reads,
      writes: this.#written,
      merges: this.#merges,
      outside: this.#ended,
      registers: this.#registers,
      written: this.#changed,
    };
  }

  #write(): void {
    this.#written = true;
    this.#touched = true;
  }
  #read(): void {
    if (!this.#written) this.#reads = true;
  }
  /** Some stay. */
  #change(): void {
    this.#read();
    this.#write();
  }

  if(_condition: I32, then: () => void, otherwise?: () => void): void {
    const [written, touched] = [this.#written, this.#touched];
    const arm = (body?: () => void): { written: boolean; touched: boolean; ended: boolean } => {
      [this.#written, this.#touched, this.#ended] = [written, touched, false];
      body?.();
      return { written: this.#written, touched: this.#touched, ended: this.#ended };
    };
    const [a, b] = [arm(then), arm(otherwise)];
    this.#ended = a.ended && b.ended;
    if (a.ended || b.ended) {
      const rest = a.ended ? b : a;
      [this.#written, this.#touched] = [rest.written, rest.touched];
      return;
    }
    this.#touched = a.touched || b.touched;
    if (this.#touched !== touched || a.written !== written || b.written !== written) this.#merges = true;
    // One arm keeps them.
    if (a.written !== b.written && !written) this.#reads = true;
    this.#written = written || a.written !== b.written || a.written;
  }

  add(): void {
    this.#write();
  }
  adc(): void {
    this.#write();
  }
  sub(): void {
    this.#write();
  }
  sbb(): void {
    this.#write();
  }
  logic(): void {
    this.#write();
  }
  result(): void {
    this.#write();
  }
  compare(): void {
    this.#write();
  }
  unpack(): void {
    this.#write();
  }
  rewrite(): FlagWriter {
    this.#write();
    return { setFr: () => undefined, setFa: () => undefined };
  }
  increment(): void {
    this.#change();
  }
  decrement(): void {
    this.#change();
  }
  setCarryOverflow(): void {
    this.#change();
  }
  setCarry(): void {
    this.#change();
  }
  carry(): I64 {
    this.#read();
    return this.#i64;
  }
  overflow(): I64 {
    this.#read();
    return this.#i64;
  }
  condition(): I32 {
    this.#read();
    return i32.const(0);
  }
  pack(): I32 {
    this.#read();
    return i32.const(0);
  }

  outside(): void {
    this.#ended = true;
  }
  constant(k: number): number | null {
    return constantOf(this.#piece.instance, k);
  }
  get(): Local64 {
    return this.f.let("i64", i64.const(0));
  }
  getX(): Local<"v128"> {
    return this.f.let("v128", this.#x);
  }
  reg(number: number): I64 {
    this.#registers.add(number);
    return this.#i64;
  }
  offset(): I64 {
    return this.#i64;
  }
  linear(): Local64 {
    return this.#i64;
  }
  load(): Local64 {
    return this.#i64;
  }
  stackAddress(number: number): I64 {
    return this.reg(number);
  }
  loadStack(): Local64 {
    return this.#i64;
  }
  next(): I64 {
    return this.#i64;
  }
  mulHigh(): I64 {
    return this.#i64;
  }
  divide(): { quotient: Local64; remainder: Local64 } {
    return { quotient: this.#i64, remainder: this.#i64 };
  }
  pop(): { value: Local64; commit: () => void } {
    return { value: this.#i64, commit: () => this.setStackPointer() };
  }
  push(_value: I64, check?: () => void): void {
    check?.();
    this.setStackPointer();
  }
  branch(_condition: I32, commit?: () => void): void {
    commit?.();
  }
  systemFlags(): I32 {
    return i32.const(0);
  }
  cpl(): I32 {
    return i32.const(0);
  }
  imm8(): I32 {
    return i32.const(0);
  }
  mxcsr(): I32 {
    return i32.const(0);
  }
  x87(): Local<"i32"> {
    return this.f.let("i32", i32.const(0));
  }
  timestamp(): Stamp {
    return { low: this.#i64, high: this.#i64, aux: this.#i64 };
  }
  xmm(): V128 {
    return v128.const(new Uint8Array(16));
  }
  host(): Local<"i32"> {
    return this.f.let("i32", i32.const(0));
  }
  set(): void {}
  setReg(number: number): void {
    this.#registers.add(number);
    this.#changed.add(number);
  }
  setEaTmp(): void {}
  store(): void {}
  setSystemFlags(): void {}
  aligned(): void {}
  setX(): void {}
  setXLow(): void {}
  setStackPointer(): void {
    this.setReg(4);
  }
  checkTarget(): void {}
  jump(): void {}
  checkDirect(): void {}
  branchAlways(): void {}
  faultIf(): void {}
  yieldToInterrupt(): void {}
}
