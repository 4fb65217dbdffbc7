import type { Insn } from "../../src/isa/insn.js";
import {
  AluOp,
  Atomic,
  CALL,
  CALLX,
  CallKind,
  Class,
  EXIT,
  JA,
  JA32,
  JmpOp,
  LD_IMM64,
  Mode,
  Pseudo,
  Size,
} from "../../src/isa/opcodes.js";

/**
 * A second implementation of RFC 9669, as literal as possible, to compare engines with. Registers are BigInts, unsigned; every access is
 * looked up in the ranges that a program may access.
 */

/** Memory at an address. */
export interface Range {
  readonly base: bigint;
  readonly bytes: Uint8Array;
}

export interface ReferenceOptions {
  readonly insns: readonly Insn[];
  /** r1 to r5. */
  readonly args: readonly bigint[];
  readonly ranges: readonly Range[];
  /** The frame pointer of the first function; frames of 512 bytes, zeroed, lie below. */
  readonly stackTop: bigint;
  /** As `LoadOptions.budget`. */
  readonly budget?: number;
  readonly helpers?: (id: number, args: readonly bigint[]) => bigint;
}

export type Outcome =
  | { readonly kind: "returned"; readonly r0: bigint }
  | { readonly kind: "memory" | "budget" | "depth"; readonly pc: number; readonly address: bigint };

class Ended extends Error {
  constructor(readonly outcome: Outcome) {
    super();
  }
}

/** Function pointers (`Pseudo.Func`) are this and the number of the function's first instruction; an engine's are different numbers. */
const FUNCTION_POINTER = 1n << 40n;
const BPF_LOOP = 181;
const FRAME = 512;
const FRAMES = 8;
const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const u = (bits: number, value: bigint): bigint => BigInt.asUintN(bits, value);
const s = (bits: number, value: bigint): bigint => BigInt.asIntN(bits, value);

/** Executes a program. */
export function reference(options: ReferenceOptions): Outcome {
  try {
    return { kind: "returned", r0: new Reference(options).call(0, options.args, 0) };
  } catch (error) {
    if (error instanceof Ended) return error.outcome;
    throw error;
  }
}

/** `a` op `b` of `bits` bits; both unsigned. */
export function arithmetic(op: number, off: number, bits: number, a: bigint, b: bigint): bigint {
  const shift = b & BigInt(bits - 1);
  switch (op) {
    case AluOp.Add:
      return u(bits, a + b);
    case AluOp.Sub:
      return u(bits, a - b);
    case AluOp.Mul:
      return u(bits, a * b);
    case AluOp.Div:
      if (b === 0n) return 0n;
      return off === 1 ? u(bits, s(bits, a) / s(bits, b)) : a / b;
    case AluOp.Mod:
      if (b === 0n) return a;
      return off === 1 ? u(bits, s(bits, a) % s(bits, b)) : a % b;
    case AluOp.Or:
      return a | b;
    case AluOp.And:
      return a & b;
    case AluOp.Xor:
      return a ^ b;
    case AluOp.Lsh:
      return u(bits, a << shift);
    case AluOp.Rsh:
      return a >> shift;
    case AluOp.Arsh:
      return u(bits, s(bits, a) >> shift);
    case AluOp.Neg:
      return u(bits, -a);
    case AluOp.Mov:
      return off === 0 ? b : u(bits, s(off, b));
    default:
      throw new Error(`no arithmetic 0x${op.toString(16)}`);
  }
}

function swap(bits: number, value: bigint): bigint {
  let swapped = 0n;
  for (let k = 0; k < bits; k += 8) swapped = (swapped << 8n) | ((value >> BigInt(k)) & 0xffn);
  return swapped;
}

