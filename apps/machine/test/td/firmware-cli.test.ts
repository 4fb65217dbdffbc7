import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FwCfgItem } from "@vm/devices";
import { afterAll, describe, expect, it } from "vitest";
import { elfKernel } from "../elf-kernel.js";
import { powerOff } from "./bare.js";
import { run } from "./in-process.js";
import { sayItem, tinyFirmware } from "./tiny-firmware.js";
import { unstartedKernel } from "./unstarted-kernel.js";

const folder = mkdtempSync(join(tmpdir(), "vm-firmware-"));
afterAll(() => rmSync(folder, { recursive: true }));
const path = (name: string): string => join(folder, name);

function file(name: string, bytes: Uint8Array): string {
  writeFileSync(path(name), bytes);
  return path(name);
}

const KERNEL = file("kernel", unstartedKernel());
const ELF = file(
  "elf",
  elfKernel((a) => powerOff(a, 0)),
);
const FIRMWARE = file(
  "firmware",
  tinyFirmware((a) => sayItem(a, FwCfgItem.Signature, 4)),
);
const DISK = file("disk", new Uint8Array(1 << 20));
const GARBAGE = file("garbage", new Uint8Array(5000).fill(0x5a));
const LARGE = file("large", new Uint8Array(0));
truncateSync(LARGE, 17 << 20);

/** What is refused: one sentence on stderr, nothing on stdout, status 2. */
async function refused(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await run("td", "boot", "--memory", "16M", ...args);
  expect([status, stdout]).toEqual([2, ""]);
  expect(stderr).toMatch(/^vm: [^\n]+\n$/);
  return stderr.slice("vm: ".length, -1);
}

describe("vm td boot --firmware", () => {
  it.each([
    ["with a kernel", ["--kernel", KERNEL]],
    ["without Secure Boot", ["--kernel", KERNEL, "--no-secure-boot"]],
    ["with a shim", ["--kernel", KERNEL, "--shim", GARBAGE]],
    ["with a disk and no kernel", ["--disk", `${DISK}:ro,format=raw`]],
  ])("starts the firmware, %s", async (_, args) => {
    const { status, stdout } = await run("td", "boot", "--memory", "16M", "--firmware", FIRMWARE, ...args);
    expect([status, stdout]).toEqual([0, "QEMU"]);
  });

  it("is a flag of vm tdx trace as well", async () => {
    const machine = ["--memory", "16M", "--kernel", KERNEL, "--firmware", FIRMWARE];
    const { status, stdout } = await run("tdx", "trace", ...machine, "--output", path("trace"));
    expect([status, stdout]).toEqual([0, "QEMU"]);
  });

  it.each([
    ["a device", "/dev/zero", "it is a device, not a file"],
    ["a directory", folder, "it is a directory"],
    ["absent", path("none"), "no such file"],
    ["17 MiB long", LARGE, "it is longer than 16 MiB"],
  ])("that is %s is refused, and so is a shim", async (_, name, why) => {
    expect(await refused("--kernel", KERNEL, "--firmware", name)).toBe(`--firmware ${name}: ${why}`);
    const shim = ["--kernel", KERNEL, "--firmware", FIRMWARE, "--shim", name];
    expect(await refused(...shim)).toBe(`--shim ${name}: ${why}`);
  });

  it("that is garbage is refused, or is no firmware for TDX", async () => {
    expect(await refused("--kernel", KERNEL, "--firmware", GARBAGE)).toMatch(
      /^--firmware .*garbage: .*no TDVF metadata/,
    );
  });

  it("whose pipe nobody writes to is waited for until --timeout", async () => {
    execFileSync("mkfifo", [path("pipe")]);
    const args = ["--kernel", KERNEL, "--firmware", path("pipe"), "--timeout", "0.2"];
    expect(await run("td", "boot", ...args)).toEqual({
      status: 124,
      stdout: "",
      stderr: "vm: timed out after 0.2 s\n",
    });
  });

  it("starts no ELF kernel", async () => {
    expect(await refused("--firmware", FIRMWARE, "--kernel", ELF)).toMatch(/bzImage/);
  });

  it.each(["exec", "append", "initrd", "shim"])("of a disk: --%s is for a kernel", async (flag) => {
    const disk = ["--firmware", FIRMWARE, "--disk", `${DISK}:ro,format=raw`];
    expect(await refused(...disk, `--${flag}`, GARBAGE)).toMatch(
      new RegExp(`^--${flag} is for a kernel, which --kernel names`),
    );
  });

  it("without a store of variables cannot do without Secure Boot", async () => {
    const image = tinyFirmware(() => undefined).fill(0, 0, 0x48);
    const args = ["--kernel", KERNEL, "--firmware", file("storeless", image), "--no-secure-boot"];
    expect(await refused(...args)).toMatch(/^firmware: .*store of variables/);
  });
});

describe("vm td boot without --firmware", () => {
  it.each([
    ["--shim", ["--shim", GARBAGE]],
    ["--no-secure-boot", ["--no-secure-boot"]],
  ])("has no use for %s", async (flag, args) => {
    expect(await refused("--kernel", ELF, ...args)).toBe(`${flag} is for firmware, which --firmware names`);
  });
});
