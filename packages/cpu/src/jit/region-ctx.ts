import { type FunctionBuilder, i32, i32x4, i64, i64x2, type Local, v128 } from "@vm/wasm";
import { Kind, type Operand } from "../decode/index.js";
import { loadSized, storeSized } from "../emit/sized.js";
import { tlbProbe } from "../emit/tlb-probe.js";
import { mulHigh } from "../emit/wide.js";
import type { Ctx, I32, I64, Local64, Size, Stamp, V128, X87Call } from "../sem/ctx.js";
import type { Flags } from "../sem/flags.js";
import { signExtend, truncate } from "../sem/widths.js";
import * as S from "../state.js";
import { constant64, highByte, linearOf, offsetOf } from "./address.js";
import type { Effects } from "./effects.js";
import { RegionFlags } from "./flags.js";
import { constantOf, type Piece } from "./piece.js";
import type { PieceWays } from "./piece-ways.js";
import type { RegionLocals } from "./region-locals.js";
import { readTimestamp } from "./timestamp.js";
import { callX87 } from "./x87.js";

/** One instruction of a region: operands are locals, constants and guest memory. */
export class RegionCtx implements Ctx {
  readonly f: FunctionBuilder;
  readonly size: Size;
  readonly operands: number;
  readonly legacy = false;
  readonly flags: Flags;
  readonly #piece: Piece;
  readonly #effects: Effects;
  readonly #locals: RegionLocals;
  readonly #ways: PieceWays;
  /** Linear address of the instruction's page. */
  readonly #page: I64;
  #linear: Local64 | undefined;
  #host: Local<"i32"> | undefined;
  #alignmentChecked = false;

  constructor(piece: Piece, effects: Effects, locals: RegionLocals, page: I64, ways: PieceWays) {
    this.#piece = piece;
    this.#effects = effects;
    this.#locals = locals;
    this.#ways = ways;
    this.#page = page;
    this.f = locals.f;
    this.size = piece.instance.size as Size;
    this.operands = piece.instance.form.length;
    this.flags = new RegionFlags(this.f, this.size, locals.flags);
  }

  if(condition: I32, then: () => void, otherwise?: () => void): void {
    const locals = this.#locals;
    const { flags } = locals;
    const merges = this.#effects.merges;
    // What an arm keeps, the other must find in the same form.
    if (merges && flags.state.op !== null) flags.toPair();
    const before = flags.state;
    const arm = (body: () => void): void => {
      flags.state = before;
      locals.conditional(body);
      if (merges && flags.state !== before) flags.toPair();
    };
    let after = before;
    this.f.if(
      condition,
      () => {
        arm(then);
        after = flags.state;
      },
      otherwise && (() => arm(otherwise)),
    );
    flags.state = after;
  }

  // Operands

  constant(k: number): number | null {
    return constantOf(this.#piece.instance, k);
  }

  #operand(k: number): Operand {
    return this.#piece.instance.insn.operands[k] as Operand;
  }

  get(k: number, size: Size = this.size): Local64 {
    const value = this.#value(k, size);
    // A constant needs no local: nobody assigns an operand that is one.
    return this.#piece.instance.form[k] === "i" ? (value as Local64) : this.f.let("i64", value);
  }

