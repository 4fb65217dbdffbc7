import { readFileSync } from "node:fs";
import { assert, bigInt, constantFrom, integer, oneof, property, record, string, tuple } from "fast-check";
import { describe, expect, test } from "vitest";
import { ClockId, KTIME_SEC_MAX, LinuxError, type Offsets, parseOffsets, printOffsets } from "../src/index.js";
import { Host, type HostTask } from "./reference-host.js";

interface Recorded {
  readonly kernel: string;
  readonly cases: readonly {
    readonly now: Readonly<Record<keyof Offsets, readonly [number, number]>>;
    readonly frozen: boolean;
    readonly writes: readonly { readonly text: string; readonly answer: number | string }[];
    readonly reads: string;
  }[];
  readonly positions: readonly { readonly position: number; readonly answer: number | string }[];
  readonly pwrite: readonly { readonly position: number; readonly answer: string }[];
}

const recorded = JSON.parse(readFileSync(new URL("data/offsets.json", import.meta.url), "utf8")) as Recorded;

/** What write(2) returns, or its errno. */
function written(write: () => number): number | string {
  try {
    return write();
  } catch (error) {
    if (error instanceof LinuxError) return error.code;
    throw error;
  }
}

function taskAt(now?: Recorded["cases"][number]["now"]): HostTask {
  const host = new Host();
  if (now !== undefined) {
    const ns = ([sec, nsec]: readonly [number, number]): bigint => BigInt(sec) * 1_000_000_000n + BigInt(nsec);
    host.began.monotonic = ns(now.monotonic);
    host.began.boottime = ns(now.boottime);
  }
  const task = host.init.fork();
  task.unshare();
  return task;
}

/** Nanoseconds that are negative once they are in 64 bits: 6.18.44 takes them, and these are the answers of 6.1.192. */
const NEGATIVE: Readonly<Record<string, string>> = {
  "monotonic 5 9223372036854775808\n": "EINVAL",
  "monotonic 5 18446744073709551615\n": "EINVAL",
  "monotonic 5 18446744072709551616\n": "EINVAL",
  "monotonic 99999999999 18446744073709551615\n": "ERANGE",
  "monotonic -10000000 18446744073709551615\n": "EINVAL",
  "monotonic 5 6\nboottime 7 18446744073709551615\n": "EINVAL",
  "monotonic 9223372037 0\nboottime 7 18446744073709551615\n": "ERANGE",
};
const ours = recorded.cases.filter(({ writes }) => writes.every(({ text }) => NEGATIVE[text] === undefined));

describe(`what Linux ${recorded.kernel} answered to a write`, () => {
  test.each(ours.map((c) => ({ name: c.writes.map(({ text }) => JSON.stringify(text.slice(0, 60))).join(), ...c })))(
    "$name, frozen: $frozen",
    ({ now, frozen, writes, reads }) => {
      const parent = taskAt(now);
      const task = frozen ? parent.fork() : parent;
      const file = task.openOffsets();
      expect(writes.map(({ text }) => written(() => file.write(text)))).toEqual(writes.map((w) => w.answer));
      expect(task.readOffsets()).toBe(reads);
    },
  );

  test("they are all that are recorded, but for negative nanoseconds", () => {
    expect(recorded.cases.length - ours.length).toBe(Object.keys(NEGATIVE).length);
  });

  test.each(recorded.positions)("at $position: $answer", ({ position, answer }) => {
    const file = taskAt().openOffsets();
    if (position === 10) file.lseek(10, 0);
    else file.read(position);
    expect(written(() => file.write("monotonic 5 6\n"))).toBe(answer);
  });

  test.each(recorded.pwrite)("with pwrite at $position: $answer", ({ answer }) => {
    expect(written(() => taskAt().openOffsets().pwrite())).toBe(answer);
  });
});

test.each(Object.entries(NEGATIVE))("negative nanoseconds are refused, after the seconds: %j", (text, answer) => {
  const task = taskAt();
  expect(written(() => task.write(text))).toBe(answer);
  expect(task.readOffsets()).toBe("monotonic           0         0\nboottime            0         0\n");
});

test("a write that a third line cuts short is continued at the beginning of the file", () => {
  const task = taskAt();
  const file = task.openOffsets();
  const text = "monotonic 1 2\nboottime 3 4\nmonotonic 5 6\n";
  const taken = file.write(text);
  expect(taken + file.write(text.slice(taken))).toBe(text.length);
  expect(task.readOffsets()).toBe("monotonic           5         6\nboottime            3         4\n");
});

test("a read that begins later goes on with what the first one saw", () => {
  const task = taskAt();
  const file = task.openOffsets();
  expect(file.read(10)).toBe("monotonic ");
  task.write("boottime 7 8\n");
  expect(file.read(100)).toBe("          0         0\nboottime            0         0\n");
  expect(file.read(100)).toBe("");
  expect([file.lseek(0, 0), file.read(100)]).toEqual([
    0,
    "monotonic           0         0\nboottime            7         8\n",
  ]);
});

