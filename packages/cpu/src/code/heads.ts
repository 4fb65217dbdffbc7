import { handlerNumber } from "../interp/handlers.js";
import * as R from "../record.js";
import type { CodeCache, CodePage } from "./cache.js";
import type { RecordWriter } from "./records.js";

const HEAT = handlerNumber("heat") as number;
const ENTER = handlerNumber("enter") as number;
const LINK = handlerNumber("link") as number;
const GOTO = handlerNumber("goto") as number;

/** What is known of a way to an instruction. */
export enum Warmth {
  /** Never gone, or hardly. */
  Cold,
  Warm,
  /** It leads to another page. */
  Far,
}

/** How a region is entered. */
export interface Entrance {
  /** Slot in the table. */
  readonly slot: number;
  /** Which of its entries. */
  readonly entry: number;
  /** Number of the region, from `FIRST_REGION` on. */
  readonly region: number;
  /** It wants the flags worked out. */
  readonly workedOut: boolean;
  /** Times until it is hot again, 1 to 2^16 - 1. */
  readonly times: number;
  readonly wide: boolean;
}

/** The heads of decoded code: where control comes from elsewhere, how often, and where a region takes over. */
export class Heads {
  readonly #cache: CodeCache;
  readonly #records: RecordWriter;
  readonly #u16: Uint16Array;
  readonly #u8: Uint8Array;
  readonly #i32: Int32Array;
  /** Times that a head is come to until it is hot. */
  readonly threshold: number;

  constructor(memory: WebAssembly.Memory, cache: CodeCache, records: RecordWriter, threshold: number) {
    this.#cache = cache;
    this.#records = records;
    this.#u16 = new Uint16Array(memory.buffer);
    this.#u8 = new Uint8Array(memory.buffer);
    this.#i32 = new Int32Array(memory.buffer);
    this.threshold = threshold;
  }

  isHead(record: number): boolean {
    const handler = this.#u16[record >> 1] as number;
    return handler === HEAT || handler === ENTER;
  }

  isEntered(record: number): boolean {
    return this.#u16[record >> 1] === ENTER;
  }

  /** The record of the instruction itself, behind its head if it has one. */
  plain(record: number): number {
    return this.isHead(record) ? (this.#i32[(record + R.HEAD_PLAIN) >> 2] as number) : record;
  }

  /**
   * The head of the instruction at `offset`, whose record is `record`; made if there is none. Room must have been reserved.
   * @param found control comes from where only execution tells
   */
  of(page: CodePage, offset: number, record: number, found = false): number {
    if (this.isHead(record)) return record;
    const head = this.#append(page, offset, record, found);
    this.#cache.setRecord(page, offset, head);
    return head;
  }

  /** Appends the head of the instruction at `offset` whose record is appended next. Room must have been reserved. */
  ahead(page: CodePage, offset: number, found: boolean): number {
    return this.#append(page, offset, this.#cache.nextRecord + R.RECORD, found);
  }

  #append(page: CodePage, offset: number, record: number, found: boolean): number {
    const head = this.#records.step(HEAT, offset);
    page.site ??= this.#cache.addSite(page);
    this.#records.setDisplacement(head, record, page.site);
    this.#records.setImmediate(head, this.threshold);
    if (found) this.#u16[(head + R.R_AUX2) >> 1] = R.AUX2_FOUND;
    return head;
  }

  /** `of`, or the record itself where there is no room for a head. */
  maybe(page: CodePage, offset: number, record: number): number {
    return this.isHead(record) || this.#cache.room(1) ? this.of(page, offset, record) : record;
  }

  page(head: number): CodePage {
    return this.#cache.site(this.#i32[(head + R.HEAD_PAGE) >> 2] as number) as CodePage;
  }

  offset(head: number): number {
    return this.#u16[(head + R.R_OFF) >> 1] as number;
  }

