/** The same image and the same boot in Chromium and in Node, and what the page's main thread does while the machine runs in its Worker. */
import type { Guests, Series } from "@vm/guests";
import { inChromium, inNode, type RunImage, runKernels } from "./browser-kernels.js";
import { bootOnPage, watchPage } from "./browser-page.js";
import { type BrowserRuns, browserData, browserText, type HostName, type HostRuns } from "./browser-report.js";
import { type Site, withSite } from "./browser-site.js";
import { findChromium } from "./chromium.js";
import { BenchError } from "./errors.js";
import { buildKernels, KERNELS } from "./kernels.js";
import type { MainThreadPhase } from "./main-thread.js";
import { measure } from "./measure.js";
import type { BrowserItems } from "./options.js";
import { vmCli } from "./paths.js";
import type { Report } from "./report.js";
import { PROMPT } from "./shell.js";
import { between } from "./threads.js";
import { type EngineChoice, engineFlags } from "./vm-flags.js";

type Say = (text: string) => void;

/** What to run. */
export interface BrowserOptions {
  readonly series: Series;
  /** Work of a kernel, in units of about 5 ms natively. */
  readonly scale: number;
  readonly repetitions: number;
  /** What executes guest code; the page has no choice of it, so that a boot is left out. */
  readonly engine: EngineChoice | undefined;
  readonly items: BrowserItems;
}

/** A terminal such as the page's: the words that the page gives the kernel. */
const WINDOW = "vm.cols=111 vm.rows=39";
const MEMORY = "512M";

/** Boots by the command line, from the start of the process to the shell's prompt. */
async function bootInNode(guests: Guests, series: Series) {
  const flags = ["--kernel", guests.kernel(series), "--initrd", guests.initrd(series), "--memory", MEMORY];
  const args = [...vmCli, "boot", ...flags, "--append", WINDOW];
  const { reached, wallSeconds, peakRssBytes, stderr } = await measure(process.execPath, args, { until: PROMPT });
  if (reached === undefined) throw new BenchError(`vm boot did not reach a prompt: ${stderr.slice(-500)}`);
  return { ...between(new Map(), reached), wall: wallSeconds, peakRssBytes };
}

/** Checksums by scale and kernel, from whichever host came first. */
class Checksums {
  readonly #seen = new Map<string, string>();

  /** @throws BenchError when a host computed something else than the one before it */
  check(host: HostName, scale: number, name: string, checksum: string): void {
    const known = this.#seen.get(`${name} ${scale}`);
    this.#seen.set(`${name} ${scale}`, checksum);
    if (known !== undefined && known !== checksum)
      throw new BenchError(`${name} computed ${checksum} in ${host} and ${known} before`);
  }
}

class Results {
  readonly warm: HostRuns = { node: new Map(), chromium: new Map() };
  readonly cold: HostRuns = { node: new Map(), chromium: new Map() };
  readonly boots: BrowserRuns["boots"] = { node: [], chromium: [] };
  readonly stalls: (readonly MainThreadPhase[])[] = [];
  readonly checksums = new Checksums();
}

/** One repetition: Node and Chromium by turns, so that a busy spell of the machine hits both. */
async function repetition(
  site: Site,
  image: string,
  guests: Guests,
  { series, scale, engine, items }: BrowserOptions,
  flags: readonly string[],
  results: Results,
  say: Say,
): Promise<void> {
  const hosts: readonly (readonly [HostName, RunImage])[] = [
    ["node", inNode(image, flags)],
    ["chromium", inChromium(site, engine)],
  ];
  const kernels = items.kernels ?? KERNELS;
  if (kernels.length > 0)
    for (const at of [1, scale])
      for (const [host, run] of hosts) {
        say(`  ${host}: kernels, scale ${at}`);
        for (const [name, { checksum, ...cost }] of await runKernels(run, at, items.kernels)) {
          results.checksums.check(host, at, name, checksum);
          const runs = (at === 1 ? results.cold : results.warm)[host];
          runs.set(name, [...(runs.get(name) ?? []), cost]);
        }
      }
  if (engine !== undefined) return;
  if (items.boot) {
    say("  node: boot");
    results.boots.node.push(await bootInNode(guests, series));
    say("  chromium: boot");
    results.boots.chromium.push(await bootOnPage(site.page, series));
  }
  if (items.stalls) {
    say("  chromium: boot, with its main thread watched");
    results.stalls.push(await watchPage(site.page, series));
  }
}

/** Measures in both hosts and returns the report. Without a browser it is empty. */
export async function benchBrowser(guests: Guests, options: BrowserOptions, say: Say): Promise<Report> {
  const chromium = await findChromium(say);
  if (chromium === undefined) return { text: "Chromium against Node: no Chromium", data: {} };
  if (options.engine !== undefined) say("the page has no --engine: its boot and its stalls are left out");
  const flags = await engineFlags("run-bare", options.engine, say);
  const image = (await buildKernels(say)).bare64;
  const results = new Results();
  await withSite({ guests, series: options.series, image }, async (site) => {
    for (let run = 1; run <= options.repetitions; run++) {
      say(`browser, repetition ${run} of ${options.repetitions}`);
      await repetition(site, image, guests, options, flags, results, say);
    }
  });
  const { scale, repetitions } = options;
  const kernels = KERNELS.filter((name) => results.warm.node.has(name));
  const { warm, cold, boots, stalls } = results;
  const data = browserData({ chromium, kernels, scale, repetitions, warm, cold, boots, stalls });
  return { text: browserText(data), data };
}
