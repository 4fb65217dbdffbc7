import { existsSync } from "node:fs";
import { type Browser, chromium, firefox } from "playwright-core";

/** Which browser the tests drive; `npm run web -- --test-firefox` says firefox. */
const NAME = process.env.VM_WEB_BROWSER === "firefox" ? "firefox" : "chromium";
const PATHS = {
  chromium: [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/google-chrome"],
  firefox: [process.env.FIREFOX, "/usr/bin/firefox-esr", "/usr/bin/firefox"],
};

/** Whether the driver speaks the protocol of Chromium's tools; by that of Firefox it hears of no downloads, and sets no quota. */
export const speaksDevTools = NAME === "chromium";

const executablePath = PATHS[NAME].find((path) => path !== undefined && existsSync(path));

/** Why the tests of the page cannot run here; null if they can. */
export const noBrowser =
  executablePath === undefined
    ? `there is no ${NAME} on this machine: ${NAME.toUpperCase()}=PATH names one; the page was not tried in it`
    : null;
if (noBrowser !== null) process.stderr.write(`${noBrowser}\n`);

/** No sandbox: tests may run as root. No talk with anyone but the page's server. */
const CHROMIUM_FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Starts the browser. */
export function launch(): Promise<Browser> {
  if (executablePath === undefined) throw new Error(noBrowser ?? "");
  return NAME === "firefox"
    ? firefox.launch({ executablePath, channel: "moz-firefox" })
    : chromium.launch({ executablePath, args: CHROMIUM_FLAGS });
}
