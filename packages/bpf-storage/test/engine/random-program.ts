import type { Insn } from "../../src/isa/insn.js";
import {
  AluOp,
  Atomic,
  CALL,
  Class,
  EXIT,
  JA,
  JA32,
  JmpOp,
  LD_IMM64,
  Mode,
  Pseudo,
  Size,
  Source,
} from "../../src/isa/opcodes.js";

import { randomFrom, value64 } from "./random-values.js";

/**
 * Random programs of every instruction. What they compute with is loaded from memory, so that engines cannot compute it while they compile;
 * they end, because each backward jump counts down a place in the frame of its own. r1 points to `WINDOW` bytes, r9 keeps that pointer.
 */

export const WINDOW = 512;

/** What is different where others than the engine judge a program. */
export interface Dialect {
  /** Bytes of a frame, of those that programs use, the upper ones, and loops, which are counted in the lower ones. */
  readonly frame: number;
  readonly locals: number;
  readonly loops: number;
  /** Where the pointer to the window comes from, in place of r1. */
  readonly window?: readonly Insn[];
  /** What a program does first, and last. */
  readonly prologue?: readonly Insn[];
  readonly epilogue?: readonly Insn[];
  /** Writes a call of a helper, or what else there is; `main`: in the program's first function. */
  readonly call?: (next: () => number, main: boolean) => readonly Insn[];
  /** Whether all is as the verifier wants it: what calls leave, where atomics and places in frames are, what immediates are. */
  readonly strict: boolean;
}

const ENGINE: Dialect = { frame: 512, locals: 256, loops: 20, strict: false };
/** Helpers that programs call, by number. */
export const HELPERS = { first: 1, second: 2, wasm: 3 } as const;

const value32 = (next: () => number): number => Number(BigInt.asIntN(32, value64(next)));

const ALU = [
  AluOp.Add,
  AluOp.Sub,
  AluOp.Mul,
  AluOp.Div,
  AluOp.Or,
  AluOp.And,
  AluOp.Lsh,
  AluOp.Rsh,
  AluOp.Mod,
  AluOp.Xor,
  AluOp.Mov,
  AluOp.Arsh,
];
const JUMPS = [
  JmpOp.Jeq,
  JmpOp.Jgt,
  JmpOp.Jge,
  JmpOp.Jset,
  JmpOp.Jne,
  JmpOp.Jsgt,
  JmpOp.Jsge,
  JmpOp.Jlt,
  JmpOp.Jle,
  JmpOp.Jslt,
  JmpOp.Jsle,
];
const ATOMICS = [
  Atomic.Add,
  Atomic.Or,
  Atomic.And,
  Atomic.Xor,
  Atomic.Add | 1,
  Atomic.Or | 1,
  Atomic.And | 1,
  Atomic.Xor | 1,
  Atomic.Xchg,
  Atomic.Cmpxchg,
];
const SIZES = [Size.B, Size.H, Size.W, Size.Dw];
const BYTES: Readonly<Record<number, number>> = { [Size.B]: 1, [Size.H]: 2, [Size.W]: 4, [Size.Dw]: 8 };

export const insn = (code: number, fields: Partial<Insn> = {}): Insn => ({
  code,
  dst: 0,
  src: 0,
  off: 0,
  imm: 0,
  ...fields,
});

/**
 * The program with a number.
 * @param tame whether it is as the verifier wants it: every access is allowed, nothing of the stack is read before it is written
 */
export function randomProgram(seed: number, tame: boolean, dialect = ENGINE): { insns: Insn[]; subprograms: number[] } {
  const next = randomFrom(seed);
  const functions = 1 + (next() % 4);
  const insns: Insn[] = [];
  const subprograms: number[] = [];
  const calls: { pc: number; to: number }[] = [];
  for (let k = 0; k < functions; k++) {
    subprograms.push(insns.length);
    new Body(next, insns, k, functions, calls, tame, dialect).write();
  }
  for (const { pc, to } of calls) insns[pc] = { ...(insns[pc] as Insn), imm: (subprograms[to] as number) - pc - 1 };
  return { insns, subprograms };
}

/** An immediate as the verifier lets it through. */
function harmless(op: number, wide: boolean, imm: number): number {
  if (op === AluOp.Lsh || op === AluOp.Rsh || op === AluOp.Arsh) return imm & (wide ? 63 : 31);
  return (op === AluOp.Div || op === AluOp.Mod) && imm === 0 ? 1 : imm;
}

/** One function. r0 to r8 are computed with, r9 is the pointer to the window. If there are three functions or more, the last is bpf_loop's callback. */
class Body {
  readonly #marks: number[] = [];
  #loops = 0;

  constructor(
    readonly next: () => number,
    readonly insns: Insn[],
    readonly index: number,
    readonly functions: number,
    readonly calls: { pc: number; to: number }[],
    readonly tame: boolean,
    readonly dialect: Dialect,
  ) {}