test("SEEK_END and what is before the beginning are EINVAL", () => {
  const file = taskAt().openOffsets();
  expect([
    written(() => file.lseek(0, 2)),
    written(() => file.lseek(-1, 0)),
    file.lseek(3, 1),
    file.lseek(2, 1),
  ]).toEqual(["EINVAL", "EINVAL", 3, 5]);
});

const timespecs = record({
  sec: integer({ min: -KTIME_SEC_MAX, max: KTIME_SEC_MAX }),
  nsec: integer({ min: 0, max: 999_999_999 }),
});

test("what is printed parses as the same offsets", () => {
  assert(
    property(timespecs, timespecs, (monotonic, boottime) => {
      const text = printOffsets({ monotonic, boottime });
      const { lines, consumed } = parseOffsets(text);
      expect(consumed).toBe(text.length);
      expect(lines.map(({ clock, sec, nsec }) => ({ clock, sec: Number(sec), nsec: Number(nsec) }))).toEqual([
        { clock: "monotonic", ...monotonic },
        { clock: "boottime", ...boottime },
      ]);
    }),
  );
});

test("a write either takes all its lines or changes nothing", () => {
  const seconds = oneof(
    integer({ min: -7_000, max: 4_611_690_000 }).map(BigInt),
    bigInt({ min: -(2n ** 64n), max: 2n ** 64n }),
  );
  const nanoseconds = oneof(integer({ min: 0, max: 999_999_999 }).map(BigInt), bigInt({ min: 0n, max: 2n ** 65n }));
  const line = tuple(constantFrom("monotonic", "boottime", "1", "7", "realtime"), seconds, nanoseconds);
  const fresh = "monotonic           1         2\nboottime            3         4\n";
  const set = (name: string): string => (name === "1" ? "monotonic" : name === "7" ? "boottime" : name);
  assert(
    property(line, line, (first, second) => {
      const task = taskAt();
      task.write("monotonic 1 2\nboottime 3 4");
      const one = (entry: readonly [string, bigint, bigint]): boolean =>
        typeof written(() => taskAt().write(entry.join(" "))) === "number";
      const all = typeof written(() => task.write(`${first.join(" ")}\n${second.join(" ")}\n`)) === "number";
      expect(all).toBe(one(first) && one(second));
      const after = task.readOffsets();
      if (all) {
        const last = second;
        expect(after).toContain(set(last[0]).padEnd(10));
        expect(after).toContain(` ${BigInt.asIntN(64, last[1])} ${String(BigInt.asIntN(64, last[2])).padStart(9)}\n`);
      } else expect(after).toBe(fresh);
    }),
    { numRuns: 300 },
  );
});

test("no text makes the parser throw anything but EINVAL, and it takes no more than there is", () => {
  const word = oneof(
    constantFrom("monotonic", "boottime", "1", "7", " ", "\n", "\0", "\t", "-", "5", "999999999", "\u00a0"),
    string({ maxLength: 4 }),
  );
  assert(
    property(tuple(word, word, word, word, word, word, word, word), (words) => {
      const text = words.join("");
      try {
        const { lines, consumed } = parseOffsets(text);
        expect(lines.length).toBeLessThanOrEqual(2);
        expect(consumed).toBeLessThanOrEqual(text.length);
      } catch (error) {
        expect(error).toMatchObject({ code: "EINVAL" });
      }
    }),
    { numRuns: 2000 },
  );
});

const clocks = constantFrom(ClockId.Monotonic, ClockId.Boottime, ClockId.BoottimeAlarm);

test("a clock in a namespace is never negative, and what an absolute timer waits for is when that clock shows it", () => {
  const offset = integer({ min: -4_000, max: 4_611_000_000 });
  assert(
    property(
      clocks,
      offset,
      integer({ min: 0, max: 999_999_999 }),
      bigInt({ min: 0n, max: 2n ** 63n - 1n }),
      (clock, sec, nsec, t) => {
        const task = taskAt();
        task.write(`monotonic ${sec} ${nsec}\nboottime ${sec} ${nsec}\n`);
        const { time } = task.fork();
        expect(time.toNamespace(clock, task.host.clock(clock))).toBeGreaterThanOrEqual(0n);
        const host = time.toHost(clock, t);
        expect(host).toBeGreaterThanOrEqual(0n);
        expect(host).toBeLessThanOrEqual(2n ** 63n - 1n);
        const shown = time.toNamespace(clock, host);
        if (host === 0n) expect(t).toBeLessThanOrEqual(shown);
        else if (host === 2n ** 63n - 1n) expect(t).toBeGreaterThanOrEqual(shown);
        else expect(shown).toBe(t);
      },
    ),
  );
});
