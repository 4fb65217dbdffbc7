/** Text of `/proc/PID/timens_offsets` (`fs/proc/base.c`: `timens_offsets_write`; `kernel/time/namespace.c`: `proc_timens_set_offset`). */
import { NSEC_PER_SEC, nanoseconds, type Timespec, timespec } from "../clocks.js";
import { LinuxError } from "../errors.js";
import type { Offsets } from "../vvar/time-page.js";

/** Largest seconds of a time that the kernel counts in nanoseconds (`KTIME_SEC_MAX`). */
export const KTIME_SEC_MAX = 9_223_372_036;
/** Where a clock with its offset may stand at most, so that 146 years remain. */
const LATEST_SEC = 4_611_686_018n;
/** A write takes no more lines than there are offsets. */
const LINES = 2;
/** A write has to be shorter, bytes. */
const WRITE_LIMIT = 4096;

/** A line as it was written: any 64-bit number of seconds; nanoseconds are below a second, but may be negative. */
export interface OffsetLine {
  readonly clock: keyof Offsets;
  readonly sec: bigint;
  readonly nsec: bigint;
}

/** What a write asks for. */
export interface OffsetsWrite {
  /** One or two, in their order; both may be of the same clock. */
  readonly lines: readonly OffsetLine[];
  /** What the write returns if it succeeds, bytes: less than was written if a third line follows. */
  readonly consumed: number;
}

const CLOCKS = new Map<string, keyof Offsets>([
  ["monotonic", "monotonic"],
  ["1", "monotonic"],
  ["boottime", "boottime"],
  ["7", "boottime"],
]);

/**
 * `"%9s %lld %lu"` of the kernel, which no white space has to separate: nine characters are a word, and numbers end where they stop being ones. No group
 * gives back a character it has taken.
 */
const LINE = /^\s*(?=(\S{1,9}))\1\s*(?=(-?\d+))\2\s*(\d+)/;

/**
 * Parses what is written at the beginning of the file.
 * @param text one character a byte (Latin-1); what follows a NUL counts as written, and is not looked at
 * @throws LinuxError EINVAL: 4096 bytes or more, or a line that is not "monotonic|1|boottime|7 SECONDS NANOSECONDS"
 */
export function parseOffsets(text: string): OffsetsWrite {
  if (text.length >= WRITE_LIMIT)
    throw new LinuxError("EINVAL", `write of ${text.length} bytes: expected less than ${WRITE_LIMIT}`);
  const nul = text.indexOf("\0");
  const end = nul < 0 ? text.length : nul;
  const lines: OffsetLine[] = [];
  for (let at = 0; ; ) {
    const newline = text.indexOf("\n", at);
    const lineEnd = newline < 0 || newline > end ? end : newline;
    lines.push(parseLine(text.slice(at, lineEnd)));
    at = lineEnd + 1;
    if (at >= end) return { lines, consumed: text.length };
    if (lines.length === LINES) return { lines, consumed: at };
  }
}

function parseLine(line: string): OffsetLine {
  const [, word = "", sec = "", digits = ""] = LINE.exec(line) ?? [];
  const clock = CLOCKS.get(word);
  // Numbers are what is left of them in 64 bits, as signed ones.
  const nsec = BigInt.asIntN(64, BigInt(digits));
  if (clock === undefined || nsec >= NSEC_PER_SEC)
    throw new LinuxError(
      "EINVAL",
      `offset ${JSON.stringify(line.slice(0, 40))}: expected "monotonic" or "boottime", seconds, and nanoseconds below ${NSEC_PER_SEC}`,
    );
  return { clock, sec: BigInt.asIntN(64, BigInt(sec)), nsec };
}

/**
 * The offsets after a write, of which every line is checked before any counts.
 * @param now what the clocks of the host show, without an offset
 * @throws LinuxError ERANGE: an offset of more than 9223372036 s, or with which the clock stood before 0 or after 4611686018 s; EINVAL: negative
 * nanoseconds, as the number 2^64 - 1 is (refused since 6.1.192; 6.18.44 takes them)
 */
export function checkedOffsets(old: Offsets, lines: readonly OffsetLine[], now: Offsets): Offsets {
  const offsets = { ...old };
  for (const { clock, sec, nsec } of lines) {
    const text = `${clock} ${sec} ${nsec}`;
    if (sec > KTIME_SEC_MAX || sec < -KTIME_SEC_MAX)
      throw new LinuxError("ERANGE", `offset ${text}: expected at most ${KTIME_SEC_MAX} s either way`);
    if (nsec < 0n) throw new LinuxError("EINVAL", `offset ${text}: expected nanoseconds from 0`);
    const offset: Timespec = { sec: Number(sec), nsec: Number(nsec) };
    const shown = timespec(nanoseconds(now[clock]) + nanoseconds(offset));
    if (shown.sec < 0 || shown.sec > LATEST_SEC)
      throw new LinuxError(
        "ERANGE",
        `offset ${text}: the clock would show ${shown.sec} s, expected 0 to ${LATEST_SEC}`,
      );
    offsets[clock] = offset;
  }
  return offsets;
}

/** What a read of the file returns. */
export const printOffsets = ({ monotonic, boottime }: Offsets): string =>
  printLine("monotonic", monotonic) + printLine("boottime", boottime);

const printLine = (clock: keyof Offsets, { sec, nsec }: Timespec): string =>
  `${clock.padEnd(10)} ${String(sec).padStart(10)} ${String(nsec).padStart(9)}\n`;
