/** Figures of Chromium against Node: medians, ratios, and the report of them. */
import type { Cost } from "./cost.js";
import { ELEVEN, type KernelName } from "./kernels.js";
import { FRAME_MS, type Longest, type MainThreadPhase } from "./main-thread.js";
import { geomean, median, table } from "./numbers.js";

export type HostName = "node" | "chromium";

/** What each kernel cost, once a repetition, by host. */
export type HostRuns = Readonly<Record<HostName, Map<KernelName, readonly Cost[]>>>;

export type BootCost = Cost & { readonly peakRssBytes: number };

/** What was measured. */
export interface BrowserRuns {
  /** Name and version of the browser. */
  readonly chromium: string;
  readonly kernels: readonly KernelName[];
  readonly scale: number;
  readonly repetitions: number;
  /** At full scale, and at scale 1 in a process of its own. */
  readonly warm: HostRuns;
  readonly cold: HostRuns;
  readonly boots: Readonly<Record<HostName, BootCost[]>>;
  /** Phases of the page, once a repetition. */
  readonly stalls: readonly (readonly MainThreadPhase[])[];
}

/** Medians of the costs of both hosts, and the ratios of these. */
function compare<T extends Cost>(node: readonly T[], chromium: readonly T[], fields: readonly (keyof T & string)[]) {
  const of = (costs: readonly T[]) =>
    Object.fromEntries(fields.map((field) => [field, median(costs.map((cost) => Number(cost[field])))]));
  const [a, b] = [of(node), of(chromium)];
  const ratio = Object.fromEntries(fields.map((field) => [field, (b[field] ?? Number.NaN) / (a[field] ?? Number.NaN)]));
  return { node: a, chromium: b, ratio };
}

type Comparison = ReturnType<typeof compare>;

const COST = ["busiest", "all", "wall"] as const;

/** All figures, as `--json` writes them. Seconds are for all of a kernel's work at its scale. */
export function browserData(runs: BrowserRuns) {
  const kernels = Object.fromEntries(
    runs.kernels.map((name) => [
      name,
      compare(runs.warm.node.get(name) ?? [], runs.warm.chromium.get(name) ?? [], COST),
    ]),
  );
  const means = (names: readonly string[]) =>
    Object.fromEntries(
      COST.map((field) => [field, geomean(names.map((name) => kernels[name]?.ratio[field] ?? Number.NaN))]),
    );
  return {
    chromium: runs.chromium,
    scale: runs.scale,
    repetitions: runs.repetitions,
    kernels,
    geomean11: means(ELEVEN),
    geomeanOfAll: means(runs.kernels),
    cold: compare(sums(runs.cold.node), sums(runs.cold.chromium), COST),
    boot:
      runs.boots.node.length === 0
        ? undefined
        : compare(runs.boots.node, runs.boots.chromium, [...COST, "peakRssBytes"]),
    stalls: phases(runs.stalls),
  };
}

/** What all kernels of a process cost, once a repetition. */
function sums(runs: ReadonlyMap<KernelName, readonly Cost[]>): readonly Cost[] {
  const repetitions = [...runs.values()][0]?.map((_, repetition) => repetition) ?? [];
  return repetitions.map((repetition) => {
    const sum = (field: (typeof COST)[number]) =>
      [...runs.values()].reduce((total, costs) => total + (costs[repetition]?.[field] ?? Number.NaN), 0);
    return { busiest: sum("busiest"), all: sum("all"), wall: sum("wall") };
  });
}

