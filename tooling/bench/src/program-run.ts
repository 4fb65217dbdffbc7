/** One boot of the Debian root, measured: the programs it runs, or the way to its login. */
import { BenchError } from "./errors.js";
import { Marks } from "./marks.js";
import { measure } from "./measure.js";
import type { Command, Root } from "./program-machines.js";
import { DONE, LOGIN_WORDS, READY, scriptWords } from "./programs.js";
import { between, type CpuSpan } from "./threads.js";

/** What a program cost, how it ended, and a checksum of what it printed. */
export interface ProgramRun extends CpuSpan {
  readonly status: number;
  readonly output: string;
}

/** A boot that ran programs. */
export interface ProgramBoot {
  /** From the start of the machine to the first process of the root. */
  readonly boot: CpuSpan;
  readonly programs: ReadonlyMap<string, ProgramRun>;
  readonly peakRssBytes: number;
}

const TIMEOUT_SECONDS = 7200;
const NOTHING_YET: ReadonlyMap<number, number> = new Map();

/**
 * Boots to the script and runs programs. @throws BenchError when the guest ends without having run them all
 */
export async function runPrograms(
  command: Command,
  root: Root,
  names: readonly string[],
  say: (text: string) => void,
): Promise<ProgramBoot> {
  const marks = new Marks();
  const outputs = new Map<string, string>();
  let boot: CpuSpan | undefined;
  const onLine: NonNullable<Parameters<typeof measure>[2]>["onLine"] = (line, used) => {
    const [mark, name, ...sum] = line.trim().split(" ");
    if (mark === READY) boot ??= between(NOTHING_YET, used);
    if (mark === "C" && name !== undefined) outputs.set(name, sum.join(" "));
    marks.line(line, used);
    const span = mark === "E" && name !== undefined ? marks.spans.get(name) : undefined;
    if (span !== undefined) say(`    ${name}: ${span.all.toFixed(2)} s`);
  };
  const [program, ...args] = command(root, scriptWords(names));
  const until = new RegExp(`^${DONE}`);
  const ended = await measure(program, args, { onLine, until, timeoutSeconds: TIMEOUT_SECONDS });
  const programs = new Map(
    [...marks.spans].map(([name, { checksum, busiest, all }]): [string, ProgramRun] => [
      name,
      { busiest, all, status: Number(checksum), output: outputs.get(name) ?? "" },
    ]),
  );
  const lost = names.find((name) => !programs.has(name));
  if (boot === undefined || ended.reached === undefined || lost !== undefined)
    throw new BenchError(
      `${program} did not finish ${lost ?? "its programs"}; its console ends: ${(ended.stdout + ended.stderr).slice(-800)}`,
    );
  return { boot, programs, peakRssBytes: ended.peakRssBytes };
}

/** Boots through systemd until somebody could log in. @throws BenchError when the guest ends before */
export async function runToLogin(command: Command, root: Root): Promise<CpuSpan> {
  const [program, ...args] = command(root, LOGIN_WORDS);
  const { reached, stdout, stderr } = await measure(program, args, {
    until: /login: $/,
    timeoutSeconds: TIMEOUT_SECONDS,
  });
  if (reached === undefined)
    throw new BenchError(`${program} did not get to its login; its console ends: ${(stdout + stderr).slice(-800)}`);
  return between(NOTHING_YET, reached);
}
