import { FieldError } from "../bytes/errors.js";
import { type RunningSha384, runningSha384 } from "./running-sha384.js";

/** Bytes of a page. */
export const PAGE = 4096;
/** Bytes that one TDH.MR.EXTEND measures. */
export const EXTEND_CHUNK = 256;
/** Bytes of the block that says what is done and where; the rest of it is zero. */
const BLOCK = 128;
/** Bytes that are gathered before they are hashed: pieces as small as these cost the call more than the hash. */
const GATHERED = 2 ** 15;
/** Where the block has the guest-physical address. */
const GPA_OFFSET = 16;

/** The block of one operation, filled in time and again. */
class Block {
  readonly bytes = new Uint8Array(BLOCK);
  readonly #view = new DataView(this.bytes.buffer);

  constructor(name: string) {
    this.bytes.set(new TextEncoder().encode(name));
  }

  /** @throws {FieldError} unless `gpa` is a multiple of `alignment` below 2^52 */
  at(gpa: number, alignment: number): Uint8Array {
    if (!Number.isInteger(gpa) || gpa < 0 || gpa >= 2 ** 52 || gpa % alignment !== 0)
      throw new FieldError("field-range", `gpa is ${gpa}; it has to be a multiple of ${alignment} below 2^52`);
    this.#view.setUint32(GPA_OFFSET, gpa % 2 ** 32, true);
    this.#view.setUint32(GPA_OFFSET + 4, Math.floor(gpa / 2 ** 32), true);
    return this.bytes;
  }
}

/**
 * The measurement of a TD while it is being built: SHA-384 over a block for each page that is added and for each chunk that is measured, in
 * the order in which that happens. The content of a page counts only as far as it is extended.
 *
 * Source: Intel TDX module, TDH.MEM.PAGE.ADD and TDH.MR.EXTEND.
 */
export class Mrtd {
  readonly #hash: RunningSha384;
  /** What came and is not hashed yet: the first {@link #waiting} bytes. */
  readonly #gathered = new Uint8Array(GATHERED);
  #waiting = 0;
  readonly #pageAdd = new Block("MEM.PAGE.ADD");
  readonly #extend = new Block("MR.EXTEND");

  constructor(hash = runningSha384()) {
    this.#hash = hash;
  }

  /** TDH.MEM.PAGE.ADD. @param gpa aligned to {@link PAGE}, below 2^52 @throws {FieldError} for another */
  pageAdd(gpa: number): void {
    this.#take(this.#pageAdd.at(gpa, PAGE));
  }

  /**
   * TDH.MR.EXTEND.
   *
   * @param gpa aligned to {@link EXTEND_CHUNK}, below 2^52
   * @param chunk the {@link EXTEND_CHUNK} bytes that are there
   * @throws {FieldError} for another address or length; nothing is measured then
   */
  extend(gpa: number, chunk: Uint8Array): void {
    if (chunk.length !== EXTEND_CHUNK)
      throw new FieldError("field-size", `chunk has ${chunk.length} bytes; it has to have ${EXTEND_CHUNK}`);
    this.#take(this.#extend.at(gpa, EXTEND_CHUNK));
    this.#take(chunk);
  }

  /** MRTD if the TD were finalized now, 48 bytes. More may follow. */
  digest(): Uint8Array {
    return this.#hashed().digest();
  }

  /** Another measurement, that has seen the same so far. */
  clone(): Mrtd {
    return new Mrtd(this.#hashed().clone());
  }

  #take(bytes: Uint8Array): void {
    if (this.#waiting + bytes.length > GATHERED) this.#hashed();
    this.#gathered.set(bytes, this.#waiting);
    this.#waiting += bytes.length;
  }

  /** The hash of all that came. */
  #hashed(): RunningSha384 {
    this.#hash.update(this.#gathered.subarray(0, this.#waiting));
    this.#waiting = 0;
    return this.#hash;
  }
}
