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

/** Serial numbers after which everything is dropped and they start over; the rest of 2^32 is for pages made before the next `reserve`. */
const MAX_SERIAL = 0xffff0000;

/** The decoded instructions of one guest-physical page in one mode. */
export interface CodePage {
  /**
   * Number of this object from 1 on, u32. As long as it is not dropped, nobody else has it: what was derived from the code of the page holds
   * for as long as its number is found again.
   */
  readonly serial: number;
  readonly gfn: Gfn;
  readonly mode: Mode;
  /** Host address of the frame. */
  readonly host: number;
  /** Host address of the map, 0 until code of this page runs. */
  map: number;
  /** A bit for each 64-byte granule, of the lower and the upper half of the page: set if an instruction byte was decoded there. */
  lowGranules: number;
  highGranules: number;
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

/** What there is of a frame in which code was ever found, until `reset`. Frames are kept: code may come and go there time and again. */
interface Frame {
  /** Its pages by mode, 16, 32 and 64 bits. */
  readonly pages: [CodePage | null, CodePage | null, CodePage | null];
  /** How many of them there are. */
  count: number;
  /** How often code of the frame was dropped. */
  rewrites: number;
}

/** Index of a mode in `Frame.pages`. */
const indexOf = (mode: Mode): 0 | 1 | 2 => (mode >> 5) as 0 | 1 | 2;

/** Bits `first` to `last` of a word, of those that it has. */
function bits(first: number, last: number): number {
  if (last < 0 || first > 31) return 0;
  return (-1 << Math.max(first, 0)) & (-1 >>> (31 - Math.min(last, 31)));
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
  /** Records from here on were appended from the end. */
  #asideFrom: number;
  /** Never deleted from one by one: a `Map` searches all deleted entries of a key until it is built anew. */
  readonly #frames = new Map<Gfn, Frame>();
  #serial = 0;
  /** Who had a map last. */
  readonly #byMap = new Map<number, CodePage>();
  /** Maps given back, with stale contents. */
  readonly #freeMaps: number[] = [];
  /** Maps that were ever handed out; memory after them is zero and costs nothing yet. */
  #mapsUsed = 0;
  readonly #mapsStart: number;
  readonly #mapCount: number;
  #nextRecord: number;
  #sites: Site[] = [];
  readonly #onDrop: ((page: CodePage | null) => void)[] = [];
  readonly #onWatch: ((gfn: Gfn) => void)[] = [];
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
    this.#asideFrom = end;
    this.#nextRecord = this.#recordsStart;
  }

  /**
   * Calls `listener` with each page whose records and map became invalid, null for all that there were: fetch TLB entries must go, and what
   * else was made of its code.
   */
  onDrop(listener: (page: CodePage | null) => void): void {
    this.#onDrop.push(listener);
  }

  /** Calls `listener` before code of a frame that had none is decoded: write TLB entries for it must go. */
  onWatch(listener: (gfn: Gfn) => void): void {
    this.#onWatch.push(listener);
  }

  /** Whether stores into this frame must be looked at. */
  isCode(gfn: Gfn): boolean {
    const frame = this.#frames.get(gfn);
    return frame !== undefined && frame.count > 0;
  }

