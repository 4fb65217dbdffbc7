import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { run } from "../cli.js";
import { bootFlags, guests } from "./debian.js";

const dir = mkdtempSync(join(tmpdir(), "vm-commands-"));
afterAll(() => rmSync(dir, { recursive: true }));

const script = readFileSync(new URL("./commands.sh", import.meta.url));
/** As a disk: whole sectors, filled up with empty lines. */
const disk = join(dir, "commands.img");
writeFileSync(disk, Buffer.concat([script, Buffer.alloc(512 - (script.length % 512), "\n")]));

/** What the same busybox prints when the host's processor runs it. */
function native(original: string): string {
  const [bin, work, busybox] = ["bin", "work", "busybox"].map((name) => join(dir, name)) as [string, string, string];
  for (const made of [bin, work]) mkdirSync(made);
  copyFileSync(original, busybox);
  chmodSync(busybox, 0o755);
  execFileSync(busybox, ["--install", "-s", bin]);
  return execFileSync(busybox, ["sh", "-c", 'exec 2>&1; . "$0"', disk], {
    cwd: work,
    env: { PATH: bin, HOME: "/", TERM: "linux" },
    encoding: "latin1",
  });
}

describe.skipIf(guests === null)("busybox on Debian's 6.1 kernel, counting instructions", () => {
  const boot = () =>
    run(
      ...[...bootFlags("6.1"), "--clock", "icount", "--disk", `${disk}:ro`, "--stats"],
      ...["--exec", "exec 2>&1; mkdir /work && cd /work && . /dev/vda"],
    );

  it("prints what it prints natively, and the same bytes after the same instructions in every run", async () => {
    const [first, second] = await Promise.all([boot(), boot()]);
    expect(first).toMatchObject({ status: 0, signal: null });
    const expected = native(guests?.busybox ?? "");
    expect(expected.match(/^# /gm)?.length).toBeGreaterThan(30);
    expect(first.stdout).toBe(expected);
    expect(second.stdout).toBe(first.stdout);
    const instructions = [first, second].map(
      ({ stderr }) => (JSON.parse(stderr) as { instructions: number }).instructions,
    );
    expect(instructions[1]).toBe(instructions[0]);
  });
});