/** Of each phase, medians over the repetitions; the longest task is the longest of all of them. */
function phases(stalls: BrowserRuns["stalls"]) {
  return (stalls[0] ?? []).map(({ name }) => {
    const all = stalls.flatMap((run) => run.filter((phase) => phase.name === name));
    const longest = (by: "wall" | "cpu") => {
      const ms = all.map((phase) => phase[by].ms);
      return {
        ms: median(ms),
        most: Math.max(...ms),
        over: median(all.map((phase) => phase[by].over)),
        parts: all.find((phase) => phase[by].ms === Math.max(...ms))?.[by].parts ?? {},
      };
    };
    const of = (field: "seconds" | "tasks" | "cpuSeconds") => median(all.map((phase) => phase[field]));
    return {
      name,
      ...{ seconds: of("seconds"), tasks: of("tasks"), cpuSeconds: of("cpuSeconds") },
      ...{ wall: longest("wall"), cpu: longest("cpu") },
    };
  });
}

const cell = (value: number | undefined, digits = 2): string =>
  value === undefined || Number.isNaN(value) ? "-" : value.toFixed(digits);

type Data = ReturnType<typeof browserData>;

function kernelTable({ kernels, cold, scale, geomean11, geomeanOfAll }: Data): string {
  const rows = [["program", "Node ms", "Chromium ms", "ratio", "all threads", "wall"]];
  const ratios = (of: Readonly<Record<string, number>>) => COST.map((field) => cell(of[field]));
  const ms = (seconds: number | undefined, units: number) => cell(((seconds ?? Number.NaN) * 1000) / units);
  for (const [name, { node, chromium, ratio }] of Object.entries(kernels))
    rows.push([name, ms(node.busiest, scale), ms(chromium.busiest, scale), ...ratios(ratio)]);
  rows.push(["geomean of 11", "", "", ...ratios(geomean11)], ["geomean of all", "", "", ...ratios(geomeanOfAll)]);
  rows.push(["cold, sum", ms(cold.node.busiest, 1), ms(cold.chromium.busiest, 1), ...ratios(cold.ratio)]);
  return table(rows);
}

function bootTable({ node, chromium, ratio }: Comparison): string {
  const rows = [["boot to a shell", "CPU s", "all threads", "wall s", "peak RSS MB"]];
  for (const [label, of] of [
    ["Node", node],
    ["Chromium", chromium],
  ] as const)
    rows.push([label, ...COST.map((field) => cell(of[field])), cell((of.peakRssBytes ?? Number.NaN) / 1e6, 0)]);
  rows.push(["ratio", ...[...COST, "peakRssBytes"].map((field) => cell(ratio[field]))]);
  return table(rows);
}

const parts = (of: Longest["parts"]): string =>
  Object.entries(of)
    .map(([name, ms]) => `${name} ${ms.toFixed(1)}`)
    .join(", ");

function stallTable(stalls: Data["stalls"]): string {
  const over = `over ${FRAME_MS}`;
  const rows = [["phase", "s", "tasks", "CPU s", "longest ms", "worst", over, "by CPU ms", "worst", over]];
  for (const { name, seconds, tasks, cpuSeconds, wall, cpu } of stalls)
    rows.push([
      ...[name, cell(seconds, 1), cell(tasks, 0), cell(cpuSeconds)],
      ...[wall, cpu].flatMap(({ ms, most, over }) => [cell(ms, 1), cell(most, 1), cell(over, 0)]),
    ]);
  const worst = stalls.map(({ name, cpu }) => `${name}: ${parts(cpu.parts)}`);
  return `${table(rows)}\nWorst by CPU, in ms: ${worst.join("; ")}`;
}

/** The report for a person. */
export function browserText(data: Data): string {
  const { chromium, scale, repetitions, boot, stalls } = data;
  const sections = [`${chromium} against Node ${process.version}, median of ${repetitions}`];
  if (Object.keys(data.kernels).length > 0)
    sections.push(
      `CPU ms of the busiest thread for a unit of work, scale ${scale}; ratios of that, of all threads, and by the clock on the wall; cold at scale 1
${kernelTable(data)}`,
    );
  if (boot !== undefined) sections.push(bootTable(boot));
  if (stalls.length > 0) sections.push(`Tasks of the page's main thread\n${stallTable(stalls)}`);
  return `${sections.join("\n\n")}\n`;
}
