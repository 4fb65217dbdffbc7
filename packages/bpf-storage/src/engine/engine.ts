import { BpfError } from "../errors.js";
import type { Mode } from "./access.js";
import { Callees } from "./callees.js";
import { type Core, instantiateCore } from "./core.js";
import { FAULTS, type Fault, FaultSignal } from "./faults.js";
import type { HelperTable } from "./helpers.js";
import {
  AREA_BYTES,
  type Area,
  areaAt,
  FRAME_BYTES,
  KERNEL_HIGH,
  LOWEST_OBJECT,
  MAX_FRAMES,
  State,
  WINDOWS,
} from "./layout.js";
import { Loader } from "./loader.js";
import type { Program } from "./program.js";
import { Slots } from "./slots.js";

export type { Mode } from "./access.js";
export type { Fault, FaultKind } from "./faults.js";
export type { Helper, HelperTable, HostArguments, HostHelper, WasmHelper } from "./helpers.js";
export { KERNEL_HIGH, LOWEST_OBJECT } from "./layout.js";
export { ProbeMode } from "./operation.js";
export type { Program } from "./program.js";
export { ProgArray } from "./tail-calls.js";

export interface EngineOptions {
  /** The memory that programs' pointers lead into. It may grow. */
  readonly memory: WebAssembly.Memory;
  /** Gives so many bytes of the memory: an offset, a multiple of 16, not below `LOWEST_OBJECT`. */
  readonly allocate: (bytes: number) => number;
  /** Takes back what `allocate` gave. */
  readonly free: (offset: number) => void;
  /** Helpers by number. Tail calls (12) and bpf_loop (181) are the engine's own. */
  readonly helpers?: HelperTable;
  /** Functions of the kernel by number: BTF id of the call. */
  readonly kfuncs?: HelperTable;
  /**
   * Reads `size` bytes (1, 2, 4 or 8) of an address that is no pointer into the memory, to the offset `into` of the memory; a read that fails
   * leaves there the zeros that it finds.
   */
  readonly probe?: (low: number, high: number, size: number, into: number) => void;
}

export interface LoadOptions {
  /** `jit`: a WebAssembly module of its own. */
  readonly engine: "jit" | "interpreter";
  /**
   * `trusted`: the verifier has shown that every access is allowed. `checked`: an access outside of the stack and of the engine's windows is a
   * fault, or goes to the probe if it is a load of what is no pointer into the memory.
   */
  readonly mode: Mode;
  /**
   * Instructions that a run may execute, 1 to 2^31 - 1; the program then ends with a fault before the straight run of instructions that would exceed
   * them, in both engines alike. Unlimited if absent.
   */
  readonly budget?: number;
}

/** A loaded program. */
export interface Executable {
  /** Index of its first function in the engine's table: what a slot of a program array holds. Those of the other functions follow. */
  readonly entry: number;
  /** What executes it: the interpreter in place of the JIT, if the program is nested too deep for one. */
  readonly engine: "jit" | "interpreter";
  /**
   * Executes the program with r1 as given, by halves, and r2, for programs that are given two arguments. Runs may be nested: a helper may run
   * another program, or this one.
   * @returns the lower half of r0, signed; 0 after a fault, which is then `Engine.fault`
   * @throws what a host function throws
   */
  run(ctxLow: number, ctxHigh: number, r2?: number): number;
  /** Gives back its functions. It must not be running, nor be in a program array. */
  dispose(): void;
}

const UNLIMITED = 0x7fffffff;

function checkBudget({ budget = UNLIMITED }: LoadOptions): void {
  if (!(budget >= 1 && budget <= UNLIMITED))
    throw new BpfError("EINVAL", `a budget of ${budget} instructions; expected 1 to ${UNLIMITED}`);
}

/** Whether WebAssembly's own stack has run out: V8 and JavaScriptCore, SpiderMonkey. */
const isOverflow = (error: unknown): boolean =>
  error instanceof Error && (/call stack size/.test(error.message) || error.name === "InternalError");

/** Executes programs in one memory. */
export class Engine {
  /** How the last run ended, of those that have ended: null if its program returned. */
  fault: Fault | null = null;
  readonly #memory: WebAssembly.Memory;
  readonly #area: Area;
  readonly #free: (offset: number) => void;
  readonly #core: Core;
  readonly #loader: Loader;
  #words: Int32Array;

