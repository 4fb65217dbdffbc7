import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { cases } from "./oracle/cases.js";
import { differential, type Found, type Report } from "./oracle/differential.js";
import { hostProcessor } from "./oracle/host.js";
import { HostRecorder, NoOracleError } from "./oracle/recorder.js";
import { Random } from "./random.js";
import type { Classified } from "./replay/classify.js";
import type { CodeBits } from "./replay/initial-state.js";
import type { Vector } from "./replay/vector.js";

const USAGE = `usage: oracle [--seed N] [--count N] [--blocks] [--bits 64|32|16] [--only MNEMONIC...] [--keep DIR] [--record FILE]

Runs fresh instructions on the processor of this machine and on the vCPU and compares everything they leave. Needs gcc and x86-64 Linux.
  --seed N           what to run; default: another one every time, printed at the start
  --count N          how many cases; default 20000
  --blocks           straight lines of 2 to 8 instructions instead of single ones
  --bits 64|32|16    64-bit mode or compatibility mode with such code only; default: all in turn
  --only MNEMONIC..  only these instructions, e.g. --only adc sbb
  --keep DIR         write the first difference of every instruction, as simple as it can be made, to a file in DIR
                     (packages/cpu/test/fixtures makes it a test)
  --record FILE      write everything that was recorded to FILE, compressed if it ends in .gz
What the processors of this machine's vendor do otherwise than Intel's, which the vCPU follows, is counted by itself: it is no difference.
Ctrl-C prints the summary so far. Exit status: 0 no difference, 1 differences, 2 wrong usage or no way to record here.
`;

interface Options {
  readonly help: boolean;
  readonly seed: number;
  readonly count: number;
  readonly blocks: boolean;
  readonly bits: readonly CodeBits[];
  readonly only: ReadonlySet<string>;
  readonly keep?: string;
  readonly record?: string;
}

/** A condition the user can mend: one sentence, exit status 2. */
class UsageError extends Error {}

function parse(args: readonly string[]): Options {
  const only = new Set<string>();
  let [help, inBlocks] = [false, false];
  let [seed, count] = [Date.now(), 20_000];
  let bits: readonly CodeBits[] = [64, 32, 16];
  let keep: string | undefined;
  let record: string | undefined;
  for (let k = 0; k < args.length; k++) {
    const arg = args[k] as string;
    const value = (): string => {
      const next = args[++k];
      if (next === undefined) throw new UsageError(`${arg} needs a value; try --help`);
      return next;
    };
    const whole = (least: number): number => {
      const text = value();
      const number = Number(text);
      if (!Number.isSafeInteger(number) || number < least)
        throw new UsageError(`${arg} takes a whole number from ${least}, not ${text}`);
      return number;
    };
    if (arg === "--help") help = true;
    else if (arg === "--blocks") inBlocks = true;
    else if (arg === "--seed") seed = whole(0);
    else if (arg === "--count") count = whole(1);
    else if (arg === "--keep") keep = value();
    else if (arg === "--record") record = value();
    else if (arg === "--bits") {
      const text = value();
      if (!["64", "32", "16"].includes(text)) throw new UsageError(`--bits takes 64, 32 or 16, not ${text}`);
      bits = [Number(text) as CodeBits];
    } else if (arg === "--only") {
      while (k + 1 < args.length && !(args[k + 1] as string).startsWith("--"))
        for (const name of (args[++k] as string).toLowerCase().split(",")) only.add(name);
      if (only.size === 0) throw new UsageError("--only needs the names of instructions, e.g. --only adc sbb");
    } else throw new UsageError(`unknown option ${arg}; try --help`);
  }
  return {
    help,
    seed,
    count,
    blocks: inBlocks,
    bits,
    only,
    ...(keep === undefined ? {} : { keep }),
    ...(record === undefined ? {} : { record }),
  };
}

async function main(args: readonly string[]): Promise<number> {
  const options = parse(args);
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const recorder = new HostRecorder(fileURLToPath(new URL("../tools/oracle/recorder.c", import.meta.url)));
  const stop = new AbortController();
  const onInterrupt = (): void => stop.abort();
  process.on("SIGINT", onInterrupt);
  try {
    return await run(options, recorder, stop.signal);
  } finally {
    process.off("SIGINT", onInterrupt);
    recorder.dispose();
  }
}

