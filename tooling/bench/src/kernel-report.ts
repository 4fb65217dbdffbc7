/** Figures of the benchmark programs: medians, ratios, and the report of them. */
import type { Engine, EngineName } from "./kernel-engines.js";
import { ELEVEN, type KernelName, THIRTEEN } from "./kernels.js";
import { geomean, median, table } from "./numbers.js";
import type { CpuSpan } from "./threads.js";

/** CPU seconds of a kernel for one unit of scale, once a repetition, by engine. */
export type Runs = ReadonlyMap<EngineName, ReadonlyMap<KernelName, readonly CpuSpan[]>>;

/** What a benchmark of the programs measured. */
export interface KernelRuns {
  readonly engines: readonly Engine[];
  readonly kernels: readonly KernelName[];
  readonly scale: number;
  readonly repetitions: number;
  /** At full scale, and at scale 1 in a process of its own. Native is in `warm` only. */
  readonly warm: Runs;
  readonly cold: Runs;
  /** Instructions of each kernel at full scale. */
  readonly instructions: ReadonlyMap<string, number>;
}

const BASELINE: Readonly<Record<EngineName, EngineName>> = {
  native64: "native64",
  ours: "native64",
  tcg: "native64",
  native32: "native32",
  v86: "native32",
};

/** Median CPU seconds for a unit of scale; NaN for what was not run. */
const seconds = (runs: Runs, engine: EngineName, kernel: KernelName, of: keyof CpuSpan = "busiest"): number =>
  median((runs.get(engine)?.get(kernel) ?? []).map((span) => span[of]));

/** One engine's figures. Ratios are to the processor with a program of the same width. */
export interface EngineFigures {
  readonly title: string;
  readonly bits: 32 | 64;
  readonly timesNative: Readonly<Record<string, number>>;
  readonly geomean11: number;
  readonly geomean13: number;
  /** Sum over the eleven at scale 1, over the sum for a unit at full scale. */
  readonly coldOverWarmMainThread: number;
  readonly coldOverWarmAllThreads: number;
}

const geo = (names: readonly KernelName[], of: (name: KernelName) => number): number => geomean(names.map(of));

function figures(runs: KernelRuns, engine: Engine): EngineFigures {
  const times = (name: KernelName) =>
    seconds(runs.warm, engine.name, name) / seconds(runs.warm, BASELINE[engine.name], name);
  const cold = (of: keyof CpuSpan) => {
    const sum = (which: Runs) => ELEVEN.reduce((total, name) => total + seconds(which, engine.name, name, of), 0);
    return sum(runs.cold) / sum(runs.warm);
  };
  return {
    title: engine.title,
    bits: engine.bits,
    timesNative: Object.fromEntries(runs.kernels.map((name) => [name, times(name)])),
    geomean11: geo(ELEVEN, times),
    geomean13: geo(THIRTEEN, times),
    coldOverWarmMainThread: cold("busiest"),
    coldOverWarmAllThreads: cold("all"),
  };
}

/** All figures, as `--json` writes them: what was not run is absent, what cannot be computed from it null. */
export function kernelData(runs: KernelRuns) {
  const engines = Object.fromEntries(
    runs.engines.filter(({ native }) => !native).map((engine) => [engine.name, figures(runs, engine)]),
  );
  const nativeMs = Object.fromEntries(
    runs.engines
      .filter(({ native }) => native)
      .map(({ name }) => [
        name,
        Object.fromEntries(runs.kernels.map((kernel) => [kernel, seconds(runs.warm, name, kernel) * 1000])),
      ]),
  );
  const mips = (name: KernelName) =>
    (runs.instructions.get(name) ?? Number.NaN) / runs.scale / seconds(runs.warm, "ours", name) / 1e6;
  const against = (other: EngineName) => {
    const [ours, theirs] = [engines.ours, engines[other]];
    if (ours === undefined || theirs === undefined) return undefined;
    const ratio = (name: KernelName) =>
      (ours.timesNative[name] ?? Number.NaN) / (theirs.timesNative[name] ?? Number.NaN);
    return {
      kernels: Object.fromEntries(runs.kernels.map((name) => [name, ratio(name)])),
      geomean11: geo(ELEVEN, ratio),
      geomean13: geo(THIRTEEN, ratio),
      worst: Math.max(...runs.kernels.map(ratio)),
    };
  };
  return {
    scale: runs.scale,
    repetitions: runs.repetitions,
    nativeMs,
    engines,
    oursOver: { tcg: against("tcg"), v86: against("v86") },
    mips: {
      kernels: Object.fromEntries(runs.kernels.map((name) => [name, mips(name)])),
      geomean11: geo(ELEVEN, mips),
    },
  };
}

const cell = (value: number | undefined, digits: number): string =>
  value === undefined || Number.isNaN(value) ? "-" : value.toFixed(digits);

/** The report for a person. */
export function kernelText(runs: KernelRuns): string {
  const data = kernelData(runs);
  const { ours, tcg, v86 } = data.engines;
  const { tcg: overTcg, v86: overV86 } = data.oursOver;
  const rows = [["program", "native ms", "MIPS", "ours", "TCG", "v86", "ours/TCG", "ours/v86"]];
  for (const name of runs.kernels)
    rows.push([
      name,
      cell(data.nativeMs.native64?.[name], 2),
      cell(data.mips.kernels[name], 0),
      ...[ours, tcg, v86].map((engine) => cell(engine?.timesNative[name], 2)),
      ...[overTcg, overV86].map((ratios) => cell(ratios?.kernels[name], 2)),
    ]);
  const mean = (label: string, of: "geomean11" | "geomean13", mips: number | undefined) =>
    rows.push([
      label,
      "",
      cell(mips, 0),
      ...[ours, tcg, v86].map((engine) => cell(engine?.[of], 2)),
      ...[overTcg, overV86].map((ratios) => cell(ratios?.[of], 2)),
    ]);
  mean("geomean of 11", "geomean11", data.mips.geomean11);
  mean("geomean of 13", "geomean13", undefined);
  const warmUp = (label: string, of: "coldOverWarmMainThread" | "coldOverWarmAllThreads") =>
    rows.push([label, "", "", ...[ours, tcg, v86].map((engine) => cell(engine?.[of], 2)), "", ""]);
  warmUp("cold/warm, main thread", "coldOverWarmMainThread");
  warmUp("cold/warm, all threads", "coldOverWarmAllThreads");
  const titles = runs.engines.map(({ title }) => title).join("; ");
  return `Programs without an operating system, times native of the same width, scale ${runs.scale}, median of ${runs.repetitions}; CPU time of the busiest thread
${table(rows)}
worst ours/TCG: ${cell(overTcg?.worst, 2)}; native ms are for scale 1
${titles}
`;
}
