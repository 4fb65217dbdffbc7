/** The same programs on the processor, in this machine, in QEMU's TCG and in v86, kernel by kernel, in one run. */
import { createHash } from "node:crypto";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BenchError } from "./errors.js";
import { type Engine, type EngineName, findEngines } from "./kernel-engines.js";
import { type KernelRuns, kernelData, kernelText } from "./kernel-report.js";
import { type Builds, buildKernels, KERNELS, type KernelName } from "./kernels.js";
import { Marks } from "./marks.js";
import { measure } from "./measure.js";
import { benchCache, vmCli } from "./paths.js";
import type { Report } from "./report.js";
import type { CpuSpan } from "./threads.js";
import { parseStats } from "./vm.js";

/** Natively a program is over in milliseconds and the scheduler counts in some: it runs this many times the scale. */
const NATIVE_FACTOR = 8;
/** Programs of either width compute the same, but for the one that works with words of the machine's width. */
const WIDTH_DEPENDENT: KernelName = "bignum";

type Say = (text: string) => void;

/** What to run. */
export interface KernelOptions {
  /** Work of a kernel, in units of about 5 ms natively. */
  readonly scale: number;
  readonly repetitions: number;
  /** Kernels to run. Default: all, in one process. */
  readonly only?: readonly KernelName[];
  /** Further flags of `vm run-bare`. */
  readonly flags: readonly string[];
}

/** Runs the kernels of `only` (undefined: all) once and returns what each cost. @throws BenchError if one did not finish */
async function runOnce(
  engine: Engine,
  scale: number,
  only: readonly KernelName[] | undefined,
): Promise<ReadonlyMap<KernelName, { checksum: string } & CpuSpan>> {
  const marks = new Marks();
  const numbers = only === undefined ? [0] : only.map((name) => KERNELS.indexOf(name) + 1);
  for (const number of numbers) {
    const [program, ...args] = engine.command(scale, number);
    const { stderr } = await measure(program, args, { onLine: marks.line, until: /^ALLDONE/, timeoutSeconds: 3600 });
    const lost = (only ?? KERNELS).find(
      (name) => (number === 0 || KERNELS[number - 1] === name) && !marks.spans.has(name),
    );
    if (lost !== undefined) throw new BenchError(`${lost} did not finish in ${engine.title}: ${stderr.slice(-500)}`);
  }
  return marks.spans as ReadonlyMap<KernelName, { checksum: string } & CpuSpan>;
}

/** Checksums by scale and kernel, from whichever engine came first. */
class Checksums {
  private readonly seen = new Map<string, { checksum: string; title: string }>();

  /** @throws BenchError when an engine computed something else than the one before it */
  check(engine: Engine, scale: number, name: KernelName, checksum: string): void {
    const key = `${name} ${scale} ${name === WIDTH_DEPENDENT ? engine.bits : ""}`;
    const known = this.seen.get(key);
    if (known === undefined) this.seen.set(key, { checksum, title: engine.title });
    else if (known.checksum !== checksum)
      throw new BenchError(`${name} computed ${checksum} in ${engine.title} and ${known.checksum} in ${known.title}`);
  }
}

/**
 * Instructions each program retires at a scale. They depend on the image alone, so they are counted once, under a clock that
 * counts them, and kept.
 */
async function instructionCounts(image: string, scale: number, say: Say): Promise<ReadonlyMap<string, number>> {
  const key = createHash("sha256")
    .update(await readFile(image))
    .update(String(scale));
  const path = join(benchCache, `counts-${key.digest("hex").slice(0, 16)}.json`);
  const kept = await readFile(path, "utf8").catch(() => undefined);
  if (kept !== undefined) return new Map(Object.entries(JSON.parse(kept) as Record<string, number>));
  const counts: Record<string, number> = {};
  for (const [index, name] of KERNELS.entries()) {
    say(`counting instructions: ${name}`);
    const flags = ["--clock", "icount", "--stats", "--append", `s=${scale},${index + 1}`];
    const { stderr } = await measure(process.execPath, [...vmCli, "run-bare", ...flags, image]);
    counts[name] = parseStats(stderr).instructions;
  }
  await writeFile(`${path}.part`, JSON.stringify(counts));
  await rename(`${path}.part`, path);
  return new Map(Object.entries(counts));
}

type MutableRuns = Map<EngineName, Map<KernelName, CpuSpan[]>>;

function add(runs: MutableRuns, engine: EngineName, name: KernelName, { busiest, all }: CpuSpan, scale: number): void {
  const kernels = runs.get(engine) ?? new Map<KernelName, CpuSpan[]>();
  runs.set(engine, kernels);
  kernels.set(name, [...(kernels.get(name) ?? []), { busiest: busiest / scale, all: all / scale }]);
}

/** One repetition: every engine cold, at scale 1, and at full scale; the processor at more, since it is quick. */
async function repetition(
  engines: readonly Engine[],
  { scale, only }: KernelOptions,
  checksums: Checksums,
  { warm, cold }: { warm: MutableRuns; cold: MutableRuns },
  say: Say,
): Promise<void> {
  for (const engine of engines) {
    const scales = engine.native ? [scale, scale * NATIVE_FACTOR] : [1, scale];
    for (const [index, at] of scales.entries()) {
      say(`  ${engine.title}, scale ${at}`);
      for (const [name, span] of await runOnce(engine, at, only)) {
        checksums.check(engine, at, name, span.checksum);
        if (!engine.native && index === 0) add(cold, engine.name, name, span, at);
        if (index === 1) add(warm, engine.name, name, span, at);
      }
    }
  }
}

/** Runs all programs and returns the report. Repetitions alternate, so that a busy spell of the host hits all sides. */
export async function benchKernels(options: KernelOptions, say: Say): Promise<Report> {
  const builds: Builds = await buildKernels(say);
  const engines = await findEngines(builds, options.flags, say);
  const runs = { warm: new Map() as MutableRuns, cold: new Map() as MutableRuns };
  const checksums = new Checksums();
  for (let run = 1; run <= options.repetitions; run++) {
    say(`kernels, repetition ${run} of ${options.repetitions}`);
    await repetition(engines, options, checksums, runs, say);
  }
  const instructions = await instructionCounts(builds.bare64, options.scale, say);
  const { scale, repetitions } = options;
  const kernels = KERNELS.filter((name) => options.only?.includes(name) ?? true);
  const all: KernelRuns = { engines, kernels, scale, repetitions, instructions, ...runs };
  return { text: kernelText(all), data: kernelData(all) };
}
