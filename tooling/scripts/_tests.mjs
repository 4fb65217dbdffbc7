// Runs every package's tests through turbo and adds up what vitest reports (tooling/presets/vitest.mjs has it written).
import { spawn } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { readJson, root } from "./_paths.mjs";
import { bin, toolEnv } from "./_prepare.mjs";
import { workspace } from "./_workspace.mjs";

const report = (dir) => `${root}${dir}/coverage/report.json`;

/**
 * Runs the tests with their output on this process's, and returns the counts. `broken` names the packages whose run
 * failed without a failed test to show for it: it crashed, or never reported.
 */
export async function runTests({ force = false } = {}) {
  const tested = workspace().filter(({ manifest }) => manifest.scripts?.test !== undefined);
  for (const { dir } of tested) rmSync(report(dir), { force: true });
  const args = ["run", "test", "--continue", "--concurrency=2", "--log-order=grouped", "--log-prefix=none"];
  const status = await new Promise((resolve, reject) => {
    const child = spawn(`${bin}/turbo`, force ? [...args, "--force"] : args, {
      cwd: root,
      env: { ...process.env, ...toolEnv },
      stdio: ["ignore", "inherit", "inherit"],
    });
    child.on("error", reject);
    child.on("close", resolve);
  });
  const counts = { passed: 0, failed: 0, broken: [], failures: [] };
  for (const { dir, manifest } of tested) {
    const result = existsSync(report(dir)) ? readJson(report(dir)) : undefined;
    counts.passed += result?.numPassedTests ?? 0;
    counts.failed += result?.numFailedTests ?? 0;
    if (result === undefined || (!result.success && result.numFailedTests === 0)) counts.broken.push(manifest.name);
    if (result?.numFailedTests > 0) counts.failures.push(manifest.name);
  }
  if (status !== 0 && counts.failed === 0 && counts.broken.length === 0) counts.broken.push("turbo");
  return counts;
}
