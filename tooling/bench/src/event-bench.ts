/** How often a second a program can leave straight-line code, here and in another checkout of this repository. */
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BenchError } from "./errors.js";
import { EVENT_PROGRAMS, type EventProgram, eventImage } from "./event-programs.js";
import { measure } from "./measure.js";
import { median, table } from "./numbers.js";
import { benchCache, cliOf, vmCli } from "./paths.js";
import type { Report } from "./report.js";
import { parseStats } from "./vm.js";

/** Of a debug exit with code 0. */
const DONE = 1;

async function imageOf(program: EventProgram, loops: number): Promise<string> {
  await mkdir(benchCache, { recursive: true });
  const path = join(benchCache, `event-${program.name.replaceAll(/\W+/g, "-")}-${loops}`);
  await writeFile(`${path}.part`, eventImage(program, loops));
  await rename(`${path}.part`, path);
  return path;
}

/** CPU seconds of the main thread from start to end. */
async function seconds(cli: readonly string[], image: string): Promise<number> {
  const flags = ["--memory", "16M", "--clock", "icount", "--stats"];
  const { status, stderr } = await measure(process.execPath, [...cli, "run-bare", ...flags, image]);
  if (status !== DONE) throw new BenchError(`${image} ended with ${status}: ${stderr.slice(-300)}`);
  return parseStats(stderr).cpuSecondsMain;
}

const rate = (loops: number, times: readonly number[]): number => loops / median(times) / 1000;

/**
 * Runs every program and returns the report. Start and end of the machine are taken off.
 * @param checkout root of the built checkout to compare with
 */
export async function benchEvents(
  repetitions: number,
  checkout: string | undefined,
  say: (text: string) => void,
): Promise<Report> {
  const sides = [vmCli, ...(checkout === undefined ? [] : [cliOf(checkout)])];
  const data: Record<string, { here: number; there?: number }> = {};
  const rows = [["thousands a second", "here", ...(checkout === undefined ? [] : ["there", "ratio"])]];
  for (const program of EVENT_PROGRAMS) {
    const [full, empty] = [await imageOf(program, program.loops), await imageOf(program, 0)];
    const times: number[][] = sides.map(() => []);
    for (let run = 1; run <= repetitions; run++) {
      say(`${program.name}, run ${run} of ${repetitions}`);
      for (const [side, cli] of sides.entries())
        times[side]?.push((await seconds(cli, full)) - (await seconds(cli, empty)));
    }
    const [here = Number.NaN, there] = times.map((side) => rate(program.loops, side));
    data[program.name] = { here, ...(there === undefined ? {} : { there }) };
    rows.push([program.name, ...(there === undefined ? [here] : [here, there]).map((value) => value.toFixed(0))]);
    if (there !== undefined) rows.at(-1)?.push((here / there).toFixed(2));
  }
  return { text: `What leaves straight-line code, by the CPU time of the main thread\n${table(rows)}\n`, data };
}
