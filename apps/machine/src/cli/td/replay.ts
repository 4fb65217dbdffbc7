import {
  BODY_ENCLAVE,
  CCEL_SIZE,
  describeEvent,
  EventLogError,
  eventTypeName,
  parseCcel,
  parseEventLog,
  parseQuote,
  type Replay,
  RTMR_COUNT,
  type RtmrIndex,
  replayEventLog,
  type TdReport10,
} from "@vm/tdx";
import { UsageError } from "../errors.js";
import { ExitCode } from "../exit-code.js";
import { printable, printableJson } from "../printable.js";
import { say } from "../report.js";
import { parsed, quoteBytes } from "./input.js";

export interface ReplayFlags {
  readonly table?: string;
  readonly quote?: string;
  readonly json?: true;
}

/** Status if the quote has other registers, or an event other data than was measured. */
const DIFFERENT = 1;
const LOG_MAX = 64 << 20;
const TABLE_MAX = 4096;
const QUOTE_MAX = 2 << 20;
/** Digits of a digest that are shown. */
const DIGITS = 16;
/** Characters of what an event says that are shown. */
const TEXT_MAX = 300;

/** A register as replayed, and as a quote has it. */
interface Register {
  readonly index: RtmrIndex;
  readonly replayed: string;
  /** Null without a quote. */
  readonly quoted: string | null;
}

/** `vm td replay`: the events of a log and what they lead to. @throws {UsageError} */
export async function replay(path: string, flags: ReplayFlags): Promise<number> {
  const log = await parsed("", path, LOG_MAX, parseLog);
  if (flags.table !== undefined) await checkTable(flags.table, log.size);
  const report = flags.quote === undefined ? null : await parsed("--quote", flags.quote, QUOTE_MAX, quotedReport);
  if (report === "enclave")
    throw new UsageError(`--quote ${flags.quote}: it is about an SGX enclave; a TD's has the registers of a log`);
  const result = replayEventLog(log);
  const registers = INDICES.map((index) => register(index, result, report));
  process.stdout.write(flags.json ? toJson(result, registers) : toText(result, registers));
  const wrong = [
    ...differing(registers, result),
    ...result.events.flatMap(({ digest }, k) => (digest === "differs" ? [untrue(k)] : [])),
  ];
  for (const sentence of wrong) say(sentence);
  return wrong.length === 0 ? ExitCode.Ok : DIFFERENT;
}

const INDICES = Array.from({ length: RTMR_COUNT }, (_, index) => index as RtmrIndex);

function parseLog(bytes: Uint8Array): ReturnType<typeof parseEventLog> {
  if (bytes.length === CCEL_SIZE && Buffer.from(bytes.subarray(0, 4)).toString("latin1") === "CCEL") {
    const accepted = "the log is what it points to, on Linux /sys/firmware/acpi/tables/data/CCEL";
    throw new EventLogError("spec-id", 0, `this is the ACPI table; ${accepted}`);
  }
  return parseEventLog(bytes);
}

async function checkTable(path: string, size: number): Promise<void> {
  const { logAreaLength } = await parsed("--table", path, TABLE_MAX, parseCcel);
  if (logAreaLength >= size) return;
  throw new UsageError(
    `--table ${path}: the log's area has ${logAreaLength} bytes; the log has ${size}, so it is another's`,
  );
}

function quotedReport(file: Uint8Array): TdReport10 | "enclave" {
  const { body } = parseQuote(quoteBytes(file));
  return body.type === BODY_ENCLAVE ? "enclave" : body.report;
}

function register(index: RtmrIndex, { rtmrs }: Replay, report: TdReport10 | null): Register {
  const quoted = report && [report.rtMr0, report.rtMr1, report.rtMr2, report.rtMr3][index];
  return { index, replayed: hex(rtmrs.get(index)), quoted: quoted ? hex(quoted) : null };
}

const isDifferent = ({ replayed, quoted }: Register): boolean => quoted !== null && replayed !== quoted;

/** A sentence for each register that the quote has otherwise. */
function differing(registers: readonly Register[], { events }: Replay): string[] {
  return registers.filter(isDifferent).map(({ index }) => {
    if (events.some(({ rtmr }) => rtmr === index)) return `the quote has another RTMR${index} than the log leads to`;
    return `the quote has an RTMR${index} that was extended, and the log has no event of it: it may be in a log of another kind`;
  });
}

const untrue = (event: number): string =>
  `event ${event}: its digest is not that of its data, so something else was measured`;

function toText({ events }: Replay, registers: readonly Register[]): string {
  const types = Math.max(4, ...events.map(({ event }) => eventTypeName(event.type).length));
  const lines = events.map(({ event, rtmr, digest }, k) => {
    const place = (rtmr === null ? "-" : `RTMR${rtmr}`).padEnd(5);
    const mark = digest === "differs" ? "!" : " ";
    const start = `${`${k}`.padStart(4)}${mark} ${place} ${eventTypeName(event.type).padEnd(types)}`;
    return `${start} ${hex(event.digest).slice(0, DIGITS)} ${shown(describeEvent(event))}`.trimEnd();
  });
  const heads = registers.flatMap(({ index, replayed, quoted }) => {
    if (quoted === null) return [`RTMR${index} ${replayed}`];
    const quotes = replayed === quoted ? "as in the quote" : `the quote has ${quoted}`;
    return [`RTMR${index} ${replayed} ${quotes}`];
  });
  return `${[...lines, ...heads].join("\n")}\n`;
}

/** One line of what a TD wrote. */
function shown(text: string): string {
  const characters = [...text];
  return printable(characters.length > TEXT_MAX ? `${characters.slice(0, TEXT_MAX).join("")}...` : text);
}

function toJson({ events }: Replay, registers: readonly Register[]): string {
  const told = {
    events: events.map(({ event, rtmr, digest }) => ({
      rtmr,
      type: event.type,
      typeName: eventTypeName(event.type),
      digest: hex(event.digest),
      digestOfData: digest,
      text: describeEvent(event),
      data: hex(event.data),
    })),
    rtmrs: registers.map((one) => ({ ...one, matches: one.quoted === null ? null : !isDifferent(one) })),
  };
  return `${printableJson(JSON.stringify(told, null, 2))}\n`;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