  /** @throws {BpfError} EINVAL if `allocate` gives what it should not */
  constructor({ memory, allocate, free, helpers, kfuncs, probe }: EngineOptions) {
    const offset = allocate(AREA_BYTES);
    if (offset < LOWEST_OBJECT || offset % 16 !== 0)
      throw new BpfError("EINVAL", `allocate gave ${offset}; expected a multiple of 16, at least ${LOWEST_OBJECT}`);
    this.#memory = memory;
    this.#free = free;
    this.#area = areaAt(offset);
    this.#words = new Int32Array(memory.buffer);
    this.#words.fill(0, offset >>> 2, this.#area.registers >>> 2);
    this.#set(State.sp, this.#area.stackTop);
    this.#set(State.registers, this.#area.registers);
    const shared = typeof SharedArrayBuffer !== "undefined" && (memory.buffer as unknown) instanceof SharedArrayBuffer;
    const slots = new Slots();
    const table = slots.table;
    this.#core = instantiateCore(this.#area, memory, table, shared, probe !== undefined, (low, high, size) =>
      this.#probe(low >>> 0, high >>> 0, size, probe),
    );
    const none: HelperTable = () => undefined;
    const fault = (kind: number, pc: number, low: number, high: number): void => this.#setFault(kind, pc, low, high);
    const callees = new Callees(memory, helpers ?? none, kfuncs ?? none, this.#core.functions.loop, fault);
    this.#loader = new Loader({ area: this.#area, memory, shared, slots, core: this.#core, callees, allocate, free });
  }

  /**
   * Makes a program executable.
   * @throws {BpfError} EINVAL for a program that is malformed, or calls what there is not
   */
  load(program: Program, options: LoadOptions): Executable {
    checkBudget(options);
    return this.#executable(this.#loader.load(program, options), options);
  }

  /** `load` for a browser's main thread, which must not compile large modules at once. */
  async loadAsync(program: Program, options: LoadOptions): Promise<Executable> {
    checkBudget(options);
    return this.#executable(await this.#loader.loadAsync(program, options), options);
  }

