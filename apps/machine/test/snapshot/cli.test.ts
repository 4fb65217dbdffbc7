import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { run } from "../td/in-process.js";
import { RangedServer } from "./ranged-server.js";

const folder = mkdtempSync(join(tmpdir(), "vm-snapshot-cli-"));
afterAll(() => rmSync(folder, { recursive: true }));
const BOOTED = join(folder, "booted");

describe("vm boot --snapshot-at and --snapshot", () => {
  it("save a machine and go on from it; vm snapshot inspect tells what is there", async () => {
    const saved = await run(
      ...["boot", "--builtin", "--clock", "icount", "--memory", "16M"],
      ...["--snapshot-at", `9000:${BOOTED}`, "--stop-after-snapshot"],
    );
    expect(saved.status).toBe(0);
    expect(saved.stderr).toMatch(/vm: saved to .*booted, 0\.\d MB\n/);

    const told = await run("snapshot", "inspect", BOOTED, "--verify");
    expect(told).toMatchObject({ status: 0, stderr: "" });
    expect(told.stdout).toMatch(/instructions 9000\nprocessors {3}1\nclock {8}icount\n/);
    const json = await run("snapshot", "inspect", BOOTED, "--json");
    expect(JSON.parse(json.stdout)).toMatchObject({ meta: { instructions: 9000, memory: 16 << 20 }, parents: [] });

    const on = await run("boot", "--snapshot", BOOTED, "--timeout", "0.5");
    expect(on.status).toBe(124);
    expect(on.stderr).toContain("vm: timed out after 0.5 s\n");

    const server = await new RangedServer(folder).listen();
    const late = await run("boot", "--snapshot", `${server.url}/booted`, "--lazy", "--stats", "--timeout", "0.5");
    await server.close();
    expect(late.status).toBe(124);
    expect(late.stderr).toMatch(/"lateMemory":\{"chunks":\d+,"arrived":[1-9]/);
  });

  it.each<[string, string[], RegExp]>([
    ["nothing there", ["--snapshot", join(folder, "none")], /^vm: --snapshot: .*none.* is not there/],
    ["no URL", ["--snapshot", "http://["], /^vm: --snapshot: http:.* is no URL of a folder/],
    ["laziness of nothing", ["--builtin", "--lazy"], /^vm: --lazy needs --snapshot/],
    ["other memory", ["--snapshot", BOOTED, "--memory", "64M"], /^vm: --memory does not go with --snapshot/],
    ["a command", ["--snapshot", BOOTED, "--exec", "true"], /^vm: --exec: nobody in the guest waits for a command/],
    ["a point that is none", ["--builtin", "--snapshot-at", "soon"], /^vm: --snapshot-at soon: expected a number/],
    [
      "an end without a point",
      ["--builtin", "--stop-after-snapshot"],
      /^vm: --stop-after-snapshot needs --snapshot-at/,
    ],
    [
      "a moment that nobody can tell",
      ["--builtin", "--exec", "help", "--snapshot-at", "ready:x"],
      /of this guest nobody can tell when it is ready/,
    ],
  ])("%s is one sentence", async (_, args, message) => {
    const { status, stderr, stdout } = await run("boot", ...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toMatch(message);
    expect(stderr.trim()).not.toContain("\n");
  });

  it.each(["--snapshot", "--snapshot-at"])("%s does not go with a TD, and leaves no file", async (flag) => {
    const folder = join(BOOTED, "..", "td");
    const { status, stderr } = await run("td", "boot", flag, `1:${folder}`);
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: `vm: ${flag} does not go with a TD: nobody looks into it\n`,
    });
    expect(existsSync(folder)).toBe(false);
  });

  it("a machine that ends before says so, and leaves nothing", async () => {
    const late = join(folder, "late");
    const { status, stderr } = await run(
      "boot",
      "--builtin",
      "--timeout",
      "0.5",
      "--snapshot-at",
      `1000000000000:${late}`,
    );
    expect(stderr).toMatch(/the machine has ended \(stopped\) before it could be saved/);
    expect(status).not.toBe(0);
    expect(existsSync(late)).toBe(false);
  });
});
