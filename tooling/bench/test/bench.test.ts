import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { EVENT_PROGRAMS, eventImage } from "../src/event-programs.js";
import { ELEVEN, KERNELS, THIRTEEN } from "../src/kernels.js";
import { Marks } from "../src/marks.js";
import { measure } from "../src/measure.js";
import { geomean, median, slope, table } from "../src/numbers.js";
import { kernelSources } from "../src/paths.js";
import { between } from "../src/threads.js";
import { parseStats } from "../src/vm.js";

const onLinux = it.skipIf(process.platform !== "linux");

it("knows the programs of work.c, in its order", () => {
  const rows = /struct w W\[\]=\{(.*?)\};/s.exec(readFileSync(`${kernelSources}/work.c`, "utf8"))?.[1] ?? "";
  expect([...rows.matchAll(/\{"(\w+)"/g)].map((match) => match[1])).toEqual([...KERNELS]);
  expect([ELEVEN.length, THIRTEEN.length]).toEqual([11, 13]);
});

it("makes an ELF file of every event program, which differs by its body and its loops", () => {
  const images = EVENT_PROGRAMS.flatMap((program) => [0, 7].map((loops) => eventImage(program, loops)));
  for (const image of images) expect([...image.subarray(0, 4)]).toEqual([0x7f, 0x45, 0x4c, 0x46]);
  expect(new Set(images.map((image) => Buffer.from(image).toString("latin1"))).size).toBe(images.length);
});

it("takes the CPU time between a program's two marks, of the busiest thread and of all", () => {
  const marks = new Marks();
  for (const [line, main, other] of [
    ["START", 1e9, 0],
    ["B sieve", 2e9, 1e9],
    ["noise", 3e9, 1e9],
    ["E sieve 0003c13b\r", 4.5e9, 2e9],
    ["E lost 1", 5e9, 2e9],
  ] as const)
    marks.line(
      line,
      new Map([
        [7, main],
        [8, other],
      ]),
    );
  expect([...marks.spans]).toEqual([["sieve", { checksum: "0003c13b", busiest: 2.5, all: 3.5 }]]);
});

it("takes the median of odd and even counts, and the geometric mean", () => {
  expect([median([3, 1, 2]), median([4, 1, 2, 3]), geomean([1, 100])]).toEqual([2, 2.5, expect.closeTo(10)]);
});

it("fits a straight line to points", () => {
  expect(
    slope([
      [0, 5],
      [1, 7],
      [2, 9.3],
      [3, 10.7],
    ]),
  ).toBeCloseTo(1.94);
  expect(slope([[1, 1]])).toBeNaN();
});

it("aligns names to the left and numbers to the right", () => {
  expect(
    table([
      ["a", "n"],
      ["bb", "10"],
    ]),
  ).toBe("a    n\nbb  10");
});

it("reads the statistics from the last line that has them", () => {
  const stats = { instructions: 5, cpuSeconds: 1, peakRssBytes: 2 };
  expect(parseStats(`log\n{"instructions":1}\n${JSON.stringify(stats)}\n`)).toEqual(stats);
  expect(() => parseStats("nothing")).toThrow(/no statistics.*nothing/);
});

onLinux("measures the CPU time of a child that computes, not of one that waits", async () => {
  const spin = "const end = process.cpuUsage().user + 300000; while (process.cpuUsage().user < end);";
  const busy = await measure(process.execPath, ["-e", spin]);
  expect(busy.cpuSeconds).toBeGreaterThanOrEqual(0.29);
  expect(busy.peakRssBytes).toBeGreaterThan(1e6);
  const idle = await measure("cat", ["/dev/null"]);
  expect(idle.cpuSeconds).toBeLessThan(busy.cpuSeconds);
});

onLinux("reports a program's status and lines, and one that does not exist", async () => {
  const lines: string[] = [];
  const done = await measure("sh", ["-c", "echo a; echo b; exit 3"], { onLine: (line) => lines.push(line) });
  expect([done.status, lines]).toEqual([3, ["a", "b"]]);
  await expect(measure("vm-no-such-program", [])).rejects.toThrow(/cannot run vm-no-such-program/);
});

onLinux("ends a program when its output, be the line whole or not, matches", async () => {
  const script = `process.stdout.write("login: "); for (;;);`;
  const { status, stdout, reached } = await measure(process.execPath, ["-e", script], { until: /login: $/ });
  expect([status, stdout]).toEqual([null, "login: "]);
  expect(between(new Map(), reached ?? new Map()).all).toBeGreaterThan(0);
});

onLinux("ends a program at its time-out", async () => {
  await expect(measure("tail", ["-f", "/dev/null"], { timeoutSeconds: 0.1 })).rejects.toThrow(
    /did not end within 0.1 s/,
  );
});
