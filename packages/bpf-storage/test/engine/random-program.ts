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

/**
 * Random programs of every instruction. What they compute with is loaded from memory, so that engines cannot compute it while they compile;
 * they end, because each backward jump counts down a place in the frame of its own. r1 points to `WINDOW` bytes, r9 keeps that pointer.
 */

export const WINDOW = 512;
/** Bytes of a frame that programs use, the upper ones, and where the lower ones end that count their loops, relative to r10. */
const LOCALS = 256;
const COUNTERS = -512 + 20 * 8;
/** Helpers that programs call, by number. */
export const HELPERS = { first: 1, second: 2, wasm: 3 } as const;

/** A generator of numbers below 2^32 (xorshift of 32 bits). */
export function randomFrom(seed: number): () => number {
  let state = (seed * 2654435761 + 1) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
}

export const BOUNDARIES: readonly bigint[] = [
  0n,
  1n,
  2n,
  7n,
  8n,
  31n,
  32n,
  63n,
  64n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  0x100000000n,
  0x7fffffffffffffffn,
  0x8000000000000000n,
  0xffffffff80000000n,
  0xffffffff00000000n,
  0xffffffffffff8000n,
  0xfffffffffffffffen,
  0xffffffffffffffffn,
];

/** A value that is likely to be at a boundary. */
export function value64(next: () => number): bigint {
  const pick = next() % 8;
  if (pick < 5) return BOUNDARIES[next() % BOUNDARIES.length] as bigint;
  const whole = (BigInt(next()) << 32n) | BigInt(next());
  return pick === 5 ? whole : whole >> BigInt(next() % 64);
}

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

const insn = (code: number, fields: Partial<Insn> = {}): Insn => ({ code, dst: 0, src: 0, off: 0, imm: 0, ...fields });

/**
 * The program with a number.
 * @param tame whether it is as the verifier wants it: every access is allowed, nothing of the stack is read before it is written
 */
export function randomProgram(seed: number, tame: boolean): { insns: Insn[]; subprograms: number[] } {
  const next = randomFrom(seed);
  const functions = 1 + (next() % 4);
  const insns: Insn[] = [];
  const subprograms: number[] = [];
  const calls: { pc: number; to: number }[] = [];
  for (let k = 0; k < functions; k++) {
    subprograms.push(insns.length);
    new Body(next, insns, k, functions, calls, tame).write();
  }
  for (const { pc, to } of calls) insns[pc] = { ...(insns[pc] as Insn), imm: (subprograms[to] as number) - pc - 1 };
  return { insns, subprograms };
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
  ) {}

  write(): void {
    const { next, insns } = this;
    const callback = this.index === this.#callback();
    insns.push(insn(Class.Alu64 | AluOp.Mov | Source.X, { dst: 9, src: callback ? 2 : 1 }));
    for (const dst of [0, 2, 3, 4, 5, 6, 7, 8])
      insns.push(insn(Class.Ldx | Mode.Mem | Size.Dw, { dst, src: 9, off: 8 * (next() % (WINDOW / 8)) }));
    for (let off = -512; this.tame && off < 0; off += 8)
      if (off >= -LOCALS || off < COUNTERS) insns.push(insn(Class.St | Mode.Mem | Size.Dw, { dst: 10, off }));
    const length = 5 + (next() % 40);
    const forward: { pc: number; after: number }[] = [];
    for (let k = 0; k < length; k++) {
      this.#marks.push(insns.length);
      this.#statement(forward, k);
    }
    const places = [...this.#marks, insns.length];
    if (callback) insns.push(insn(Class.Alu64 | AluOp.And | Source.K, { dst: 0, imm: 1 }));
    insns.push(insn(EXIT));
    for (const { pc, after } of forward) {
      const jump = insns[pc] as Insn;
      const to = places[Math.min(places.length - 1, after + 1 + (next() % 6))] as number;
      const far = jump.code === JA32 ? { imm: to - pc - 1 } : { off: to - pc - 1 };
      insns[pc] = { ...jump, ...far };
    }
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
    const pick = next() % 100;
    if (pick < 45) this.#arithmetic();
    else if (pick < 75) this.#access();
    else if (pick < 88) {
      forward.push({ pc: insns.length, after: index });
      const { source, ...fields } = this.#operand();
      const type = next() % 2 === 0 ? Class.Jmp : Class.Jmp32;
      const op = JUMPS[next() % JUMPS.length] as number;
      const always = next() % 12;
      if (always === 0) insns.push(insn(next() % 2 === 0 ? JA : JA32));
      else insns.push(insn(type | op | source, { dst: this.#register(), ...fields }));
    } else if (pick < 93) this.#loop();
    else if (pick < 95) this.#call();
    else if (pick < 97) this.#bpfLoop();
    else if (pick < 99) insns.push(insn(CALL, { imm: 1 + (next() % 3) }));
    else {
      const value = value64(next);
      const half = (shift: bigint): number => Number(BigInt.asIntN(32, value >> shift));
      insns.push(insn(LD_IMM64, { dst: this.#register(), imm: half(0n) }), insn(0, { imm: half(32n) }));
    }
  }

  /** Calls a later function, so that there is no recursion. */
  #call(): void {
    const { next, insns, index } = this;
    const last = this.#callback() === -1 ? this.functions : this.functions - 1;
    if (index + 1 >= last) return;
    insns.push(insn(Class.Alu64 | AluOp.Mov | Source.X, { dst: 1, src: 9 }));
    this.calls.push({ pc: insns.length, to: index + 1 + (next() % (last - index - 1)) });
    insns.push(insn(CALL, { src: 1 }));
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
    insns.push(insn(Class.Alu64 | AluOp.Mov | Source.X, { dst: 3, src: 9 }));
    set(4, next() % 20 === 0 ? 1 : 0);
    insns.push(insn(CALL, { imm: 181 }));
    // Function pointers differ.
    set(2, 2);
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
    return { base: 10, off: -(bytes + (next() % (LOCALS - bytes + slack))) + slack / 2 };
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
        const place = this.#place(width === Size.W ? 4 : 8);
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
    const counter = -512 + 8 * this.#loops;
    if (counter >= COUNTERS) return;
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
