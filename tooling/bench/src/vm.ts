import { BenchError } from "./errors.js";
import { type Measured, type MeasureOptions, measure } from "./measure.js";
import { vmCli } from "./paths.js";

/** The part of the CLI's `--stats` line the benchmarks read. */
export interface VmStats {
  /** Retired guest instructions. */
  readonly instructions: number;
  /** CPU time of all threads, seconds. */
  readonly cpuSeconds: number;
  /** The part of it that is the main thread's. */
  readonly cpuSecondsMain: number;
  readonly peakRssBytes: number;
  readonly touchedRamBytes: number;
  /** Generated code; absent where there is none. */
  readonly jit?: { readonly modules: number };
  /** What else it has. */
  readonly [name: string]: unknown;
}

/** What is booted. */
export interface Boot {
  readonly kernel: string;
  readonly initrd: string;
  /** Kernel command line, in full. */
  readonly append: string;
}

/** The command line of both sides. Source: what Debian's cloud kernels need on a machine without PIT, and no more. */
export const APPEND =
  "console=ttyS0 reboot=t panic=-1 cryptomgr.notests tsc=reliable no_timer_check random.trust_cpu=on";

/** The last line of stderr that is JSON with an instruction count. @throws BenchError if there is none. */
export function parseStats(stderr: string): VmStats {
  const line = stderr
    .split("\n")
    .reverse()
    .find((text) => text.startsWith("{") && text.includes('"instructions"'));
  if (line === undefined)
    throw new BenchError(`vm --stats wrote no statistics; its stderr ends: ${stderr.slice(-300)}`);
  return JSON.parse(line) as VmStats;
}

/**
 * Boots here and runs one shell command in the guest.
 *
 * @param further flags of `vm boot` besides
 * @throws BenchError when the command's status is not 0.
 */
export async function bootHere(
  boot: Boot,
  exec: string,
  clock: "host" | "icount",
  further: readonly string[] = [],
  options: MeasureOptions = {},
): Promise<{ measured: Measured; stats: VmStats }> {
  const flags = [
    "--kernel",
    boot.kernel,
    "--initrd",
    boot.initrd,
    "--append",
    boot.append,
    "--clock",
    clock,
    ...further,
  ];
  const measured = await measure(process.execPath, [...vmCli, "boot", ...flags, "--exec", exec, "--stats"], options);
  if (measured.status !== 0)
    throw new BenchError(
      `vm boot --exec ${JSON.stringify(exec)} ended with ${measured.status}: ${measured.stderr.slice(-500)}`,
    );
  return { measured, stats: parseStats(measured.stderr) };
}