  /** Times that the head was come to since it is counted. */
  heat(head: number): number {
    return this.threshold - (this.#i32[(head + R.R_IMM) >> 2] as number);
  }

  /** How warm the way is that a direct branch takes. */
  warmth(branch: number): Warmth {
    const target = this.#i32[(branch + R.R_IMM) >> 2] as number;
    const handler = this.#u16[target >> 1];
    if (handler === LINK) return Warmth.Cold;
    if (handler === GOTO) return Warmth.Far;
    return this.warm(target) ? Warmth.Warm : Warmth.Cold;
  }

  /** Whether control has come to `record` often enough to be expected again. */
  warm(record: number): boolean {
    return this.#u16[record >> 1] !== HEAT || this.isWished(record) || this.heat(record) * 32 >= this.threshold;
  }

  #setFlag(head: number, flag: number, on: boolean): void {
    const at = (head + R.R_AUX2) >> 1;
    const others = (this.#u16[at] as number) & ~flag;
    this.#u16[at] = on ? others | flag : others;
  }

  #flag(head: number, flag: number): boolean {
    return ((this.#u16[(head + R.R_AUX2) >> 1] as number) & flag) !== 0;
  }

  /** Notes that a region is wished for; the head is hot once more after `times` the usual. */
  wish(head: number, times: number): void {
    this.#setFlag(head, R.AUX2_WISHED, true);
    this.#records.setImmediate(head, this.threshold * times);
  }

  isWished(head: number): boolean {
    return this.#flag(head, R.AUX2_WISHED);
  }

  /** The region that the head leads to is as wide as regions get. */
  isWide(head: number): boolean {
    return this.#flag(head, R.AUX2_WIDE);
  }

  /** How often region `number` may still be entered by the head; -1 if it leads elsewhere. */
  entriesLeft(head: number, number: number): number {
    return this.#leadsTo(head, number) ? (this.#u16[(head + R.R_COUNT) >> 1] as number) : -1;
  }

  /** Has the head be hot again after `times`. */
  renew(head: number, times: number): void {
    this.#records.setDestination(head, times);
  }

  /** Leads a head into a region. */
  enter(head: number, { slot, entry, region, workedOut, times, wide }: Entrance): void {
    this.#u16[head >> 1] = ENTER;
    this.#records.setImmediate(head, slot);
    this.#records.setDestination(head, times);
    this.#records.setSource(head, entry);
    this.#u8[head + R.R_AUX] = workedOut ? 1 : 0;
    this.#setFlag(head, R.AUX2_WIDE, wide);
    this.#u16[(head + R.R_REGION) >> 1] = region;
    this.#u16[(head + R.R_REGION + 2) >> 1] = region >>> 16;
  }

  /** Heads of the page that control has come to from where only execution tells, and often: their offsets. */
  found(page: CodePage): number[] {
    const offsets: number[] = [];
    for (let offset = 0; offset < 4096; offset++) {
      const record = this.#cache.recordAt(page, offset);
      if (record === 0 || !this.isHead(record) || !this.warm(record)) continue;
      if (this.#flag(record, R.AUX2_FOUND)) offsets.push(offset);
    }
    return offsets;
  }

  /** `cool`, if it leads to region `number`. */
  forget(head: number, number: number): void {
    if (this.#leadsTo(head, number)) this.cool(head);
  }

  #leadsTo(head: number, number: number): boolean {
    return this.region(head) === number;
  }

  /** Number of the region that the head leads to; 0 if to none. */
  region(head: number): number {
    const at = (head + R.R_REGION) >> 1;
    return this.isEntered(head) ? ((this.#u16[at] as number) | ((this.#u16[at + 1] as number) << 16)) >>> 0 : 0;
  }

  /** Counts from the beginning again. */
  cool(head: number): void {
    this.#u16[head >> 1] = HEAT;
    this.#setFlag(head, R.AUX2_WISHED | R.AUX2_WIDE, false);
    this.#records.setImmediate(head, this.threshold);
  }
}
