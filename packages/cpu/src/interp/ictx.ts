import { type FunctionBuilder, i32, i64, type Local, v128 } from "@vm/wasm";
import { SlowAccess } from "../calls.js";
import { loadSized, storeRegister, storeSized } from "../emit/sized.js";
import { divide, mulHigh } from "../emit/wide.js";
import * as R from "../record.js";
import type { Ctx, I32, I64, Row, Size, V128 } from "../sem/ctx.js";
import { FlagPair } from "../sem/flag-pair.js";
import type { Flags } from "../sem/flags.js";
import { type OutsideName, outsideNumber } from "../sem/outside.js";
import { truncate } from "../sem/widths.js";
import * as S from "../state.js";
import { branchLegacy, branchLinked, jumpLinked } from "./branch.js";
import { directTarget, raiseIf } from "./checks.js";
import type { Frame } from "./frame.js";
import { onlyInRegions } from "./only-in-regions.js";
import { probe } from "./probe.js";
import { stackLinear, stackMasked } from "./stack.js";

/** A handler of the interpreter: operands come from the fields of the current record. */
export class InterpreterCtx implements Ctx {
  readonly f: FunctionBuilder;
  readonly size: Size;
  readonly operands: number;
  readonly legacy: boolean;
  readonly flags: Flags;
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
    const { f, cpu } = frame;
    this.flags = new FlagPair(f, size, {
      fr: () => i64.load(cpu, S.FR),
      setFr: (value) => f.store("i64.store", cpu, value, S.FR),
      fa: () => i64.load(cpu, S.FA),
      setFa: (value) => f.store("i64.store", cpu, value, S.FA),
    });
  }

  if(condition: I32, then: () => void, otherwise?: () => void): void {
    this.f.if(condition, then, otherwise);
  }

  // Operands

  constant(): null {
    return null;
  }

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
          this.#host = probe(this.#frame, this.linear(), size, SlowAccess.Modify);
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
      storeRegister(this.f, this.#slot(k), value, size);
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
    storeRegister(this.f, i32.add(this.#frame.cpu, i32.const(S.GPR + 8 * number)), value, size);
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
    return this.f.let("i64", loadSized(probe(this.#frame, linear, size, SlowAccess.Load), size));
  }

  store(linear: Local<"i64">, value: I64, size: Size): void {
    const v = this.f.let("i64", value);
    storeSized(this.f, probe(this.#frame, linear, size, SlowAccess.Store), v, size);
  }

  /** Vector load of 16 bytes. */
  loadX(linear: Local<"i64">): Local<"v128"> {
    return this.f.let("v128", v128.load(probe(this.#frame, linear, 16, SlowAccess.Load)));
  }

  storeX(linear: Local<"i64">, value: V128): void {
    this.f.store("v128.store", probe(this.#frame, linear, 16, SlowAccess.Store), value);
  }

  /** Probes the memory operand for reading and writing; the host address is kept in the state block for `modifyEnd`. */
  modifyBegin(): void {
    const host = probe(this.#frame, this.linear(), this.size, SlowAccess.Modify);
    this.f.store("i32.store", this.#frame.cpu, host, S.RMW_HOST);
    this.f.store("i64.store", this.#frame.cpu, loadSized(host, this.size), S.TMP);
  }

  modifyEnd(): void {
    const { cpu } = this.#frame;
    storeSized(this.f, i32.load(cpu, S.RMW_HOST), i64.load(cpu, S.TMP), this.size);
  }

  // Flags

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
    raiseIf(this.#frame, vector(), vector());
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

  // Only in regions: the interpreter has helpers, and records of its own for the x87.
  readonly x87 = onlyInRegions;
  readonly host = onlyInRegions;
  readonly timestamp = onlyInRegions;

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
    if (this.legacy) directTarget(this.#frame);
  }

  branch(condition: I32, commit?: () => void): void {
    if (this.legacy) branchLegacy(this.#frame, condition, commit);
    else {
      commit?.();
      branchLinked(this.#frame, condition);
    }
    this.#continued = true;
  }

  branchAlways(): void {
    if (this.legacy) {
      this.branch(i32.const(1));
      return;
    }
    jumpLinked(this.#frame);
    this.#continued = true;
  }

  faultIf(condition: I32, vector: number): void {
    raiseIf(this.#frame, condition, i32.const(vector));
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
    return mulHigh(this.f, a, b);
  }

  divide(dividendHigh: I64, dividendLow: I64, by: I64): { quotient: Local<"i64">; remainder: Local<"i64"> } {
    return divide(this.f, dividendHigh, dividendLow, by);
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

  #stackMasked(offset: I64): I64 {
    return this.legacy ? stackMasked(this.#frame, offset) : offset;
  }

  #stackLinear(offset: Local<"i64">, write: boolean): Local<"i64"> {
    return this.legacy ? stackLinear(this.#frame, offset, this.size, write) : offset;
  }
}
