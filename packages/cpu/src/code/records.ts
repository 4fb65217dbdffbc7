import { handlerNumber, pairNumber } from "../interp/handlers.js";
import * as R from "../record.js";
import type { HelperSite } from "../vcpu/context/helper.js";
import type { CodeCache, CrossSite } from "./cache.js";

/** The address of a memory operand: slots of the state block, and a displacement. */
export interface MemoryFields {
  base: number;
  index: number;
  scale: number;
  dispLo: number;
  dispHi: number;
  seg: number;
}

const HELPER = handlerNumber("helper") as number;

/** Appends records to the code cache and fills their fields; `record.ts` has the layout. */
export class RecordWriter {
  readonly #cache: CodeCache;
  readonly #u8: Uint8Array;
  readonly #u16: Uint16Array;
  readonly #i32: Int32Array;
  #charge = false;
  #offset = 0;
  #length = 0;
  /** Memory accesses of the instruction go to the stack segment. */
  stack = false;

  constructor(memory: WebAssembly.Memory, cache: CodeCache) {
    this.#cache = cache;
    this.#u8 = new Uint8Array(memory.buffer);
    this.#u16 = new Uint16Array(memory.buffer);
    this.#i32 = new Int32Array(memory.buffer);
  }

  /**
   * The records that follow are of an instruction of `length` bytes at page offset `offset`.
   * @param charge whether the first one charges for it
   */
  begin(offset: number, length: number, charge: boolean): void {
    this.#offset = offset;
    this.#length = length;
    this.#charge = charge;
  }

  /** Appends a record; what is not given is zero. */
  emit(handler: number, dst = 0, src = 0, imm = 0): number {
    return this.#write(this.#cache.append(), handler, dst, src, imm);
  }

  #write(record: number, handler: number, dst: number, src: number, imm: number): number {
    const words = this.#i32;
    const at = record >> 2;
    // As in `record.ts`: a word at a time.
    words[at] = handler | (this.#length << 16) | (this.#charge ? 1 << 24 : 0);
    words[at + 1] = this.#offset | (dst << 16);
    words[at + 2] = src;
    words[at + 3] = 0;
    words[at + 4] = 0;
    words[at + 5] = 0;
    words[at + 6] = imm;
    words[at + 7] = this.stack ? R.AUX2_STACK << 16 : 0;
    this.#charge = false;
    return record;
  }

  /** A record that is no instruction: charges nothing. */
  step(handler: number, offset: number): number {
    this.begin(offset, 0, false);
    return this.emit(handler);
  }

  /** A `step` that is executed hardly more than once: it is kept from where records are that are executed often. */
  aside(handler: number, offset: number): number {
    this.begin(offset, 0, false);
    return this.#write(this.#cache.appendAside(), handler, 0, 0, 0);
  }

  /** A record that calls TypeScript with `site`: always, or where its handler takes the exit `helper`. */
  call(site: HelperSite | CrossSite, handler = HELPER): number {
    return this.emit(handler, 0, 0, this.#cache.addSite(site));
  }

  /** Has a record execute the one behind it too, if there is a handler for that. */
  fuse(record: number): void {
    const second = this.#u16[(record + R.RECORD + R.R_HANDLER) >> 1] as number;
    const both = pairNumber(this.#u16[(record + R.R_HANDLER) >> 1] as number, second);
    if (both !== undefined) this.#u16[(record + R.R_HANDLER) >> 1] = both;
  }

  setDestination(record: number, slot: number): void {
    this.#u16[(record + R.R_DST) >> 1] = slot;
  }

  setSource(record: number, slot: number): void {
    this.#u16[(record + R.R_SRC) >> 1] = slot;
  }

  setAuxiliary(record: number, value: number): void {
    this.#u8[record + R.R_AUX] = value;
  }

  setImmediate(record: number, value: number): void {
    this.#i32[(record + R.R_IMM) >> 2] = value;
  }

  setDisplacement(record: number, lo: number, hi: number): void {
    this.#i32[(record + R.R_DISP) >> 2] = lo;
    this.#i32[(record + R.R_DISP + 4) >> 2] = hi;
  }

  setMemory(record: number, { base, index, scale, dispLo, dispHi, seg }: Readonly<MemoryFields>): void {
    this.#u16[(record + R.R_BASE) >> 1] = base;
    this.#u16[(record + R.R_INDEX) >> 1] = index;
    this.#u8[record + R.R_SCALE] = scale;
    this.#u16[(record + R.R_SEG) >> 1] = seg;
    this.setDisplacement(record, dispLo, dispHi);
  }
}
