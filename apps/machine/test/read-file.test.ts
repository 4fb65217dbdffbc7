import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, openSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { appendFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { UsageError } from "../src/cli/errors.js";
import { readFile } from "../src/cli/read-file.js";
import { run } from "./cli.js";

const dir = mkdtempSync(join(tmpdir(), "vm-read-"));
afterAll(() => rmSync(dir, { recursive: true }));
const path = (name: string): string => join(dir, name);
const pipe = (name: string): string => {
  execFileSync("mkfifo", [path(name)]);
  return path(name);
};
const limits = (most: number) => ({ most, signal: new AbortController().signal });

describe("reading what is given", () => {
  it("a file is read whole, also in several pieces", async () => {
    const bytes = Uint8Array.from({ length: (3 << 20) + 5 }, (_, k) => k % 251);
    writeFileSync(path("file"), bytes);
    expect(Buffer.compare(await readFile("", path("file"), limits(2 ** 22)), bytes)).toBe(0);
  });

  it("a pipe is read to its end", async () => {
    const name = pipe("pipe");
    const read = readFile("", name, limits(2 ** 20));
    await appendFile(name, new Uint8Array(300_000).fill(7));
    expect(Buffer.compare(await read, new Uint8Array(300_000).fill(7))).toBe(0);
  });

  it("a pipe without end is cut", async () => {
    const name = pipe("endless");
    const endless = spawn("sh", ["-c", 'exec cat /dev/zero >"$0"', name]);
    await expect(readFile("", name, limits(2 ** 22))).rejects.toThrow("it is longer than 4 MiB");
    await once(endless, "exit");
  });

  it.each([
    ["a device without end", "/dev/zero", "it is a device"],
    ["a directory", dir, "it is a directory"],
    ["what is not there", path("none"), "no such file"],
  ])("%s is refused", async (_, name, message) => {
    await expect(readFile("--kernel", name, limits(2 ** 20))).rejects.toThrow(UsageError);
    await expect(readFile("--kernel", name, limits(2 ** 20))).rejects.toThrow(`--kernel ${name}: ${message}`);
  });

  it("a file of a terabyte is refused before it is read", async () => {
    writeFileSync(path("huge"), "");
    truncateSync(path("huge"), 2 ** 40);
    await expect(readFile("--initrd", path("huge"), limits(2 ** 29))).rejects.toThrow("it is longer than 512 MiB");
  });

  it("ends with the signal", async () => {
    const controller = new AbortController();
    const name = pipe("silent");
    openSync(name, "r+");
    const reason = new Error("enough");
    const read = readFile("", name, { most: 2 ** 20, signal: controller.signal });
    controller.abort(reason);
    await expect(read).rejects.toBe(reason);
  });
});

describe("vm boot and run-bare", () => {
  it.each(["--kernel", "--initrd"])("%s /dev/zero is one sentence", async (flag) => {
    const kernel = flag === "--initrd" ? ["--kernel", process.execPath] : [];
    const { status, stderr } = await run("boot", ...kernel, flag, "/dev/zero");
    expect([status, stderr]).toEqual([2, `vm: ${flag} /dev/zero: it is a device, not a file\n`]);
  });

  it("--kvmi-key /dev/zero is one sentence, for the machine and for a tool", async () => {
    const flags = ["--kvmi", path("socket"), "--kvmi-key", "/dev/zero"];
    const message = "vm: --kvmi-key /dev/zero: it is a device, not a file\n";
    for (const command of [["boot", "--builtin"], ["ps"]])
      expect(await run(...command, ...flags)).toMatchObject({ status: 2, stderr: message });
  });

  it("run-bare /dev/zero is one sentence", async () => {
    expect(await run("run-bare", "/dev/zero")).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/^vm: .*device/),
    });
  });

  it("--timeout counts while a pipe is waited for that nobody writes to", async () => {
    const name = pipe("slow");
    expect(await run("boot", "--kernel", name, "--timeout", "0.5")).toMatchObject({
      status: 124,
      stderr: "vm: timed out after 0.5 s\n",
    });
  });
});
