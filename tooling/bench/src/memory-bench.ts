/** Memory: what the process takes at a shell, and whether it stays flat while new code comes and goes. */
import type { Guests, Series } from "@vm/guests";
import { BenchError } from "./errors.js";
import { measure } from "./measure.js";
import { slope, table } from "./numbers.js";
import { bootOurs, ensureRoot, type Root } from "./program-machines.js";
import { compileWords } from "./programs.js";
import type { Report } from "./report.js";
import { APPEND, bootHere, parseStats, type VmStats } from "./vm.js";

/** RAM of the guest that compiles. It fills it first, so that what grows afterwards is not the guest's. */
const RAM_MIB = 384;
const FILL_MIB = 256;
const BUCKETS = 20;
const MB = 1e6;

/** A point of the series. */
export interface Sample {
  readonly seconds: number;
  readonly rss: number;
  /** Programs compiled and run by then. */
  readonly programs: number;
}

/** Boots to a shell that does nothing: the resident set at its peak, and the RAM the guest touched. */
async function atShell(guests: Guests, series: Series, flags: readonly string[]): Promise<VmStats> {
  const boot = { kernel: guests.kernel(series), initrd: guests.initrd(series), append: APPEND };
  return (await bootHere(boot, "true", "host", flags)).stats;
}

/** Means of the samples in {@link BUCKETS} spans of equal length. */
export function buckets(samples: readonly Sample[]): readonly Sample[] {
  const [from, to] = [samples[0]?.seconds ?? 0, samples.at(-1)?.seconds ?? 0];
  const means: Sample[] = [];
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    const at = (share: number) => from + ((to - from) * share) / BUCKETS;
    const inside = samples.filter(({ seconds }) => seconds >= at(bucket) && seconds < at(bucket + 1));
    if (inside.length === 0) continue;
    const rss = inside.reduce((sum, sample) => sum + sample.rss, 0) / inside.length;
    means.push({ seconds: at(bucket + 0.5) - from, rss, programs: inside.at(-1)?.programs ?? 0 });
  }
  return means;
}

/** Runs the loop of programs/compile-loop.sh. @throws BenchError when it did not compile */
async function compileLoop(
  root: Root,
  minutes: number,
  flags: readonly string[],
): Promise<{ series: readonly Sample[]; stats: VmStats }> {
  const boot = bootOurs([...flags, "--stats"], RAM_MIB);
  const [program, ...args] = boot(root, compileWords(minutes, FILL_MIB));
  const began = performance.now();
  const samples: Sample[] = [];
  let programs: number | undefined;
  const { stdout, stderr } = await measure(program, args, {
    onLine: (line) => {
      const count = /^T (\d+)/.exec(line)?.[1];
      if (count !== undefined) programs = Number(count);
    },
    onRss: (rss) => {
      if (programs !== undefined) samples.push({ seconds: (performance.now() - began) / 1000, rss, programs });
    },
    timeoutSeconds: minutes * 60 * 2 + 600,
  });
  if (!programs || stdout.includes("FAILED"))
    throw new BenchError(`the loop did not compile; its console ends: ${stdout.slice(-800)}`);
  return { series: buckets(samples), stats: parseStats(stderr) };
}

/** Runs both and returns the report. @param minutes length of the loop, by the guest's clock */
export async function benchMemory(
  guests: Guests,
  series: Series,
  minutes: number,
  flags: readonly string[],
  say: (text: string) => void,
): Promise<Report> {
  say("memory: a boot to a shell");
  const shell = await atShell(guests, series, flags);
  say(`memory: compiling for ${minutes} min`);
  const { series: points, stats } = await compileLoop(await ensureRoot(guests, say), minutes, flags);
  const late = points.slice(Math.floor(points.length / 2));
  const perMinute = slope(late.map(({ seconds, rss }) => [seconds / 60, rss]));
  const rows = [["s", "RSS MB", "programs"]];
  for (const { seconds, rss, programs } of points)
    rows.push([seconds.toFixed(0), (rss / MB).toFixed(1), String(programs)]);
  const above = ({ peakRssBytes, touchedRamBytes, jit }: VmStats) =>
    `${((peakRssBytes - touchedRamBytes) / MB).toFixed(0)} MB above the RAM the guest touched${jit === undefined ? "" : `, ${jit.modules} modules of generated code`}`;
  return {
    text: `Memory: at a shell (Debian ${series}, 512 MiB) peak RSS ${(shell.peakRssBytes / MB).toFixed(0)} MB, ${above(shell)}
A loop that compiles another program each turn, ${RAM_MIB} MiB, for ${minutes} min; peak ${above(stats)}
${table(rows)}
slope of the second half: ${(perMinute / MB).toFixed(2)} MB a minute
`,
    data: { shell, minutes, series: points, slopeBytesPerMinute: perMinute, stats },
  };
}
