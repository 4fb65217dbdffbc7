// `npm run web`: builds the page, gets Debian's kernels for it where this machine can have them, and serves both.
import { parseArgs } from "node:util";
import { guests } from "./_guests.mjs";
import { root } from "./_paths.mjs";
import { bin, prepare, toolEnv } from "./_prepare.mjs";
import { become, main } from "./_step.mjs";

const HELP = `npm run web -- [--port N] [--host NAME] [--build-only] [--test] [--test-firefox]

Serves the virtual machine on a page, with Debian's kernels where apt can get them, and prints its address. Ctrl-C ends it.

  --port N        the port; default 8086, or the next that is free
  --host NAME     the address to listen on; default localhost. Browsers keep disks on https and localhost only
  --build-only    leaves the folder for a static host, and prints where
  --test          runs the tests of the page in Chromium (CHROMIUM names another than /usr/bin/chromium)
  --test-firefox  runs them in Firefox (FIREFOX names another than /usr/bin/firefox-esr)
  -h, --help      this
`;
const SITE = `${root}.cache/web`;

const options = /** @type {const} */ ({
  port: { type: "string" },
  host: { type: "string", default: "localhost" },
  "build-only": { type: "boolean" },
  test: { type: "boolean" },
  "test-firefox": { type: "boolean" },
  help: { type: "boolean", short: "h" },
});

/** The flags, or undefined after a sentence. */
function flags() {
  try {
    const { values } = parseArgs({ options });
    if (values.port === undefined || /^\d{1,5}$/.test(values.port)) return values;
    process.stderr.write(`--port ${values.port}: expected a number, 0 to 65535\n`);
  } catch (error) {
    process.stderr.write(`${error.message}; --help lists the flags\n`);
  }
  return undefined;
}

async function web({ port, host, "build-only": buildOnly, test, "test-firefox": firefox }) {
  await prepare("@vm/web...", "@vm/guests...");
  const found = await guests("; the page offers its built-in guest, and takes files");
  if (test || firefox) {
    process.chdir(`${root}apps/web`);
    const env = { ...toolEnv, VM_WEB_BROWSER: firefox ? "firefox" : "chromium" };
    return become(`${bin}/vitest`, ["run", "test/browser"], env);
  }
  const { makeSite } = await import(`${root}apps/web/tools/site.mjs`);
  const offered = Object.keys(found?.kernels ?? {}).map((series) => {
    return { series, kernel: found.kernel(series), initrd: found.initrd(series) };
  });
  makeSite(SITE, offered);
  if (buildOnly) process.stdout.write(`${SITE}\n`);
  else become(process.execPath, [`${root}apps/web/tools/serve.mjs`, SITE, host, ...(port === undefined ? [] : [port])]);
}

await main(async () => {
  const values = flags();
  if (values === undefined) process.exitCode = 2;
  else if (values.help) process.stdout.write(HELP);
  else await web(values);
});
