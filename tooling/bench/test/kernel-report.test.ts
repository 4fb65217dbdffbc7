import { expect, it } from "vitest";
import type { Engine, EngineName } from "../src/kernel-engines.js";
import { type KernelRuns, kernelData, kernelText } from "../src/kernel-report.js";
import { KERNELS, type KernelName } from "../src/kernels.js";

const engine = (name: EngineName): Engine => ({
  name,
  title: name,
  bits: name === "native32" || name === "v86" ? 32 : 64,
  native: name.startsWith("native"),
  command: () => ["true"],
});

/** Every kernel costs an engine the same, with a slow outlier that the median must not see. */
const runs = (seconds: Partial<Record<EngineName, number>>) =>
  new Map(
    Object.entries(seconds).map(([name, busiest]) => [
      name as EngineName,
      new Map(
        KERNELS.map((kernel): [KernelName, { busiest: number; all: number }[]] => [
          kernel,
          [busiest, busiest, busiest * 100].map((value) => ({ busiest: value, all: value * 2 })),
        ]),
      ),
    ]),
  );

const measured = (names: readonly EngineName[]): KernelRuns => ({
  engines: names.map(engine),
  kernels: KERNELS,
  scale: 4,
  repetitions: 3,
  warm: runs({ native64: 0.005, ours: 0.02, tcg: 0.04, native32: 0.01, v86: 0.06 }),
  cold: runs({ ours: 0.03, tcg: 0.04, v86: 0.12 }),
  instructions: new Map(KERNELS.map((name) => [name, 8e6])),
});

it("takes medians, and ratios to the processor with a program of the same width", () => {
  const data = kernelData(measured(["native64", "ours", "tcg", "native32", "v86"]));
  expect(data.engines.ours).toMatchObject({
    timesNative: { sieve: 4 },
    geomean11: expect.closeTo(4),
    geomean13: expect.closeTo(4),
    coldOverWarmMainThread: expect.closeTo(1.5),
    coldOverWarmAllThreads: expect.closeTo(1.5),
  });
  expect(data.engines.v86?.geomean11).toBeCloseTo(6);
  expect([data.oursOver.tcg?.geomean13, data.oursOver.tcg?.worst, data.oursOver.v86?.geomean11]).toEqual([
    expect.closeTo(0.5),
    expect.closeTo(0.5),
    expect.closeTo(4 / 6),
  ]);
  expect(data.mips.geomean11).toBeCloseTo(100);
});

it("leaves out what is not on this machine", () => {
  const run = measured(["native64", "ours"]);
  const data = kernelData(run);
  expect([Object.keys(data.engines), data.oursOver]).toEqual([["ours"], { tcg: undefined, v86: undefined }]);
  expect(kernelText(run)).toMatch(/^sieve +5\.00 +100 +4\.00 +- +- +- +-$/m);
});
