/** Chromium without a window, and the CPU time of the processes that its pages run in. */
import { readdirSync } from "node:fs";
import { CHROMIUM_FLAGS, chromiumPath } from "@vm/web/tools/chromium.mjs";
import { type Browser, chromium, type Page } from "playwright-core";
import { BenchError } from "./errors.js";
import { readProc, residentSet, ThreadClock, type ThreadTimes } from "./threads.js";

const POLL_MS = 50;
/** Of a page that its tests have, too. */
const VIEWPORT = { width: 1280, height: 800 };

/** Name and version of the browser; undefined, after a sentence, where there is none. */
export async function findChromium(say: (text: string) => void): Promise<string | undefined> {
  if (chromiumPath === undefined) {
    say("Chromium is not installed (CHROMIUM=PATH names another): no browser");
    return undefined;
  }
  const browser = await launch();
  const version = browser.version();
  await browser.close();
  return `Chromium ${version}`;
}

function launch(): Promise<Browser> {
  if (chromiumPath === undefined) throw new BenchError("there is no Chromium on this machine");
  return chromium.launch({ executablePath: chromiumPath, args: CHROMIUM_FLAGS });
}

/** A page in a browser of its own, in which nothing has been compiled or kept yet. */
export interface OwnPage {
  readonly browser: Browser;
  readonly page: Page;
  readonly renderers: RendererClock;
}

/** Opens an empty page, and closes its browser when `use` has ended. */
export async function withPage<T>(use: (own: OwnPage) => Promise<T>): Promise<T> {
  const browser = await launch();
  const renderers = new RendererClock(process.pid);
  const poll = setInterval(() => renderers.poll(), POLL_MS);
  try {
    const page = await browser.newPage({ viewport: VIEWPORT });
    return await use({ browser, page, renderers });
  } finally {
    clearInterval(poll);
    await browser.close();
  }
}

/**
 * CPU time and memory of the browser's renderers: the processes that have its pages, with their Workers and V8's compilers. What the browser's own
 * process and the one that rasters do for a page is not in it.
 */
export class RendererClock {
  readonly #ancestor: number;
  readonly #clocks = new Map<number, ThreadClock>();
  #peak = 0;

  /** @param ancestor the process below which they are */
  constructor(ancestor: number) {
    this.#ancestor = ancestor;
  }

  /** What the threads have used by now of the processes that there were at the first look. */
  look(): ThreadTimes {
    if (this.#clocks.size === 0)
      for (const pid of renderersBelow(this.#ancestor)) this.#clocks.set(pid, new ThreadClock(pid));
    return new Map(this.poll());
  }

  /** Looks at those that are known, so that the time of threads that end is not lost. */
  poll(): (readonly [number, number])[] {
    for (const pid of this.#clocks.keys()) this.#peak = Math.max(this.#peak, residentSet(pid).peak);
    return [...this.#clocks.values()].flatMap((clock) => [...clock.look()]);
  }

  /** Peak resident set of the largest, bytes. */
  get peakRssBytes(): number {
    return this.#peak;
  }
}

function renderersBelow(ancestor: number): readonly number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc")) {
    const stat = /^\d+$/.test(name) ? readProc(`/proc/${name}/stat`) : undefined;
    // The name in field 1 may hold anything.
    if (stat !== undefined) parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
  }
  const isBelow = (pid: number | undefined): boolean =>
    pid !== undefined && (pid === ancestor || isBelow(parents.get(pid)));
  return [...parents.keys()].filter(
    (pid) => isBelow(pid) && readProc(`/proc/${pid}/cmdline`)?.includes("--type=renderer") === true,
  );
}
