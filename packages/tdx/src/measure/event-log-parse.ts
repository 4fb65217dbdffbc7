import { ByteReader } from "../bytes/reader.js";
import {
  ALGORITHM_SHA384,
  DIGEST_SIZES,
  EV_NO_ACTION,
  type EventLog,
  type LogAlgorithm,
  type PlacedEvent,
  SPEC_ID_SIGNATURE,
  type SpecId,
} from "./event-log.js";
import { EventLogError } from "./event-log-errors.js";
import { RTMR_COUNT } from "./rtmr.js";

/**
 * Parses the event log of a TD: the area that its CCEL table points to. The log ends with the area, or with bytes up to its end that are all
 * 0xff or all zero. What is parsed is a copy.
 *
 * @throws {EventLogError} for everything else; nothing else
 * @example
 * const { events } = parseEventLog(await readFile("/sys/firmware/acpi/tables/data/CCEL"));
 */
export function parseEventLog(area: Uint8Array): EventLog {
  const copy = Uint8Array.from(area);
  const reader = new ByteReader(copy, truncated);
  const specId = readSpecId(reader);
  const events: PlacedEvent[] = [];
  while (!ended(copy, reader.at)) events.push(readEvent(reader, specId.algorithms));
  return { specId, events, size: reader.at };
}

function truncated(field: string, at: number, wanted: number, left: number): never {
  throw new EventLogError("truncated", at, `${field} needs ${wanted} bytes and ${left} are left`);
}

/** Whether nothing but fill bytes is left. */
function ended(area: Uint8Array, at: number): boolean {
  const fill = area[at];
  if (fill === undefined) return true;
  if (fill !== 0 && fill !== 0xff) return false;
  const other = area.subarray(at).findIndex((byte) => byte !== fill);
  if (other < 0) return true;
  if (fill === 0xff && other >= 4) {
    const where = `the log ends here, and byte ${at + other} is 0x${area[at + other]?.toString(16)}`;
    throw new EventLogError("after-end", at, `${where}; all have to be 0xff`);
  }
  return false;
}

function readSpecId(reader: ByteReader): SpecId {
  const at = reader.at;
  reader.u32("measurement register of the first event");
  const type = reader.u32("type of the first event");
  const digest = reader.bytes(20, "digest of the first event");
  const event = reader.part(reader.u32("size of the first event"), "first event");
  const refuse = (problem: string): never => {
    throw new EventLogError("spec-id", at, `${problem}, so this is not a log in TCG's crypto-agile format`);
  };
  if (type !== EV_NO_ACTION) refuse(`the first event has type ${type} instead of 3 (EV_NO_ACTION)`);
  if (digest.some((byte) => byte !== 0)) refuse("the first event has a digest other than zeros");
  const signature = String.fromCharCode(...event.bytes(SPEC_ID_SIGNATURE.length, "signature of the first event"));
  if (signature !== SPEC_ID_SIGNATURE) refuse(`the first event does not start with "Spec ID Event03" and a zero`);
  const head = {
    platformClass: event.u32("platform class"),
    versionMinor: event.u8("minor version"),
    versionMajor: event.u8("major version"),
    errata: event.u8("errata"),
    uintnSize: event.u8("size of UINTN"),
  };
  const algorithms = readAlgorithms(event);
  const vendorInfo = event.bytes(event.u8("size of the vendor's information"), "vendor's information");
  if (event.left > 0) refuse(`the first event has ${event.left} bytes too many`);
  return { ...head, algorithms, vendorInfo };
}

function readAlgorithms(event: ByteReader): LogAlgorithm[] {
  const start = event.at;
  const refuse = (at: number, problem: string): never => {
    throw new EventLogError("algorithm", at, problem);
  };
  const count = event.u32("number of algorithms");
  if (count < 1 || count > DIGEST_SIZES.size)
    refuse(start, `${count} algorithms; 1 to ${DIGEST_SIZES.size} are possible`);
  const algorithms: LogAlgorithm[] = [];
  for (let k = 0; k < count; k++) {
    const at = event.at;
    const algorithm = { id: event.u16("algorithm"), digestSize: event.u16("size of digests") };
    const { id, digestSize } = algorithm;
    if (DIGEST_SIZES.get(id) !== digestSize) {
      const known = [...DIGEST_SIZES].map(([number, size]) => `0x${number.toString(16)} with ${size}`).join(", ");
      refuse(at, `algorithm 0x${id.toString(16)} with digests of ${digestSize} bytes; known are ${known}`);
    }
    if (algorithms.some((other) => other.id === id)) refuse(at, `algorithm 0x${id.toString(16)} twice`);
    algorithms.push(algorithm);
  }
  if (!algorithms.some(({ id }) => id === ALGORITHM_SHA384)) refuse(start, "no SHA-384 (0xc), which RTMRs are made of");
  return algorithms;
}

function readEvent(reader: ByteReader, algorithms: readonly LogAlgorithm[]): PlacedEvent {
  const offset = reader.at;
  const mrIndex = reader.u32("measurement register");
  if (mrIndex > RTMR_COUNT)
    throw new EventLogError("mr-index", offset, `measurement register ${mrIndex}; 0 (MRTD) to 4 (RTMR3) exist`);
  const type = reader.u32("type of event");
  const digest = readDigests(reader, algorithms);
  const data = reader.bytes(reader.u32("size of the event"), "event");
  return { offset, size: reader.at - offset, mrIndex, type, digest, data };
}

/** Reads one digest of each of the log's algorithms. @returns the SHA-384 */
function readDigests(reader: ByteReader, algorithms: readonly LogAlgorithm[]): Uint8Array {
  const start = reader.at;
  const count = reader.u32("number of digests");
  if (count !== algorithms.length)
    throw new EventLogError("digests", start, `${count} digests; the log has ${algorithms.length} an event`);
  const digests = new Map<number, Uint8Array>();
  for (let k = 0; k < count; k++) {
    const at = reader.at;
    const id = reader.u16("algorithm of a digest");
    const algorithm = algorithms.find((known) => known.id === id);
    if (algorithm === undefined || digests.has(id)) {
      const accepted = algorithms.map((known) => `0x${known.id.toString(16)}`).join(", ");
      throw new EventLogError("digests", at, `digest of 0x${id.toString(16)}; one each of ${accepted} has to be there`);
    }
    digests.set(id, reader.bytes(algorithm.digestSize, "digest"));
  }
  return digests.get(ALGORITHM_SHA384) as Uint8Array;
}
