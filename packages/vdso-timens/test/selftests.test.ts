import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { VvarAbiName } from "@vm/vdso-timens";
import { afterAll, describe, expect, it } from "vitest";
import { Native, whyNot } from "./native/native.js";

/** The kernel's own tests of its vDSO, out of Debian's linux-source-6.1, on our image. `npm run test:timens` fetches them and says where. */

const sources = process.env.VM_SELFTESTS;
const folder = mkdtempSync(join(tmpdir(), "vm-selftests-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const ABIS: readonly VvarAbiName[] = ["linux-5.6", "linux-6.18"];

/** Times that a test is run which reads a page a moment after the kernel has written its own. */
const PATIENCE = 20;

interface Selftest {
  readonly files: readonly string[];
  readonly flags?: readonly string[];
  /** What it must print, at least. */
  readonly prints: RegExp;
  /** What it prints if it failed; its status does not tell. */
  readonly fails?: RegExp;
}

const TESTS: Readonly<Record<string, Selftest>> = {
  standalone: {
    files: ["vdso_standalone_test_x86.c", "parse_vdso.c"],
    flags: ["-nostdlib", "-fno-asynchronous-unwind-tables", "-fno-stack-protector"],
    prints: /^The time is +\d+\.\d+$/m,
  },
  gettimeofday: { files: ["vdso_test_gettimeofday.c", "parse_vdso.c"], prints: /^The time is \d+\.\d+$/m },
  getcpu: { files: ["vdso_test_getcpu.c", "parse_vdso.c"], prints: /^Running on CPU \d+ node \d+$/m },
  clock_getres: { files: ["vdso_test_clock_getres.c"], prints: /\[PASS\]/, fails: /FAIL/ },
  abi: { files: ["vdso_test_abi.c", "parse_vdso.c"], prints: /# Totals: pass:16 fail:0/, fails: /not ok|FAIL/ },
  correctness: { files: ["vdso_test_correctness.c"], flags: ["-ldl"], prints: /\[OK\]/, fails: /FAIL/ },
};

if (sources === undefined) console.log("skipped: the kernel's vDSO tests; npm run test:timens fetches and runs them");
const reason = sources === undefined ? "no sources" : await whyNot(folder);
if (sources !== undefined && reason !== null) console.log(`skipped: ${reason}`);

describe.skipIf(reason !== null)("the kernel's test", () => {
  const native = reason === null ? new Native(folder) : (undefined as never);
  describe.each(Object.entries(TESTS))("%s", (name, { files, flags = [], prints, fails }) => {
    it.each(ABIS)("passes on our image (%s)", async (abi) => {
      const program = join(folder, name);
      const paths = files.map((file) => join(sources as string, "vDSO", file));
      execFileSync("cc", ["-std=gnu99", "-o", program, ...paths, ...flags], { stdio: ["ignore", "ignore", "pipe"] });
      let output = "";
      for (let k = 0; k < PATIENCE; k++) {
        const { stdout, status, stderr } = await native.run({ abi }, program);
        output = `${stdout}${stderr}`;
        expect(status, output).toBe(name === "standalone" ? 0 : status);
        // Only where a clock stands still between ticks can the moment between the kernel's write and ours be seen.
        const others = output.split("[RUN]").filter((part) => !/_COARSE/.test(part));
        if (fails !== undefined) expect(others.filter((part) => fails.test(part))).toEqual([]);
        if (fails === undefined || !fails.test(output)) break;
      }
      expect(output).toMatch(prints);
      if (fails !== undefined) expect(output).not.toMatch(fails);
    });
  });
});
