/** The folder that the browser is served: the page of this repository with its guest, and a page that runs programs without an operating system. */
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Guests, Series } from "@vm/guests";
import { servePage } from "@vm/web/tools/server.mjs";
import { makeSite } from "@vm/web/tools/site.mjs";
import { build } from "esbuild";
import { pageSources } from "./paths.js";

/** What is served where. */
export interface Site {
  /** Address of the page of this repository. */
  readonly page: string;
  /** Address of the page for programs, and of their image relative to it. */
  readonly kernels: string;
  readonly image: string;
}

/** What goes into it. */
export interface SiteParts {
  readonly guests: Guests;
  readonly series: Series;
  /** Path of the multiboot image with the programs. */
  readonly image: string;
}

const KERNELS = "kernels.html";
const WORKER = "kernel-worker.js";
const IMAGE = "kernels.elf";

/** Serves a site on localhost until `use` has ended. */
export async function withSite<T>({ guests, series, image }: SiteParts, use: (site: Site) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "vm-bench-"));
  try {
    makeSite(folder, [{ series, kernel: guests.kernel(series), initrd: guests.initrd(series) }]);
    await copyFile(join(pageSources, KERNELS), join(folder, KERNELS));
    await copyFile(image, join(folder, IMAGE));
    // As apps/docs/browser.md has it done without a bundler's server: one file.
    await build({
      entryPoints: [join(pageSources, WORKER)],
      bundle: true,
      minify: true,
      format: "esm",
      outfile: join(folder, WORKER),
      logLevel: "silent",
    });
    const server = await servePage(folder);
    try {
      return await use({ page: server.url, kernels: new URL(KERNELS, server.url).href, image: IMAGE });
    } finally {
      await server.close();
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}
