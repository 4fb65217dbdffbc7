import { type FunctionBuilder, i32, i64, type Local } from "@vm/wasm";
import { FlagOp, flagKind, workOut } from "../emit/lazy-flags.js";
import type { I32, I64, Local64, Size } from "../sem/ctx.js";
import { FlagPair, type FlagWords } from "../sem/flag-pair.js";
import type { Flags, FlagWriter } from "../sem/flags.js";
import { signExtend, truncate } from "../sem/widths.js";

const c64 = (value: number): I64 => i64.const(value);

/** The operation that set the flags last, as far as is known where code is being written. */
export interface FlagState {
  /** Null where it depends on the way that led here: `kind` tells at run time. */
  readonly op: FlagOp | null;
  readonly size: Size;
  /** The operation took or kept a carry: CF of `Add` and `Sub` follows from the operands only with the result. */
  readonly carried: boolean;
}

export const PAIR: FlagState = { op: FlagOp.Pair, size: 8, carried: false };
export const UNKNOWN: FlagState = { op: null, size: 8, carried: false };

/** The locals that hold flags of a region. */
export class FlagLocals implements FlagWords {
  readonly #f: FunctionBuilder;
  readonly kind: Local<"i32">;
  readonly a: Local64;
  readonly b: Local64;
  readonly r: Local64;
  /** The region reads or writes flags. */
  used = false;
  state: FlagState = UNKNOWN;

  constructor(f: FunctionBuilder) {
    this.#f = f;
    this.kind = f.local("i32");
    this.a = f.local("i64");
    this.b = f.local("i64");
    this.r = f.local("i64");
  }

  fr(): I64 {
    return this.r;
  }
  fa(): I64 {
    return this.a;
  }
  setFr(value: I64): void {
    this.#f.set(this.r, value);
  }
  setFa(value: I64): void {
    this.#f.set(this.a, value);
  }

  /** Works the flags out, if they are not. */
  toPair(): void {
    const { op, size } = this.state;
    if (op === null) throw new Error("flags are wanted where only execution tells what set them");
    if (op !== FlagOp.Pair) this.#f.scope(() => workOut(this.#f, op, size, this, this.b));
    this.state = PAIR;
  }

  /** Has `kind` tell at run time what is known here. */
  tell(): void {
    const { op, size } = this.state;
    if (op !== null) this.#f.set(this.kind, i32.const(flagKind(op, size)));
  }
}

/** Flags as the instructions of a region see them: operands are kept, conditions worked out from them. */
export class RegionFlags implements Flags {
  readonly #f: FunctionBuilder;
  readonly #size: Size;
  readonly #locals: FlagLocals;
  readonly #pair: FlagPair;

  constructor(f: FunctionBuilder, size: Size, locals: FlagLocals) {
    this.#f = f;
    this.#size = size;
    this.#locals = locals;
    this.#pair = new FlagPair(f, size, locals);
  }

  #set(op: FlagOp, a: I64 | null, b: I64 | null, r: I64 | null, carried = false): void {
    const locals = this.#locals;
    if (a !== null) this.#f.set(locals.a, a);
    if (b !== null) this.#f.set(locals.b, b);
    if (r !== null) this.#f.set(locals.r, r);
    locals.state = { op, size: this.#size, carried };
    locals.used = true;
  }

  add(a: Local64, b: Local64, r: Local64): void {
    this.#set(FlagOp.Add, a, b, r);
  }
  adc(a: Local64, b: Local64, r: Local64): void {
    this.#set(FlagOp.Add, a, b, r, true);
  }
  sub(a: Local64, b: Local64, r: Local64): void {
    this.#set(FlagOp.Sub, a, b, r);
  }
  sbb(a: Local64, b: Local64, r: Local64): void {
    this.#set(FlagOp.Sub, a, b, r, true);
  }
  increment(a: Local64, _one: Local64, r: Local64): void {
    const cf = this.#f.let("i64", this.carry());
    this.#set(FlagOp.Increment, a, cf, r);
  }
  decrement(a: Local64, _one: Local64, r: Local64): void {
    const cf = this.#f.let("i64", this.carry());
    this.#set(FlagOp.Decrement, a, cf, r);
  }
  logic(r: Local64): void {
    this.#set(FlagOp.Logic, null, null, r);
  }
  result(r: I64, cf: I64, of: I64): void {
    this.#set(FlagOp.Result, cf, of, r);
  }
  compare(zf: I32, cf: I32): void {
    this.#set(FlagOp.Compare, i64.extend_i32_u(zf), i64.extend_i32_u(cf), null);
  }

