import { root } from "./_paths.mjs";
import { progress } from "./_step.mjs";

/**
 * The Debian guests, fetched if need be. Undefined, after a sentence on stderr, where this machine cannot have them.
 * The packages must be built.
 */
export async function guests(otherwise) {
  const { ensureGuests, GuestError } = await import(`${root}packages/guests/dist/index.js`);
  const bar = progress("getting the Debian guest");
  try {
    return await ensureGuests({
      onProgress: ({ step, percent }) =>
        bar.detail(percent === undefined || !process.stderr.isTTY ? step : `${step} ${Math.round(percent)} %`),
    });
  } catch (error) {
    if (!(error instanceof GuestError)) throw error;
    bar.end();
    process.stderr.write(`${error.message}${otherwise}\n`);
    return undefined;
  } finally {
    bar.end();
  }
}
