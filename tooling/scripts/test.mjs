// `npm test`: everything, from a fresh clone. `--force` runs what has not changed as well.
// With VM_TEST_COUNTS=FILE the counts are left there as JSON for the caller to print.
import { writeFileSync } from "node:fs";
import { firmware, guests } from "./_guests.mjs";
import { prepare } from "./_prepare.mjs";
import { main } from "./_step.mjs";
import { runTests } from "./_tests.mjs";

await main(async () => {
  await prepare();
  await guests("; the tests that boot Debian's kernel need it");
  await firmware("; the tests that boot it are skipped");
  const counts = await runTests({ force: process.argv.includes("--force") });
  for (const text of counts.failures) process.stderr.write(`failed: ${text}\n`);
  for (const name of counts.broken) process.stderr.write(`${name}: the test run ended without a result\n`);
  const failed = counts.failed + counts.broken.length;
  if (process.env.VM_TEST_COUNTS)
    writeFileSync(process.env.VM_TEST_COUNTS, JSON.stringify({ passed: counts.passed, failed }));
  else process.stdout.write(`${counts.passed} passed, ${failed} failed\n`);
  if (failed > 0) process.exitCode = 1;
});
