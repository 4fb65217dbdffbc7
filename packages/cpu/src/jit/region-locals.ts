import { type Func, type FunctionBuilder, i32, i64, type Local, type ModuleBuilder, v128 } from "@vm/wasm";
import type { I64, V128 } from "../sem/ctx.js";
import * as S from "../state.js";
import { FlagLocals } from "./flags.js";
import type { TightLoop } from "./loops.js";

/** Functions that every module with regions imports. */
export interface Callees {
  /** `(cpu, record) -> record`: executes what a region calls. */
  readonly called: Func;
  /** `(cpu) -> 1`, with the counter at `STAMP`; 0 if the interpreter must execute the instruction. */
  readonly timestamp: Func;
}

type I64Local = Local<"i64">;

/**
 * The vCPU's state in a region's function. Registers stay in the state block; what a block reads of them is loaded once into locals, and what
 * it writes goes to both, so that a region is entered and left at no cost, and V8 has few values to keep at a time. Only a tight loop keeps
 * its registers in locals from its beginning to its end.
 */
export class RegionLocals {
  readonly m: ModuleBuilder;
  readonly f: FunctionBuilder;
  /** Base of the vCPU state block. */
  readonly cpu: Local<"i32">;
  /** Instructions that may still be started. */
  readonly left: Local<"i32">;
  /** Record to go on with, or 0: at `PC`. */
  readonly record: Local<"i32">;
  readonly flags: FlagLocals;
  readonly #general: (I64Local | undefined)[] = new Array(16);
  readonly #vector: (Local<"v128"> | undefined)[] = new Array(16);
  /** Registers whose locals hold what they hold: general ones, and 16 more for each vector. */
  #known: Set<number> = new Set();
  /** The loop that code is being written for. */
  #loop: TightLoop | null = null;
  #conditional = false;
  readonly #words = new Map<number, Local<"i32">>();
  readonly #longs = new Map<number, I64Local>();

  constructor(
    m: ModuleBuilder,
    f: FunctionBuilder,
    /** What regions of the module can call. */
    readonly callees: Callees,
  ) {
    this.m = m;
    this.f = f;
    this.cpu = f.param<"i32">(0);
    this.left = f.local("i32");
    this.record = f.local("i32");
    this.flags = new FlagLocals(f);
  }

  /** Linear address of the page that the region was entered in. */
  get page(): I64Local {
    return this.long(S.PAGE_VA);
  }

  general(number: number): I64Local {
    const local = this.#generalLocal(number);
    if (this.#get(number)) this.f.assign(local, i64.load(this.cpu, S.GPR + 8 * number), false);
    return local;
  }

  setGeneral(number: number, value: I64): void {
    const local = this.#generalLocal(number);
    this.f.assign(local, value, !this.#conditional);
    if (this.#set(number)) this.#storeGeneral(number);
  }

  vector(number: number): Local<"v128"> {
    const local = this.#vectorLocal(number);
    if (this.#get(16 + number)) this.f.set(local, v128.load(this.cpu, S.XMM + 16 * number));
    return local;
  }

  setVector(number: number, value: V128): void {
    this.f.set(this.#vectorLocal(number), value);
    if (this.#set(16 + number)) this.#storeVector(number);
  }

  #generalLocal(number: number): I64Local {
    let local = this.#general[number];
    if (local === undefined) {
      local = this.f.local("i64");
      this.#general[number] = local;
    }
    return local;
  }

  #vectorLocal(number: number): Local<"v128"> {
    let local = this.#vector[number];
    if (local === undefined) {
      local = this.f.local("v128");
      this.#vector[number] = local;
    }
    return local;
  }

  #storeGeneral(number: number): void {
    this.f.store("i64.store", this.cpu, this.#generalLocal(number), S.GPR + 8 * number);
  }

  #storeVector(number: number): void {
    this.f.store("v128.store", this.cpu, this.#vectorLocal(number), S.XMM + 16 * number);
  }

  /** A register is about to be read. @returns whether it must be loaded */
  #get(register: number): boolean {
    if (this.#known.has(register)) return false;
    this.#known.add(register);
    return true;
  }

  /** A register has been written. @returns whether it must be stored */
  #set(register: number): boolean {
    this.#known.add(register);
    return this.#loop === null || !this.#loop.written.has(register);
  }

  /** What `body` assigns, it may also not assign. */
  conditional(body: () => void): void {
    const outer = this.#conditional;
    this.#conditional = true;
    this.aside(body);
    this.#conditional = outer;
  }

  /** What `body` loads is not loaded behind it. */
  aside(body: () => void): void {
    const known = new Set(this.#known);
    const loop = this.#loop;
    body();
    this.#known = known;
    this.#loop = loop;
  }

  /**
   * A block begins.
   * @param loop that it is part of
   * @param joins control comes here from more than one place
   */
  begin(loop: TightLoop | null, joins: boolean): void {
    this.#loop = loop;
    if (joins) this.#known = new Set(loop?.registers);
    // Widths are followed in the order of writing, and what was written last may be another way.
    for (const register of this.#known) if (register < 16) this.f.widen(this.#generalLocal(register));
  }

  /**
   * Control is about to come to a loop.
   * @param joins from more than one place
   */
  enterLoop(loop: TightLoop, joins: boolean): void {
    this.aside(() => {
      if (joins) this.#known = new Set();
      for (const register of loop.registers) {
        if (register < 16) this.general(register);
        else this.vector(register - 16);
      }
    });
  }

  /** Control is about to go from a loop to elsewhere. */
  leaveLoop({ written }: TightLoop): void {
    for (const register of written) {
      if (register < 16) this.#storeGeneral(register);
      else this.#storeVector(register - 16);
    }
  }

  /** A 32-bit word of the state block that no region changes. */
  word(offset: number): Local<"i32"> {
    let local = this.#words.get(offset);
    if (local === undefined) {
      local = this.f.local("i32");
      this.#words.set(offset, local);
    }
    return local;
  }

  /** The same for 64 bits. */
  long(offset: number): I64Local {
    let local = this.#longs.get(offset);
    if (local === undefined) {
      local = this.f.local("i64");
      this.#longs.set(offset, local);
    }
    return local;
  }

  /** Writes what the function begins with; everything that is used is known by now. */
  load(): void {
    const { f, cpu } = this;
    for (const [offset, local] of this.#words) f.set(local, i32.load(cpu, offset));
    for (const [offset, local] of this.#longs) f.set(local, i64.load(cpu, offset));
    this.reload();
  }

  /** Loads what other regions may have changed. */
  reload(): void {
    const { f, cpu, flags } = this;
    f.set(this.left, i32.load(cpu, S.BUDGET));
    if (!flags.used) return;
    f.set(flags.kind, i32.load(cpu, S.FK));
    f.set(flags.a, i64.load(cpu, S.FA));
    f.set(flags.b, i64.load(cpu, S.FB));
    f.set(flags.r, i64.load(cpu, S.FR));
  }

  /** Writes what the function ends with, and what is called begins with. */
  store(): void {
    const { f, cpu, flags } = this;
    f.store("i32.store", cpu, this.left, S.BUDGET);
    if (!flags.used) return;
    f.store("i32.store", cpu, flags.kind, S.FK);
    f.store("i64.store", cpu, flags.a, S.FA);
    f.store("i64.store", cpu, flags.b, S.FB);
    f.store("i64.store", cpu, flags.r, S.FR);
  }
}
