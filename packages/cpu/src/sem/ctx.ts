import type { Expr, FunctionBuilder, Local } from "@vm/wasm";
import type { Flags } from "./flags.js";
import type { OutsideName } from "./outside.js";

export type I32 = Expr<"i32">;
export type I64 = Expr<"i64">;
export type V128 = Expr<"v128">;
export type Local64 = Local<"i64">;

/** Operand size in bytes. */
export type Size = 1 | 2 | 4 | 8;

/** An operation of the x87, by its number, and what it is told. */
export interface X87Call {
  readonly operation: number;
  /** The register that the instruction names. */
  readonly register: number;
  /** Bytes of the memory operand, 0 if there is none. */
  readonly bytes: number;
  readonly writes: boolean;
  /** What the operation is told in place of a memory operand. */
  readonly told?: I32;
}

/**
 * What an instruction's semantics may say. An emitter is written once against this interface; instantiated with the
 * interpreter's context it becomes a handler, with the JIT's context a piece of a region. Emitters never see where a
 * register, a flag or a page of the guest lives.
 *
 * Integer values are i64, zero-extended from their size unless said otherwise.
 */
export interface Ctx {
  /** Where statements go: locals, loops. */
  readonly f: FunctionBuilder;
  /** `if (condition) { then } else { otherwise }`. Arms may write registers and flags: a context has to know where they join. */
  if(condition: I32, then: () => void, otherwise?: () => void): void;
  /** Operand size of this instantiation. */
  readonly size: Size;
  /** Number of operands of this instantiation's form. */
  readonly operands: number;
  /** Code that is not 64-bit: stack and instruction pointer are truncated and relative to segment bases. */
  readonly legacy: boolean;

  /** Operand `k` if it is an immediate whose value is known as the code is made, sign-extended; else null. */
  constant(k: number): number | null;
  /** Operand `k`, evaluated once, in a local of its own; may leave the instruction with a fault. */
  get(k: number, size?: Size): Local<"i64">;
  /** Writes operand `k`: 4-byte registers are zero-extended to 8, shorter ones merged. A memory operand that was read is not checked again. */
  set(k: number, value: I64): void;
  /** A general register by number, zero-extended from `size`. */
  reg(number: number, size?: Size): I64;
  setReg(number: number, value: I64, size?: Size): void;
  /** Effective address of the memory operand without its segment base. */
  offset(): I64;
  /** Linear address of the memory operand. */
  linear(): Local<"i64">;
  /** Keeps a linear address for the memory operand of the instruction's next step. */
  setEaTmp(linear: I64): void;
  load(linear: Local<"i64">, size: Size): Local<"i64">;
  store(linear: Local<"i64">, value: I64, size: Size): void;

  /** CF PF AF ZF SF OF. */
  readonly flags: Flags;
  /** RFLAGS without the arithmetic flags. */
  systemFlags(): I32;
  setSystemFlags(value: I32): void;
  /** Current privilege level, 0 to 3. */
  cpl(): I32;

  /** The 8-bit immediate that is the last operand, as i32. */
  imm8(): I32;
  /** Leaves the instruction with #GP(0) unless its memory operand, if it has one, is 16-byte aligned. */
  aligned(): void;
  /**
   * Executes operation `name` of `OUTSIDE` in TypeScript on the instruction's operands, which must be registers, temporaries or an immediate.
   * Writes the result, or leaves the instruction with an exception.
   */
  outside(name: OutsideName): void;

  /** Vector operand `k`, all 16 bytes. `get` reads the low bytes of one. */
  getX(k: number): Local<"v128">;
  /** XMM register `number`. */
  xmm(number: number): V128;
  setX(k: number, value: V128): void;
  /** Low 8 or 4 bytes of vector operand `k` replaced, the rest kept. */
  setXLow(k: number, value: I64, size: 4 | 8): void;
  mxcsr(): I32;

  /**
   * Calls the function of an x87 operation (`x87/functions.ts`), or leaves the instruction to the interpreter if that refuses. Only in regions.
   * @returns the function's answer
   */
  x87(call: X87Call): Local<"i32">;

