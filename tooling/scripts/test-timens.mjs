// `npm run test:timens`: the kernel's own tests of its vDSO on our image, natively, and of time namespaces in the booted guest; a hundred million reads.
// Outside the gate: 140 MB to fetch, and minutes to run.
import { spawnSync } from "node:child_process";
import { guests } from "./_guests.mjs";
import { root } from "./_paths.mjs";
import { bin, prepare, toolEnv } from "./_prepare.mjs";
import { main, progress } from "./_step.mjs";

await main(async () => {
  await prepare("@vm/machine...", "@vm/guests...");
  if ((await guests("; the tests of time namespaces need a guest")) === undefined) process.exit(1);
  const { ensureSelftests, GuestError } = await import(`${root}packages/guests/dist/index.js`);
  const bar = progress("getting the kernel's tests");
  let selftests;
  try {
    selftests = await ensureSelftests({ onProgress: ({ step }) => bar.detail(step) });
  } catch (error) {
    bar.end();
    if (!(error instanceof GuestError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
  bar.end();
  const env = { ...process.env, ...toolEnv, VM_TIMENS: "full", VM_SELFTESTS: selftests };
  const suites = [
    ["packages/vdso-timens", "test/selftests.test.ts", "test/native.test.ts"],
    ["apps/machine", "--project", "auto", "test/timens", "test/boot/time.test.ts"],
  ];
  for (const [folder, ...args] of suites) {
    const run = spawnSync(`${bin}/vitest`, ["run", ...args, ...process.argv.slice(2)], {
      cwd: `${root}${folder}`,
      env,
      stdio: "inherit",
    });
    process.exitCode ||= run.status ?? 1;
  }
});