function compare(op: number, bits: number, a: bigint, b: bigint): boolean {
  const [x, y] = [s(bits, a), s(bits, b)];
  switch (op) {
    case JmpOp.Jeq:
      return a === b;
    case JmpOp.Jne:
      return a !== b;
    case JmpOp.Jgt:
      return a > b;
    case JmpOp.Jge:
      return a >= b;
    case JmpOp.Jlt:
      return a < b;
    case JmpOp.Jle:
      return a <= b;
    case JmpOp.Jset:
      return (a & b) !== 0n;
    case JmpOp.Jsgt:
      return x > y;
    case JmpOp.Jsge:
      return x >= y;
    case JmpOp.Jslt:
      return x < y;
    case JmpOp.Jsle:
      return x <= y;
    default:
      throw new Error(`no comparison 0x${op.toString(16)}`);
  }
}

const SIZES = new Map<number, number>([
  [Size.B, 1],
  [Size.H, 2],
  [Size.W, 4],
  [Size.Dw, 8],
]);

class Reference {
  readonly #options: ReferenceOptions;
  /** Instructions that a straight run begins at, and how many it has. */
  readonly #runs: ReadonlyMap<number, number>;
  readonly #stack = new Uint8Array(FRAME * FRAMES);
  #left: number;

  constructor(options: ReferenceOptions) {
    this.#options = options;
    this.#left = options.budget ?? Number.POSITIVE_INFINITY;
    this.#runs = straightRuns(options.insns);
  }