  setCarryOverflow(cf: I64, of: I64): void {
    // What they are may depend on the flags as they were.
    const [carry, overflow] = [this.#f.let("i64", cf), this.#f.let("i64", of)];
    this.#locals.toPair();
    this.#pair.setCarryOverflow(carry, overflow);
    this.#locals.used = true;
  }
  setCarry(cf: I64): void {
    const carry = this.#f.let("i64", cf);
    this.#locals.toPair();
    this.#pair.setCarry(carry);
    this.#locals.used = true;
  }
  rewrite(): FlagWriter {
    this.#locals.state = PAIR;
    this.#locals.used = true;
    return this.#locals;
  }
  unpack(value: I32): void {
    const all = this.#f.let("i32", value);
    this.#locals.state = PAIR;
    this.#locals.used = true;
    this.#pair.unpack(all);
  }

  carry(): I64 {
    const { a, b, r, state } = this.#known();
    switch (state.op) {
      case FlagOp.Add:
        return state.carried || state.size !== 8 ? this.#carryOut(state) : i64.extend_i32_u(i64.lt_u(r, a));
      case FlagOp.Sub:
        return state.carried ? this.#carryOut(state) : i64.extend_i32_u(i64.lt_u(a, b));
      case FlagOp.Logic:
        return c64(0);
      case FlagOp.Result:
        return a;
      case FlagOp.Increment:
      case FlagOp.Decrement:
      case FlagOp.Compare:
        return b;
      default:
        return this.#pair.carry();
    }
  }

  /** Carry or borrow out of the most significant bit, from operands and result. */
  #carryOut({ op, size }: FlagState): I64 {
    const { a, b, r } = this.#locals;
    if (size === 8) {
      const not = i64.xor(op === FlagOp.Add ? r : a, c64(-1));
      const vector =
        op === FlagOp.Add
          ? i64.or(i64.and(a, b), i64.and(i64.or(a, b), not))
          : i64.or(i64.and(not, b), i64.and(i64.xor(i64.xor(a, b), c64(-1)), r));
      return i64.shr_u(vector, c64(63));
    }
    // Operands are zero-extended, and the result has not been cut: the bit above its size is the carry or borrow.
    return i64.and(i64.shr_u(r, c64(8 * size)), c64(1));
  }

  overflow(): I64 {
    const { a, b, r, state } = this.#known();
    const top = c64(8 * state.size - 1);
    const bit = (value: I64): I64 => i64.and(i64.shr_u(value, top), c64(1));
    switch (state.op) {
      case FlagOp.Add:
        return bit(i64.and(i64.xor(a, r), i64.xor(b, r)));
      case FlagOp.Sub:
        return bit(i64.and(i64.xor(a, b), i64.xor(a, r)));
      case FlagOp.Increment:
        return bit(i64.and(i64.xor(a, c64(-1)), r));
      case FlagOp.Decrement:
        return bit(i64.and(a, i64.xor(r, c64(-1))));
      case FlagOp.Result:
        return b;
      case FlagOp.Logic:
      case FlagOp.Compare:
        return c64(0);
      default:
        return this.#pair.overflow();
    }
  }

  condition(cc: number): I32 {
    const { state } = this.#known();
    if (state.op === FlagOp.Pair) return this.#pair.condition(cc);
    const positive = this.#even(cc & 14, state);
    return cc & 1 ? i32.eqz(positive) : positive;
  }

  #even(cc: number, state: FlagState): I32 {
    const { a, b, r } = this.#locals;
    const bool = (value: I64): I32 => i32.wrap_i64(value);
    const plainSub = state.op === FlagOp.Sub && !state.carried;
    const { size } = state;
    switch (cc) {
      case 0:
        return bool(this.overflow());
      case 2:
        return plainSub ? i64.lt_u(a, b) : bool(this.carry());
      case 4:
        return this.#zero(state);
      case 6:
        if (plainSub) return i64.le_u(a, b);
        return i32.or(bool(this.carry()), this.#zero(state));
      case 8:
        return this.#sign(state);
      case 10:
        return this.#parity(state);
      case 12:
        if (plainSub) return size === 4 ? i32.lt_s(low(a), low(b)) : i64.lt_s(signExtend(a, size), signExtend(b, size));
        if (state.op === FlagOp.Logic) return this.#sign(state);
        return i32.xor(this.#sign(state), bool(this.overflow()));
      default:
        if (plainSub) return size === 4 ? i32.le_s(low(a), low(b)) : i64.le_s(signExtend(a, size), signExtend(b, size));
        if (state.op === FlagOp.Logic) return i64.le_s(signExtend(r, size), c64(0));
        return i32.or(i32.xor(this.#sign(state), bool(this.overflow())), this.#zero(state));
    }
  }

  #zero({ op, size, carried }: FlagState): I32 {
    const { a, b, r } = this.#locals;
    if (op === FlagOp.Compare) return i32.wrap_i64(a);
    if (op === FlagOp.Sub && !carried) return i64.eq(a, b);
    return size === 4 ? i32.eqz(low(r)) : i64.eqz(truncate(r, size));
  }

  #sign({ op, size }: FlagState): I32 {
    const { r } = this.#locals;
    if (op === FlagOp.Compare) return i32.const(0);
    return size === 4 ? i32.lt_s(low(r), i32.const(0)) : i64.lt_s(signExtend(r, size), c64(0));
  }

  #parity({ op }: FlagState): I32 {
    const { r } = this.#locals;
    if (op === FlagOp.Compare) return i32.const(0);
    return i32.and(i32.xor(i32.popcnt(i32.and(low(r), i32.const(0xff))), i32.const(1)), i32.const(1));
  }

  pack(): I32 {
    this.#locals.toPair();
    return this.#pair.pack();
  }

  #known(): FlagLocals {
    this.#locals.used = true;
    if (this.#locals.state.op === null) this.#locals.toPair();
    return this.#locals;
  }
}

const low = (value: I64): I32 => i32.wrap_i64(value);
