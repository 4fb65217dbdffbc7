import type { Pending, Raising } from "../context/event.js";
import { Vector } from "../registers/constants.js";
import type { Registers } from "../registers/registers.js";

/** DR6: general detect. */
const DR6_BD = 0x2000;

/** What instructions raised and the run loop has not delivered yet: an exception, the causes of a #DB. */
export class PendingEvents implements Raising {
  readonly #registers: Registers;
  #pending: Pending | null = null;
  /** Bits of DR6 for a #DB after the current instruction. */
  #debug = 0;
  /** Debug exceptions wait for one instruction: MOV SS, POP SS (SDM vol. 3, 6.8.3). */
  stackShadow = false;

  constructor(registers: Registers) {
    this.#registers = registers;
  }

  reset(): void {
    this.#pending = null;
    this.#debug = 0;
    this.stackShadow = false;
  }

  /** Makes everything that waits what it was: an event, causes of a #DB, and whether MOV SS holds that. */
  restore(event: Pending | null, debugTraps: number, stackShadow: boolean): void {
    this.#pending = event;
    this.#debug = debugTraps;
    this.stackShadow = stackShadow;
  }

  /** Causes of a #DB that waits, as bits of DR6. */
  get debugTraps(): number {
    return this.#debug;
  }

  get pending(): Pending | null {
    return this.#pending;
  }

  /** The pending event, to be delivered now. */
  take(): Pending | null {
    const pending = this.#pending;
    this.#pending = null;
    return pending;
  }

  raise(vector: Vector): false {
    this.#pending = { vector, errorCode: null, kind: "exception" };
    return false;
  }

  raiseError(vector: Vector, errorCode: number): false {
    this.#pending = { vector, errorCode, kind: "exception" };
    return false;
  }

  raiseNonCanonical(): void {
    this.#pending = { vector: Vector.GP, errorCode: 0, kind: "exception", nonCanonical: true };
  }

  /** `raiseNonCanonical` is what is pending. */
  get nonCanonical(): boolean {
    return this.#pending?.nonCanonical === true;
  }

  /** What generated code raises. */
  raiseFromCode(vector: number): void {
    if (vector === Vector.GP || vector === Vector.SS) this.raiseError(vector, 0);
    else this.raise(vector);
  }

  raisePageFault(lo: number, hi: number, errorCode: number): false {
    this.#pending = { vector: Vector.PF, errorCode, kind: "exception", cr2Lo: lo, cr2Hi: hi };
    return false;
  }

  /** Injects an event from outside, to be delivered before the next instruction. */
  inject(vector: number, errorCode: number | null): void {
    this.#pending = { vector, errorCode, kind: "exception" };
  }

  redeliver(event: Pending): void {
    this.#pending = event;
  }

  forget(): void {
    this.#pending = null;
  }

  // #DB

  debugTrap(mask: number): void {
    if (mask === 0) return;
    this.#debug |= mask;
    this.#registers.endSlice();
  }

  /** The instruction just retired is followed by #DB for `bits` of DR6. */
  noteDebug(bits: number): void {
    this.#debug |= bits;
  }

  /** The instruction with noted debug traps did not retire. */
  discardDebug(): void {
    this.#debug = 0;
  }

  takeDebugTraps(): void {
    if (this.#debug !== 0) this.#noteInDr6();
  }

  raiseDebugFault(bits: number): false {
    this.#debug = bits;
    this.#raiseDebug();
    return false;
  }

  /** Raises #DB for what was noted, unless something else is pending or MOV SS holds it. @returns whether it did */
  raiseNotedDebug(): boolean {
    if (this.#debug === 0 || this.#pending !== null || this.stackShadow) return false;
    this.#raiseDebug();
    return true;
  }

  #raiseDebug(): void {
    const generalDetect = (this.#debug & DR6_BD) !== 0;
    this.#noteInDr6();
    this.#pending = { vector: Vector.DB, errorCode: null, kind: "exception", generalDetect };
  }

  /** B0-B3 are those of this exception, the other bits of DR6 stay until software clears them. */
  #noteInDr6(): void {
    const { dr } = this.#registers;
    dr[12] = ((dr[12] as number) & ~0xf) | this.#debug;
    this.#debug = 0;
  }
}
