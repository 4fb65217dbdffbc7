import { ModuleBuilder } from "@vm/wasm";
import type { CodeCache, CodePage } from "../code/cache.js";
import type { Heads } from "../code/heads.js";
import { FIRST_REGION } from "../record.js";
import type { Shape } from "./blocks.js";
import { Former, NEAR, type PageAt, WIDE } from "./former.js";
import { type Region, writeRegion } from "./region.js";

/** Slots of the table: regions that can be there at a time. Slot 0 stays empty. */
const SLOTS = 1 << 15;
/** Regions of a module, at most. */
const BATCH = 16;
/** Slices after which a module is made of fewer. */
const PATIENCE = 8;
/** Times that a region is entered until it is worth a wider one. */
const AGAIN = 30_000;

/** Times that control comes to a head until it is hot. */
const HOT = 1000;

export interface JitOptions {
  /** Times that control comes to a head until it is hot; 1 compiles at first sight. */
  readonly threshold?: number;
  /** Times that a region is entered until a wider one is made; at most 65535. */
  readonly again?: number;
  /** Regions that are waited for before a module is made of them. */
  readonly batch?: number;
}

/** What was made so far, for statistics. */
export interface JitCounts {
  modules: number;
  regions: number;
  /** Bytes of WebAssembly. */
  bytes: number;
  /** Instructions in regions. */
  instructions: number;
  /** Heads that no region could be made for. */
  refused: number;
}

interface Wish {
  readonly head: number;
  readonly pageAt: PageAt;
  readonly wide: boolean;
}

/** Makes regions of hot heads. */
export class Jit {
  readonly table = new WebAssembly.Table({ element: "anyfunc", initial: SLOTS });
  readonly counts: JitCounts = { modules: 0, regions: 0, bytes: 0, instructions: 0, refused: 0 };
  /** Times that control comes to a head until a region is made of it. */
  readonly threshold: number;
  readonly #memory: WebAssembly.Memory;
  /** What regions import. */
  readonly #imports: Record<string, WebAssembly.Memory | WebAssembly.Table>;
  readonly #cache: CodeCache;
  readonly #batch: number;
  readonly #again: number;
  #wishes: Wish[] = [];
  /** Slices that the oldest wish has waited for. */
  #age = 0;
  #generation: number;
  #nextSlot = 1;
  #nextNumber = FIRST_REGION;

  constructor(
    memory: WebAssembly.Memory,
    cache: CodeCache,
    { threshold = HOT, again = AGAIN, batch = BATCH }: JitOptions = {},
  ) {
    this.#memory = memory;
    this.#imports = { memory };
    this.#cache = cache;
    this.#batch = batch;
    this.#again = again;
    this.threshold = threshold;
    this.#generation = cache.generation;
  }

  /** Regions call these functions of an interpreter, which every other has too. */
  provide(x87: WebAssembly.Table): void {
    Object.assign(this.#imports, { x87 });
  }

  /** A head has become hot: there will be a region for it soon. */
  wish(heads: Heads, head: number, pageAt: PageAt): void {
    if (this.#generation !== this.#cache.generation) {
      this.#generation = this.#cache.generation;
      this.#wishes = [];
    }
    this.#wishes.push({ head, pageAt, wide: heads.isEntered(head) });
    if (this.#wishes.length >= this.#batch) this.#compile(heads);
  }

  /** A slice has ended: nobody waits for ever. */
  settle(heads: Heads): void {
    if (this.#wishes.length > 0 && ++this.#age >= PATIENCE) this.#compile(heads);
  }

  /** Compiles what was wished for. */
  #compile(heads: Heads): void {
    const wishes = this.#wishes;
    this.#wishes = [];
    this.#age = 0;
    if (this.#generation !== this.#cache.generation) return;
    const m = new ModuleBuilder();
    m.importMemory("vm", "memory", { min: 1, max: 65536 });
    const made: { shape: Shape; wide: boolean; number: number; region: Region }[] = [];
    for (const { head, pageAt, wide } of wishes) {
      const page: CodePage = heads.page(head);
      // It may have become an entry of another region meanwhile.
      if (!page.alive || heads.isEntered(head) !== wide) continue;
      const reach = wide ? WIDE : NEAR;
      const shape = new Former(this.#memory, this.#cache, heads, pageAt, reach).form(page, heads.offset(head));
      if (shape === null) {
        this.counts.refused++;
        continue;
      }
      const number = this.#nextNumber++;
      made.push({ shape, wide, number, region: writeRegion(m, shape, number) });
      this.counts.instructions += shape.blocks.reduce((sum, { pieces }) => sum + pieces.length, 0);
    }
    if (made.length === 0 || this.#nextSlot + made.length > SLOTS) return;
    // An imported table would be gone through from end to end for every module.
    made.forEach(({ region }, k) => {
      m.exportFunction(String(k), region.f);
    });
    const bytes = m.bytes();
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { vm: this.#imports });
    made.forEach(({ shape, wide, number, region }, k) => {
      const slot = this.#nextSlot++;
      this.table.set(slot, exports[String(k)] as () => number);
      const times = wide ? 0 : this.#again;
      shape.entries.forEach(({ head }, entry) => {
        heads.enter(head, { slot, entry, region: number, workedOut: region.workedOut[entry] as boolean, times });
      });
    });
    this.counts.modules++;
    this.counts.regions += made.length;
    this.counts.bytes += bytes.length;
  }
}
