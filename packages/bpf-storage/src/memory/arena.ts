import { BpfError } from "../errors.js";

const PAGE = 65536;
/** In front of every block: its size with this header, and {@link LIVE} while it is in use. */
const HEADER = 16;
const LIVE = 0x6c697665;
/** Offsets below are nobody's: 0 is no pointer, and those that are stay in the memory with any offset of an instruction added. */
const FIRST = 0x8000;
const SMALLEST = 32;
/** Bytes that it grows by at least, and that it is at most larger than it must be. */
const STEP = 1 << 20;

/** What {@link Arena} is made for. */
export interface ArenaDesc {
  /** Bytes it may grow to; default 256 MiB, at most 4 GiB - 64 KiB. */
  readonly limit?: number | undefined;
}

/**
 * The memory that programs, maps and storages live in: blocks of one `WebAssembly.Memory`, by their offset. Blocks that are freed serve again for
 * requests of their size class, which are the powers of two and what lies halfway between.
 */
export class Arena {
  readonly memory: WebAssembly.Memory;
  readonly #limit: number;
  readonly #free = new Map<number, number[]>();
  #top = FIRST;
  #used = 0;
  #u8: Uint8Array;
  #u32: Uint32Array;
  #view: DataView;

  /** @throws {BpfError} EINVAL for a limit out of range */
  constructor({ limit = 256 << 20 }: ArenaDesc = {}) {
    if (!(limit >= PAGE && limit <= 65535 * PAGE))
      throw new BpfError("EINVAL", `a limit of ${limit} bytes: expected ${PAGE} to ${65535 * PAGE}`);
    this.#limit = limit - (limit % PAGE);
    this.memory = new WebAssembly.Memory({ initial: 1, maximum: this.#limit / PAGE });
    this.#u8 = new Uint8Array(this.memory.buffer);
    this.#u32 = new Uint32Array(this.memory.buffer);
    this.#view = new DataView(this.memory.buffer);
  }

  /** Bytes of blocks in use, with what their size class adds. */
  get used(): number {
    return this.#used;
  }

  /** All of it. Anew after every {@link alloc}. */
  get u8(): Uint8Array {
    this.#refresh();
    return this.#u8;
  }

  get view(): DataView {
    this.#refresh();
    return this.#view;
  }

  /** The word at an offset that is a multiple of 4. */
  u32(at: number): number {
    this.#refresh();
    return this.#u32[at >>> 2] as number;
  }

  setU32(at: number, value: number): void {
    this.#refresh();
    this.#u32[at >>> 2] = value;
  }

  /** A copy of `size` bytes. */
  read(at: number, size: number): Uint8Array<ArrayBuffer> {
    return this.u8.slice(at, at + size) as Uint8Array<ArrayBuffer>;
  }

  /**
   * The block's offset, a multiple of 16, filled with zeros; 0 if there is no memory left. What growing brings is not written to: it is zeros
   * already, and the first write to a page is what it costs.
   */
  alloc(size: number): number {
    const whole = sizeClass(size + HEADER);
    const before = this.memory.buffer.byteLength;
    const at = this.#free.get(whole)?.pop() ?? this.#extend(whole);
    if (at === 0) return 0;
    this.#used += whole;
    // Programs that are not verified may have written to anything that was there before, be it in use or not.
    if (at + HEADER < before) this.u8.fill(0, at + HEADER, Math.min(at + whole, before));
    this.setU32(at, whole);
    this.setU32(at + 4, LIVE);
    return at + HEADER;
  }

  /** @throws {RangeError} for what is no block in use: a mistake of this package */
  free(block: number): void {
    const at = block - HEADER;
    if (this.u32(at + 4) !== LIVE) throw new RangeError(`no block in use at ${block}`);
    const whole = this.u32(at);
    this.setU32(at + 4, 0);
    this.#used -= whole;
    const list = this.#free.get(whole);
    if (list === undefined) this.#free.set(whole, [at]);
    else list.push(at);
  }

  #extend(size: number): number {
    const at = this.#top;
    const end = at + size;
    const have = this.memory.buffer.byteLength;
    if (end > have) {
      if (end > this.#limit) return 0;
      // By some more than is asked for, so that growing stays rare.
      const more = Math.min(this.#limit, end + STEP) - have;
      this.memory.grow(Math.ceil(more / PAGE));
    }
    this.#top = end;
    return at;
  }

  #refresh(): void {
    if (this.#u8.buffer === this.memory.buffer) return;
    this.#u8 = new Uint8Array(this.memory.buffer);
    this.#u32 = new Uint32Array(this.memory.buffer);
    this.#view = new DataView(this.memory.buffer);
  }
}

/** The least of the sizes 2^n and 3 x 2^n that is not below `size`. */
function sizeClass(size: number): number {
  if (size <= SMALLEST) return SMALLEST;
  const power = 2 ** Math.ceil(Math.log2(size));
  const between = power * 0.75;
  return between >= size ? between : power;
}
