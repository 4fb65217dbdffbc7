import { isMainThread } from "node:worker_threads";
import { doors } from "./doors/index.js";
import { fuzz } from "./fuzz.js";
import { work } from "./worker.js";

const USAGE = `usage: fuzz [--door NAME] [--seconds S] [--cases N] [--seed N]

Sends random things through a door of the machine and checks that nothing throws on the host, hangs, keeps the event loop for longer
than 50 ms, or lets memory grow; each door checks what else must hold.
  --door NAME   one of those below, or "all"; default instructions
  --seconds S   how long at each door; default 600
  --cases N     how many at each door, at most; default without limit
  --seed N      seed of the first case, each further one has the next; default another one every time
Ctrl-C prints the summary so far. Exit status: 0 all held, 1 something did not, 2 wrong usage.

Doors:
${doors.map(({ name, summary }) => `  ${name.padEnd(16)} ${summary}\n`).join("")}`;

const PROGRESS_MS = 10_000;

class UsageError extends Error {}

interface Options {
  door: string;
  seconds: number;
  count: number;
  first: number;
  help: boolean;
}

function parse(args: readonly string[]): Options {
  const options: Options = {
    door: "instructions",
    seconds: 600,
    count: Number.MAX_SAFE_INTEGER,
    first: Date.now() % 2 ** 31,
    help: false,
  };
  for (let k = 0; k < args.length; k++) {
    const arg = args[k] as string;
    if (arg === "--help") {
      options.help = true;
      continue;
    }
    if (arg === "--door") {
      options.door = args[++k] ?? "";
      if (options.door !== "all" && !doors.some(({ name }) => name === options.door))
        throw new UsageError(`--door takes all or one of ${doors.map(({ name }) => name).join(", ")}`);
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
  const { help, door: wanted, ...options } = parse(args);
  if (help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const stop = new AbortController();
  process.on("SIGINT", () => stop.abort());
  process.stdout.write(`seed ${options.first}\n`);
  let failures = 0;
  for (const { name } of doors) {
    if (stop.signal.aborted || (wanted !== "all" && wanted !== name)) continue;
    failures += await fuzzDoor(name, options, stop.signal);
  }
  return failures > 0 ? 1 : 0;
}

/** @returns the number of failures */
async function fuzzDoor(door: string, options: Omit<Options, "door" | "help">, signal: AbortSignal): Promise<number> {
  const began = Date.now();
  let shown = began;
  const totals = await fuzz({
    ...options,
    door,
    signal,
    onFailure: ({ seed, violation, detail }) =>
      process.stdout.write(`${violation}: ${detail}\n  npm run fuzz -- --door ${door} --seed ${seed} --cases 1\n`),
    onProgress: (current) => {
      if (Date.now() - shown < PROGRESS_MS) return;
      shown = Date.now();
      process.stderr.write(`${door}, ${Math.round((shown - began) / 1000)} s: ${current.brief()}\n`);
    },
  });
  process.stdout.write(`${door}: ${totals.summary(Date.now() - began)}\n`);
  return totals.failures;
}

if (!isMainThread) await work(doors);
else {
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`fuzz: ${error.message}\n`);
    process.exitCode = 2;
  }
}