  write(): void {
    const { next, insns, dialect } = this;
    const { frame, locals, loops } = dialect;
    const callback = this.index === this.#callback();
    if (this.index === 0) insns.push(...(dialect.prologue ?? []));
    insns.push(...(dialect.window ?? [insn(Class.Alu64 | AluOp.Mov | Source.X, { dst: 9, src: callback ? 2 : 1 })]));
    this.#fill([0, ...(dialect.window === undefined ? [] : [1]), 2, 3, 4, 5, 6, 7, 8]);
    for (let off = -frame; this.tame && off < 0; off += 8)
      if (off >= -locals || off < 8 * loops - frame) insns.push(insn(Class.St | Mode.Mem | Size.Dw, { dst: 10, off }));
    if (dialect.strict && this.index === 0) this.#callAll();
    const length = 5 + (next() % 40);
    const forward: { pc: number; after: number }[] = [];
    for (let k = 0; k < length; k++) {
      this.#marks.push(insns.length);
      this.#statement(forward, k);
    }
    const places = [...this.#marks, insns.length];
    if (this.index === 0) insns.push(...(dialect.epilogue ?? []));
    if (callback) insns.push(insn(Class.Alu64 | AluOp.And | Source.K, { dst: 0, imm: 1 }));
    insns.push(insn(EXIT));
    for (const { pc, after } of forward) {
      const jump = insns[pc] as Insn;
      const to = places[Math.min(places.length - 1, after + 1 + (next() % 6))] as number;
      const far = jump.code === JA32 ? { imm: to - pc - 1 } : { off: to - pc - 1 };
      insns[pc] = { ...jump, ...far };
    }
  }

  /** Loads registers from somewhere in the window. */
  #fill(registers: readonly number[]): void {
    for (const dst of registers)
      this.insns.push(insn(Class.Ldx | Mode.Mem | Size.Dw, { dst, src: 9, off: 8 * (this.next() % (WINDOW / 8)) }));
  }