  #executable({ entry, engine, dispose }: Omit<Executable, "run">, { budget = UNLIMITED }: LoadOptions): Executable {
    const run = (low: number, high: number, r2 = 0): number => this.#run(entry, budget, low, high, r2, 0, 0, 0, 0, 0);
    return { entry, engine, dispose, run };
  }

  /**
   * Runs a callback that outlives the run that gave it, as of a timer: the function at `index` with three arguments by halves. As `Executable.run`.
   * @param budget as `LoadOptions.budget`, for a program that was loaded with one
   */
  runCallback(
    index: number,
    low1: number,
    high1: number,
    low2: number,
    high2: number,
    low3 = 0,
    high3 = 0,
    budget = UNLIMITED,
  ): number {
    return this.#run(index, budget, low1, high1, low2, high2, low3, high3, 0, 0);
  }

  /**
   * Calls a program's function from within a host function; it is part of the same run. Four arguments by halves.
   * @returns the lower half of its r0, signed; the upper is `resultHigh`
   * @throws what must pass through the host function: it ends the run
   */
  callback(
    index: number,
    low1: number,
    high1: number,
    low2 = 0,
    high2 = 0,
    low3 = 0,
    high3 = 0,
    low4 = 0,
    high4 = 0,
  ): number {
    return this.#core.enter(index, low1, high1, low2, high2, low3, high3, low4, high4, 0, 0);
  }

  /** Lower half of what the last run or callback returned, unsigned. */
  get resultLow(): number {
    return this.#get(State.result) >>> 0;
  }

  /** Upper half, unsigned. */
  get resultHigh(): number {
    return this.#get(State.result + 4) >>> 0;
  }

  /**
   * Lets checked programs access offsets `first` to `end` - 1 of the memory.
   * @param window 0 to 3: replaces what that one was
   * @throws {BpfError} EINVAL for another number, or an end before the first
   */
  setWindow(window: number, first: number, end: number): void {
    if (!(window >= 0 && window < WINDOWS && first <= end))
      throw new BpfError(
        "EINVAL",
        `window ${window}, ${first} to ${end}: expected one of ${WINDOWS} and an ascending range`,
      );
    this.#set(State.windows + 8 * window, first);
    this.#set(State.windows + 8 * window + 4, end);
  }

  /** Gives back the engine's memory. */
  dispose(): void {
    this.#free(this.#area.state);
  }

  #run(
    index: number,
    budget: number,
    low1: number,
    high1: number,
    low2: number,
    high2: number,
    low3: number,
    high3: number,
    low4: number,
    high4: number,
  ): number {
    let words = this.#view();
    const at = this.#area.state >>> 2;
    const sp = words[at + State.sp / 4] as number;
    const floor = words[at + State.floor / 4] as number;
    const fuel = words[at + State.fuel / 4] as number;
    const tailCalls = words[at + State.tailCalls / 4] as number;
    const registers = words[at + State.registers / 4] as number;
    const stackTop = words[at + State.stackTop / 4] as number;
    words[at + State.floor / 4] = Math.max(this.#area.lowestFrame, (sp >>> 0) - MAX_FRAMES * FRAME_BYTES);
    words[at + State.fuel / 4] = budget;
    words[at + State.tailCalls / 4] = 0;
    words[at + State.stackTop / 4] = sp;
    words[at + State.memoryBytes / 4] = Math.min(4 * words.length, 0xffffffff);
    words[at + State.fault / 4] = 0;
    let fault: Fault | null = null;
    try {
      return this.#core.enter(index, low1, high1, low2, high2, low3, high3, low4, high4, 0, 0);
    } catch (error) {
      fault = this.#faultOf(error);
      this.#set(State.result, 0);
      this.#set(State.result + 4, 0);
      return 0;
    } finally {
      this.fault = fault;
      words = this.#view();
      words[at + State.sp / 4] = sp;
      words[at + State.floor / 4] = floor;
      words[at + State.fuel / 4] = fuel;
      words[at + State.tailCalls / 4] = tailCalls;
      words[at + State.registers / 4] = registers;
      words[at + State.stackTop / 4] = stackTop;
    }
  }

  /** The fault that ended a run by `error`, which is thrown again if it is none of the program's. */
  #faultOf(error: unknown): Fault {
    if (isOverflow(error)) return { kind: "stack", pc: -1, addressLow: 0, addressHigh: 0 };
    if (!(error instanceof WebAssembly.RuntimeError || error instanceof FaultSignal)) throw error;
    const kind = FAULTS[this.#get(State.fault)];
    if (kind === undefined || kind === "none") return { kind: "trap", pc: -1, addressLow: 0, addressHigh: 0 };
    this.#set(State.fault, 0);
    return {
      kind,
      pc: this.#get(State.faultPc),
      addressLow: this.#get(State.faultAddress) >>> 0,
      addressHigh: this.#get(State.faultAddress + 4) >>> 0,
    };
  }

  #setFault(kind: number, pc: number, low: number, high: number): void {
    this.#set(State.fault, kind);
    this.#set(State.faultPc, pc);
    this.#set(State.faultAddress, low);
    this.#set(State.faultAddress + 4, high);
  }

  /** A load that its program is not sure of: from the memory, if it has grown meanwhile, or from the guest. */
  #probe(low: number, high: number, size: number, guest: EngineOptions["probe"]): void {
    const into = this.#area.state + State.probed;
    if (high !== KERNEL_HIGH) guest?.(low, high, size, into);
    else if (low + size <= this.#memory.buffer.byteLength)
      new Uint8Array(this.#memory.buffer).copyWithin(into, low, low + size);
  }

  /** The memory; growing has detached the array, or, if it is shared, left what the engine's area is in. Asking for the buffer would take longer. */
  #view(): Int32Array {
    if (this.#words.length === 0) this.#words = new Int32Array(this.#memory.buffer);
    return this.#words;
  }

  #get(field: number): number {
    return this.#view()[(this.#area.state + field) >>> 2] as number;
  }

  #set(field: number, value: number): void {
    this.#view()[(this.#area.state + field) >>> 2] = value;
  }
}
