import { type FunctionBuilder, i32, i64, type Local, type ModuleBuilder, v128 } from "@vm/wasm";
import type { I64, V128 } from "../sem/ctx.js";
import * as S from "../state.js";
import { FlagLocals } from "./flags.js";

type I64Local = Local<"i64">;

/**
 * The vCPU's state as locals of a region's function. What the region uses is loaded when it is entered, what it writes is stored when it
 * is left, whichever way: a register that was not written on that way still has its value.
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
  readonly #generalWritten = new Set<number>();
  readonly #vectorWritten = new Set<number>();
  #conditional = false;
  readonly #words = new Map<number, Local<"i32">>();
  readonly #longs = new Map<number, I64Local>();

  constructor(m: ModuleBuilder, f: FunctionBuilder) {
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
    const known = this.#general[number];
    if (known !== undefined) return known;
    const local = this.f.local("i64");
    this.#general[number] = local;
    return local;
  }

  setGeneral(number: number, value: I64): void {
    this.#generalWritten.add(number);
    this.f.assign(this.general(number), value, !this.#conditional);
  }

  /** What `body` assigns, it may also not assign. */
  conditional(body: () => void): void {
    const outer = this.#conditional;
    this.#conditional = true;
    body();
    this.#conditional = outer;
  }

  /** Control comes here from elsewhere too: what registers hold is not known. */
  join(): void {
    for (const local of this.#general) if (local !== undefined) this.f.widen(local);
  }

  vector(number: number): Local<"v128"> {
    const known = this.#vector[number];
    if (known !== undefined) return known;
    const local = this.f.local("v128");
    this.#vector[number] = local;
    return local;
  }

  setVector(number: number, value: V128): void {
    this.#vectorWritten.add(number);
    this.f.set(this.vector(number), value);
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
    const { f, cpu, flags } = this;
    f.set(this.left, i32.load(cpu, S.BUDGET));
    for (const [offset, local] of this.#words) f.set(local, i32.load(cpu, offset));
    for (const [offset, local] of this.#longs) f.set(local, i64.load(cpu, offset));
    this.#general.forEach((local, n) => {
      if (local !== undefined) f.set(local, i64.load(cpu, S.GPR + 8 * n));
    });
    this.#vector.forEach((local, n) => {
      if (local !== undefined) f.set(local, v128.load(cpu, S.XMM + 16 * n));
    });
    if (!flags.used) return;
    f.set(flags.kind, i32.load(cpu, S.FK));
    f.set(flags.a, i64.load(cpu, S.FA));
    f.set(flags.b, i64.load(cpu, S.FB));
    f.set(flags.r, i64.load(cpu, S.FR));
  }

  /** Writes what the function ends with. */
  store(): void {
    const { f, cpu, flags } = this;
    for (const n of this.#generalWritten) f.store("i64.store", cpu, this.general(n), S.GPR + 8 * n);
    for (const n of this.#vectorWritten) f.store("v128.store", cpu, this.vector(n), S.XMM + 16 * n);
    f.store("i32.store", cpu, this.left, S.BUDGET);
    if (!flags.used) return;
    f.store("i32.store", cpu, flags.kind, S.FK);
    f.store("i64.store", cpu, flags.a, S.FA);
    f.store("i64.store", cpu, flags.b, S.FB);
    f.store("i64.store", cpu, flags.r, S.FR);
  }
}
