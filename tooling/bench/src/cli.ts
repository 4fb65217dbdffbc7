/** `npm run bench -- [NAME...] [options]`: see README.md. Exit status: 0, 1 (could not run), 2 (usage). */
import { writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { ensureGuests, GuestError, type Guests } from "@vm/guests";
import { benchBoot } from "./boot-bench.js";
import { benchBrowser } from "./browser-bench.js";
import { BenchError } from "./errors.js";
import { benchEvents } from "./event-bench.js";
import { benchKernels } from "./kernel-bench.js";
import { benchMemory } from "./memory-bench.js";
import {
  type BenchmarkName,
  type Options,
  onlyInBrowser,
  onlyKernels,
  onlyPrograms,
  parseOptions,
  USAGE,
  UsageError,
} from "./options.js";
import { benchPrograms } from "./program-bench.js";
import { ensureRoot } from "./program-machines.js";
import type { Report } from "./report.js";
import { benchVdso } from "./vdso-bench.js";
import { engineFlags } from "./vm-flags.js";

const say = (text: string): void => void process.stderr.write(`${text}\n`);

const guests = (): Promise<Guests> =>
  ensureGuests({ onProgress: ({ step, percent }) => (percent === undefined ? say(step) : undefined) });

const RUN: Readonly<Record<BenchmarkName, (options: Options) => Promise<Report>>> = {
  events: ({ repetitions, against }) => benchEvents(repetitions, against, say),
  boot: async ({ series, repetitions, engine }) =>
    benchBoot(await guests(), series, repetitions, await engineFlags("boot", engine, say), say),
  kernels: async ({ scale, repetitions, only, engine }) => {
    const kernels = onlyKernels(only);
    const flags = await engineFlags("run-bare", engine, say);
    return benchKernels({ scale, repetitions, flags, ...(kernels === undefined ? {} : { only: kernels }) }, say);
  },
  programs: async ({ repetitions, only, engine }) => {
    const names = onlyPrograms(only);
    return benchPrograms(
      await ensureRoot(await guests(), say),
      { repetitions, names, flags: await engineFlags("boot", engine, say) },
      say,
    );
  },
  memory: async ({ series, minutes, engine }) =>
    benchMemory(await guests(), series, minutes, await engineFlags("boot", engine, say), say),
  vdso: async () => benchVdso(await guests(), say),
  browser: async ({ series, scale, repetitions, only, engine }) => {
    const items = onlyInBrowser(only);
    return benchBrowser(await guests(), { series, scale, repetitions, engine, items }, say);
  },
};

async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const problems: string[] = [];
  const data: Record<string, unknown> = { host: { cpu: cpus()[0]?.model, cpus: cpus().length, node: process.version } };
  for (const name of options.names) {
    try {
      const report = await RUN[name](options);
      data[name] = report.data;
      for (const problem of report.problems ?? []) problems.push(`${name}: ${problem}`);
      (options.json === "-" ? process.stderr : process.stdout).write(`${report.text}\n`);
    } catch (error) {
      // What cannot be run here keeps the others from nothing.
      if (!(error instanceof BenchError) && !(error instanceof GuestError)) throw error;
      problems.push(`${name}: ${error.message}`);
    }
  }
  for (const problem of problems) say(problem);
  if (problems.length > 0) data.problems = problems;
  const json = `${JSON.stringify(data, undefined, 2)}\n`;
  if (options.json === "-") process.stdout.write(json);
  else if (options.json !== undefined) await writeFile(options.json, json);
  return problems.length > 0 ? 1 : 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError) && !(error as NodeJS.ErrnoException).code?.startsWith("ERR_PARSE_ARGS"))
    throw error;
  process.stderr.write(`${(error as Error).message}\n${USAGE}`);
  process.exitCode = 2;
}
