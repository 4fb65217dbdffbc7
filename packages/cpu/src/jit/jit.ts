import { ModuleBuilder } from "@vm/wasm";
import type { CodeCache, CodePage } from "../code/cache.js";
import type { Heads } from "../code/heads.js";
import { Former, type PageAt } from "./former.js";
import { writeRegion } from "./region.js";

/** Slots of the table: regions that can be there at a time. Slot 0 stays empty. */
const SLOTS = 1 << 15;
/** Regions of a module, at most. */
const BATCH = 16;

/** Times that control comes to a head until it is hot. */
const HOT = 1000;

export interface JitOptions {
  /** Times that control comes to a head until it is hot; 1 compiles at first sight. */
  readonly threshold?: number;
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
}

/** Makes regions of hot heads. */
export class Jit {
  readonly table = new WebAssembly.Table({ element: "anyfunc", initial: SLOTS });
  readonly counts: JitCounts = { modules: 0, regions: 0, bytes: 0, instructions: 0, refused: 0 };
  readonly #memory: WebAssembly.Memory;
  readonly #cache: CodeCache;
  readonly #batch: number;
  #wishes: Wish[] = [];
  #generation: number;
  #nextSlot = 1;

  /** Times that control comes to a head until a region is made of it. */
  readonly threshold: number;

  constructor(memory: WebAssembly.Memory, cache: CodeCache, { threshold = HOT, batch = BATCH }: JitOptions = {}) {
    this.#memory = memory;
    this.#cache = cache;
    this.#batch = batch;
    this.threshold = threshold;
    this.#generation = cache.generation;
  }

  /** A head has become hot: there will be a region for it soon. */
  wish(heads: Heads, head: number, pageAt: PageAt): void {
    if (this.#generation !== this.#cache.generation) {
      this.#generation = this.#cache.generation;
      this.#wishes = [];
    }
    this.#wishes.push({ head, pageAt });
    if (this.#wishes.length >= this.#batch) this.compile(heads);
  }

  /** Compiles what was wished for. */
  compile(heads: Heads): void {
    const wishes = this.#wishes;
    if (wishes.length === 0) return;
    this.#wishes = [];
    if (this.#generation !== this.#cache.generation) return;
    const m = new ModuleBuilder();
    m.importMemory("vm", "memory", { min: 1, max: 65536 });
    const made: { head: number; workedOut: boolean }[] = [];
    for (const { head, pageAt } of wishes) {
      const page: CodePage = heads.page(head);
      if (!page.alive || heads.isEntered(head)) continue;
      const blocks = new Former(this.#memory, this.#cache, heads, pageAt).form(page, heads.offset(head));
      if (blocks.length === 0) {
        this.counts.refused++;
        continue;
      }
      const { f, workedOut } = writeRegion(m, blocks);
      m.exportFunction(String(made.length), f);
      made.push({ head, workedOut });
      this.counts.instructions += blocks.reduce((sum, { pieces }) => sum + pieces.length, 0);
    }
    if (made.length === 0 || this.#nextSlot + made.length > SLOTS) return;
    const bytes = m.bytes();
    (globalThis as { jitDump?: (b: Uint8Array) => void }).jitDump?.(bytes);
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { vm: { memory: this.#memory } });
    made.forEach(({ head, workedOut }, k) => {
      const slot = this.#nextSlot++;
      this.table.set(slot, exports[String(k)] as () => number);
      heads.enter(head, slot, 0, workedOut);
    });
    this.counts.modules++;
    this.counts.regions += made.length;
    this.counts.bytes += bytes.length;
  }
}
