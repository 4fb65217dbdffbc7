/** The command line of the benchmarks. */
import { parseArgs } from "node:util";
import { SERIES, type Series } from "@vm/guests";
import { KERNELS, type KernelName } from "./kernels.js";
import { BOOTS, PROGRAMS } from "./programs.js";
import { ENGINES, type EngineChoice } from "./vm-flags.js";

export const BENCHMARKS = ["boot", "kernels", "programs", "memory", "events", "browser", "vdso"] as const;
export type BenchmarkName = (typeof BENCHMARKS)[number];

export const USAGE = `usage: npm run bench -- [${BENCHMARKS.join("] [")}] [options]
Without a name all run. Reports go to stdout, progress to stderr.
  --repetitions N          3
  --json FILE              figures besides, as JSON; "-": on stdout, and the reports on stderr
  --engine ${ENGINES.join("|")}  what executes guest code here
  --only NAME,...          these kernels, programs or boots; of browser, kernels, boot or stalls
  --scale N                work of a kernel, in units of about 5 ms natively; 8
  --minutes N              length of the loop of memory; 1
  --series ${SERIES.join("|")}          kernel of boot and browser
  --against CHECKOUT       baseline of events
`;

/** Thrown for arguments that cannot be used; says what can. */
export class UsageError extends Error {}

/** What the command line asks for. */
export interface Options {
  readonly names: readonly BenchmarkName[];
  readonly series: Series;
  readonly repetitions: number;
  readonly scale: number;
  readonly minutes: number;
  readonly engine: EngineChoice | undefined;
  readonly only: readonly string[] | undefined;
  readonly json: string | undefined;
  readonly against: string | undefined;
  readonly help: boolean;
}

/** What `browser` measures. */
export interface BrowserItems {
  /** Undefined: all, in one process. */
  readonly kernels: readonly KernelName[] | undefined;
  readonly boot: boolean;
  readonly stalls: boolean;
}

function positive(text: string, flag: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new UsageError(`${flag} ${text}: want a whole number from 1`);
  return value;
}

/** The one of `choices` that is `text`. @throws UsageError */
function oneOf<T extends string>(choices: readonly T[], text: string, what: string): T {
  const found = choices.find((choice) => choice === text);
  if (found === undefined) throw new UsageError(`${what} ${text}: want ${choices.join(" or ")}`);
  return found;
}

/** Kernels that `--only` names, undefined where it is absent. @throws UsageError for a name that is none */
export const onlyKernels = (only: readonly string[] | undefined): readonly KernelName[] | undefined =>
  only?.map((name) => oneOf(KERNELS, name, "--only"));

/** Programs and boots that `--only` names, all of them where it is absent. @throws UsageError for a name that is none */
export function onlyPrograms(only: readonly string[] | undefined): readonly string[] {
  const names: readonly string[] = [...BOOTS, ...PROGRAMS.map(({ name }) => name)];
  return only?.map((name) => oneOf(names, name, "--only")) ?? names;
}

/** What the browser is given to do that is no kernel: a boot on the page, and one whose main thread is watched. */
export const PAGES = ["boot", "stalls"] as const;

/** Kernels and boots that `--only` names, all of them where it is absent. @throws UsageError for a name that is none */
export function onlyInBrowser(only: readonly string[] | undefined): BrowserItems {
  const names = only?.map((name) => oneOf<KernelName | (typeof PAGES)[number]>([...KERNELS, ...PAGES], name, "--only"));
  const kernels = names?.filter((name): name is KernelName => !PAGES.some((page) => page === name));
  return {
    kernels,
    boot: names?.includes("boot") ?? true,
    stalls: names?.includes("stalls") ?? true,
  };
}

/** @throws UsageError, or the error of `parseArgs`, for what cannot be used */
export function parseOptions(args: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      series: { type: "string", default: "6.1" },
      repetitions: { type: "string", default: "3" },
      scale: { type: "string", default: "8" },
      minutes: { type: "string", default: "1" },
      engine: { type: "string" },
      only: { type: "string" },
      json: { type: "string" },
      against: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  const names = positionals.map((name) => oneOf(BENCHMARKS, name, "benchmark"));
  return {
    names: names.length === 0 ? BENCHMARKS : names,
    series: oneOf(SERIES, values.series, "--series"),
    repetitions: positive(values.repetitions, "--repetitions"),
    scale: positive(values.scale, "--scale"),
    minutes: positive(values.minutes, "--minutes"),
    engine: values.engine === undefined ? undefined : oneOf(ENGINES, values.engine, "--engine"),
    only: values.only?.split(",").filter((name) => name !== ""),
    json: values.json,
    against: values.against,
    help: values.help,
  };
}
