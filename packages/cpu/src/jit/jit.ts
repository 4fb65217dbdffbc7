import { ModuleBuilder } from "@vm/wasm";
import type { CodeCache, CodePage } from "../code/cache.js";
import type { Heads } from "../code/heads.js";
import { FIRST_REGION } from "../record.js";
import type { Shape } from "./blocks.js";
import { Former, NEAR, type PageAt, WIDE } from "./former.js";
import { RegionModules } from "./modules.js";
import { observerOf, type RegionTally } from "./observer.js";
import { importForRegions, type Region, writeRegion } from "./region.js";

/** Regions of a module, at most. */
const BATCH = 64;
/** Instructions that are compiled in one go, about: more wait for the next time, since nothing else happens meanwhile. */
const PORTION = 1500;
/** Slices after which a module is made of fewer. */
const PATIENCE = 100;
/** Times the usual that control comes to a head which waits for its region until it can wait no longer. */
const URGENT = 2;
/** Times that a region is entered until it is worth a wider one. */
const AGAIN = 30_000;

/** As many times as a head can count. */
const MOST = 0xffff;

/** Times that control comes to a head until it is hot. */
const HOT = 12_000;

export interface JitOptions {
  /** Times that control comes to a head until it is hot; 1 compiles at first sight. */
  readonly threshold?: number;
  /** Times that a region is entered until a wider one is made; at most 65535. */
  readonly again?: number;
  /** Compiles a module; `wide` regions are the ones that have proved hot. Default: `new WebAssembly.Module`. */
  readonly compile?: CompileRegions;
  /** Regions that are waited for before a module is made of them. */
  readonly batch?: number;
}

/** What an interpreter offers to regions. */
export interface RegionCallees {
  /** Operations of the x87. */
  readonly x87: WebAssembly.Table;
  /** `(cpu, record) -> record`: executes regions until one returns. */
  readonly called: (cpu: number, record: number) => number;
  /** `(cpu) -> 1` with the counter at `STAMP`, or 0. */
  readonly timestamp: (cpu: number) => number;
}

export type CompileRegions = (bytes: Uint8Array<ArrayBuffer>, wide: boolean) => WebAssembly.Module;

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
  /** Linear address of its page. */
  readonly va: bigint;
  readonly pageAt: PageAt;
  readonly wide: boolean;
}

interface Made {
  readonly page: CodePage;
  readonly shape: Shape;
  readonly number: number;
  readonly tally: RegionTally | null;
  readonly region: Region;
}

/** Regions that are to be one module. */
class Batch {
  readonly m = new ModuleBuilder();
  readonly callees = importForRegions(this.m);
  readonly made: Made[] = [];
}

/** Makes regions of hot heads. */
export class Jit {
  readonly counts: JitCounts = { modules: 0, regions: 0, bytes: 0, instructions: 0, refused: 0 };
  /** Times that control comes to a head until a region is made of it. */
  readonly threshold: number;
  readonly memory: WebAssembly.Memory;
  readonly code: CodeCache;
  /** What regions import. */
  readonly #imports: WebAssembly.Imports[string];
  readonly #timestamps = new Map<number, () => boolean>();
  readonly #make: CompileRegions;
  readonly #modules = new RegionModules();
  readonly #batch: number;
  readonly #again: number;
  #wishes: Wish[] = [];
  /** Slices that the oldest wish has waited for. */
  #age = 0;
  #generation: number;
  #nextNumber = FIRST_REGION;

  constructor(
    memory: WebAssembly.Memory,
    cache: CodeCache,
    { threshold = HOT, again = AGAIN, batch = BATCH, compile }: JitOptions = {},
  ) {
    this.memory = memory;
    this.#imports = { memory };
    this.code = cache;
    this.#make = compile ?? ((bytes) => new WebAssembly.Module(bytes));
    this.#batch = batch;
    this.#again = again;
    this.threshold = threshold;
    this.#generation = cache.generation;
  }

