import { existsSync } from "node:fs";
import { type Browser, chromium, firefox } from "playwright-core";
import { CHROMIUM_FLAGS, chromiumPath } from "../../tools/chromium.mjs";

/** Which browser the tests drive; `npm run web -- --test-firefox` says firefox. */
const NAME = process.env.VM_WEB_BROWSER === "firefox" ? "firefox" : "chromium";
/** Whether the driver speaks the protocol of Chromium's tools; by that of Firefox it hears of no downloads, and sets no quota. */
export const speaksDevTools = NAME === "chromium";

const firefoxPath = [process.env.FIREFOX, "/usr/bin/firefox-esr", "/usr/bin/firefox"].find(
  (path) => path !== undefined && existsSync(path),
);
const executablePath = NAME === "firefox" ? firefoxPath : chromiumPath;

/** Why the tests of the page cannot run here; null if they can. */
export const noBrowser =
  executablePath === undefined
    ? `there is no ${NAME} on this machine: ${NAME.toUpperCase()}=PATH names one; the page was not tried in it`
    : null;
if (noBrowser !== null) process.stderr.write(`${noBrowser}\n`);

/** Starts the browser. */
export function launch(): Promise<Browser> {
  if (executablePath === undefined) throw new Error(noBrowser ?? "");
  return NAME === "firefox"
    ? firefox.launch({ executablePath, channel: "moz-firefox" })
    : chromium.launch({ executablePath, args: CHROMIUM_FLAGS });
}
