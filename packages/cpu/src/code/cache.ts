import type { Mode } from "../decode/index.js";
import { RECORD } from "../record.js";
import type { Gfn } from "../units.js";
import type { HelperSite } from "../vcpu/context/helper.js";

/** Bytes of a page's map: one u32 per page offset, the record of the instruction that starts there or 0. */
const MAP_BYTES = 4096 * 4;
/** Granularity at which stores into a code page are told from stores into code. */
const GRANULE_SHIFT = 6;
/** Instructions decoded in one go; fewer where code was rewritten this often, because most would be decoded in vain. */
const RUN = 64;
const SHORT_RUN = 8;
const OFTEN = 16;
/** Sites after which everything is dropped: those of dropped code stay until then, and each holds an instruction. */
const MAX_SITES = 1 << 17;

/** The decoded instructions of one guest-physical page in one mode. */
export interface CodePage {
  readonly gfn: Gfn;
  readonly mode: Mode;
  /** Host address of the frame. */
  readonly host: number;
  /** Host address of the map, 0 until code of this page runs. */
  map: number;
  /** One byte per 64-byte granule: non-zero if an instruction byte was decoded there. */
  readonly granules: Uint8Array;
  /** Instructions to be decoded in one go. */
  readonly run: number;
  /** Its index among the sites, once something refers to it. */
  site: number | null;
  /** False once dropped: its records may finish the instruction they execute, no more. */
  alive: boolean;
}

/** An instruction that spans two pages; decoded again whenever the second page is another one. */
export interface CrossSite {
  readonly page: CodePage;
  readonly offset: number;
  next: CodePage | null;
  records: number;
}

/** Objects that records refer to by index. */
export type Site = HelperSite | CrossSite | CodePage;

/**
 * Decoded code, shared by all vCPUs of a machine: page maps and records in one range of the shared memory. Maps are recycled;
 * records and sites are only ever appended, and everything is dropped at once when one of them runs out.
 */
export class CodeCache {
  readonly #u32: Uint32Array;
  readonly #u8: Uint8Array;
  readonly #recordsStart: number;
  readonly #recordsEnd: number;
  readonly #pages = new Map<number, CodePage>();
  readonly #modes = new Map<number, number>();
  /** How often code of a frame was dropped. */
  readonly #rewrites = new Map<number, number>();
  readonly #byMap = new Map<number, CodePage>();
  /** Maps given back, with stale contents. */
  readonly #freeMaps: number[] = [];
  /** Maps that were ever handed out; memory after them is zero and costs nothing yet. */
  #mapsUsed = 0;
  readonly #mapsStart: number;
  readonly #mapCount: number;
  #nextRecord: number;
  #sites: Site[] = [];
  readonly #onDrop: (() => void)[] = [];
  readonly #onWatch: (() => void)[] = [];
  /** Counts `reset`s, so that whoever holds a record address can tell that it is void. */
  generation = 0;

