/** Figures of the real programs: medians, ratios to TCG, and the report of them. */
import { geomean, median, table } from "./numbers.js";
import type { MachineName } from "./program-machines.js";
import type { CpuSpan } from "./threads.js";

/** CPU seconds, once a repetition, by machine, of each program and boot. */
export type ProgramRuns = ReadonlyMap<MachineName, ReadonlyMap<string, readonly CpuSpan[]>>;

/** All figures, as `--json` writes them. CPU seconds are of all threads unless they say otherwise. */
export function programData(runs: ProgramRuns, repetitions: number, titles: Partial<Record<MachineName, string>>) {
  const seconds = (machine: MachineName, name: string, of: keyof CpuSpan) =>
    median((runs.get(machine)?.get(name) ?? []).map((span) => span[of]));
  const names = [...(runs.get("ours")?.keys() ?? [])];
  const programs = Object.fromEntries(
    names.map((name) => {
      const ours = seconds("ours", name, "all");
      const tcg = seconds("tcg", name, "all");
      return [name, { ours, oursMainThread: seconds("ours", name, "busiest"), tcg, ratio: ours / tcg }];
    }),
  );
  const ratios = Object.values(programs).map(({ ratio }) => ratio);
  return { titles, repetitions, programs, geomean: geomean(ratios), worst: Math.max(...ratios) };
}

const cell = (value: number, digits: number): string => (Number.isNaN(value) ? "-" : value.toFixed(digits));

/** The report for a person. */
export function programText(data: ReturnType<typeof programData>): string {
  const rows = [["program", "CPU s here", "main thread", "CPU s TCG", "ratio"]];
  for (const [name, { ours, oursMainThread, tcg, ratio }] of Object.entries(data.programs))
    rows.push([name, cell(ours, 2), cell(oursMainThread, 2), cell(tcg, 2), cell(ratio, 2)]);
  return `Programs on a Debian root, CPU seconds of all threads, median of ${data.repetitions}
${table(rows)}
geomean of ${Object.keys(data.programs).length} ratios: ${cell(data.geomean, 2)}, worst ${cell(data.worst, 2)}
${Object.values(data.titles).join("; ")}
`;
}
