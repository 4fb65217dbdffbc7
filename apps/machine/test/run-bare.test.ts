import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dx, eax, ebx, esp, mem, short } from "@vm/asm";
import { afterAll, describe, expect, it } from "vitest";
import { debugExit, elf, multiboot, multibootHeader, putChar } from "./bare-images.js";
import { onTerminal, run, vm } from "./cli.js";

const dir = mkdtempSync(join(tmpdir(), "vm-bare-"));
afterAll(() => rmSync(dir, { recursive: true }));
const file = (name: string, data: Uint8Array | string): string => {
  writeFileSync(join(dir, name), data);
  return join(dir, name);
};
const bare = (...args: string[]) => run("run-bare", "--memory", "16M", ...args);

const forever = file(
  "forever",
  multiboot((a) => putChar(a, "R").jmp(short(a.here("self")))),
);

describe("vm run-bare", () => {
  it("--help is on stdout, with status 0", async () => {
    const { status, stdout } = await run("run-bare", "--help");
    expect(status).toBe(0);
    for (const flag of "append module memory cpus clock stats timeout".split(" "))
      expect(stdout).toContain(`--${flag}`);
  });

  it.each([
    [0, 1],
    [1, 3],
    [0x7f, 0xff],
    [0x80, 1],
    [0x1234, 0x69],
  ])("a code of %i gives status %i", async (code, status) => {
    const image = file(
      "exit",
      multiboot((a) => debugExit(a, code)),
    );
    expect(await bare(image)).toEqual({ status, signal: null, stdout: "", stderr: "" });
  });

  it("COM1 is stdout and stdin", async () => {
    const image = file(
      "echo",
      multiboot((a) => {
        putChar(a, "?");
        const wait = a.here("wait");
        a.mov(dx, 0x3fd).emit([0xec, 0xa8, 1]).je(short(wait));
        a.mov(dx, 0x3f8).emit([0xec, 0x40, 0xee]);
        debugExit(a, 0);
      }),
    );
    const running = vm("run-bare", image, "--memory", "16M");
    await running.until("?");
    running.type("a");
    expect(await running.ended).toMatchObject({ status: 1, stdout: "?b" });
  });

  it("--append and --module reach the image", async () => {
    const image = file(
      "told",
      multiboot((a) => {
        const print = a.label("print");
        // The command line, then the module's bytes.
        a.mov(esp, 0x80000)
          .mov(eax, mem(ebx, { disp: 16, size: 4 }))
          .call(print);
        a.mov(eax, mem(ebx, { disp: 24, size: 4 }))
          .mov(eax, mem(eax, { size: 4 }))
          .call(print);
        debugExit(a, 0);
        a.bind(print).emit([0x89, 0xc6]).mov(dx, 0x3f8);
        const next = a.here("next");
        const end = a.label("end");
        a.emit([0xac, 0x84, 0xc0]).je(short(end)).emit([0xee]).jmp(short(next));
        a.bind(end).ret();
      }),
    );
    const module = file("module", "|and this\0");
    const { status, stdout } = await bare(image, "--append", "x=1 y", "--module", module);
    expect([status, stdout]).toEqual([1, "told x=1 y|and this"]);
  });

  it("--stats is one line of JSON on stderr", async () => {
    const image = file(
      "stats",
      multiboot((a) => debugExit(a, 0)),
    );
    const { stderr } = await bare(image, "--stats", "--clock", "icount");
    expect(JSON.parse(stderr)).toMatchObject({ instructions: 3, exits: { io: 1 } });
  });
});

describe("what cannot be loaded is one sentence on stderr and status 2", () => {
  const text = file("text", "no image\n".repeat(100));
  const good = multiboot((a) => debugExit(a, 0));
  const goodFile = file("good", good);
  it.each([
    ["no image", [], "missing required argument 'image'"],
    ["a missing file", [join(dir, "none")], "none: no such file"],
    ["a directory", [dir], "it is a directory"],
    ["text", [text], "neither an ELF file nor a multiboot image"],
    ["an image cut short", [file("short", good.subarray(0, 4100))], "cut short"],
    ["a program", [process.execPath], "ELF program"],
    [
      "an image outside the memory",
      [file("far", elf({ bits: 32, code: good, address: 0x8000_0000, header: multibootHeader() }))],
      "outside the 16 MiB",
    ],
    ["a missing module", [goodFile, "--module", join(dir, "none")], "--module"],
    ["two images", [goodFile, goodFile], "too many arguments"],
    ["no CPUs", [goodFile, "--cpus", "0"], "cpus takes a whole number from 1 to 32, not 0"],
    ["a bad time-out", [goodFile, "--timeout", "soon"], '--timeout "soon"'],
  ])("%s", async (_, args, message) => {
    const { status, stdout, stderr } = await bare(...args);
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/^vm: [^\n]+\n$/);
    expect([status, stdout]).toEqual([2, ""]);
  });
});

describe("an image that does not tell its verdict", () => {
  it("--timeout ends it with status 124", async () => {
    const { status, stdout, stderr } = await bare(forever, "--timeout", "0.5");
    expect([status, stderr]).toEqual([124, "vm: timed out after 0.5 s\n"]);
    // On a busy machine the time may pass before the image has begun.
    expect(stdout).toMatch(/^R?$/);
  });

  it("a triple fault shows the registers, with status 3", async () => {
    const { status, stderr } = await bare(
      file(
        "crash",
        multiboot((a) => a.ud2()),
      ),
    );
    expect(status).toBe(3);
    expect(stderr).toMatch(/^vm: triple fault on CPU 0\n/);
    expect(stderr).toContain("at rip: 0f 0b  ud2");
  });

  it("a halt for good shows the registers of every processor, with status 3", async () => {
    const { status, stderr } = await bare(
      file(
        "halt",
        multiboot((a) => a.cli().hlt()),
      ),
      "--cpus",
      "2",
    );
    expect(status).toBe(3);
    expect(stderr).toMatch(/^vm: the image has halted for good without a debug exit\nCPU 0\nrax [\s\S]*\nCPU 1\nrax /);
  });

  it.each(["\x03", "\x01x"])("key %j ends it, and the terminal is restored", async (key) => {
    const running = onTerminal(["run-bare", forever, "--memory", "16M"], "stty -a");
    await running.until("R");
    running.type(key);
    const { status, stdout } = await running.ended;
    expect(status).toBe(key === "\x03" ? 130 : 0);
    expect(stdout.slice(stdout.lastIndexOf("speed"))).toMatch(/ icanon[\s\S]* echo /);
  });
});