  /**
   * @param start first byte of the range, 32-byte aligned
   * @param end first byte after it
   */
  constructor(memory: WebAssembly.Memory, start: number, end: number) {
    this.#u32 = new Uint32Array(memory.buffer);
    this.#u8 = new Uint8Array(memory.buffer);
    // Half of the range for maps, half for records: a page of kernel text holds about 300 instructions once it is hot.
    this.#mapCount = Math.floor((end - start) / 2 / MAP_BYTES);
    if (this.#mapCount < 8)
      throw new RangeError(`code cache of ${end - start} bytes; at least ${8 * 2 * MAP_BYTES} are needed`);
    this.#mapsStart = start;
    this.#recordsStart = start + this.#mapCount * MAP_BYTES;
    this.#recordsEnd = end;
    this.#nextRecord = this.#recordsStart;
  }

  /** Calls `listener` whenever records or maps became invalid: fetch TLB entries must go. */
  onDrop(listener: () => void): void {
    this.#onDrop.push(listener);
  }

  /** Calls `listener` before code of a frame that had none is decoded: write TLB entries for it must go. */
  onWatch(listener: () => void): void {
    this.#onWatch.push(listener);
  }

  /** Whether stores into this frame must be looked at. */
  isCode(gfn: Gfn): boolean {
    return this.#modes.has(gfn);
  }

  /** The page's entry, created without a map if there is none. */
  page(gfn: Gfn, mode: Mode, host: number): CodePage {
    const key = gfn * 4 + (mode >> 5);
    let page = this.#pages.get(key);
    if (page === undefined) {
      const run = (this.#rewrites.get(gfn) ?? 0) < OFTEN ? RUN : SHORT_RUN;
      page = { gfn, mode, host, map: 0, granules: new Uint8Array(4096 >> GRANULE_SHIFT), run, site: null, alive: true };
      this.#pages.set(key, page);
      const modes = this.#modes.get(gfn);
      this.#modes.set(gfn, (modes ?? 0) | (1 << (mode >> 5)));
      if (modes === undefined) for (const listener of this.#onWatch) listener();
    }
    return page;
  }

  /** The page that the map at `map` is of, if it has not been dropped since. */
  pageOfMap(map: number): CodePage | undefined {
    return this.#byMap.get(map);
  }

  /** Makes sure there is a map and room for `records` more records and their sites; may drop everything, and then returns false. */
  reserve(page: CodePage, records: number): boolean {
    if (this.#nextRecord + records * RECORD > this.#recordsEnd || this.#sites.length + records > MAX_SITES) {
      this.reset();
      return false;
    }
    if (page.map === 0) {
      page.map = this.#takeMap();
      if (page.map === 0) {
        this.reset();
        return false;
      }
      this.#byMap.set(page.map, page);
    }
    return true;
  }

  /** Address of the next record to be appended. */
  get nextRecord(): number {
    return this.#nextRecord;
  }

  /** Appends a zeroed record. `reserve` must have made room. */
  append(): number {
    const record = this.#nextRecord;
    this.#nextRecord += RECORD;
    this.#u32.fill(0, record >> 2, (record + RECORD) >> 2);
    return record;
  }

  recordAt(page: CodePage, offset: number): number {
    return page.map === 0 ? 0 : (this.#u32[(page.map >> 2) + offset] as number);
  }

  setRecord(page: CodePage, offset: number, record: number): void {
    this.#u32[(page.map >> 2) + offset] = record;
  }

  /** Marks bytes [`offset`, `offset + length`) of the page as decoded. */
  mark(page: CodePage, offset: number, length: number): void {
    for (let g = offset >> GRANULE_SHIFT; g <= (offset + length - 1) >> GRANULE_SHIFT; g++) page.granules[g] = 1;
  }

  addSite(site: Site): number {
    return this.#sites.push(site) - 1;
  }

  site(index: number): Site {
    return this.#sites[index] as Site;
  }

  /**
   * `length` bytes at `offset` of the frame were written. Drops the page if an instruction was decoded from them.
   * @returns whether something was dropped
   */
  wrote(gfn: Gfn, offset: number, length: number): boolean {
    if (!this.holds(gfn, offset, length)) return false;
    this.drop(gfn);
    return true;
  }

  /** Whether an instruction was decoded from one of the `length` bytes at `offset` of the frame, or close to them. */
  holds(gfn: Gfn, offset: number, length: number): boolean {
    const modes = this.#modes.get(gfn);
    if (modes === undefined) return false;
    for (let m = 0; m < 3; m++) {
      const page = modes & (1 << m) ? this.#pages.get(gfn * 4 + m) : undefined;
      if (page === undefined) continue;
      for (let g = offset >> GRANULE_SHIFT; g <= (offset + length - 1) >> GRANULE_SHIFT; g++) {
        if (page.granules[g] !== 0) return true;
      }
    }
    return false;
  }

  /** Forgets every instruction of the frame. */
  drop(gfn: Gfn): void {
    const modes = this.#modes.get(gfn);
    if (modes === undefined) return;
    for (let m = 0; m < 3; m++) {
      const key = gfn * 4 + m;
      const page = this.#pages.get(key);
      if (page === undefined) continue;
      page.alive = false;
      if (page.map !== 0) this.#freeMaps.push(page.map);
      this.#pages.delete(key);
    }
    this.#modes.delete(gfn);
    this.#rewrites.set(gfn, (this.#rewrites.get(gfn) ?? 0) + 1);
    for (const listener of this.#onDrop) listener();
  }

  /** Forgets everything. */
  reset(): void {
    this.#rewrites.clear();
    for (const page of this.#pages.values()) page.alive = false;
    this.#pages.clear();
    this.#modes.clear();
    this.#freeMaps.length = 0;
    for (let k = this.#mapsUsed - 1; k >= 0; k--) this.#freeMaps.push(this.#mapsStart + k * MAP_BYTES);
    this.#nextRecord = this.#recordsStart;
    this.#sites = [];
    this.generation++;
    for (const listener of this.#onDrop) listener();
  }

  /** A zeroed map, 0 if there is none left. */
  #takeMap(): number {
    const recycled = this.#freeMaps.pop();
    if (recycled !== undefined) {
      this.#u8.fill(0, recycled, recycled + MAP_BYTES);
      return recycled;
    }
    if (this.#mapsUsed === this.#mapCount) return 0;
    return this.#mapsStart + this.#mapsUsed++ * MAP_BYTES;
  }
}
