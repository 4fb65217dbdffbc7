import * as S from "../../state.js";
import { readFlags, writeFlags } from "./rflags.js";

/** The state block of one vCPU in the shared memory: what generated code and TypeScript both see. Offsets are those of `state.ts`. */
export class StateBlock {
  /** Byte offset of the block. */
  readonly base: number;
  /** The whole shared memory. */
  readonly memory: Uint8Array;
  /** The same as doublewords. */
  readonly memoryWords: Int32Array;
  /** The block alone. */
  readonly #words: Int32Array;
  readonly #view: DataView;

  constructor(memory: WebAssembly.Memory, base: number) {
    this.base = base;
    this.memory = new Uint8Array(memory.buffer);
    this.memoryWords = new Int32Array(memory.buffer);
    this.#words = new Int32Array(memory.buffer, base, S.STATE_SIZE / 4);
    this.#view = new DataView(memory.buffer);
  }

  i32(offset: number): number {
    return this.#words[offset >> 2] as number;
  }
  setI32(offset: number, value: number): void {
    this.#words[offset >> 2] = value;
  }
  u8(offset: number): number {
    return this.memory[this.base + offset] as number;
  }
  setU8(offset: number, value: number): void {
    this.memory[this.base + offset] = value;
  }
  u16(offset: number): number {
    return this.#view.getUint16(this.base + offset, true);
  }
  setU16(offset: number, value: number): void {
    this.#view.setUint16(this.base + offset, value, true);
  }
  /** Bytes of the state block, for bulk access. */
  bytes(offset: number, length: number): Uint8Array {
    return this.memory.subarray(this.base + offset, this.base + offset + length);
  }
  /** XMM0 to XMM15, 16 bytes each, live. */
  get xmm(): Uint8Array {
    return this.bytes(S.XMM, 256);
  }
  /** Low and high half of general register `r`. */
  regLo(r: number): number {
    return this.i32(S.GPR + 8 * r);
  }
  regHi(r: number): number {
    return this.i32(S.GPR + 8 * r + 4);
  }
  setReg(r: number, lo: number, hi: number): void {
    this.setI32(S.GPR + 8 * r, lo);
    this.setI32(S.GPR + 8 * r + 4, hi);
  }

  /** RFLAGS, low 32 bits. */
  get rflags(): number {
    return readFlags(this.#words);
  }
  set rflags(value: number) {
    writeFlags(this.#words, value);
  }
  /** RFLAGS without the arithmetic flags. */
  get flags(): number {
    return this.i32(S.FLAGS);
  }
}
