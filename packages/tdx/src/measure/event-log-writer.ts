import { concatBytes } from "@noble/hashes/utils.js";
import { FieldError } from "../bytes/errors.js";
import { bytes, Struct, u8, u16, u32 } from "../bytes/struct.js";
import { ALGORITHM_SHA384, EV_NO_ACTION, type LogEvent, SPEC_ID_SIGNATURE } from "./event-log.js";
import { EventLogError } from "./event-log-errors.js";
import { parseEventLog } from "./event-log-parse.js";
import { RTMR_COUNT, type RtmrIndex } from "./rtmr.js";

/** The first event of a log, and how it says that all others have one digest, of SHA-384. */
const SPEC_ID_EVENT = new Struct({
  mrIndex: u32,
  type: u32,
  digest: bytes(20),
  size: u32,
  signature: bytes(16),
  platformClass: u32,
  versionMinor: u8,
  versionMajor: u8,
  errata: u8,
  uintnSize: u8,
  algorithmCount: u32,
  algorithm: u16,
  digestSize: u16,
  vendorInfoSize: u8,
});
const SPEC_ID_SIZE = 33;
const EVENT_HEAD = new Struct({ mrIndex: u32, type: u32, count: u32, algorithm: u16, digest: bytes(48), size: u32 });

/** Extends a register: TDG.MR.RTMR.EXTEND. */
export type Extend = (index: RtmrIndex, digest: Uint8Array) => void;

/**
 * Writes the event log of a TD into the area that its CCEL table points to. An event is written and its register extended together, or
 * neither: a log that says more or less than the registers would be worth nothing.
 *
 * @example
 * const log = EventLogWriter.create(new Uint8Array(65536));
 * log.measure({ mrIndex: 3, type: EV_IPL, digest: sha384(text), data: text }, (index, digest) => rtmrs.extend(index, digest));
 */
export class EventLogWriter {
  readonly #area: Uint8Array;
  #size: number;

  private constructor(area: Uint8Array, size: number) {
    this.#area = area;
    this.#size = size;
  }

  /** An empty log that fills the area. @throws {EventLogError} full, for an area of less than 65 bytes */
  static create(area: Uint8Array): EventLogWriter {
    if (area.length < SPEC_ID_EVENT.size)
      throw new EventLogError("full", 0, `an area of ${area.length} bytes; a log needs ${SPEC_ID_EVENT.size} at least`);
    area.fill(0xff);
    const event = SPEC_ID_EVENT.write({
      mrIndex: 1,
      type: EV_NO_ACTION,
      digest: new Uint8Array(20),
      size: SPEC_ID_SIZE,
      signature: new TextEncoder().encode(SPEC_ID_SIGNATURE),
      platformClass: 0,
      versionMinor: 0,
      versionMajor: 2,
      errata: 0,
      uintnSize: 2,
      algorithmCount: 1,
      algorithm: ALGORITHM_SHA384,
      digestSize: 48,
      vendorInfoSize: 0,
    });
    area.set(event);
    return new EventLogWriter(area, event.length);
  }

  /** A log that is in the area already and goes on. @throws {EventLogError} for one that is broken, or has other digests too */
  static resume(area: Uint8Array): EventLogWriter {
    const { size, specId } = parseEventLog(area);
    if (specId.algorithms.length > 1)
      throw new EventLogError(
        "algorithm",
        0,
        `${specId.algorithms.length} algorithms; a log can go on that has SHA-384 only`,
      );
    return new EventLogWriter(area, size);
  }

  /** Bytes of the log so far. */
  get size(): number {
    return this.#size;
  }

  /**
   * Extends the event's register and writes the event. EV_NO_ACTION and what is of MRTD extends nothing.
   *
   * @param extend what it throws passes through, and nothing has been written then
   * @throws {EventLogError} full; nothing has been written or extended then
   * @throws {FieldError} for an event that no log can have, likewise
   */
  measure(event: LogEvent, extend: Extend): void {
    const { mrIndex, type, digest, data } = event;
    if (!(mrIndex <= RTMR_COUNT))
      throw new FieldError("field-range", `mrIndex is ${mrIndex}; 0 to ${RTMR_COUNT} exist`);
    if (mrIndex === 0 && type !== EV_NO_ACTION)
      throw new FieldError("field-range", "mrIndex is 0 (MRTD), which nothing extends; only EV_NO_ACTION can be of it");
    const head = EVENT_HEAD.write({ mrIndex, type, count: 1, algorithm: ALGORITHM_SHA384, digest, size: data.length });
    const written = concatBytes(head, data);
    const left = this.#area.length - this.#size;
    if (written.length > left)
      throw new EventLogError("full", this.#size, `an event of ${written.length} bytes; there is room for ${left}`);
    if (type !== EV_NO_ACTION) extend((mrIndex - 1) as RtmrIndex, digest.slice());
    this.#area.set(written, this.#size);
    this.#size += written.length;
  }
}
