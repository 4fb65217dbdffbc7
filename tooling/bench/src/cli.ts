/** `npm run bench -- [boot] [kernels] [events] [options]`: see README.md. Exit status: 0, 1 (could not run), 2 (usage). */
import { parseArgs } from "node:util";
import { ensureGuests, GuestError, SERIES, type Series } from "@vm/guests";
import { benchBoot } from "./boot-bench.js";
import { BenchError } from "./errors.js";
import { benchEvents } from "./event-bench.js";
import { benchKernels } from "./kernel-bench.js";

const USAGE = `usage: npm run bench -- [boot] [kernels] [events] [--series 6.1|6.12] [--repetitions N] [--scale N] [--against CHECKOUT]
Without a name all run. Reports go to stdout, progress to stderr.
`;

const BENCHMARKS: readonly string[] = ["boot", "kernels", "events"];

class UsageError extends Error {}

function positive(text: string, flag: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new UsageError(`${flag} ${text}: want a whole number from 1`);
  return value;
}

function options(args: readonly string[]) {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      series: { type: "string", default: "6.1" },
      repetitions: { type: "string", default: "3" },
      scale: { type: "string", default: "4" },
      against: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  const unknown = positionals.find((name) => !BENCHMARKS.includes(name));
  if (unknown !== undefined) throw new UsageError(`unknown benchmark ${unknown}: want ${BENCHMARKS.join(" or ")}`);
  const series = SERIES.find((name) => name === values.series);
  if (series === undefined) throw new UsageError(`--series ${values.series}: want ${SERIES.join(" or ")}`);
  const names = positionals.length === 0 ? BENCHMARKS : positionals;
  return {
    names,
    series: series satisfies Series,
    repetitions: positive(values.repetitions, "--repetitions"),
    scale: positive(values.scale, "--scale"),
    against: values.against,
    help: values.help,
  };
}

async function main(args: readonly string[]): Promise<number> {
  const { names, series, repetitions, scale, against, help } = options(args);
  if (help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const say = (text: string) => process.stderr.write(`${text}\n`);
  if (names.includes("events")) process.stdout.write(`${await benchEvents(repetitions, against, say)}\n`);
  if (names.every((name) => name === "events")) return 0;
  const guests = await ensureGuests({
    onProgress: ({ step, percent }) => (percent === undefined ? say(step) : undefined),
  });
  if (names.includes("boot")) process.stdout.write(`${await benchBoot(guests, series, repetitions, say)}\n`);
  if (names.includes("kernels")) process.stdout.write(await benchKernels(guests, series, scale, say));
  return 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const usage =
    error instanceof UsageError || (error as NodeJS.ErrnoException).code?.startsWith("ERR_PARSE_ARGS") === true;
  if (!usage && !(error instanceof BenchError) && !(error instanceof GuestError)) throw error;
  process.stderr.write(`${(error as Error).message}\n${usage ? USAGE : ""}`);
  process.exitCode = usage ? 2 : 1;
}
