import { sha384 } from "@noble/hashes/sha2.js";
import { FieldError } from "../bytes/errors.js";

/** Which of the registers that a TD extends while it runs. */
export type RtmrIndex = 0 | 1 | 2 | 3;
/** How many there are. */
export const RTMR_COUNT = 4;
/** Bytes of a register, and of what it is extended with. */
export const RTMR_SIZE = 48;

/**
 * RTMR0 to RTMR3 of a TD. Each starts as zeros, and is extended: it becomes SHA-384 of itself and 48 bytes more.
 *
 * Source: Intel TDX module, TDG.MR.RTMR.EXTEND.
 */
export class Rtmrs {
  readonly #values: Uint8Array[] = Array.from({ length: RTMR_COUNT }, () => new Uint8Array(RTMR_SIZE));

  /** TDG.MR.RTMR.EXTEND. @throws {FieldError} for a digest of another length than 48; nothing changes then */
  extend(index: RtmrIndex, digest: Uint8Array): void {
    if (digest.length !== RTMR_SIZE)
      throw new FieldError("field-size", `digest has ${digest.length} bytes; it has to have ${RTMR_SIZE}`);
    this.#values[index] = sha384.create().update(this.get(index)).update(digest).digest();
  }

  /** A register's value, 48 bytes, as a copy. */
  get(index: RtmrIndex): Uint8Array {
    return (this.#values[index] as Uint8Array).slice();
  }

  /** All four, one after the other, 192 bytes: what {@link restore} takes. */
  save(): Uint8Array {
    const all = new Uint8Array(RTMR_COUNT * RTMR_SIZE);
    for (const [k, value] of this.#values.entries()) all.set(value, k * RTMR_SIZE);
    return all;
  }

  /** @param saved of {@link save} @throws {FieldError} for another length; nothing changes then */
  restore(saved: Uint8Array): void {
    if (saved.length !== RTMR_COUNT * RTMR_SIZE)
      throw new FieldError("field-size", `saved registers have ${saved.length} bytes; they have to have 192`);
    for (let k = 0; k < RTMR_COUNT; k++) this.#values[k] = saved.slice(k * RTMR_SIZE, (k + 1) * RTMR_SIZE);
  }
}
