import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Assembler, eax, ecx, r10d, r11d, r12d, r13d } from "@vm/asm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { elfKernel } from "../elf-kernel.js";
import { out, powerOff } from "./bare.js";
import { run } from "./in-process.js";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "vm-tdx-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const CALLS = 3;

/** Three bytes for COM1, a leaf that does not exist, a range that cannot be mapped, and the end. */
function guest(a: Assembler): void {
  for (let k = 0; k < CALLS; k++) out(a, 0x3f8, 0x41 + k);
  a.mov(eax, 99).tdcall();
  // MapGPA of half a page.
  a.xor(r10d, r10d).mov(r11d, 0x10001).mov(r12d, 0x20_0000).mov(r13d, 2048).mov(ecx, 0x3c00).xor(eax, eax).tdcall();
  powerOff(a, 0);
}

async function trace(...args: string[]): Promise<string> {
  const kernel = join(folder, "kernel");
  const output = join(folder, "output");
  writeFileSync(kernel, elfKernel(guest));
  const machine = ["--kernel", kernel, "--memory", "16M", "--clock", "icount"];
  const { status, stdout } = await run("tdx", "trace", ...machine, "--output", output, ...args);
  expect([status, stdout]).toEqual([0, "ABC"]);
  return readFileSync(output, "utf8");
}

/** Pages that the TD is built of, as `vm td measure` has them. */
async function pages(): Promise<number> {
  const { stdout } = await run("td", "measure", join(folder, "kernel"), "--memory", "16M", "--json");
  const { runs } = JSON.parse(stdout) as { runs: { pagesMeasured: number }[] };
  return runs.reduce((sum, { pagesMeasured }) => sum + pagesMeasured, 0);
}

describe("vm tdx trace", () => {
  it("counts calls by leaf and status, and TDVMCALLs by sub-function and answer", async () => {
    const { leaves } = JSON.parse(await trace("--json")) as { leaves: { name: string }[] };
    const leaf = (name: string) => leaves.find((one) => one.name === name);
    const added = await pages();
    expect(added).toBeGreaterThan(10);
    expect(leaf("TDH.MEM.PAGE.ADD")).toMatchObject({ leaf: 2, calls: added, statuses: { SUCCESS: added } });
    expect(leaf("TDH.MR.EXTEND")).toMatchObject({ calls: 16 * added, statuses: { SUCCESS: 16 * added } });
    expect(leaf("TDH.MR.FINALIZE")).toMatchObject({ kind: "seamcall", leaf: 17, calls: 1, statuses: { SUCCESS: 1 } });
    // The six that the guest makes, each of which leaves it.
    expect(leaf("TDH.VP.ENTER")).toMatchObject({ statuses: { TDCALL: CALLS + 3 } });
    expect(leaf("TDG.VP.VMCALL")).toMatchObject({
      calls: CALLS + 3,
      subFunctions: {
        // The last ends the machine: nobody answers.
        "Instruction.IO": { calls: CALLS + 2, statuses: { SUCCESS: CALLS + 1 } },
        MapGPA: { calls: 1, statuses: { ALIGN_ERROR: 1 } },
      },
    });
    expect(leaves.find(({ name }) => name === "unknown")).toEqual({
      ...{ kind: "tdcall", leaf: null, name: "unknown", calls: 1, statuses: { OPERAND_INVALID: 1 } },
    });
  });

  it("prints a table for a person, and with --calls first a line a call", async () => {
    const lines = (await trace("--calls")).trimEnd().split("\n");
    const table = lines.findIndex((line) => line.startsWith("leaf name"));
    const calls = lines.slice(0, table);
    expect(calls[0]).toMatch(/^ +0 LP0 TDH\.SYS\.INIT attributes=0x0 -> SUCCESS$/);
    expect(calls).toContainEqual(
      expect.stringMatching(
        /^ +0 LP0 TDH\.MEM\.PAGE\.ADD gpa=0x7000 tdr=0x[0-9a-f]+ hpa=0x[0-9a-f]+ source=0x[0-9a-f]+ -> SUCCESS$/,
      ),
    );
    expect(calls).toContainEqual(
      expect.stringMatching(
        /^ +[1-9]\d* LP0 TDG\.VP\.VMCALL<Instruction\.IO> size=0x1 write=0x1 port=0x3f8 value=0x42 -> SUCCESS$/,
      ),
    );
    expect(calls).toContainEqual(expect.stringMatching(/^ +[1-9]\d* LP0 leaf 99 -> OPERAND_INVALID$/));
    expect(lines.slice(table).join("\n")).toMatch(
      /^ {3}0 TDG\.VP\.VMCALL +6 SUCCESS 6\n {7}Instruction\.IO +5 SUCCESS 4, without an answer 1\n/m,
    );
    const times = calls.map((line) => Number.parseInt(line, 10));
    // What a guest did not get done, for lack of a page, it does again.
    expect(times.every((time, k) => k === 0 || time >= (times[k - 1] ?? 0) - 1)).toBe(true);
  });

  it("with --calls and --json it is a line of JSON a call, and the counts in the last", async () => {
    const lines = (await trace("--calls", "--json"))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const { leaves } = lines.pop() as { leaves: { calls: number }[] };
    expect(lines).toHaveLength(leaves.reduce((sum, { calls }) => sum + calls, 0));
    expect(lines.find(({ subFunction }) => subFunction === "MapGPA")).toMatchObject({
      ...{ lp: 0, kind: "tdcall", leaf: 0, name: "TDG.VP.VMCALL", status: "0x0000000000000000", statusName: "SUCCESS" },
      operands: { gpa: "0x200000", size: "0x800" },
    });
  });

  it("refuses a file that cannot be written before anything has started", async () => {
    const { status, stdout, stderr } = await run("tdx", "trace", "--output", join(folder, "no", "file"));
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/^vm: --output .*no such file\n$/);
  });
});
