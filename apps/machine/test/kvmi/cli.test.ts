import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectTransport } from "@vm/kvmi";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { kvmi } from "../../src/plugins/kvmi/plugin.js";
import { type Running, run, vm } from "../cli.js";
import { machineOf } from "../guest.js";
import { restless } from "./restless.js";

const dir = mkdtempSync(join(tmpdir(), "vm-kvmi-cli-"));
afterAll(() => rmSync(dir, { recursive: true }));

/** A guest that never stops changing CR3, and looks for its tool at the path returned. */
async function guest(name: string): Promise<{ path: string; stop: () => void }> {
  const path = join(dir, name);
  const open = () => connectTransport((onread) => connect({ path, onread }));
  const machine = await machineOf(restless, { plugins: [kvmi({ open, retryMs: 20 })] });
  const ended = machine.run();
  const stop = (): void => machine.stop();
  onTestFinished(async () => {
    stop();
    await ended;
  });
  return { path, stop };
}

const trace = (path: string, ...flags: string[]): Running => vm("kvmi", "trace", "--kvmi", path, ...flags);
const LINE = /vcpu0 cr3 0x[0-9a-f]+ -> 0x[0-9a-f]+\n/;

describe("vm kvmi trace", () => {
  it("what cannot be used is one sentence on stderr and status 2", async () => {
    const plain = join(dir, "plain");
    writeFileSync(plain, "");
    const at = ["kvmi", "trace", "--kvmi", join(dir, "nobody")];
    const long = `/tmp/${"x".repeat(103)}`;
    const cases: readonly (readonly [string, ...string[]])[] = [
      ["vm: nothing to trace: --cr3, --msr, --syscalls, --exec PAGE or --function NAME\n", ...at],
      ["vm: --return needs --function\n", ...at, "--cr3", "--return"],
      ['vm: --function "," names no function\n', ...at, "--function", ","],
      ['vm: --count "1.5" is no number of events\n', ...at, "--cr3", "--count", "1.5"],
      ['vm: "123456789012345678" is no number\n', ...at, "--exec", "123456789012345678"],
      ["vm: --msr 0x4000: only 0 to 0x1fff and 0xc0000000 to 0xc0001fff can be watched\n", ...at, "--msr", "0x4000"],
      [`vm: --kvmi ${plain}: there is a file that is no socket\n`, "ps", "--kvmi", plain],
      [`vm: --kvmi ${dir}/no/socket: no such directory\n`, "ps", "--kvmi", `${dir}/no/socket`],
      ["vm: --kvmi-filter needs --kvmi\n", "boot", "--kvmi-filter", "cr3=0"],
      [`vm: --kvmi ${long}: the path has 108 bytes; a socket's can have 107\n`, "ps", "--kvmi", long],
      [`vm: --kvmi ${long}: the path has 108 bytes; a socket's can have 107\n`, "boot", "--builtin", "--kvmi", long],
      [
        "vm: --sysmap /tmp/a b: LibVMI reads paths of letters, digits and / . _ @ - only\n",
        ...["kvmi", "conf", "--kvmi", join(dir, "nobody"), "--sysmap", "/tmp/a b"],
      ],
      [
        'vm: --name "ostype": LibVMI reads two or more letters, digits and . _ - as a name\n',
        ...["kvmi", "conf", "--kvmi", join(dir, "nobody"), "--sysmap", "/tmp/map", "--name", "ostype"],
      ],
    ];
    for (const [stderr, ...args] of cases) expect(await run(...args)).toMatchObject({ status: 2, stdout: "", stderr });
  });

  it("ends after --count events, and when the machine does", async () => {
    const { path, stop } = await guest("count");
    const { status, stdout, stderr } = await trace(path, "--cr3", "--count", "3").ended;
    expect([status, stdout.split("\n").length, stderr]).toEqual([0, 4, ""]);
    const second = trace(path, "--cr3");
    await second.until(LINE);
    stop();
    expect(await second.ended).toMatchObject({ status: 0, stderr: "vm: the machine has ended\n" });
    expect(existsSync(path)).toBe(false);
  });

  it("ends with Ctrl-C, after the time-out, and when nobody reads on", async () => {
    const { path } = await guest("leave");
    const interrupted = trace(path, "--cr3");
    await interrupted.until(LINE);
    interrupted.process.kill("SIGINT");
    expect(await interrupted.ended).toMatchObject({ status: 130, stderr: "" });
    const late = await trace(path, "--cr3", "--timeout", "1").ended;
    expect(late).toMatchObject({ status: 124, stderr: "vm: timed out after 1 s\n" });
    const unread = trace(path, "--cr3");
    await unread.until(LINE);
    unread.process.stdout.destroy();
    expect(await unread.ended).toMatchObject({ status: 141, stderr: "" });
  });

  it("a tool that waits is not robbed of its socket by another, neither one that starts nor one that ends", async () => {
    const { path } = await guest("two");
    const first = trace(path, "--cr3");
    await first.until(LINE);
    const second = trace(path, "--cr3", "--count", "1");
    while (!existsSync(path)) await new Promise((resolve) => setImmediate(resolve));
    expect(await run("ps", "--kvmi", path)).toMatchObject({
      status: 2,
      stderr: `vm: --kvmi ${path}: another tool listens there\n`,
    });
    first.process.kill("SIGINT");
    expect((await first.ended).status).toBe(130);
    expect(await second.ended).toMatchObject({ status: 0, stderr: "" });
  });
});
