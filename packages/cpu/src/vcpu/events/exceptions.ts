import type { Pending } from "../context/event.js";
import { Vector } from "../registers/constants.js";
import { Registers } from "../registers/registers.js";

/** DR6: general detect. */
const DR6_BD = 0x2000;

/**
 * What instructions raised and the run loop has not delivered yet: an exception, the causes of a #DB. The methods that raise return false,
 * for use as a helper's failure.
 */
export abstract class Exceptions extends Registers {
  #pending: Pending | null = null;
  /** Bits of DR6 for a #DB after the current instruction. */
  #debug = 0;
  /** Debug exceptions wait for one instruction: MOV SS, POP SS (SDM vol. 3, 6.8.3). */
  protected stackShadow = false;

  protected resetExceptions(): void {
    this.#pending = null;
    this.#debug = 0;
    this.stackShadow = false;
  }

  get pending(): Pending | null {
    return this.#pending;
  }

  /** The pending event, to be delivered now. */
  protected takePending(): Pending | null {
    const pending = this.#pending;
    this.#pending = null;
    return pending;
  }

  /** Notes exception `vector` without error code. */
  raise(vector: Vector): false {
    this.#pending = { vector, errorCode: null, kind: "exception" };
    return false;
  }

  raiseError(vector: Vector, errorCode: number): false {
    this.#pending = { vector, errorCode, kind: "exception" };
    return false;
  }

  /** #GP(0) for an address, or #SS(0) if the record turns out to access the stack. */
  raiseNonCanonical(): void {
    this.#pending = { vector: Vector.GP, errorCode: 0, kind: "exception", nonCanonical: true };
  }

  /** `raiseNonCanonical` is what is pending. */
  protected get nonCanonical(): boolean {
    return this.#pending?.nonCanonical === true;
  }

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

  /** Notes an event whose delivery was left half-way: it is delivered first when `run` goes on. */
  redeliver(event: Pending): void {
    this.#pending = event;
  }

  /** Forgets a noted exception: what raised it turned out not to matter. */
  forget(): void {
    this.#pending = null;
  }

  // #DB

  /** The current instruction met breakpoints `mask` with its data or ports: #DB follows it. */
  debugTrap(mask: number): void {
    if (mask === 0) return;
    this.#debug |= mask;
    this.endSlice();
  }

  /** The instruction just retired is followed by #DB for `bits` of DR6. */
  protected noteDebug(bits: number): void {
    this.#debug |= bits;
  }

  /** The instruction with noted debug traps did not retire. */
  protected discardDebug(): void {
    this.#debug = 0;
  }

  /** Moves waiting debug traps to DR6: the #DB that is about to be delivered is theirs too. */
  takeDebugTraps(): void {
    if (this.#debug !== 0) this.#noteInDr6();
  }

  /** #DB as a fault: `bits` of DR6 tell why. */
  raiseDebugFault(bits: number): false {
    this.#debug = bits;
    this.#raiseDebug();
    return false;
  }

  /** Raises #DB for what was noted, unless something else is pending or MOV SS holds it. @returns whether it did */
  protected raiseNotedDebug(): boolean {
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
    this.dr[12] = ((this.dr[12] as number) & ~0xf) | this.#debug;
    this.#debug = 0;
  }
}