  /**
   * Regions call these functions of an interpreter, which every other has too, and one of the processor that executes them.
   * @param base of its state block
   * @param timestamp puts the counter at `STAMP`, or says that the interpreter must
   */
  provide(base: number, callees: RegionCallees, timestamp: () => boolean): void {
    this.#timestamps.set(base, timestamp);
    const { x87, called, timestamp: forward } = callees;
    Object.assign(this.#imports, { x87, called, timestamp: forward });
  }

  /** A region on the processor with the state block at `base` reads the counter. @returns what was provided for that answers */
  timestamp(base: number): boolean {
    return this.#timestamps.get(base)?.() ?? false;
  }

  /** Modules in use. */
  get modules(): RegionModules {
    return this.#modules;
  }

  /**
   * A head has become hot: there will be a region for it soon. If it has been waiting for one, there is one now.
   * @param va linear address of its page
   */
  wish(heads: Heads, head: number, va: bigint, pageAt: PageAt): void {
    this.#look();
    if (heads.isWide(head)) {
      heads.renew(head, MOST);
      return;
    }
    const wide = heads.isEntered(head);
    const urgent = !wide && heads.isWished(head);
    if (!urgent) {
      this.#wishes.push({ head, va, pageAt, wide });
      if (!wide) heads.wish(head, URGENT);
    }
    if (urgent || this.#wishes.length >= this.#batch) this.#compile(heads);
  }

  /** A slice has ended: nobody waits for ever. */
  settle(heads: Heads): void {
    this.#look();
    if (this.#wishes.length > 0 && ++this.#age >= PATIENCE) this.#compile(heads);
  }

  /** Decoded code may have been dropped, all of it. */
  #look(): void {
    if (this.#generation === this.code.generation) return;
    this.#generation = this.code.generation;
    this.#wishes = [];
    this.#modules.reset();
  }

  /** Compiles what was wished for. */
  #compile(heads: Heads): void {
    const wishes = this.#wishes;
    this.#wishes = [];
    this.#age = 0;
    let pieces = 0;
    const batches = [new Batch(), new Batch()] as const;
    const claimed = new Set<number>();
    const observer = observerOf(this);
    for (const { head, va, pageAt, wide } of wishes) {
      if (pieces >= PORTION) {
        this.#wishes.push({ head, va, pageAt, wide });
        continue;
      }
      const page: CodePage = heads.page(head);
      // It may have become an entry of another region meanwhile.
      if (!page.alive || claimed.has(head) || heads.isEntered(head) !== wide) continue;
      const reach = wide ? WIDE : NEAR;
      const former = new Former(this.memory, this.code, heads, pageAt, reach, claimed);
      const shape = former.form(page, heads.offset(head));
      if (shape === null) {
        this.counts.refused++;
        observer?.refused(page, heads.offset(head), va);
        continue;
      }
      const number = this.#nextNumber++;
      for (const block of shape.blocks) pieces += block.pieces.length;
      for (const entry of shape.entries) claimed.add(entry.head);
      const { m, callees, made } = batches[wide ? 1 : 0];
      const tally = observer?.planned(m, { shape, number, va, wide }) ?? null;
      made.push({ page, shape, number, tally, region: writeRegion(m, callees, shape, number, tally) });
    }
    // What was left over has waited for long enough: the next slice begins with it.
    if (this.#wishes.length > 0) this.#age = PATIENCE;
    batches.forEach((batch, k) => {
      if (batch.made.length > 0) this.#install(heads, batch, k === 1);
    });
  }

  #install(heads: Heads, { m, made }: Batch, wide: boolean): void {
    // An imported table would be gone through from end to end for every module.
    made.forEach(({ region }, k) => {
      m.exportFunction(String(k), region.f);
    });
    const bytes = m.bytes();
    const { exports } = new WebAssembly.Instance(this.#make(bytes, wide), { vm: this.#imports });
    for (const { tally } of made) tally?.attach(exports);
    const regions = made.map(({ number, page, shape }) => ({
      number,
      page,
      heads: shape.entries.map(({ head }) => head),
    }));
    const functions = made.map((_, k) => exports[String(k)]);
    const slots = this.#modules.add(heads, regions, functions, bytes.length);
    made.forEach(({ shape, number, region }, k) => {
      const slot = slots[k] as number;
      const times = wide ? MOST : this.#again;
      shape.entries.forEach(({ head }, entry) => {
        heads.enter(head, { slot, entry, region: number, workedOut: region.workedOut[entry] as boolean, times, wide });
      });
      this.counts.instructions += shape.blocks.reduce((sum, { pieces }) => sum + pieces.length, 0);
    });
    this.counts.modules++;
    this.counts.regions += made.length;
    this.counts.bytes += bytes.length;
  }
}
