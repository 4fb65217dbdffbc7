// Runs every package's tests through turbo and adds up what vitest reports (tooling/presets/vitest.mjs has it written).
import { spawn } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { relative } from "node:path";
import { readJson, root } from "./_paths.mjs";
import { bin, toolEnv } from "./_prepare.mjs";
import { workspace } from "./_workspace.mjs";

/** What is repeated at the end of a failed test's message: the output above may be long, or cut. */
const MESSAGE_LINES = 12;

const report = (dir) => `${root}${dir}/coverage/report.json`;

/**
 * Runs the tests with their output on this process's, and returns the counts. `broken` names the packages whose run
 * failed without a failed test to show for it: it crashed, or never reported. `failures` has a text for each test that failed.
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
  const shown = (name, { fullName, failureMessages }) =>
    `${name}: ${fullName}\n${failureMessages.join("\n").split("\n").slice(0, MESSAGE_LINES).join("\n")}`;
  for (const { dir, manifest } of tested) {
    const result = existsSync(report(dir)) ? readJson(report(dir)) : undefined;
    counts.passed += result?.numPassedTests ?? 0;
    counts.failed += result?.numFailedTests ?? 0;
    if (result === undefined || (!result.success && result.numFailedTests === 0)) counts.broken.push(manifest.name);
    for (const { name, assertionResults } of result?.testResults ?? [])
      for (const test of assertionResults)
        if (test.status === "failed") counts.failures.push(shown(relative(root, name), test));
  }
  if (status !== 0 && counts.failed === 0 && counts.broken.length === 0) counts.broken.push("turbo");
  return counts;
}