async function run(options: Options, recorder: HostRecorder, signal: AbortSignal): Promise<number> {
  const host = hostProcessor();
  const lacking = new Set<string>();
  const wanted = (insn: Classified): boolean => {
    if (options.only.size > 0 && !options.only.has(insn.mnemonic)) return false;
    const lacks = insn.features.filter((feature) => host.missing.has(feature));
    for (const feature of lacks) lacking.add(feature);
    return lacks.length === 0;
  };
  process.stdout.write(`seed ${options.seed} on ${host.name}\n`);
  const recorded: Vector[] = [];
  const segments = await recorder.hasSegments();
  if (!segments)
    process.stdout.write("this kernel has no local descriptors: nothing with segments that are not flat\n");
  const bits = (await recorder.has32Bits()) ? options.bits : options.bits.filter((each) => each !== 32);
  if (bits.length < options.bits.length) process.stdout.write("this kernel runs no code of 32 bits: nothing of it\n");
  const report = await differential({
    cases: cases({ ...options, bits, segments, random: new Random(options.seed), wanted }),
    recorder,
    signal,
    onProgress: progress(options.count),
    onFound: (found) => keepFound(found, options.keep),
    ...(options.record === undefined ? {} : { onVector: (vector: Vector) => recorded.push(vector) }),
  });
  if (options.record !== undefined) writeRecord(options.record, recorded);
  if (report.cases === 0) throw new UsageError(nothing(options, lacking));
  process.stdout.write(summary(report, lacking));
  if (signal.aborted) process.stdout.write("stopped by Ctrl-C\n");
  return report.differences > 0 ? 1 : 0;
}

/** A line that is rewritten on a terminal, and every tenth of the run elsewhere. */
function progress(total: number): (count: number, differences: number) => void {
  let shown = 0;
  return (count, differences) => {
    if (!process.stderr.isTTY && count < total && count - shown < total / 10) return;
    shown = count;
    const line = `${count} of ${total} cases, ${differences} differences`;
    process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${line}${count >= total ? "\n" : ""}` : `${line}\n`);
  };
}

function nothing({ only }: Options, lacking: ReadonlySet<string>): string {
  const names = [...only].join(", ");
  if (lacking.size > 0) return `${names}: this processor lacks ${[...lacking].join(", ")}`;
  return `${names}: no instruction of that name can be recorded`;
}

function keepFound({ vector, code, details }: Found, directory: string | undefined): void {
  const line = JSON.stringify(vector);
  process.stdout.write(`difference: ${code} ${vector.c}: ${details.join("; ")}\n  ${line}\n`);
  if (directory === undefined) return;
  mkdirSync(directory, { recursive: true });
  const file = join(directory, `found-${code.toLowerCase()}-${vector.s}.jsonl`);
  if (!existsSync(file)) writeFileSync(file, `${line}\n`);
}

function writeRecord(file: string, vectors: readonly Vector[]): void {
  const text = vectors.map((vector) => `${JSON.stringify(vector)}\n`).join("");
  writeFileSync(file, file.endsWith(".gz") ? gzipSync(text, { level: 9 }) : text);
}

function summary(
  { cases: count, differences, mnemonics, lost, vendors }: Report,
  lacking: ReadonlySet<string>,
): string {
  const names = [...mnemonics].sort(([a], [b]) => (a < b ? -1 : 1));
  const equal = names.filter(([, tally]) => tally.differences === 0);
  const different = names.filter(([, tally]) => tally.differences > 0);
  let text = "";
  if (equal.length > 0)
    text += `equal (cases each): ${equal.map(([name, { cases: n }]) => `${name} ${n}`).join(", ")}\n`;
  for (const [name, tally] of different) text += `${name}: ${tally.differences} of ${tally.cases} differ\n`;
  for (const [name, times] of vendors) text += `this vendor's, ${times} times: ${name}\n`;
  if (lost.length > 0) text += `not compared, because this host did not come back from them: ${lost.join(", ")}\n`;
  if (lacking.size > 0) text += `not run, because this processor lacks them: ${[...lacking].sort().join(", ")}\n`;
  return `${text}${count} cases, ${names.length} mnemonics, ${differences} differences\n`;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError) && !(error instanceof NoOracleError)) throw error;
  process.stderr.write(`oracle: ${error.message}\n`);
  process.exitCode = 2;
}
