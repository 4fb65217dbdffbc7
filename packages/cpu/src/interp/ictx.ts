import { type Expr, type FunctionBuilder, i32, i64, type Label, type Local, v128 } from "@vm/wasm";
import { SlowAccess } from "../calls.js";
import * as R from "../record.js";
import type { Ctx, I32, I64, Row, Size, V128 } from "../sem/ctx.js";
import { truncate } from "../sem/flags.js";
import { type OutsideName, outsideNumber } from "../sem/outside.js";
import * as S from "../state.js";

/** The function under construction and its fixed parts. */
export interface Frame {
  readonly f: FunctionBuilder;
  /** Base of the vCPU state block. */
  readonly cpu: Local<"i32">;
  /** Current record. */
  readonly rec: Local<"i32">;
  /** Instructions that may still be started. */
  readonly left: Local<"i32">;
  /** Linear address for `lookup`. */
  readonly target: Local<"i64">;
  /** Starts the record `rec`. */
  readonly next: Label;
  /** Finds the record for `target` and starts it. */
  readonly lookup: Label;
  /**
   * Ways out of the loop, where TypeScript is called. The loop itself contains no call: that keeps `rec` and the bases in registers.
   * The reason of leaving is in the state block where one is needed.
   */
  readonly exits: Exits;
}

/** Labels outside the dispatch loop. */
export interface Exits {
  /** TLB miss: fills the TLB (or stages the access) and starts the record again. `SLOW_ADDRESS` and `SLOW_ACCESS` tell the access. */
  readonly miss: Label;
  /** Leaves with the instruction undone and exception `RAISE` pending, or whatever TypeScript noted. */
  readonly raise: Label;
  readonly fault: Label;
  /** Executes the record's instruction in TypeScript; see `HelperResult`. */
  readonly helper: Label;
  /** Executes operation `OUTSIDE_OP` on the record's operands in TypeScript and goes on with the next record. */
  readonly outside: Label;
  /** Decodes the target of a direct branch. */
  readonly link: Label;
}

const PAGE_MASK = i64.const(-4096);

/** A handler of the interpreter: operands come from the fields of the current record. */
export class InterpreterCtx implements Ctx {
  readonly f: FunctionBuilder;
  readonly size: Size;
  readonly operands: number;
  readonly legacy: boolean;
  readonly #frame: Frame;
  readonly #form: string;
  readonly #modify: boolean;
  readonly #slots: (Local<"i32"> | undefined)[] = [];
  #linear: Local<"i64"> | undefined;
  #host: Local<"i32"> | undefined;
  /** Whether the emitter already said where execution continues. */
  #continued = false;

  constructor(frame: Frame, row: Row, size: Size, form: string, legacy: boolean) {
    this.#frame = frame;
    this.f = frame.f;
    this.size = size;
    this.legacy = legacy;
    this.operands = form.length;
    this.#form = form;
    this.#modify = row.modify === true;
  }

  // Operands

