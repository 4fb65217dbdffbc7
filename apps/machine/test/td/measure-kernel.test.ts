import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Assembler, eax, ecx, edx, mem, r8d, r9, r9d, r10d, r11d, r12d, r13d, r14d, r15d, short } from "@vm/asm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { execSession } from "../../src/cli/exec-session.js";
import { createMachine, MemoryDisk, tdx } from "../../src/index.js";
import { elfKernel } from "../elf-kernel.js";
import { powerOff } from "./bare.js";
import { run } from "./in-process.js";

/** Where the guest has its report made; 64 bytes of report data, zeros, behind it. */
const REPORT = 0x20_0000;
const DATA = REPORT + 4096;
/** TDINFO_STRUCT.MRTD in a TDREPORT. */
const MRTD = 512 + 16;
const BYTES = 48;
const [MR_REPORT, IO, COM1] = [4, 30, 0x3f8];
/** R10 to R15. */
const MASK = 0xfc00;

/** Asks the module for a TDREPORT, and sends its MRTD over COM1. */
function sayMrtd(a: Assembler): void {
  a.mov(ecx, REPORT).mov(edx, DATA).xor(r8d, r8d).mov(eax, MR_REPORT).tdcall();
  a.mov(r9d, REPORT + MRTD);
  const next = a.here("next");
  a.movzx(r15d, mem(r9, { size: 1 }));
  a.xor(r10d, r10d).mov(r11d, IO).mov(r12d, 1).mov(r13d, 1).mov(r14d, COM1);
  a.mov(ecx, MASK).xor(eax, eax).tdcall();
  a.inc(r9)
    .cmp(r9d, REPORT + MRTD + BYTES)
    .jnz(short(next));
  powerOff(a, 0);
}

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "vm-td-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

const KERNEL = elfKernel(sayMrtd);
const INITRD = new Uint8Array(10_000).fill(0x5a);

interface Options {
  readonly memory?: number;
  readonly cpus?: number;
  readonly commandLine?: string;
  readonly initrd?: Uint8Array;
  readonly disks?: number;
}

/** MRTD as the module reports it to the TD that it is of. */
async function reported({ disks = 0, memory = 16, ...options }: Options): Promise<string> {
  const said: number[] = [];
  const machine = await createMachine({
    ...{ ...options, memory: memory << 20, kernel: KERNEL, plugins: [tdx()], clock: "icount" },
    disks: Array.from({ length: disks }, () => new MemoryDisk(4096)),
  });
  machine.console.onOutput((bytes) => said.push(...bytes));
  expect(await machine.run()).toEqual({ reason: "power-off", status: 0 });
  return Buffer.from(said).toString("hex");
}

async function measured({ memory = 16, cpus, commandLine, initrd, disks }: Options): Promise<string> {
  const flags = {
    memory: `${memory}M`,
    ...(cpus === undefined ? {} : { cpus: `${cpus}` }),
    ...(commandLine === undefined ? {} : { append: commandLine }),
    ...(initrd === undefined ? {} : { initrd: file("initrd", initrd) }),
    ...(disks === undefined ? {} : { disks: `${disks}` }),
  };
  const words = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value]);
  const { status, stdout, stderr } = await run("td", "measure", file("kernel", KERNEL), ...words);
  expect([status, stderr]).toEqual([0, ""]);
  return stdout.trimEnd();
}

describe("vm td measure of a kernel", () => {
  const seen = new Set<string>();
  it.each<[string, Options]>([
    ["nothing but the kernel", {}],
    ["another command line", { commandLine: "quiet" }],
    ["a ram disk", { initrd: INITRD }],
    ["more memory", { memory: 17 }],
    ["two processors", { cpus: 2 }],
    ["a disk", { disks: 1 }],
    ["devices of old PCs, by the command line", { commandLine: "noapic" }],
  ])("says what the module tells the TD that boots with %s", async (_, options) => {
    const mrtd = await measured(options);
    expect(mrtd).toMatch(/^[0-9a-f]{96}$/);
    expect(mrtd).toBe(await reported(options));
    expect(seen).not.toContain(mrtd);
    seen.add(mrtd);
  });

  it("with --agent says it of a boot with --exec", async () => {
    const flags = { memory: "16M", cpus: "1", clock: "icount", engine: "auto" } as const;
    const session = execSession("true", { ...flags, kvmiDialect: "libkvmi" });
    const { stdout } = await run(
      "td",
      "measure",
      file("kernel", KERNEL),
      "--memory",
      "16M",
      "--agent",
      "--append",
      "quiet",
    );
    const initrd = session.initrd?.(undefined) as Uint8Array;
    expect(stdout.trimEnd()).toBe(await reported({ commandLine: session.words("quiet").trim(), initrd }));
  });

  it("says with --events and --json what was measured: whole pages, the loader last", async () => {
    const path = file("kernel", KERNEL);
    const { stdout } = await run("td", "measure", path, "--memory", "16M", "--events");
    const lines = stdout.trimEnd().split("\n");
    expect(lines[1]).toMatch(/^0x7000-0x8000 +1 pages added and measured$/);
    expect(lines.at(-1)).toMatch(/^0x[0-9a-f]+-0x100000000 +\d+ pages added and measured$/);
    const json = JSON.parse((await run("td", "measure", path, "--memory", "16M", "--json")).stdout);
    expect(json).toMatchObject({ mrtd: lines[0], memory: 16 << 20, cpus: 1, disks: 0 });
    expect(json.runs).toHaveLength(lines.length - 1);
  });

  it("refuses flags that do not go with it, and what no machine can have, in one sentence with status 2", async () => {
    const path = file("kernel", KERNEL);
    for (const [args, words] of [
      [["--passes", "2"], /--passes: .* is a kernel/],
      [["--memory", "1K"], /memory is 0.001 MiB/],
      [["--cpus", "two"], /--cpus two: not a number/],
      [["--initrd", join(folder, "absent")], /--initrd .*no such file/],
      [["--append", "x".repeat(3000)], /command line/],
    ] as const) {
      const { status, stdout, stderr } = await run("td", "measure", path, ...args);
      expect([status, stdout]).toEqual([2, ""]);
      expect(stderr).toMatch(words);
      expect(stderr).toMatch(/^vm: .*\n$/);
    }
  });
});
