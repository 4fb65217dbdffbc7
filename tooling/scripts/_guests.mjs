import { root } from "./_paths.mjs";
import { progress } from "./_step.mjs";

/** What `get` fetches of `@vm/guests`, with progress. Undefined, after a sentence on stderr, where this machine cannot have it. */
async function fetched(name, otherwise, get) {
  const library = await import(`${root}packages/guests/dist/index.js`);
  const bar = progress(name);
  try {
    return await get(library, {
      onProgress: ({ step, percent }) =>
        bar.detail(percent === undefined || !process.stderr.isTTY ? step : `${step} ${Math.round(percent)} %`),
    });
  } catch (error) {
    if (!(error instanceof library.GuestError)) throw error;
    bar.end();
    process.stderr.write(`${error.message}${otherwise}\n`);
    return undefined;
  } finally {
    bar.end();
  }
}

/** The Debian guests, fetched if need be. The packages must be built. */
export const guests = (otherwise) =>
  fetched("getting the Debian guest", otherwise, ({ ensureGuests }, options) => ensureGuests(options));

/** Firmware for TDs, fetched if need be. */
export const firmware = (otherwise) =>
  fetched("getting firmware for TDs", otherwise, ({ ensureFirmware }, options) => ensureFirmware(options));
