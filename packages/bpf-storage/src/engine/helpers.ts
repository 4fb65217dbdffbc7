import { CALL_RESULT, KERNEL_HIGH } from "./layout.js";

/** Functions that programs call by number: helpers and kfuncs. */

/** Arguments and result of a call of a host function. Valid during that call; a call made by it, of a callback that calls others, does not disturb it. */
export interface HostArguments {
  /** Lower half of argument `k` (0 to 4), unsigned. Of a pointer into the memory: its offset. */
  low(k: number): number;
  /** Upper half of argument `k`, unsigned. */
  high(k: number): number;
  /** Argument `k`, unsigned; exact up to 2^53. */
  number(k: number): number;
  /** Argument `k`, unsigned. */
  big(k: number): bigint;
  /** The call's result, by halves; 0 if nothing is set. */
  setResult(low: number, high: number): void;
  /** The result -`errno`, as 64 bits: `setErrno(22)` is -EINVAL. */
  setErrno(errno: number): void;
  /** The result as a pointer to an offset in memory. */
  setPointer(offset: number): void;
}

/** A function of WebAssembly of type (i64, i64, i64, i64, i64) -> i64, called without JavaScript in between. */
export interface WasmHelper {
  readonly kind: "wasm";
  readonly func: CallableFunction;
}

/** A function of JavaScript. What it throws ends the run and comes out of `Executable.run`. */
export interface HostHelper {
  readonly kind: "host";
  call(args: HostArguments): void;
}

export type Helper = WasmHelper | HostHelper;

/** The function with a number, if there is one. It is asked when a program is loaded, by calls by register also while it runs. */
export type HelperTable = (id: number) => Helper | undefined;

/** The arguments of the host call that is running, in memory. */
export class CallArguments implements HostArguments {
  #words = new Uint32Array(0);
  /** Index of the first argument's lower half. */
  #at = 0;

  constructor(readonly memory: WebAssembly.Memory) {}

  /** Calls `helper` with the arguments at `offset`. */
  run(helper: HostHelper, offset: number): void {
    const outer = this.#at;
    this.#at = offset >>> 2;
    this.setResult(0, 0);
    try {
      helper.call(this);
    } finally {
      this.#at = outer;
    }
  }

  /** The memory; growing has detached the array, or, if it is shared, left what the arguments are in. Asking for the buffer would take longer. */
  #memory(): Uint32Array {
    if (this.#words.length === 0) this.#words = new Uint32Array(this.memory.buffer);
    return this.#words;
  }

  low(k: number): number {
    return this.#memory()[this.#at + 2 * k] as number;
  }

  high(k: number): number {
    return this.#memory()[this.#at + 2 * k + 1] as number;
  }

  number(k: number): number {
    return this.high(k) * 0x100000000 + this.low(k);
  }

  big(k: number): bigint {
    return (BigInt(this.high(k)) << 32n) | BigInt(this.low(k));
  }

  setResult(low: number, high: number): void {
    const words = this.#memory();
    const at = this.#at + CALL_RESULT / 4;
    words[at] = low;
    words[at + 1] = high;
  }

  setErrno(errno: number): void {
    this.setResult(-errno, -1);
  }

  setPointer(offset: number): void {
    this.setResult(offset, KERNEL_HIGH);
  }
}
