// The Chromium that the page is driven in by its tests and by the benchmarks.
import { existsSync } from "node:fs";

/** Path of the browser, undefined where there is none; `CHROMIUM` in the environment names another than the usual. */
export const chromiumPath = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/google-chrome"].find(
  (path) => path !== undefined && existsSync(path),
);

/** No sandbox: it may be driven as root. No talk with anyone but the page's server. */
export const CHROMIUM_FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
