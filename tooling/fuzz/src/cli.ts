import { isMainThread, parentPort, workerData } from "node:worker_threads";
import { check } from "./check.js";
import { fuzz, type Progress } from "./fuzz.js";
import { CURRENT, DONE, type Task, type Told } from "./worker-protocol.js";

const USAGE = `usage: fuzz [--seconds S] [--cases N] [--seed N]

Runs random instruction streams in random modes and checks that nothing the guest does throws on the host, hangs, or leaves guest memory,
and that the same case does the same twice, however its run is divided.
  --seconds S   how long; default 600
  --cases N     how many, at most; default without limit
  --seed N      seed of the first case, each further one has the next; default another one every time
Ctrl-C prints the summary so far. Exit status: 0 all held, 1 something did not, 2 wrong usage.
`;

class UsageError extends Error {}

function parse(args: readonly string[]): { seconds: number; count: number; first: number; help: boolean } {
  const options = { seconds: 600, count: Number.MAX_SAFE_INTEGER, first: Date.now() % 2 ** 31, help: false };
  for (let k = 0; k < args.length; k++) {
    const arg = args[k] as string;
    if (arg === "--help") {
      options.help = true;
      continue;
    }
    const name = ({ "--seconds": "seconds", "--cases": "count", "--seed": "first" } as const)[arg];
    if (name === undefined) throw new UsageError(`unknown option ${arg}; try --help`);
    const value = Number(args[++k]);
    if (!Number.isSafeInteger(value) || value < 0)
      throw new UsageError(`${arg} takes a whole number, not ${args[k] ?? "nothing"}`);
    options[name] = value;
  }
  return options;
}

async function main(args: readonly string[]): Promise<number> {
  const { help, ...options } = parse(args);
  if (help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const stop = new AbortController();
  process.on("SIGINT", () => stop.abort());
  const began = Date.now();
  let shown = began;
  process.stdout.write(`seed ${options.first}\n`);
  const totals = await fuzz({
    ...options,
    signal: stop.signal,
    onFailure: ({ seed, violation, detail }) =>
      process.stdout.write(`${violation}: ${detail}\n  npm run fuzz -- --seed ${seed} --cases 1\n`),
    onProgress: ({ cases, failures, retired }) => {
      if (Date.now() - shown < 10_000) return;
      shown = Date.now();
      process.stderr.write(
        `${Math.round((shown - began) / 1000)} s: ${cases} cases, ${retired} instructions, ${failures} failures\n`,
      );
    },
  });
  process.stdout.write(summary(totals, Date.now() - began));
  return totals.failures > 0 ? 1 : 0;
}

function summary({ cases, failures, retired, events, modes, exits }: Progress, ms: number): string {
  const list = (map: ReadonlyMap<string, number>): string =>
    [...map]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, count]) => `  ${name}: ${count}\n`)
      .join("");
  return `${cases} cases in ${Math.round(ms / 1000)} s, ${retired} instructions, ${events} exceptions and interrupts, ${failures} failures
began in
${list(modes)}ended by
${list(exits)}`;
}

/** The worker's side: case after case. */
function work({ first, count, progress }: Task): void {
  const cells = new Int32Array(progress);
  for (let k = 0; k < count; k++) {
    const seed = first + k;
    Atomics.store(cells, CURRENT, seed);
    parentPort?.postMessage({ ...check(seed), seed } satisfies Told);
    Atomics.store(cells, DONE, k + 1);
  }
}

if (!isMainThread) work(workerData as Task);
else {
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`fuzz: ${error.message}\n`);
    process.exitCode = 2;
  }
}