  /** Calls the function at `first` with r1 to r5; `depth` frames are in use. */
  call(first: number, args: readonly bigint[], depth: number): bigint {
    const { insns, stackTop } = this.#options;
    if (depth === FRAMES) throw new Ended({ kind: "depth", pc: first, address: 0n });
    const fp = stackTop - BigInt(depth * FRAME);
    this.#stack.fill(0, FRAME * (FRAMES - depth - 1), FRAME * (FRAMES - depth));
    const r = new Array<bigint>(11).fill(0n);
    args.forEach((value, k) => {
      r[k + 1] = value;
    });
    r[10] = fp;
    const get = (register: number): bigint => r[register] as bigint;
    const place = (pc: number, register: number, off: number, size: number): DataView =>
      this.#place(pc, u64(get(register) + BigInt(off)), size, fp - BigInt(FRAME));
    let loops = 1 << 23;
    for (let pc = first; ; pc++) {
      const run = this.#runs.get(pc);
      if (run !== undefined) {
        this.#left -= run;
        if (this.#left < 0) throw new Ended({ kind: "budget", pc, address: 0n });
      }
      const { code, dst, src, off, imm } = insns[pc] as Insn;
      const type = code & 7;
      if (code === LD_IMM64) {
        const high = BigInt((insns[pc + 1] as Insn).imm);
        r[dst] =
          src === Pseudo.Func ? FUNCTION_POINTER + BigInt(pc + 1 + imm) : u64((high << 32n) | u(32, BigInt(imm)));
        pc++;
      } else if (code === EXIT) return get(0);
      else if (code === JA) pc += off;
      else if (code === JA32) pc += imm;
      else if (code === (Class.Jmp | JmpOp.Jcond)) {
        if (loops === 0) pc += off;
        else loops--;
      } else if (code === CALL && src === CallKind.Local) r[0] = this.call(pc + 1 + imm, r.slice(1, 6), depth + 1);
      else if (code === CALL || code === CALLX) {
        const id = code === CALL ? imm : Number(get(dst));
        r[0] = u64(this.#helper(id, r.slice(1, 6), depth));
      } else if (type === Class.Alu || type === Class.Alu64) {
        const bits = type === Class.Alu64 ? 64 : 32;
        const op = code & 0xf0;
        if (op === AluOp.End) {
          const swaps = type === Class.Alu64 || (code & 8) !== 0;
          r[dst] = swaps ? swap(imm, get(dst)) : u(imm, get(dst));
        } else {
          const operand = (code & 8) !== 0 ? get(src) : BigInt(imm);
          r[dst] = arithmetic(op, off, bits, u(bits, get(dst)), u(bits, operand));
        }
      } else if (type === Class.Jmp || type === Class.Jmp32) {
        const bits = type === Class.Jmp ? 64 : 32;
        const operand = (code & 8) !== 0 ? get(src) : BigInt(imm);
        if (compare(code & 0xf0, bits, u(bits, get(dst)), u(bits, operand))) pc += off;
      } else {
        const size = SIZES.get(code & 0x18) as number;
        if (type === Class.Ldx) {
          const value = read(place(pc, src, off, size), size);
          r[dst] = (code & 0xe0) === Mode.MemSx ? u64(s(8 * size, value)) : value;
        } else if ((code & 0xe0) === Mode.Atomic) {
          const at = place(pc, dst, off, size);
          const old = read(at, size);
          write(at, size, modified(imm, size, old, get(src), get(0)));
          if (imm === Atomic.Cmpxchg) r[0] = old;
          else if ((imm & Atomic.Fetch) !== 0) r[src] = old;
        } else write(place(pc, dst, off, size), size, type === Class.St ? BigInt(imm) : get(src));
      }
    }
  }

  /** A helper's result; bpf_loop is the only one that is known here. */
  #helper(id: number, args: readonly bigint[], depth: number): bigint {
    const { helpers } = this.#options;
    if (id !== BPF_LOOP) {
      if (helpers === undefined) throw new Error(`no helper ${id}`);
      return helpers(id, args);
    }
    const [count, callback, context, flags] = args as [bigint, bigint, bigint, bigint];
    if (flags !== 0n) return -22n;
    if (u(32, count) > 1n << 23n) return 0xfffffff9n;
    for (let k = 0n; k < u(32, count); k++)
      if (this.call(Number(callback - FUNCTION_POINTER), [k, context, 0n, 0n, 0n], depth + 1) !== 0n) return k + 1n;
    return u(32, count);
  }

  /** The bytes at an address. */
  #place(pc: number, address: bigint, size: number, frame: bigint): DataView {
    const { ranges, stackTop } = this.#options;
    const stack = { base: stackTop - BigInt(this.#stack.length), bytes: this.#stack };
    for (const { base, bytes } of [stack, ...ranges]) {
      if (bytes === this.#stack && address < frame) continue;
      if (address < base || address + BigInt(size) > base + BigInt(bytes.length)) continue;
      return new DataView(bytes.buffer, bytes.byteOffset + Number(address - base), size);
    }
    throw new Ended({ kind: "memory", pc, address });
  }
}

function modified(imm: number, size: number, old: bigint, operand: bigint, expected: bigint): bigint {
  switch (imm & ~Atomic.Fetch) {
    case Atomic.Add:
      return old + operand;
    case Atomic.Or:
      return old | operand;
    case Atomic.And:
      return old & operand;
    case Atomic.Xor:
      return old ^ operand;
    case Atomic.Xchg & ~Atomic.Fetch:
      return operand;
    default:
      return old === u(8 * size, expected) ? operand : old;
  }
}

function read(at: DataView, size: number): bigint {
  let value = 0n;
  for (let k = size - 1; k >= 0; k--) value = (value << 8n) | BigInt(at.getUint8(k));
  return value;
}

function write(at: DataView, size: number, value: bigint): void {
  for (let k = 0; k < size; k++) at.setUint8(k, Number((value >> BigInt(8 * k)) & 0xffn));
}

/** Runs of instructions that nothing jumps into and that only their last leaves, calls apart. */
function straightRuns(insns: readonly Insn[]): Map<number, number> {
  const starts = new Set([0]);
  insns.forEach(({ code, src, off, imm }, pc) => {
    const type = code & 7;
    if ((code === CALL && src === CallKind.Local) || (code === LD_IMM64 && src === Pseudo.Func))
      starts.add(pc + 1 + imm);
    else if (code !== CALL && code !== CALLX && (type === Class.Jmp || type === Class.Jmp32)) {
      starts.add(pc + 1);
      if (code !== EXIT) starts.add(pc + 1 + (code === JA32 ? imm : off));
    }
  });
  const runs = new Map<number, number>();
  let start = 0;
  for (let pc = 0; pc < insns.length; pc++) {
    if (starts.has(pc)) start = pc;
    runs.set(start, (runs.get(start) ?? 0) + 1);
    if ((insns[pc] as Insn).code === LD_IMM64) pc++;
  }
  return runs;
}
