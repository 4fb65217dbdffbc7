import { parseArgs } from "node:util";
import { Differential } from "./engines/differential.js";

const USAGE = `Usage: npm run engines -- [--seed N] [--count N] [--seconds N]

Runs random programs in the interpreter and in regions made of them, and compares registers, memory, exits, events and instruction counts.

  --seed N     the first program's seed; the others follow it (default: random)
  --count N    programs (default: 1000, or as many as --seconds allows)
  --seconds N  ends after this time
  --help       this text

A difference is printed with the seed and the instructions that are needed for it. The status is 1 then.
`;

/** Differences after which nothing more is to be learnt. */
const MAX_FOUND = 20;
/** Programs between two lines of progress. */
const LINE = 2000;

class UsageError extends Error {}

function number(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new UsageError(`--${name} ${text}: a whole number is wanted`);
  return value;
}

function main(args: string[]): number {
  const options = { seed: { type: "string" }, count: { type: "string" }, seconds: { type: "string" } } as const;
  const { values } = parseArgs({ args, options: { ...options, help: { type: "boolean" } } });
  if (values.help === true) {
    process.stdout.write(USAGE);
    return 0;
  }
  const first = number("seed", values.seed) ?? Math.floor(Math.random() * 2 ** 31);
  const seconds = number("seconds", values.seconds);
  const count = number("count", values.count) ?? (seconds === undefined ? 1000 : Number.POSITIVE_INFINITY);
  const end = performance.now() + 1000 * (seconds ?? Number.POSITIVE_INFINITY);
  process.stdout.write(`seed ${first}\n`);
  const differential = new Differential();
  let found = 0;
  for (let k = 0; k < count && performance.now() < end && found < MAX_FOUND; k++) {
    const different = differential.check(first + k);
    if (different !== null) {
      found++;
      process.stdout.write(
        `difference: seed ${different.seed}: ${different.what}\n${different.listing}\n${different.line}\n\n`,
      );
    }
    if ((k + 1) % LINE === 0) process.stderr.write(`${k + 1} programs, ${found} differences\n`);
  }
  const { programs, instructions, inRegions, regions, faults, interrupts, exits } = differential.met;
  const share = Math.round((100 * inRegions) / Math.max(1, instructions));
  process.stdout.write(
    `${programs} programs, ${instructions} instructions, ${share} % of them in ${regions} regions, ${faults} exceptions, ` +
      `${interrupts} interrupts, ${exits} exits, ${found} differences\n`,
  );
  return found === 0 ? 0 : 1;
}

try {
  process.exitCode = main(process.argv.slice(2));
} catch (error) {
  const usage = error instanceof UsageError || (error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS") === true;
  if (!usage) throw error;
  process.stderr.write(`engines: ${(error as Error).message}\n`);
  process.exitCode = 2;
}
