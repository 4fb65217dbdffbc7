/** The page of this repository with a Linux in it: its boot, and what its main thread does meanwhile. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Series } from "@vm/guests";
import { type OwnPage, withPage } from "./chromium.js";
import { type Cost, CostMarks } from "./cost.js";
import { BenchError } from "./errors.js";
import { type MainThreadPhase, mainThread, type TraceEvent } from "./main-thread.js";
import { pageSources } from "./paths.js";
import { PROMPT } from "./shell.js";
import { within } from "./within.js";

const TIMEOUT_SECONDS = 600;
/** What the browser writes down: tasks of its threads, what the parts of a page's tasks are, and marks. */
const CATEGORIES = ["toplevel", "devtools.timeline", "blink.user_timing"];
/** The kernel's log, over and over: about 600 KB in lines of every length. The word at the end is not in what is typed. */
const PRINT = "i=0; while [ $i -lt 40 ]; do dmesg; i=$((i+1)); done; echo all''printed\r";
const PRINTED = String.raw`allprinted\r\n`;

/** The phases of a page's life, by the marks they begin and end with (page/watch.js). */
const PHASES = [
  { name: "load", from: null, to: "bench running" },
  { name: "boot", from: "bench running", to: "bench prompt" },
  { name: "print", from: "bench print", to: "bench printed" },
];

/** What the page has come to, as it says itself. */
class Progress {
  readonly #said = new Set<string>();
  #look: () => void = () => undefined;

  readonly say = (text: string): void => {
    this.#said.add(text);
    this.#look();
  };

  /** Resolves when the page has said `text`. @throws BenchError when its machine has failed, or it takes too long */
  until(text: string): Promise<void> {
    const reached = new Promise<void>((resolve, reject) => {
      this.#look = () => {
        if (this.#said.has(text)) resolve();
        else if (this.#said.has("failed")) reject(new BenchError("the machine on the page failed"));
      };
      this.#look();
    });
    return within(TIMEOUT_SECONDS, reached, `"${text}" on the page`);
  }
}

/** Loads the page, which boots the guest at once. */
async function open({ page }: OwnPage, url: string, series: Series, hear: (text: string) => void): Promise<void> {
  const settings = { guest: `debian-${series}` };
  const watch = `const benchWatch = ${JSON.stringify({ settings, prompt: PROMPT.source })};`;
  await page.exposeFunction("benchHeard", hear);
  await page.addInitScript({ content: `${watch}\n${await readFile(join(pageSources, "watch.js"), "utf8")}` });
  await page.goto(url);
}

/** Boots on the page: from the start of the Worker to the shell's prompt. */
export const bootOnPage = (url: string, series: Series): Promise<Cost & { readonly peakRssBytes: number }> =>
  withPage(async (own) => {
    const marks = new CostMarks();
    const progress = new Progress();
    await open(own, url, series, (text) => {
      if (text === "worker") marks.line("B boot", own.renderers.look());
      if (text === "prompt") marks.line("E boot -", own.renderers.look());
      progress.say(text);
    });
    await progress.until("prompt");
    const cost = marks.costs.get("boot");
    if (cost === undefined) throw new BenchError("the page reached a prompt without having started");
    return { ...cost, peakRssBytes: own.renderers.peakRssBytes };
  });

/** What the page's main thread does while it loads, while the guest boots, and while it prints as fast as it is let. */
export const watchPage = (url: string, series: Series): Promise<readonly MainThreadPhase[]> =>
  withPage(async (own) => {
    const { browser, page } = own;
    const progress = new Progress();
    await browser.startTracing(page, { categories: CATEGORIES });
    await open(own, url, series, progress.say);
    await progress.until("prompt");
    await page.evaluate(`performance.mark("bench print"); benchAwait("printed", ${JSON.stringify(PRINTED)})`);
    await page.keyboard.type(PRINT);
    await progress.until("printed");
    const trace = JSON.parse((await browser.stopTracing()).toString("utf8")) as { traceEvents: TraceEvent[] };
    return mainThread(trace.traceEvents, PHASES);
  });
