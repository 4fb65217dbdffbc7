import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { Random } from "./random.js";
import { lackingFeatures } from "./replay/recording.js";
import { type Judged, Replayer, type Verdict } from "./replay/replay.js";
import { parseVector, VectorFormatError } from "./replay/vector.js";

const USAGE = `usage: vectors FILE.jsonl[.gz] [--blocks] [--seed N] [--json] [--details]

Replays recorded CPU vectors and compares everything they recorded.
  --blocks   run every instruction in a straight line of 2 to 8, among others that leave the state as it is
  --seed N   which others, and where among them; default 1
  --json     print one JSON object: totals, and counts for each instruction code
  --details  print the differences of every vector that fails
Vectors of a processor that is not Intel's say so; what its vendor is known to do otherwise counts as vendor.
Instructions of a feature that the recording processor lacked (it raised #UD for every one) count as not-recorded.
Exit status: 0 all passed, 1 some failed or crashed, 2 wrong usage or unreadable file.
`;

type Counts = Record<Verdict | "notRecorded", number>;
const noCounts = (): Counts => ({ pass: 0, fail: 0, crash: 0, notOffered: 0, notRecorded: 0, vendor: 0 });

/** A condition the user can mend: one sentence, exit status 2. */
class UsageError extends Error {}

function readLines(file: string): string[] {
  if (!existsSync(file)) throw new UsageError(`there is no file ${file}`);
  try {
    const raw = readFileSync(file);
    const text = (raw[0] === 0x1f && raw[1] === 0x8b ? gunzipSync(raw) : raw).toString("latin1");
    return text.split("\n").filter((line) => line !== "");
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${(error as Error).message}`);
  }
}

const FLAGS = ["--blocks", "--json", "--details", "--help"];

function options(args: readonly string[]): { flags: ReadonlySet<string>; files: readonly string[]; seed: number } {
  const flags = new Set<string>();
  const files: string[] = [];
  let seed = 1;
  for (let k = 0; k < args.length; k++) {
    const arg = args[k] as string;
    if (arg === "--seed") {
      seed = Number(args[++k]);
      if (!Number.isSafeInteger(seed)) throw new UsageError(`--seed takes a whole number, not ${args[k] ?? "nothing"}`);
    } else if (!arg.startsWith("-")) files.push(arg);
    else if (FLAGS.includes(arg)) flags.add(arg);
    else throw new UsageError(`unknown option ${arg}; ${FLAGS.join(", ")} and --seed are known`);
  }
  return { flags, files, seed };
}

function main(args: readonly string[]): number {
  const { flags, files, seed } = options(args);
  if (flags.has("--help")) {
    process.stdout.write(USAGE);
    return 0;
  }
  const [file] = files;
  if (file === undefined || files.length > 1)
    throw new UsageError(`expected one file, got ${files.length}; try --help`);
  const vectors = readLines(file).map((line, k) => parseVector(line, k + 1));

  const lacking = lackingFeatures(vectors);
  const replayer = new Replayer();
  const random = new Random(seed);
  const draw = (below: number): number => random.below(below);
  const totals = noCounts();
  const codes: Record<string, Counts> = {};
  for (const vector of vectors) {
    const judged = flags.has("--blocks") ? replayer.runPadded(vector, draw) : replayer.run(vector);
    const refused = judged.verdict === "fail" && judged.features.some((feature) => lacking.has(feature));
    const verdict = refused ? "notRecorded" : judged.verdict;
    totals[verdict]++;
    const counts = codes[judged.code] ?? noCounts();
    codes[judged.code] = counts;
    counts[verdict]++;
    if (flags.has("--details") && (verdict === "fail" || verdict === "crash")) {
      process.stdout.write(`${describe(vector.i, vector.c, judged)}\n`);
    }
  }
  const sorted = Object.fromEntries(Object.entries(codes).sort(([a], [b]) => (a < b ? -1 : 1)));
  if (flags.has("--json"))
    process.stdout.write(`${JSON.stringify({ vectors: vectors.length, totals, codes: sorted })}\n`);
  else process.stdout.write(table(sorted, totals, vectors.length));
  return totals.fail + totals.crash === 0 ? 0 : 1;
}

function describe(id: number, bytes: string, { code, verdict, details }: Judged): string {
  return `${verdict} #${id} ${code} ${bytes}: ${details.join("; ")}`;
}

function table(codes: Readonly<Record<string, Counts>>, totals: Counts, vectors: number): string {
  const line = (name: string, c: Counts): string =>
    `${name.padEnd(44)} pass ${String(c.pass).padStart(6)}  fail ${String(c.fail).padStart(5)}  crash ${String(c.crash).padStart(5)}  not-offered ${String(c.notOffered).padStart(6)}  not-recorded ${String(c.notRecorded).padStart(5)}  vendor ${String(c.vendor).padStart(5)}\n`;
  return (
    Object.entries(codes)
      .map(([name, c]) => line(name, c))
      .join("") + line(`total of ${vectors} vectors`, totals)
  );
}

try {
  process.exitCode = main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError) && !(error instanceof VectorFormatError)) throw error;
  process.stderr.write(`vectors: ${error.message}\n`);
  process.exitCode = 2;
}
