import { type FunctionBuilder, i32, i64, type Local, type ModuleBuilder } from "@vm/wasm";
import type { ExitKind, RegionTally } from "../observer.js";

/** A way out that was counted. */
export interface CountedExit {
  readonly kind: ExitKind;
  readonly block: number;
  /** Page offset of the instruction in front of which control left; null at the block's end. */
  readonly offset: number | null;
}

/** A mutable i64 global, exported by its name. */
interface Counter {
  readonly index: number;
  readonly name: string;
}

/** Counts what happens in one region, in globals of the region's module. */
export class Tally implements RegionTally {
  readonly #m: ModuleBuilder;
  readonly #name: string;
  readonly #entries: readonly Counter[];
  readonly #blocks: readonly Counter[];
  readonly #exits = new Map<string, { readonly exit: CountedExit; readonly counter: Counter }>();
  #counters = 0;
  #exports: Readonly<Record<string, unknown>> = {};

  /** @param name begins the names of what it exports; of no other in the module */
  constructor(m: ModuleBuilder, name: string, entries: number, blocks: number) {
    this.#m = m;
    this.#name = name;
    this.#entries = Array.from({ length: entries }, () => this.#counter());
    this.#blocks = Array.from({ length: blocks }, () => this.#counter());
  }

  #counter(): Counter {
    const index = this.#m.global(0, true, "i64");
    const name = `${this.#name}.${this.#counters++}`;
    this.#m.exportGlobal(name, index);
    return { index, name };
  }

  entered(f: FunctionBuilder, selector: Local<"i32">): void {
    this.#entries.forEach((counter, entry) => {
      f.if(i32.eq(selector, i32.const(entry)), () => count(f, counter));
    });
  }

  block(f: FunctionBuilder, number: number): void {
    count(f, this.#blocks[number] as Counter);
  }

  left(f: FunctionBuilder, kind: ExitKind, block: number, offset: number | null = null): void {
    const key = `${kind} ${block} ${offset}`;
    let known = this.#exits.get(key);
    if (known === undefined) {
      known = { exit: { kind, block, offset }, counter: this.#counter() };
      this.#exits.set(key, known);
    }
    count(f, known.counter);
  }

  attach(exports: Readonly<Record<string, unknown>>): void {
    this.#exports = exports;
  }

  /** How often the region was entered, by entry. */
  get entries(): readonly number[] {
    return this.#entries.map((counter) => this.#value(counter));
  }

  /** How often blocks began, by number. */
  get blocks(): readonly number[] {
    return this.#blocks.map((counter) => this.#value(counter));
  }

  /** The ways out that were ever taken, and how often. */
  get exits(): readonly (readonly [CountedExit, number])[] {
    return [...this.#exits.values()]
      .map(({ exit, counter }) => [exit, this.#value(counter)] as const)
      .filter(([, times]) => times > 0);
  }

  #value({ name }: Counter): number {
    const counter = this.#exports[name];
    return counter instanceof WebAssembly.Global ? Number(counter.value) : 0;
  }
}

function count(f: FunctionBuilder, { index }: Counter): void {
  f.globalSet(index, i64.add(f.globalGet<"i64">(index), i64.const(1)));
}