  #value(k: number, size: Size): I64 {
    const { instance } = this.#piece;
    const { insn } = instance;
    switch (instance.form[k]) {
      case "r": {
        const { kind, reg } = this.#operand(k);
        return kind === Kind.Gpr8High ? highByte(this.reg(reg, 8)) : this.reg(reg, size);
      }
      case "x": {
        const vector = this.#locals.vector(this.#operand(k).reg);
        return size === 8
          ? i64x2.extract_lane(vector, 0)
          : truncate(i64.extend_i32_u(i32x4.extract_lane(vector, 0)), size);
      }
      case "c":
        return this.reg(1, 1);
      case "i":
        return constant64(this.constant(k) as number, size);
      case "I":
        return i64.const2(insn.immLo, insn.immHi);
      default:
        return this.#memory(k, size);
    }
  }

  #memory(k: number, size: Size): I64 {
    const { f } = this;
    const { row, instance } = this.#piece;
    this.#checkAlignment();
    if (k === 0 && row.modify === true) {
      this.#host = this.host(this.linear(), size, true);
      return loadSized(this.#host, size);
    }
    const straight = row.forms.includes(instance.form);
    const operand = this.#operand(k).size;
    if (!straight && operand === 16) return truncate(i64x2.extract_lane(this.getX(k), 0), size);
    // A row that wants a register gets the whole operand fetched.
    const whole = straight ? size : operand;
    const value = loadSized(this.host(this.linear(), whole, false), whole as Size);
    return whole > size ? truncate(f.let("i64", value), size) : value;
  }

  set(k: number, value: I64): void {
    const { f, size } = this;
    if (this.#piece.instance.form[k] === "r") {
      const { kind, reg } = this.#operand(k);
      if (kind !== Kind.Gpr8High) this.setReg(reg, value, size);
      else {
        const kept = i64.and(this.#locals.general(reg), i64.const(~0xff00));
        this.#locals.setGeneral(reg, i64.or(kept, i64.shl(truncate(value, 1), i64.const(8))));
      }
    } else if (this.#host !== undefined) storeSized(f, this.#host, value, size);
    else this.store(this.linear(), value, size);
  }

  reg(number: number, size: Size = this.size): I64 {
    return truncate(this.#locals.general(number), size);
  }

  setReg(number: number, value: I64, size: Size = this.size): void {
    const locals = this.#locals;
    if (size === 8) locals.setGeneral(number, value);
    else if (size === 4) locals.setGeneral(number, truncate(value, 4));
    else {
      const mask = size === 2 ? 0xffff : 0xff;
      const kept = i64.and(locals.general(number), i64.const(~mask));
      locals.setGeneral(number, i64.or(kept, truncate(value, size)));
    }
  }

  offset(): I64 {
    return offsetOf(this.#piece, this.#locals, this.#page);
  }

  linear(): Local64 {
    this.#linear ??= this.f.let("i64", this.#address());
    return this.#linear;
  }

  #address(): I64 {
    if (!this.#piece.instance.bitString) return linearOf(this.#piece, this.#locals, this.#page, null);
    const shift = this.size === 2 ? 4 : this.size === 4 ? 5 : 6;
    const units = i64.shr_s(signExtend(this.#value(1, this.size), this.size), i64.const(shift));
    return linearOf(this.#piece, this.#locals, this.#page, i64.shl(units, i64.const(shift - 3)));
  }

  setEaTmp(): void {
    throw new Error("a step of the interpreter in a region");
  }

  // Memory

  host(linear: Local64, bytes: I32 | number, writes: boolean): Local<"i32"> {
    const base = this.#locals.word(writes ? S.TLB_WRITE : S.TLB_READ);
    return tlbProbe(this.f, base, linear, bytes, this.#ways.leave);
  }

  load(linear: Local64, size: Size): Local64 {
    return this.f.let("i64", loadSized(this.host(linear, size, false), size));
  }

  store(linear: Local64, value: I64, size: Size): void {
    const v = this.f.let("i64", value);
    storeSized(this.f, this.host(linear, size, true), v, size);
  }

  systemFlags(): I32 {
    return i32.load(this.#locals.cpu, S.FLAGS);
  }
  setSystemFlags(value: I32): void {
    this.f.store("i32.store", this.#locals.cpu, value, S.FLAGS);
  }
  cpl(): I32 {
    return i32.load(this.#locals.cpu, S.CPL);
  }

  // Vectors

  imm8(): I32 {
    return i32.const(this.#piece.instance.insn.immLo & 0xff);
  }

  aligned(): void {
    if (this.#piece.instance.memoryAt < 0) return;
    this.#alignmentChecked = true;
    this.faultIf(i32.and(i32.wrap_i64(this.linear()), i32.const(15)));
  }

  #checkAlignment(): void {
    if (this.#piece.instance.aligned && !this.#alignmentChecked) this.aligned();
  }

  outside(): void {
    this.#ways.leave();
  }

  getX(k: number): Local<"v128"> {
    const { f } = this;
    const { instance } = this.#piece;
    if (instance.form[k] !== "m") return f.let("v128", this.#locals.vector(this.#operand(k).reg));
    this.#checkAlignment();
    const { size } = this.#operand(k);
    const host = this.host(this.linear(), size, false);
    if (size === 16) return f.let("v128", v128.load(host));
    const zero = v128.const(new Uint8Array(16));
    return f.let("v128", i64x2.replace_lane(zero, 0, loadSized(host, size as Size)));
  }
  xmm(number: number): V128 {
    return this.#locals.vector(number);
  }
  setX(k: number, value: V128): void {
    if (this.#piece.instance.form[k] !== "m") {
      this.#locals.setVector(this.#operand(k).reg, value);
      return;
    }
    this.#checkAlignment();
    const v = this.f.let("v128", value);
    this.f.store("v128.store", this.host(this.linear(), 16, true), v);
  }
  setXLow(k: number, value: I64, size: 4 | 8): void {
    const { reg } = this.#operand(k);
    const old = this.#locals.vector(reg);
    const changed = size === 8 ? i64x2.replace_lane(old, 0, value) : i32x4.replace_lane(old, 0, i32.wrap_i64(value));
    this.#locals.setVector(reg, changed);
  }
  mxcsr(): I32 {
    return this.#locals.word(S.MXCSR);
  }

  x87({ operation, register, bytes, writes, told = i32.const(0) }: X87Call): Local<"i32"> {
    const { m, f, cpu } = this.#locals;
    const operand = bytes === 0 ? told : this.host(this.linear(), bytes, writes);
    const answer = f.let("i32", callX87(m, f, cpu, operation, register, operand));
    this.faultIf(i32.eqz(answer));
    return answer;
  }

  timestamp(): Stamp {
    return readTimestamp(this.#locals, this.#ways.behind, (refused) => this.faultIf(refused));
  }

  // Control

  push(value: I64, check?: () => void): void {
    const { f, size } = this;
    const v = f.let("i64", value);
    const sp = f.let("i64", i64.add(this.reg(4, 8), i64.const(-size)));
    this.store(sp, v, size);
    check?.();
    this.setReg(4, sp, 8);
  }

  pop(): { value: Local64; commit: (extra?: I64) => void } {
    const sp = this.f.let("i64", this.stackAddress(4));
    const value = this.loadStack(sp);
    const commit = (extra?: I64): void => {
      const above = i64.add(sp, i64.const(this.size));
      this.setStackPointer(extra === undefined ? above : i64.add(above, extra));
    };
    return { value, commit };
  }

  stackAddress(number: number): I64 {
    return this.reg(number, 8);
  }
  loadStack(offset: Local64): Local64 {
    return this.load(offset, this.size);
  }
  setStackPointer(offset: I64): void {
    this.setReg(4, offset, 8);
  }

  next(): I64 {
    const { instance, offset } = this.#piece;
    return i64.add(this.#page, i64.const(offset + instance.insn.len));
  }

  checkTarget(target: Local64): void {
    const bits = i64.extend_i32_u(this.#locals.word(S.SIGN_BITS));
    this.faultIf(i64.ne(i64.shr_s(i64.shl(target, bits), bits), target));
  }
  jump(target: Local64): void {
    this.#ways.jump(target);
  }
  checkDirect(): void {}
  branch(condition: I32, commit?: () => void): void {
    if (commit === undefined) {
      this.#ways.branch(condition);
      return;
    }
    const taken = this.f.let("i32", condition);
    commit();
    this.#ways.branch(taken);
  }
  branchAlways(): void {
    this.#ways.branch(null);
  }

  /** The interpreter finds the fault again, and raises it. */
  faultIf(condition: I32): void {
    this.f.if(condition, this.#ways.leave);
  }
  yieldToInterrupt(): void {
    throw new Error("an instruction that ends a slice in a region");
  }

  mulHigh(a: I64, b: I64): I64 {
    return mulHigh(this.f, a, b);
  }

  /** Dividends of more than 64 bits are the interpreter's. */
  divide(hi: I64, lo: I64, divisor: I64): { quotient: Local64; remainder: Local64 } {
    const { f } = this;
    const [low, by] = [f.let("i64", lo), f.let("i64", divisor)];
    this.faultIf(i64.ne(hi, i64.const(0)));
    const quotient = f.let("i64", i64.div_u(low, by));
    return { quotient, remainder: f.let("i64", i64.sub(low, i64.mul(quotient, by))) };
  }
}
