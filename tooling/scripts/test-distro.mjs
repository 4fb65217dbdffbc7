// `npm run test:distro`: a Debian root with systemd, made once (packages/guests), booted and worked in.
import { guests } from "./_guests.mjs";
import { root } from "./_paths.mjs";
import { bin, prepare } from "./_prepare.mjs";
import { become, main, progress } from "./_step.mjs";

await main(async () => {
  await prepare("@vm/machine...", "@vm/guests...");
  if ((await guests("; the Debian root boots with its kernel")) === undefined) process.exit(1);
  const { ensureDistro, GuestError } = await import(`${root}packages/guests/dist/index.js`);
  const bar = progress("making the Debian root");
  try {
    const { image, size, seconds } = await ensureDistro({ onProgress: ({ step }) => bar.detail(step) });
    bar.end();
    process.stderr.write(`${image}: ${(size / 1e9).toFixed(1)} GB, made in ${JSON.stringify(seconds)} seconds\n`);
  } catch (error) {
    bar.end();
    if (!(error instanceof GuestError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
  process.chdir(`${root}apps/machine`);
  become(`${bin}/vitest`, ["run", "test/distro"], { VM_DISTRO: "full" });
});