  /**
   * Host address of 1 to 4096 bytes, or leaves the instruction to the interpreter if they are not all in one page that can be accessed at once.
   * Only in regions.
   */
  host(linear: Local<"i64">, bytes: I32, writes: boolean): Local<"i32">;

  /**
   * The time-stamp counter after what came before, its halves zero-extended, and `IA32_TSC_AUX`; or leaves the instruction to the interpreter. Only
   * in regions.
   */
  timestamp(): Stamp;

  /** Pushes `value`; the stack pointer changes only if the store succeeds and `check`, which runs after it, does not leave the instruction. */
  push(value: I64, check?: () => void): void;
  /** Reads the top of the stack; `commit` moves the stack pointer. */
  pop(): { readonly value: Local<"i64">; commit(extra?: I64): void };
  /** Register `number` as an offset in the stack segment. */
  stackAddress(number: number): I64;
  /** Reads the stack segment at `offset`, of the operand size. */
  loadStack(offset: Local<"i64">): Local<"i64">;
  setStackPointer(offset: I64): void;
  /** Offset of the next instruction in the code segment. */
  next(): I64;
  /** Leaves the instruction with #GP(0) if `target` cannot be an instruction pointer: not canonical in 64-bit code, else beyond the limit of CS. */
  checkTarget(target: Local<"i64">): void;
  /** Continues at `target`, an offset in the code segment. Must be the last statement. */
  jump(target: Local<"i64">): void;
  /** Leaves the instruction with #GP(0) if its direct target cannot be an instruction pointer: beyond the limit of CS. */
  checkDirect(): void;
  /**
   * Continues at the instruction's direct target if `condition`, else at the next instruction. `commit` writes registers once nothing can
   * go wrong any more. Must be the last statement.
   */
  branch(condition: I32, commit?: () => void): void;
  /** Continues at the instruction's direct target. Must be the last statement. */
  branchAlways(): void;

  /** Leaves the instruction with exception `vector` (error code 0 if it has one) when `condition` holds; nothing may have been written. */
  faultIf(condition: I32, vector: number): void;
  /** Ends the slice behind STI if an interrupt waits: the next instruction is its shadow. Must be the last statement. */
  yieldToInterrupt(wasClear: I32): void;
  /** High 64 bits of an unsigned product. */
  mulHigh(a: I64, b: I64): I64;
  /** Quotient and remainder of the unsigned 128-bit `hi:lo` by `divisor`; `hi < divisor` must hold. */
  divide(hi: I64, lo: I64, divisor: I64): { readonly quotient: Local<"i64">; readonly remainder: Local<"i64"> };
}

/** A reading of the time-stamp counter. */
export interface Stamp {
  readonly low: I64;
  readonly high: I64;
  readonly aux: I64;
}

/** One instruction: the operand forms it exists in and its semantics. */
export interface Row {
  readonly name: string;
  readonly sizes: readonly Size[];
  /**
   * Operand forms with a handler of their own: `r` register, `m` memory, `i` immediate (32 bits, sign-extended), `I` 64-bit immediate,
   * `x` vector register. What is not listed is composed by the lowering from a register form and load/store steps.
   */
  readonly forms: readonly string[];
  /** Operand 0 is read and written (a memory operand is probed for writing when read). */
  readonly modify?: boolean;
  /** The instruction is SSE: #UD or #NM while that is off (SDM vol. 3, table 13-1). */
  readonly sse?: boolean;
  /** Also instantiate for non-64-bit code. */
  readonly legacy?: boolean;
  /** A memory operand 0 is only read. */
  readonly reads?: boolean;
  /** It accesses the stack beside its operands. */
  readonly stack?: boolean;
  /** It branches to a direct target. */
  readonly direct?: boolean;
  /** Operand 1, if it is a register, moves a memory operand 0 by whole operands. */
  readonly bitString?: boolean;
  /** A 16-byte memory operand need not be aligned. */
  readonly unaligned?: boolean;
  readonly emit: (c: Ctx) => void;
}
