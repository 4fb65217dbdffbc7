/** The programs without an operating system, in Chromium and in Node, each with nothing compiled at first. */
import type { Site } from "./browser-site.js";
import { withPage } from "./chromium.js";
import { type Cost, CostMarks } from "./cost.js";
import { BenchError } from "./errors.js";
import { KERNELS, type KernelName } from "./kernels.js";
import { measure } from "./measure.js";
import { vmCli } from "./paths.js";
import type { ThreadTimes } from "./threads.js";
import type { EngineChoice } from "./vm-flags.js";
import { within } from "./within.js";

const TIMEOUT_SECONDS = 3600;
const DONE = /^ALLDONE/;

export type KernelCosts = ReadonlyMap<KernelName, Cost & { readonly checksum: string }>;

/** Runs the image with some words and hands over what its console says, with what the threads have used by then. */
export type RunImage = (words: string, line: (text: string, used: ThreadTimes) => void) => Promise<void>;

/** In Node, by the command line as anybody calls it. @param flags further flags of `vm run-bare` */
export const inNode =
  (image: string, flags: readonly string[]): RunImage =>
  async (words, onLine) => {
    const args = [...vmCli, "run-bare", ...flags, "--append", words, image];
    await measure(process.execPath, args, { onLine, until: DONE, timeoutSeconds: TIMEOUT_SECONDS });
  };

/** In a Worker of a page in a browser of its own. */
export const inChromium =
  ({ kernels, image }: Site, engine: EngineChoice | undefined): RunImage =>
  (commandLine, line) =>
    withPage(async ({ page, renderers }) => {
      const done = new Promise<void>((resolve, reject) => {
        void page.exposeFunction("benchHeard", (lines: readonly string[]) => {
          const used = renderers.look();
          for (const text of lines) line(text, used);
          if (lines.some((text) => DONE.test(text))) resolve();
          const ended = lines.find((text) => text.startsWith("ENDED "));
          if (ended !== undefined) reject(new BenchError(`the machine in Chromium: ${ended}`));
        });
      });
      await page.goto(kernels);
      await page.evaluate(`runKernels(${JSON.stringify({ image, commandLine, engine })})`);
      await within(TIMEOUT_SECONDS, done, "the programs in Chromium");
    });

/** Runs the kernels of `only` (undefined: all, in one process) once. @throws BenchError if one did not finish */
export async function runKernels(
  run: RunImage,
  scale: number,
  only: readonly KernelName[] | undefined,
): Promise<KernelCosts> {
  const marks = new CostMarks();
  const numbers = only === undefined ? [0] : only.map((name) => KERNELS.indexOf(name) + 1);
  for (const number of numbers) await run(`s=${scale},${number}`, marks.line);
  const lost = (only ?? KERNELS).find((name) => !marks.costs.has(name));
  if (lost !== undefined) throw new BenchError(`${lost} did not finish`);
  return marks.costs as KernelCosts;
}
