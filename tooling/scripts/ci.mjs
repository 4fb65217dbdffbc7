// The whole gate: checks, then `npm test`; the last line counts both. A failed check counts as one failure.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runChecks } from "./_checks.mjs";
import { root } from "./_paths.mjs";
import { prepare } from "./_prepare.mjs";
import { StepError } from "./_step.mjs";

const failed = [];

async function runTests() {
  const folder = mkdtempSync(join(tmpdir(), "vm-ci-"));
  const file = join(folder, "counts.json");
  await new Promise((resolve, reject) => {
    const child = spawn("npm", ["test"], {
      cwd: root,
      env: { ...process.env, VM_TEST_COUNTS: file },
      stdio: ["ignore", "inherit", "inherit"],
    });
    child.on("error", reject);
    child.on("close", resolve);
  });
  const counts = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined;
  rmSync(folder, { recursive: true });
  if (counts !== undefined) return counts;
  failed.push("npm test");
  return { passed: 0, failed: 0 };
}

let counts = { passed: 0, failed: 0 };
try {
  await prepare();
  await runChecks((name, complaint, seconds) => {
    process.stdout.write(`${complaint === "" ? "ok" : "FAILED"} ${name} (${seconds} s)\n`);
    if (complaint === "") return;
    process.stdout.write(`${complaint}\n`);
    failed.push(name);
  });
  counts = await runTests();
} catch (error) {
  if (!(error instanceof StepError)) process.stdout.write(`${error.stack}\n`);
  failed.push(error.message);
}
for (const name of failed) process.stdout.write(`failed: ${name}\n`);
const total = counts.failed + failed.length;
if (total > 0 || counts.passed === 0) process.exitCode = 1;
process.stdout.write(`${counts.passed} passed, ${total} failed\n`);
