import { BpfError } from "../errors.js";
import type { Arena } from "../memory/arena.js";
import { Counted } from "./objects.js";

const PAGE = 4096;
/** `struct perf_event_mmap_page`, as far as rings are concerned. */
const Head = { dataHead: 1024, dataTail: 1032, dataOffset: 1040, dataSize: 1048 } as const;
/** `struct perf_event_header`, and its types. */
const HEADER = 8;
const RECORD_LOST = 2;
const RECORD_SAMPLE = 9;
const MISC_KERNEL = 1;
const LOST_BYTES = HEADER + 16;
/** Pages of a ring at most, 64 MiB of data. */
const PAGES_MOST = 1 << 14;

/**
 * The ring of a perf event of `PERF_COUNT_SW_BPF_OUTPUT` with `PERF_SAMPLE_RAW`: a page that tells where reader and writer are, and pages of records behind
 * it, all in the arena, to be mapped by who reads (kernel/events/ring_buffer.c, linux/perf_event.h). Held by who makes it, and by maps that it is put into.
 */
export class PerfRing extends Counted {
  /** Offset of the first page in the arena. */
  readonly address: number;
  /** Bytes of records. */
  readonly size: number;
  #lost = 0;

  /**
   * @param pages of records, a power of two up to 16384
   * @param wake called when there is a record more
   * @throws {BpfError} EINVAL, ENOMEM
   */
  constructor(
    readonly arena: Arena,
    pages: number,
    readonly wake: () => void = () => undefined,
  ) {
    super();
    if (!(pages >= 1 && pages <= PAGES_MOST && (pages & (pages - 1)) === 0))
      throw new BpfError("EINVAL", `a ring of ${pages} pages: expected a power of 2 up to ${PAGES_MOST}`);
    this.size = pages * PAGE;
    this.address = arena.alloc(PAGE + this.size);
    if (this.address === 0) throw new BpfError("ENOMEM", `a ring of ${pages} pages`);
    this.#setLong(Head.dataOffset, PAGE);
    this.#setLong(Head.dataSize, this.size);
  }

  /** Bytes of all pages. */
  get bytes(): number {
    return PAGE + this.size;
  }

  /** Records that found no room since the last that did. */
  get lost(): number {
    return this.#lost;
  }

  /** Puts in a record, and before it, if some were lost, how many. Who reads it too slowly loses it. */
  output(data: Uint8Array): void {
    // The length of what is raw counts itself, and is padded so that the next record is aligned.
    const raw = ((data.length + 4 + 7) & ~7) - 4;
    const whole = HEADER + 4 + raw;
    const before = this.#lost === 0 ? 0 : LOST_BYTES;
    const head = this.#long(Head.dataHead);
    const used = head - this.#long(Head.dataTail);
    if (!(used >= 0 && used + whole + before < this.size)) {
      this.#lost++;
      return;
    }
    if (before > 0) {
      this.#put(head, lostRecord(this.#lost));
      this.#lost = 0;
    }
    const record = new Uint8Array(whole);
    const view = new DataView(record.buffer);
    writeHeader(view, RECORD_SAMPLE, MISC_KERNEL, whole);
    view.setUint32(HEADER, raw, true);
    record.set(data, HEADER + 4);
    this.#put(head + before, record);
    this.#setLong(Head.dataHead, head + before + whole);
    this.wake();
  }

  /** Neither its event nor a map has it any more: its memory is given back. */
  protected gone(): void {
    this.arena.free(this.address);
  }

  /** Copies a record to where it begins, and over the end to the start. */
  #put(position: number, record: Uint8Array): void {
    const at = position % this.size;
    const first = Math.min(record.length, this.size - at);
    const { u8 } = this.arena;
    const data = this.address + PAGE;
    u8.set(record.subarray(0, first), data + at);
    u8.set(record.subarray(first), data);
  }

  /** Positions count bytes since the ring was made. */
  #long(field: number): number {
    const { arena, address } = this;
    return arena.u32(address + field) + arena.u32(address + field + 4) * 2 ** 32;
  }

  #setLong(field: number, value: number): void {
    this.arena.setU32(this.address + field, value >>> 0);
    this.arena.setU32(this.address + field + 4, Math.floor(value / 2 ** 32));
  }
}

function writeHeader(view: DataView, type: number, misc: number, size: number): void {
  view.setUint32(0, type, true);
  view.setUint16(4, misc, true);
  view.setUint16(6, size, true);
}

function lostRecord(count: number): Uint8Array {
  const record = new Uint8Array(LOST_BYTES);
  const view = new DataView(record.buffer);
  writeHeader(view, RECORD_LOST, 0, LOST_BYTES);
  view.setUint32(16, count, true);
  return record;
}