  get(k: number, size: Size = this.size): Local<"i64"> {
    const { f } = this;
    switch (this.#form[k]) {
      case "r":
      case "x":
        return f.let("i64", loadSized(this.#slot(k), size));
      case "i":
        return f.let("i64", truncate(i64.load32_s(this.#frame.rec, R.R_IMM), size));
      case "c":
        return f.let("i64", this.reg(1, 1));
      case "I":
        return f.let("i64", i64.load(this.#frame.rec, R.R_DISP));
      case "m":
        if (k === 0 && this.#modify) {
          this.#host = this.#probe(this.linear(), size, SlowAccess.Modify);
          return f.let("i64", loadSized(this.#host, size));
        }
        return this.load(this.linear(), size);
      default:
        throw new Error(`form "${this.#form}" has no operand ${k}`);
    }
  }

  set(k: number, value: I64): void {
    const { f, size } = this;
    if (this.#form[k] === "r") {
      this.#storeRegister(this.#slot(k), value, size);
    } else if (this.#host !== undefined) {
      storeSized(f, this.#host, value, size);
    } else {
      this.store(this.linear(), value, size);
    }
  }

  reg(number: number, size: Size = this.size): I64 {
    return loadSized(this.#frame.cpu, size, S.GPR + 8 * number);
  }

  setReg(number: number, value: I64, size: Size = this.size): void {
    this.#storeRegister(i32.add(this.#frame.cpu, i32.const(S.GPR + 8 * number)), value, size);
  }

  offset(): I64 {
    const { rec } = this.#frame;
    const base = i64.load(this.#slotAt(R.R_BASE));
    const index = i64.shl(i64.load(this.#slotAt(R.R_INDEX)), i64.load8_u(rec, R.R_SCALE));
    return i64.add(i64.add(base, i64.load(rec, R.R_DISP)), index);
  }

  linear(): Local<"i64"> {
    this.#linear ??= this.f.let("i64", i64.add(this.offset(), i64.load(this.#slotAt(R.R_SEG))));
    return this.#linear;
  }

  setEaTmp(linear: I64): void {
    this.f.store("i64.store", this.#frame.cpu, linear, S.EA_TMP);
  }

  // Memory

  load(linear: Local<"i64">, size: Size): Local<"i64"> {
    return this.f.let("i64", loadSized(this.#probe(linear, size, SlowAccess.Load), size));
  }

  store(linear: Local<"i64">, value: I64, size: Size): void {
    const v = this.f.let("i64", value);
    storeSized(this.f, this.#probe(linear, size, SlowAccess.Store), v, size);
  }

  /** Vector load of 16 bytes. */
  loadX(linear: Local<"i64">): Local<"v128"> {
    return this.f.let("v128", v128.load(this.#probe(linear, 16, SlowAccess.Load)));
  }

  storeX(linear: Local<"i64">, value: V128): void {
    this.f.store("v128.store", this.#probe(linear, 16, SlowAccess.Store), value);
  }

  /** Probes the memory operand for reading and writing; the host address is kept in the state block for `modifyEnd`. */
  modifyBegin(): void {
    const host = this.#probe(this.linear(), this.size, SlowAccess.Modify);
    this.f.store("i32.store", this.#frame.cpu, host, S.RMW_HOST);
    this.f.store("i64.store", this.#frame.cpu, loadSized(host, this.size), S.TMP);
  }

  modifyEnd(): void {
    const { cpu } = this.#frame;
    storeSized(this.f, i32.load(cpu, S.RMW_HOST), i64.load(cpu, S.TMP), this.size);
  }

  // Flags

  fr(): I64 {
    return i64.load(this.#frame.cpu, S.FR);
  }
  setFr(value: I64): void {
    this.f.store("i64.store", this.#frame.cpu, value, S.FR);
  }
  fa(): I64 {
    return i64.load(this.#frame.cpu, S.FA);
  }
  setFa(value: I64): void {
    this.f.store("i64.store", this.#frame.cpu, value, S.FA);
  }
  systemFlags(): I32 {
    return i32.load(this.#frame.cpu, S.FLAGS);
  }
  setSystemFlags(value: I32): void {
    this.f.store("i32.store", this.#frame.cpu, value, S.FLAGS);
  }

  cpl(): I32 {
    return i32.load(this.#frame.cpu, S.CPL);
  }

  // Vectors

  imm8(): I32 {
    return i32.load8_u(this.#frame.rec, R.R_IMM);
  }

  aligned(): void {
    if (this.#form.includes("m")) this.faultIf(i32.and(i32.wrap_i64(this.linear()), i32.const(15)), 13);
  }

  xmm(number: number): V128 {
    return v128.load(this.#frame.cpu, S.XMM + 16 * number);
  }

  outside(name: OutsideName): void {
    this.f.store("i32.store", this.#frame.cpu, i32.const(outsideNumber(name)), S.OUTSIDE_OP);
    this.f.br(this.#frame.exits.outside);
  }

  /** Raises what is in `word` (`SSE_OFF` or `MMX_OFF`) unless it is 0. */
  checkUnit(word: number): void {
    const vector = (): I32 => i32.load(this.#frame.cpu, word);
    this.#raiseIf(vector(), vector());
  }

  getX(k: number): Local<"v128"> {
    if (this.#form[k] === "m") return this.loadX(this.linear());
    return this.f.let("v128", v128.load(this.#slot(k)));
  }
  setX(k: number, value: V128): void {
    if (this.#form[k] === "m") this.storeX(this.linear(), value);
    else this.f.store("v128.store", this.#slot(k), value);
  }
  setXLow(k: number, value: I64, size: 4 | 8): void {
    storeSized(this.f, this.#slot(k), value, size);
  }
  mxcsr(): I32 {
    return i32.load(this.#frame.cpu, S.MXCSR);
  }

  // Control

  push(value: I64, check?: () => void): void {
    const { f, size } = this;
    const v = f.let("i64", value);
    const sp = f.let("i64", this.#stackMasked(i64.add(this.reg(4, 8), i64.const(-size))));
    this.store(this.#stackLinear(sp, true), v, size);
    check?.();
    this.setStackPointer(sp);
  }

  pop(): { value: Local<"i64">; commit: (extra?: I64) => void } {
    const sp = this.f.let("i64", this.stackAddress(4));
    const value = this.loadStack(sp);
    const commit = (extra: I64 = i64.const(0)): void =>
      this.setStackPointer(i64.add(sp, i64.add(i64.const(this.size), extra)));
    return { value, commit };
  }

  stackAddress(number: number): I64 {
    return this.#stackMasked(this.reg(number, 8));
  }

  loadStack(offset: Local<"i64">): Local<"i64"> {
    return this.load(this.#stackLinear(offset, false), this.size);
  }

  setStackPointer(offset: I64): void {
    if (!this.legacy) {
      this.setReg(4, offset, 8);
      return;
    }
    const kept = i64.and(this.reg(4, 8), i64.xor(i64.load(this.#frame.cpu, S.STACK_MASK), i64.const(-1)));
    this.setReg(4, i64.or(this.#stackMasked(offset), kept), 8);
  }

  /**
   * Leaves the instruction with #GP(0), or #SS(0) for the stack segment, unless `size` bytes at `offset` are in the range at host address `range`
   * of the segment whose base is at host address `base`. In a flat segment accesses wrap at 4 GiB (recorded from hardware).
   */
  checkRange(offset: Local<"i64">, size: I64, range: I32, base: I32): void {
    const { f } = this;
    const at = f.let("i32", range);
    const last = i64.add(offset, i64.sub(size, i64.const(1)));
    const flat = i32.eqz(i32.or(i32.load(base), i32.xor(i32.load(at, 4), i32.const(-1))));
    const beyond = i32.gt_u(i64.gt_u(last, i64.load32_u(at, 4)), flat);
    const outside = i32.or(i64.lt_u(offset, i64.load32_u(at)), beyond);
    this.#raiseIf(outside, i32.sub(i32.const(13), i32.and(i32.load16_u(this.#frame.rec, R.R_AUX2), i32.const(1))));
  }

  next(): I64 {
    const { cpu, rec } = this.#frame;
    const linear = i64.add(i64.load(cpu, S.PAGE_VA), i64.add(i64.load16_u(rec, R.R_OFF), i64.load8_u(rec, R.R_LEN)));
    return this.legacy ? truncate(i64.sub(linear, i64.load(cpu, S.SEG_BASE + 8)), this.size) : linear;
  }

  checkTarget(target: Local<"i64">): void {
    if (this.legacy) {
      this.faultIf(i64.gt_u(truncate(target, this.size), i64.load32_u(this.#frame.cpu, S.CS_LIMIT)), 13);
      return;
    }
    const { cpu } = this.#frame;
    const bits = (): I64 => i64.load32_u(cpu, S.SIGN_BITS);
    this.faultIf(i64.ne(i64.shr_s(i64.shl(target, bits()), bits()), target), 13);
  }

  jump(target: Local<"i64">): void {
    const { f } = this;
    const { cpu, target: linear, lookup } = this.#frame;
    if (this.legacy) {
      const sum = i64.add(truncate(target, this.size), i64.load(cpu, S.SEG_BASE + 8));
      f.set(linear, truncate(sum, 4));
    } else f.set(linear, target);
    f.br(lookup);
    this.#continued = true;
  }

  checkDirect(): void {
    if (this.legacy) this.#directTarget();
  }

  /** Offset in CS of the direct target outside 64-bit code, truncated to the operand size, checked against the limit. */
  #directTarget(): Local<"i64"> {
    const { f } = this;
    const { cpu, rec } = this.#frame;
    const linear = i64.add(i64.load(cpu, S.PAGE_VA), i64.load(rec, R.R_DISP));
    const mask = i64.shr_u(i64.const2(-1, 0), i64.load8_u(rec, R.R_AUX));
    const target = f.let("i64", i64.and(i64.sub(linear, i64.load(cpu, S.SEG_BASE + 8)), mask));
    this.faultIf(i64.gt_u(target, i64.load32_u(cpu, S.CS_LIMIT)), 13);
    return target;
  }

  branch(condition: I32, commit?: () => void): void {
    const { f } = this;
    const { rec, next, target: linear, lookup, cpu } = this.#frame;
    if (this.legacy) {
      f.if(condition, () => {
        const target = this.#directTarget();
        commit?.();
        f.set(linear, truncate(i64.add(target, i64.load(cpu, S.SEG_BASE + 8)), 4));
        f.br(lookup);
      });
      commit?.();
      f.set(rec, i32.add(rec, i32.const(R.RECORD)));
      f.br(next);
      this.#continued = true;
      return;
    }
    commit?.();
    f.if(
      condition,
      () => f.set(rec, i32.load(rec, R.R_IMM)),
      () => f.set(rec, i32.add(rec, i32.const(R.RECORD))),
    );
    f.br(next);
    this.#continued = true;
  }

  branchAlways(): void {
    const { f } = this;
    const { rec, next } = this.#frame;
    if (this.legacy) {
      this.branch(i32.const(1));
      return;
    }
    f.set(rec, i32.load(rec, R.R_IMM));
    f.br(next);
    this.#continued = true;
  }

  faultIf(condition: I32, vector: number): void {
    this.#raiseIf(condition, i32.const(vector));
  }

  #raiseIf(condition: I32, vector: I32): void {
    const { f } = this;
    f.if(condition, () => {
      f.store("i32.store", this.#frame.cpu, vector, S.RAISE);
      f.br(this.#frame.exits.raise);
    });
  }

  yieldToInterrupt(wasClear: I32): void {
    const { f } = this;
    const { cpu, rec, left } = this.#frame;
    f.set(rec, i32.add(rec, i32.const(R.RECORD)));
    f.if(wasClear, () => {
      f.if(i32.load(cpu, S.INTR_PENDING), () => {
        f.store("i32.store", cpu, i32.sub(i32.load(cpu, S.SLICE), left), S.SLICE);
        f.set(left, i32.const(0));
      });
      f.store("i32.store", cpu, left, S.STI_LEFT);
    });
    f.br(this.#frame.next);
    this.#continued = true;
  }

  mulHigh(a: I64, b: I64): I64 {
    const { f } = this;
    const x = f.let("i64", a);
    const y = f.let("i64", b);
    const low = (v: I64): I64 => i64.and(v, i64.const2(-1, 0));
    const high = (v: I64): I64 => i64.shr_u(v, i64.const(32));
    const mid = f.let("i64", i64.add(i64.mul(high(x), low(y)), high(i64.mul(low(x), low(y)))));
    const cross = f.let("i64", i64.add(i64.mul(low(x), high(y)), low(mid)));
    return i64.add(i64.add(i64.mul(high(x), high(y)), high(mid)), high(cross));
  }

  divide(dividendHigh: I64, dividendLow: I64, by: I64): { quotient: Local<"i64">; remainder: Local<"i64"> } {
    const { f } = this;
    const high = f.let("i64", dividendHigh);
    const low = f.let("i64", dividendLow);
    const divisor = f.let("i64", by);
    const quotient = f.let("i64", low);
    f.if(
      i64.eqz(high),
      () => f.set(quotient, i64.div_u(low, divisor)),
      () => this.#divideBitwise(high, quotient, divisor),
    );
    return { quotient, remainder: f.let("i64", i64.sub(low, i64.mul(quotient, divisor))) };
  }

  /** `low` = `high:low / divisor`, a bit at a time; `high` is used up. */
  #divideBitwise(high: Local<"i64">, low: Local<"i64">, divisor: Local<"i64">): void {
    const { f } = this;
    const count = f.let("i32", i32.const(64));
    const out = f.temp("i64");
    const one = i64.const(1);
    f.loop((again) => {
      f.set(out, i64.shr_u(high, i64.const(63)));
      f.set(high, i64.or(i64.shl(high, one), i64.shr_u(low, i64.const(63))));
      f.set(low, i64.shl(low, one));
      f.if(i32.or(i64.ne(out, i64.const(0)), i64.ge_u(high, divisor)), () => {
        f.set(high, i64.sub(high, divisor));
        f.set(low, i64.or(low, one));
      });
      f.brIf(f.tee(count, i32.sub(count, i32.const(1))), again);
    });
  }

  /** Ends the handler: on to the next record unless the emitter went elsewhere. */
  finish(): void {
    if (this.#continued) return;
    const { f } = this;
    f.set(this.#frame.rec, i32.add(this.#frame.rec, i32.const(R.RECORD)));
    f.br(this.#frame.next);
  }

  #slotAt(field: number): I32 {
    return i32.add(this.#frame.cpu, i32.load16_u(this.#frame.rec, field));
  }

  #slot(k: number): Local<"i32"> {
    const known = this.#slots[k];
    if (known !== undefined) return known;
    const slot = this.f.let("i32", this.#slotAt(k === 0 ? R.R_DST : R.R_SRC));
    this.#slots[k] = slot;
    return slot;
  }

  #storeRegister(address: I32, value: I64, size: Size): void {
    if (size === 4) this.f.store("i64.store", address, truncate(value, 4));
    else storeSized(this.f, address, value, size);
  }

  /** Host address of a memory access. A miss leaves the loop; the record is then started again. */
  #probe(linear: Local<"i64">, size: number, access: SlowAccess): Local<"i32"> {
    const { f } = this;
    const { cpu, exits } = this.#frame;
    const index = i32.and(i32.shr_u(i32.wrap_i64(linear), i32.const(8)), i32.const((S.TLB_ENTRIES - 1) * S.TLB_ENTRY));
    const entry = f.let("i32", i32.add(i32.load(cpu, access === SlowAccess.Load ? S.TLB_READ : S.TLB_WRITE), index));
    f.if(i64.ne(lastPage(linear, size), i64.load(entry)), () => {
      f.store("i64.store", cpu, linear, S.SLOW_ADDRESS);
      f.store("i32.store", cpu, i32.const(access + size), S.SLOW_ACCESS);
      f.br(exits.miss);
    });
    return f.let("i32", i32.add(i32.wrap_i64(linear), i32.load(entry, 8)));
  }

  #stackMasked(offset: I64): I64 {
    return this.legacy ? i64.and(offset, i64.load(this.#frame.cpu, S.STACK_MASK)) : offset;
  }

  #stackLinear(offset: Local<"i64">, write: boolean): Local<"i64"> {
    if (!this.legacy) return offset;
    const { cpu } = this.#frame;
    const range = i32.add(cpu, i32.const(S.SEG_RANGE + 32 + (write ? 8 : 0)));
    this.checkRange(offset, i64.const(this.size), range, i32.add(cpu, i32.const(S.SEG_BASE + 16)));
    return this.f.let("i64", truncate(i64.add(offset, i64.load(cpu, S.SEG_BASE + 16)), 4));
  }
}

/** Page of the last byte of an access: differs from the entry's tag for a miss and for an access that crosses the page. */
function lastPage(linear: Local<"i64">, size: number): I64 {
  return i64.and(size === 1 ? linear : i64.add(linear, i64.const(size - 1)), PAGE_MASK);
}

export function loadSized(address: Expr<"i32">, size: Size, offset = 0): I64 {
  return size === 1
    ? i64.load8_u(address, offset)
    : size === 2
      ? i64.load16_u(address, offset)
      : size === 4
        ? i64.load32_u(address, offset)
        : i64.load(address, offset);
}

export function storeSized(f: FunctionBuilder, address: Expr<"i32">, value: I64, size: Size): void {
  const op = size === 1 ? "i64.store8" : size === 2 ? "i64.store16" : size === 4 ? "i64.store32" : "i64.store";
  f.store(op, address, value);
}
