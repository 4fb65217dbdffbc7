import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { type Judged, Replayer, type Verdict } from "./replay/replay.js";
import { parseVector, VectorFormatError } from "./replay/vector.js";

const USAGE = `usage: vectors FILE.jsonl[.gz] [--json] [--details]

Replays recorded CPU vectors and compares everything they recorded.
  --json     print one JSON object: totals, and counts for each instruction code
  --details  print the differences of every vector that fails
Exit status: 0 all passed, 1 some failed or crashed, 2 wrong usage or unreadable file.
`;

type Counts = Record<Verdict, number>;
const noCounts = (): Counts => ({ pass: 0, fail: 0, crash: 0, notOffered: 0 });

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

function main(args: readonly string[]): number {
  const flags = args.filter((a) => a.startsWith("-"));
  const files = args.filter((a) => !a.startsWith("-"));
  if (flags.includes("--help")) {
    process.stdout.write(USAGE);
    return 0;
  }
  const unknown = flags.find((a) => a !== "--json" && a !== "--details");
  if (unknown !== undefined) throw new UsageError(`unknown option ${unknown}; --json and --details are known`);
  const [file] = files;
  if (file === undefined || files.length > 1)
    throw new UsageError(`expected one file, got ${files.length}; try --help`);
  const vectors = readLines(file).map((line, k) => parseVector(line, k + 1));

  const replayer = new Replayer();
  const totals = noCounts();
  const codes: Record<string, Counts> = {};
  for (const vector of vectors) {
    const judged = replayer.run(vector);
    totals[judged.verdict]++;
    const counts = codes[judged.code] ?? noCounts();
    codes[judged.code] = counts;
    counts[judged.verdict]++;
    if (flags.includes("--details") && (judged.verdict === "fail" || judged.verdict === "crash")) {
      process.stdout.write(`${describe(vector.i, vector.c, judged)}\n`);
    }
  }
  const sorted = Object.fromEntries(Object.entries(codes).sort(([a], [b]) => (a < b ? -1 : 1)));
  if (flags.includes("--json"))
    process.stdout.write(`${JSON.stringify({ vectors: vectors.length, totals, codes: sorted })}\n`);
  else process.stdout.write(table(sorted, totals, vectors.length));
  return totals.fail + totals.crash === 0 ? 0 : 1;
}

function describe(id: number, bytes: string, { code, verdict, details }: Judged): string {
  return `${verdict} #${id} ${code} ${bytes}: ${details.join("; ")}`;
}

function table(codes: Readonly<Record<string, Counts>>, totals: Counts, vectors: number): string {
  const line = (name: string, c: Counts): string =>
    `${name.padEnd(44)} pass ${String(c.pass).padStart(6)}  fail ${String(c.fail).padStart(5)}  crash ${String(c.crash).padStart(5)}  not-offered ${String(c.notOffered).padStart(6)}\n`;
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