  /** The page's entry, created without a map if there is none. */
  page(gfn: Gfn, mode: Mode, host: number): CodePage {
    let frame = this.#frames.get(gfn);
    if (frame === undefined) {
      frame = { pages: [null, null, null], count: 0, rewrites: 0 };
      this.#frames.set(gfn, frame);
    }
    const known = frame.pages[indexOf(mode)];
    if (known !== null) return known;
    const run = frame.rewrites < OFTEN ? RUN : SHORT_RUN;
    const serial = ++this.#serial;
    const page: CodePage = {
      serial,
      gfn,
      mode,
      host,
      map: 0,
      lowGranules: 0,
      highGranules: 0,
      run,
      site: null,
      alive: true,
    };
    frame.pages[indexOf(mode)] = page;
    if (frame.count++ === 0) for (const listener of this.#onWatch) listener(gfn);
    return page;
  }

  /** The page's entry, if there is one. */
  known(gfn: Gfn, mode: Mode): CodePage | null {
    return this.#frames.get(gfn)?.pages[indexOf(mode)] ?? null;
  }

  /** The page that the map at `map` is of, if it has not been dropped since. */
  pageOfMap(map: number): CodePage | undefined {
    return this.#byMap.get(map);
  }

  /** Makes sure there is a map and room for `records` more records and their sites; may drop everything, and then returns false. */
  reserve(page: CodePage, records: number): boolean {
    const full = this.#nextRecord + records * RECORD > this.#asideFrom || this.#sites.length + records > MAX_SITES;
    if (full || this.#serial > MAX_SERIAL) {
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

  /** Whether `records` more records and their sites can be appended. */
  room(records: number): boolean {
    return this.#nextRecord + records * RECORD <= this.#asideFrom && this.#sites.length + records <= MAX_SITES;
  }

  /** Address of the next record to be appended. */
  get nextRecord(): number {
    return this.#nextRecord;
  }

  /** Appends a record with stale contents. `reserve` must have made room. */
  append(): number {
    const record = this.#nextRecord;
    this.#nextRecord += RECORD;
    return record;
  }

  /** The same from the other end of the range. */
  appendAside(): number {
    this.#asideFrom -= RECORD;
    return this.#asideFrom;
  }

  recordAt(page: CodePage, offset: number): number {
    return page.map === 0 ? 0 : (this.#u32[(page.map >> 2) + offset] as number);
  }

  setRecord(page: CodePage, offset: number, record: number): void {
    this.#u32[(page.map >> 2) + offset] = record;
  }

  /** Marks bytes [`offset`, `offset + length`) of the page as decoded. */
  mark(page: CodePage, offset: number, length: number): void {
    const first = offset >> GRANULE_SHIFT;
    const last = (offset + length - 1) >> GRANULE_SHIFT;
    page.lowGranules |= bits(first, last);
    page.highGranules |= bits(first - 32, last - 32);
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
    const frame = this.#frames.get(gfn);
    if (frame === undefined || frame.count === 0) return false;
    const first = offset >> GRANULE_SHIFT;
    const last = (offset + length - 1) >> GRANULE_SHIFT;
    const low = bits(first, last);
    const high = bits(first - 32, last - 32);
    for (const page of frame.pages) {
      if (page !== null && ((page.lowGranules & low) | (page.highGranules & high)) !== 0) return true;
    }
    return false;
  }

  /** Forgets every instruction of the frame. */
  drop(gfn: Gfn): void {
    const frame = this.#frames.get(gfn);
    if (frame === undefined || frame.count === 0) return;
    frame.count = 0;
    frame.rewrites++;
    for (let m = 0; m < frame.pages.length; m++) {
      const page = frame.pages[m] as CodePage | null;
      if (page === null) continue;
      frame.pages[m] = null;
      page.alive = false;
      if (page.map !== 0) this.#freeMaps.push(page.map);
      for (const listener of this.#onDrop) listener(page);
    }
  }

  /** Forgets every instruction of frames `[gfn, gfn + pages)`. */
  dropAll(gfn: Gfn, pages: number): void {
    const end = gfn + pages;
    if (pages <= this.#frames.size) for (let one = gfn; one < end; one++) this.drop(one);
    else for (const one of this.#frames.keys()) if (one >= gfn && one < end) this.drop(one);
  }

  /** Forgets everything. */
  reset(): void {
    for (const { pages } of this.#frames.values()) for (const page of pages) if (page !== null) page.alive = false;
    this.#frames.clear();
    if (this.#serial > MAX_SERIAL) this.#serial = 0;
    this.#freeMaps.length = 0;
    for (let k = this.#mapsUsed - 1; k >= 0; k--) this.#freeMaps.push(this.#mapsStart + k * MAP_BYTES);
    this.#nextRecord = this.#recordsStart;
    this.#asideFrom = this.#recordsEnd;
    this.#sites = [];
    this.generation++;
    for (const listener of this.#onDrop) listener(null);
  }

  /**
   * A zeroed map, 0 if there is none left. A fresh one is zero already, but if it were read first the host would lend it its page of zeros, and
   * replacing that at the first write takes as long as decoding a dozen instructions.
   */
  #takeMap(): number {
    let map = this.#freeMaps.pop();
    if (map === undefined) {
      if (this.#mapsUsed === this.#mapCount) return 0;
      map = this.#mapsStart + this.#mapsUsed++ * MAP_BYTES;
    }
    this.#u8.fill(0, map, map + MAP_BYTES);
    return map;
  }
}