  /** What a call leaves. */
  #called(): void {
    if (this.dialect.strict) this.#fill([1, 2, 3, 4, 5]);
  }

  /** Number of the callback; -1 if there is none. */
  #callback(): number {
    return this.functions >= 3 ? this.functions - 1 : -1;
  }

  #register(): number {
    return this.next() % 9;
  }

  #operand(): Partial<Insn> & { source: number } {
    const { next } = this;
    return next() % 2 === 0 ? { source: Source.X, src: this.#register() } : { source: Source.K, imm: value32(next) };
  }

  #statement(forward: { pc: number; after: number }[], index: number): void {
    const { next, insns } = this;
    const pick = this.dialect.call !== undefined && next() % 4 === 0 ? 97 : next() % 100;
    if (pick < 45) this.#arithmetic();
    else if (pick < 75) this.#access();
    else if (pick < 88) {
      forward.push({ pc: insns.length, after: index });
      const { source, ...fields } = this.#operand();
      const type = next() % 2 === 0 ? Class.Jmp : Class.Jmp32;
      const op = JUMPS[next() % JUMPS.length] as number;
      const always = next() % 12;
      if (always === 0) {
        if (this.dialect.strict) forward.pop();
        insns.push(insn(next() % 2 === 0 ? JA : JA32));
      } else insns.push(insn(type | op | source, { dst: this.#register(), ...fields }));
    } else if (pick < 93) this.#loop();
    else if (pick < 95) this.#call();
    else if (pick < 97) this.#bpfLoop();
    else if (pick < 99) this.#helper();
    else {
      const value = value64(next);
      const half = (shift: bigint): number => Number(BigInt.asIntN(32, value >> shift));
      insns.push(insn(LD_IMM64, { dst: this.#register(), imm: half(0n) }), insn(0, { imm: half(32n) }));
    }
  }

  /** Calls all other functions. */
  #callAll(): void {
    for (let to = 1; to < this.functions; to++)
      if (to === this.#callback()) this.#bpfLoop();
      else this.#callFunction(to);
  }

  #helper(): void {
    const { next, insns, dialect, index } = this;
    insns.push(...(dialect.call?.(next, index === 0) ?? [insn(CALL, { imm: 1 + (next() % 3) })]));
    this.#called();
  }

  /** Calls a later function, so that there is no recursion. */
  #call(): void {
    const { next, index } = this;
    const last = this.#callback() === -1 ? this.functions : this.functions - 1;
    if (index + 1 < last) this.#callFunction(index + 1 + (next() % (last - index - 1)));
  }

  #callFunction(to: number): void {
    const { insns } = this;
    insns.push(insn(Class.Alu64 | AluOp.Mov | Source.X, { dst: 1, src: 9 }));
    this.calls.push({ pc: insns.length, to });
    insns.push(insn(CALL, { src: 1 }));
    this.#called();
  }

  #bpfLoop(): void {
    const { next, insns } = this;
    const callback = this.#callback();
    if (callback === -1 || callback === this.index) return;
    const set = (dst: number, imm: number): void => {
      insns.push(insn(Class.Alu64 | AluOp.Mov | Source.K, { dst, imm }));
    };
    set(1, next() % 20 === 0 ? 0x800001 : next() % 5);
    this.calls.push({ pc: insns.length, to: callback });
    insns.push(insn(LD_IMM64, { dst: 2, src: Pseudo.Func }), insn(0));
    if (this.dialect.window === undefined) insns.push(insn(Class.Alu64 | AluOp.Mov | Source.X, { dst: 3, src: 9 }));
    else set(3, 0);
    set(4, next() % 20 === 0 ? 1 : 0);
    insns.push(insn(CALL, { imm: 181 }));
    // Function pointers differ.
    set(2, 2);
    this.#called();
  }

  #arithmetic(): void {
    const { next, insns } = this;
    const wide = next() % 2 === 0;
    const type = wide ? Class.Alu64 : Class.Alu;
    const dst = this.#register();
    const pick = next() % 20;
    if (pick === 0) insns.push(insn(type | AluOp.Neg, { dst }));
    else if (pick < 3) {
      const imm = [16, 32, 64][next() % 3] as number;
      const source = !wide && next() % 2 === 0 ? Source.X : Source.K;
      insns.push(insn(type | AluOp.End | source, { dst, imm }));
    } else if (pick < 5) {
      const off = [8, 16, 32][next() % (wide ? 3 : 2)] as number;
      insns.push(insn(type | AluOp.Mov | Source.X, { dst, src: this.#register(), off }));
    } else {
      const op = ALU[next() % ALU.length] as number;
      const { source, ...fields } = this.#operand();
      if (this.dialect.strict && source === Source.K) fields.imm = harmless(op, wide, fields.imm ?? 0);
      const off = (op === AluOp.Div || op === AluOp.Mod) && next() % 2 === 0 ? 1 : 0;
      insns.push(insn(type | op | source, { dst, ...fields, off }));
    }
  }

  /** A base register and a distance; one in fifty is not allowed. */
  #place(bytes: number): { base: number; off: number } {
    const { next } = this;
    const wild = this.tame ? 99 : next() % 100;
    if (wild === 0) return { base: this.#register(), off: (next() % 65536) - 32768 };
    const slack = wild === 1 ? 16 : 0;
    if (next() % 2 === 0) return { base: 9, off: (next() % (WINDOW - bytes + 1 + slack)) - slack / 2 };
    // The lowest bytes of a frame count loops.
    const off = -(bytes + (next() % (this.dialect.locals - bytes + slack))) + slack / 2;
    return { base: 10, off: this.dialect.strict ? Math.floor(off / bytes) * bytes : off };
  }

  #access(): void {
    const { next, insns } = this;
    const size = SIZES[next() % 4] as number;
    const { base, off } = this.#place(BYTES[size] as number);
    const register = this.#register();
    switch (next() % 5) {
      case 0:
        insns.push(insn(Class.St | Mode.Mem | size, { dst: base, off, imm: value32(next) }));
        break;
      case 1:
        insns.push(insn(Class.Stx | Mode.Mem | size, { dst: base, off, src: register }));
        break;
      case 2: {
        const width = next() % 2 === 0 ? Size.W : Size.Dw;
        const bytes = width === Size.W ? 4 : 8;
        const place = this.#place(bytes);
        if (this.dialect.strict) place.off = Math.floor(place.off / bytes) * bytes;
        const imm = ATOMICS[next() % ATOMICS.length] as number;
        insns.push(insn(Class.Stx | Mode.Atomic | width, { dst: place.base, off: place.off, src: register, imm }));
        break;
      }
      case 3:
        if (size !== Size.Dw) {
          insns.push(insn(Class.Ldx | Mode.MemSx | size, { dst: register, src: base, off }));
          break;
        }
        insns.push(insn(Class.Ldx | Mode.Mem | size, { dst: register, src: base, off }));
        break;
      default:
        insns.push(insn(Class.Ldx | Mode.Mem | size, { dst: register, src: base, off }));
    }
  }

  /** A jump back to an earlier statement of this function, a few times. */
  #loop(): void {
    const { next, insns } = this;
    const { frame, loops } = this.dialect;
    const counter = 8 * this.#loops - frame;
    if (this.#loops >= loops) return;
    this.#loops++;
    const back = this.#marks[next() % this.#marks.length] as number;
    const times = 1 + (next() % 4);
    insns.push(
      insn(Class.Ldx | Mode.Mem | Size.Dw, { dst: 8, src: 10, off: counter }),
      insn(Class.Alu64 | AluOp.Add | Source.K, { dst: 8, imm: 1 }),
      insn(Class.Stx | Mode.Mem | Size.Dw, { dst: 10, src: 8, off: counter }),
    );
    insns.push(insn(Class.Jmp | JmpOp.Jlt | Source.K, { dst: 8, imm: times, off: back - insns.length - 1 }));
  }
}
