import { type Expr, type FunctionBuilder, i32, i64, type Label, type Local } from "@vm/wasm";
import { FlagPair } from "../sem/flag-pair.js";
import type { Flags } from "../sem/flags.js";
import * as S from "../state.js";

type I32 = Expr<"i32">;
type I64 = Expr<"i64">;

/** Status word (SDM vol. 1, 8.1.3). */
const C1 = 0x200;
const TOP = 0x3800;
/** ES, and B that mirrors it: clear, as every exception is masked. */
const SUMMARY = 0x8080;
/** C3, C2 and C0. */
const CODES = 0x4500;
/** Exception masks of the control word. */
const MASKS = 0x3f;

/** What an operation answers where it leaves everything to the helper in TypeScript, as it was. */
export const REFUSED = 0;
export const DONE = 1;

/** A place on the register stack: 16 * physical number, the distance of the register from `FPR` of the state block. */
export type Place = Local<"i32">;

/**
 * The x87 unit as an operation in wasm sees it, with all exceptions masked: what `vcpu/helpers/x87/x87-unit.ts` is for the helpers. The status
 * word is read once and written by the last step.
 */
export class Unit {
  readonly f: FunctionBuilder;
  readonly cpu: Local<"i32">;
  /** The register that the instruction names. */
  readonly i: Local<"i32">;
  /** Host address of the memory operand. */
  readonly host: Local<"i32">;
  /** What is answered where nothing is refused. */
  answer: I32 = i32.const(DONE);
  readonly #fsw: Local<"i32">;
  readonly #refused: Label;

  constructor(f: FunctionBuilder, refused: Label) {
    this.f = f;
    this.#refused = refused;
    this.cpu = f.param<"i32">(0);
    this.i = f.param<"i32">(1);
    this.host = f.param<"i32">(2);
    this.#fsw = f.temp("i32");
  }

  get fcw(): I32 {
    return i32.load16_u(this.cpu, S.FCW);
  }

  get fsw(): I32 {
    return this.#fsw;
  }

  /** Rounding control, a `Round`. */
  get rc(): I32 {
    return i32.and(i32.shr_u(this.fcw, i32.const(10)), i32.const(3));
  }

  /** Leaves the instruction to the helper where `condition` holds. Nothing may have been written. */
  refuse(condition: I32): void {
    this.f.brIf(condition, this.#refused);
  }

  /** Begins an instruction. One that waits refuses unless all exceptions are masked: then none can be pending or be delivered. */
  begin(waiting: boolean): void {
    const off = i32.load(this.cpu, S.MMX_OFF);
    const unmasked = i32.xor(i32.and(this.fcw, i32.const(MASKS)), i32.const(MASKS));
    this.refuse(waiting ? i32.or(off, unmasked) : off);
    this.f.set(this.#fsw, i32.load16_u(this.cpu, S.FSW));
  }

  /** The arithmetic flags, in the state block. */
  get flags(): Flags {
    const { f, cpu } = this;
    return new FlagPair(f, 8, {
      fr: () => i64.load(cpu, S.FR),
      setFr: (value) => f.store("i64.store", cpu, value, S.FR),
      fa: () => i64.load(cpu, S.FA),
      setFa: (value) => f.store("i64.store", cpu, value, S.FA),
    });
  }

  // The register stack

  /** ST(i). */
  place(i: I32): Place {
    const sum = i32.add(i32.shr_u(this.#fsw, i32.const(7)), i32.shl(i, i32.const(4)));
    return this.f.let("i32", i32.and(sum, i32.const(0x70)));
  }

  /** ST(0). */
  top(): Place {
    return this.place(i32.const(0));
  }

  /** The register that a push fills; refused while in use. */
  room(): Place {
    const place = this.place(i32.const(7));
    this.refuse(this.inUse(place));
    return place;
  }

  /** Refuses an empty register. */
  need(place: Place): Place {
    this.refuse(i32.eqz(this.inUse(place)));
    return place;
  }

  inUse(place: Place): I32 {
    const tags = i32.load8_u(this.cpu, S.FTW);
    return i32.and(i32.shr_u(tags, i32.shr_u(place, i32.const(4))), i32.const(1));
  }

  /** Host address of a register, less `FPR`. */
  at(place: Place): I32 {
    return i32.add(this.cpu, place);
  }

  significand(place: Place): I64 {
    return i64.load(this.at(place), S.FPR);
  }

  /** Sign (bit 15) and biased exponent. */
  top16(place: Place): I32 {
    return i32.load16_u(this.at(place), S.FPR + 8);
  }

  /** Writes a register that is in use. */
  write(place: Place, significand: I64, top16: I32): void {
    this.f.store("i64.store", this.at(place), significand, S.FPR);
    this.f.store("i32.store16", this.at(place), top16, S.FPR + 8);
  }

  /** Makes a register valid. */
  validate(place: Place): void {
    this.#setTags(i32.or(i32.load8_u(this.cpu, S.FTW), this.#bit(place)));
  }

  /** Makes a register empty. */
  free(place: Place): void {
    this.#setTags(i32.and(i32.load8_u(this.cpu, S.FTW), i32.xor(this.#bit(place), i32.const(-1))));
  }

  #bit(place: Place): I32 {
    return i32.shl(i32.const(1), i32.shr_u(place, i32.const(4)));
  }

  #setTags(tags: I32): void {
    this.f.store("i32.store8", this.cpu, tags, S.FTW);
  }

  // The status word

  #setStatus(fsw: I32): void {
    this.f.store("i32.store16", this.cpu, fsw, S.FSW);
  }

  /** Moves the top of the stack: 1 down by a pop, -1 by a push. Tags stay. */
  rotate(by: 1 | -1): void {
    const moved = i32.and(i32.add(this.#fsw, i32.const(by << 11)), i32.const(TOP));
    this.f.set(this.#fsw, i32.or(i32.and(this.#fsw, i32.const(~TOP)), moved));
    this.#setStatus(this.#fsw);
  }

  /** Notes no exception, and C1 = 0 or, of `flags`, exceptions and C1. */
  note(flags?: I32): void {
    const kept = i32.and(this.#fsw, i32.const(~(C1 | SUMMARY)));
    this.f.set(this.#fsw, flags === undefined ? kept : i32.or(kept, flags));
    this.#setStatus(this.#fsw);
  }

  noteKeepingC1(): void {
    this.f.set(this.#fsw, i32.and(this.#fsw, i32.const(~SUMMARY)));
    this.#setStatus(this.#fsw);
  }

  /** Replaces the condition codes, C1 too. */
  setCodes(codes: I32): void {
    this.f.set(this.#fsw, i32.or(i32.and(this.#fsw, i32.const(~(CODES | C1))), codes));
    this.#setStatus(this.#fsw);
  }

  /** The status word has been written elsewhere. */
  reload(): void {
    this.f.set(this.#fsw, i32.load16_u(this.cpu, S.FSW));
  }

  /** Moves the top of the stack to `room`, which becomes valid with this number. */
  push(room: Place, significand: I64, top16: I32): void {
    this.write(room, significand, top16);
    this.validate(room);
    this.rotate(-1);
    this.note();
  }

  pop(): void {
    this.free(this.top());
    this.rotate(1);
  }
}
