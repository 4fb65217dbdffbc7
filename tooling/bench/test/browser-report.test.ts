import { expect, it } from "vitest";
import { type BrowserRuns, browserData, browserText } from "../src/browser-report.js";
import { CostMarks } from "../src/cost.js";
import { ELEVEN, KERNELS, type KernelName } from "../src/kernels.js";

const cost = (busiest: number) => ({ busiest, all: 2 * busiest, wall: 3 * busiest });
/** Every kernel costs the same, with a slow outlier that the median must not see. */
const costs = (busiest: number, names: readonly KernelName[] = KERNELS) =>
  new Map(names.map((name) => [name, [busiest, 50 * busiest, busiest].map(cost)]));

const longest = (ms: number) => ({ ms, over: ms > 16 ? 1 : 0, parts: { Layout: ms } });
const phase = (ms: number) => ({
  ...{ name: "boot", seconds: 5, tasks: 100, cpuSeconds: 1 },
  ...{ wall: longest(2 * ms), cpu: longest(ms) },
});

const runs: BrowserRuns = {
  chromium: "Chromium 1",
  kernels: KERNELS,
  scale: 8,
  repetitions: 3,
  warm: { node: costs(0.4), chromium: costs(0.3) },
  cold: { node: costs(0.1), chromium: costs(0.2) },
  boots: { node: [{ ...cost(4), peakRssBytes: 2e8 }], chromium: [{ ...cost(5), peakRssBytes: 3e8 }] },
  stalls: [[phase(5)], [phase(20)], [phase(6)]],
};

it("takes medians of both hosts, and their ratios by every clock", () => {
  const data = browserData(runs);
  expect(data.kernels.sieve?.ratio).toEqual({
    busiest: expect.closeTo(0.75),
    all: expect.closeTo(0.75),
    wall: expect.closeTo(0.75),
  });
  expect([data.geomean11.busiest, data.geomeanOfAll.wall]).toEqual([expect.closeTo(0.75), expect.closeTo(0.75)]);
  expect(data.cold).toMatchObject({ node: { busiest: expect.closeTo(1.4) }, ratio: { busiest: expect.closeTo(2) } });
  expect(data.boot?.ratio).toMatchObject({ busiest: 1.25, peakRssBytes: 1.5 });
});

it("tells the median of the longest tasks, the worst of all and what that consists of", () => {
  expect(browserData(runs).stalls).toMatchObject([
    { name: "boot", cpu: { ms: 6, most: 20, over: 0, parts: { Layout: 20 } }, wall: { ms: 12, most: 40 } },
  ]);
});

it("reports what was run, and no more", () => {
  const text = browserText(browserData(runs));
  expect(text).toMatch(/^sieve +50\.00 +37\.50 +0\.75 +0\.75 +0\.75$/m);
  expect(text).toMatch(/^cold, sum +1400\.00 +2800\.00 +2\.00 +2\.00 +2\.00$/m);
  expect(text).toMatch(/^ratio +1\.25 +1\.25 +1\.25 +1\.50$/m);
  expect(text).toContain("boot: Layout 20.0");
  const none = { node: new Map(), chromium: new Map() };
  const little = browserText(
    browserData({ ...runs, kernels: [], warm: none, cold: none, boots: { node: [], chromium: [] } }),
  );
  expect(little).not.toMatch(/geomean|boot to a shell/);
  expect(little).toContain("main thread");
});

it("leaves the mean of the eleven open where some of them were not run", () => {
  const only = ELEVEN.slice(0, 2);
  const sides = { node: costs(0.4, only), chromium: costs(0.3, only) };
  const data = browserData({ ...runs, kernels: only, warm: sides, cold: sides });
  expect([data.geomean11.busiest, data.geomeanOfAll.busiest]).toEqual([Number.NaN, expect.closeTo(0.75)]);
});

it("costs what passed between two marks, on the wall as well", () => {
  let now = 1000;
  const marks = new CostMarks(() => now);
  marks.line("B fp", new Map([[1, 1e9]]));
  now = 3500;
  marks.line("E fp 1234", new Map([[1, 2e9]]));
  expect(marks.costs.get("fp")).toEqual({ checksum: "1234", busiest: 1, all: 1, wall: 2.5 });
});
