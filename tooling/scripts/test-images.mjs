// `npm run test:images`: boots unmodified images that people bring (Debian's full and real-time kernels, its installer, memtest86+, Xen).
// Outside the gate: they are 490 MB to fetch and minutes to run. Arguments go to vitest, as in `npm run test:images -- -t Xen`.
import { spawnSync } from "node:child_process";
import { guests } from "./_guests.mjs";
import { root } from "./_paths.mjs";
import { bin, prepare, toolEnv } from "./_prepare.mjs";
import { main, progress } from "./_step.mjs";

await main(async () => {
  await prepare();
  if ((await guests("; the images need its busybox")) === undefined) {
    process.exitCode = 3;
    return;
  }
  const { ensureImages, GuestError } = await import(`${root}packages/guests/dist/index.js`);
  const bar = progress("getting the images");
  try {
    await ensureImages({
      onProgress: ({ step, percent }) =>
        bar.detail(percent === undefined || !process.stderr.isTTY ? step : `${step} ${Math.round(percent)} %`),
    });
  } catch (error) {
    bar.end();
    if (!(error instanceof GuestError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
    return;
  } finally {
    bar.end();
  }
  const args = ["run", "--config", "vitest.images.config.ts", ...process.argv.slice(2)];
  const { status } = spawnSync(`${bin}/vitest`, args, {
    cwd: `${root}apps/machine`,
    env: { ...process.env, ...toolEnv },
    stdio: "inherit",
  });
  process.exitCode = status ?? 1;
});
