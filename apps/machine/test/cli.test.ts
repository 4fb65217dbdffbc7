import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { onTerminal, run, vm } from "./cli.js";
import { elfKernel, flood } from "./guest.js";

const dir = mkdtempSync(join(tmpdir(), "vm-cli-"));
afterAll(() => rmSync(dir, { recursive: true }));
const file = (name: string, data: Uint8Array | string): string => {
  writeFileSync(join(dir, name), data);
  return join(dir, name);
};

describe("help", () => {
  it("--version, --help and boot --help are on stdout, with status 0", async () => {
    expect(await run("--version")).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
      stderr: "",
    });
    expect(await run("--help")).toMatchObject({
      status: 0,
      stdout: expect.stringContaining("vm [options]"),
      stderr: "",
    });
    const { status, stdout } = await run("boot", "--help");
    expect(status).toBe(0);
    for (const flag of "builtin kernel initrd append memory cpus disk clock exec stats timeout".split(" ")) {
      expect(stdout).toContain(`--${flag}`);
    }
  });

  it("no command is a mistake", async () => {
    expect(await run()).toMatchObject({ status: 2, stdout: "" });
  });
});

describe("what cannot be used is one sentence on stderr and status 2, and nothing starts", () => {
  const text = file("text", "not a kernel\n".repeat(100));
  const good = file(
    "kernel.elf",
    elfKernel((a) => a.cli().hlt()),
  );
  const odd = file("odd.img", new Uint8Array(700));
  it.each([
    ["an unknown flag", ["--fast"], "unknown option '--fast'"],
    ["an unknown clock", ["--clock", "sun"], "'sun' is invalid"],
    ["a stray argument", ["vmlinuz"], "too many arguments"],
    ["a bad memory size", ["--memory", "plenty"], '--memory "plenty" is not a size'],
    ["too little memory", ["--builtin", "--memory", "4M"], "a machine can have 16 MiB"],
    ["no CPUs", ["--builtin", "--cpus", "0"], "cpus takes a whole number from 1 to 32, not 0"],
    ["a missing kernel", ["--kernel", join(dir, "none")], "none: no such file"],
    ["a foreign kernel", ["--kernel", text], "neither a Linux bzImage nor"],
    ["a program as kernel", ["--kernel", process.execPath], "ELF program, not a kernel"],
    ["a missing ram disk", ["--kernel", good, "--initrd", join(dir, "none")], "--initrd"],
    ["two things to boot", ["--builtin", "--initrd", good], "--builtin and --initrd name two things"],
    ["a missing disk", ["--builtin", "--disk", join(dir, "none")], "none: no such file"],
    ["a disk of odd size", ["--builtin", "--disk", odd], "700 bytes is not a multiple of 512"],
    ["a bad time-out", ["--timeout", "soon"], '--timeout "soon"'],
    ["a command the built-in guest cannot take", ["--builtin", "--exec", 'say "x"'], "without double quotes"],
  ])("%s", async (_, args, message) => {
    const { status, stdout, stderr } = await run("boot", ...args);
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/^vm: [^\n]+\n$/);
    expect([status, stdout]).toEqual([2, ""]);
  });

  it("too little memory for this kernel and ram disk", async () => {
    const initrd = file("big.cpio", new Uint8Array(15.5 * 2 ** 20));
    const { status, stderr } = await run("boot", "--kernel", good, "--initrd", initrd, "--memory", "16M");
    expect([status, stderr]).toEqual([
      2,
      expect.stringMatching(/^vm: 16 MiB of memory are too little: [^\n]+ \d\d MiB\n$/),
    ]);
  });

  it("a ram disk that is longer than the memory", async () => {
    const initrd = file("bigger.cpio", new Uint8Array(17 * 2 ** 20));
    const { status, stderr } = await run("boot", "--kernel", good, "--initrd", initrd, "--memory", "16M");
    expect([status, stderr]).toEqual([2, `vm: --initrd ${initrd}: it is longer than 16 MiB\n`]);
  });
});

describe("the built-in guest", () => {
  it("with --builtin it boots, and a line says how to boot Linux", async () => {
    const running = vm("boot", "--builtin", "--memory", "16M");
    await running.until("vm> ");
    expect(running.stderr).toMatch(/^vm: [^\n]*--kernel[^\n]*--initrd[^\n]*\n$/);
    running.type("echo piped\r");
    await running.until("\r\npiped\r\n");
    running.type("exit 5\r");
    expect((await running.ended).status).toBe(5);
  });

  it("--exec prints the command's output and nothing else, and ends with its status", async () => {
    expect(await run("boot", "--builtin", "--memory", "16M", "--exec", "echo a  b")).toEqual({
      status: 0,
      signal: null,
      stdout: "a  b\n",
      stderr: "",
    });
    expect(await run("boot", "--builtin", "--memory", "16M", "--exec", "exit 42")).toMatchObject({
      status: 42,
      stdout: "",
      stderr: "",
    });
  });

  it("--stats is one line of JSON on stderr", async () => {
    const { stderr } = await run(
      "boot",
      "--builtin",
      "--memory",
      "16M",
      "--clock",
      "icount",
      "--stats",
      "--exec",
      "echo x",
    );
    expect(stderr).toMatch(/^\{[^\n]*\}\n$/);
    const stats = JSON.parse(stderr) as Record<string, unknown>;
    for (const key of [
      "instructions",
      "cpuSeconds",
      "cpuSecondsMain",
      "mips",
      "tlbMisses",
      "peakRssBytes",
      "touchedRamBytes",
    ]) {
      expect([key, stats[key]]).toEqual([key, expect.any(Number)]);
      expect(stats[key]).toBeGreaterThan(0);
    }
    expect(stats.faults).toBe(0);
    expect(stats.exits).toMatchObject({ io: expect.any(Number), hlt: expect.any(Number) });
  });

  it("--timeout ends it with status 124", async () => {
    const { status, stderr } = await run("boot", "--builtin", "--memory", "16M", "--timeout", "0.5");
    expect(status).toBe(124);
    expect(stderr).toContain("vm: timed out after 0.5 s\n");
  });

  it("a reader that does not read stops neither the time-out nor signals, and takes no memory", async () => {
    const kernel = file("flood.elf", elfKernel(flood));
    const timed = vm("boot", "--kernel", kernel, "--memory", "16M", "--timeout", "3", "--stats");
    timed.process.stdout.pause();
    const killed = vm("boot", "--kernel", kernel, "--memory", "16M");
    killed.process.stdout.pause();
    await new Promise((resolve) => timed.process.stderr.once("data", resolve));
    killed.process.kill("SIGTERM");
    for (const { process } of [timed, killed]) process.once("exit", () => process.stdout.resume());
    expect(await killed.ended).toMatchObject({ signal: "SIGTERM" });
    const { status, stdout, stderr } = await timed.ended;
    expect(status).toBe(124);
    expect(stdout.length).toBeLessThan(2 ** 20);
    const stats = JSON.parse(stderr.slice(stderr.indexOf("{"))) as { peakRssBytes: number };
    expect(stats.peakRssBytes).toBeLessThan(400 * 2 ** 20);
  });

  it("a reader that goes away ends it", async () => {
    const running = vm("boot", "--builtin", "--memory", "16M");
    await running.until("vm> ");
    running.process.stdout.destroy();
    running.type("help\rhelp\rhelp\r");
    expect((await running.ended).status).toBe(141);
  });
});

describe("a kernel that goes wrong", () => {
  it("a triple fault shows the registers and the instruction, with status 3", async () => {
    const kernel = file(
      "crash.elf",
      elfKernel((a) => a.emit([0x48, 0xb8, 0xef, 0xbe, 0xad, 0xde, 0, 0, 0, 0]).ud2()),
    );
    const { status, stdout, stderr } = await run("boot", "--kernel", kernel, "--memory", "16M");
    expect([status, stdout]).toEqual([3, ""]);
    expect(stderr).toMatch(/^vm: triple fault on CPU 0\n/);
    expect(stderr).toContain("rax 00000000deadbeef");
    expect(stderr).toContain("rip 000000000010000a");
    expect(stderr).toContain("at rip: 0f 0b  ud2");
  });

  it("so does a jump to where no memory is, which is #UD", async () => {
    const kernel = file(
      "lost.elf",
      elfKernel((a) => a.emit([0xb8, 0, 0, 0, 0xd0, 0xff, 0xe0])),
    );
    const { status, stderr } = await run("boot", "--kernel", kernel, "--memory", "16M");
    expect(status).toBe(3);
    expect(stderr).toMatch(/^vm: triple fault on CPU 0\n/);
    expect(stderr).toContain("rax 00000000d0000000");
  });

  it("a guest that ends before its command gives status 125 and says so", async () => {
    const kernel = file(
      "halt.elf",
      elfKernel((a) => a.cli().hlt()),
    );
    const { status, stdout, stderr } = await run("boot", "--kernel", kernel, "--memory", "16M", "--exec", "true");
    expect([status, stdout]).toEqual([125, ""]);
    expect(stderr).toMatch(/^vm: the guest halted before its command had ended[^\n]*\n$/);
  });
});

describe("on a terminal", () => {
  const SHOW_MODES = "stty -a";

  it("keys reach the guest raw, Ctrl-A h helps, Ctrl-A x quits, the terminal is restored", async () => {
    const running = onTerminal(["boot", "--builtin", "--memory", "16M"], SHOW_MODES);
    await running.until("vm> ");
    running.type("echo via\x7f\x7f\x7fpty\r");
    await running.until(/\npty\r*\n/);
    running.type("\x01h");
    await running.until("send Ctrl-A to the guest");
    running.type("\x03");
    await running.until(/\^C\r*\nvm> /);
    running.type("\x01x");
    const { status, stdout } = await running.ended;
    expect(status).toBe(0);
    expect(stdout.slice(stdout.lastIndexOf("speed"))).toMatch(/ icanon[\s\S]* echo /);
  });

  it.each([
    ["SIGTERM", 143],
    ["SIGHUP", 129],
    ["SIGINT", 130],
  ] as const)("a %s ends it, and the terminal is restored", async (signal, expected) => {
    const running = onTerminal(["boot", "--builtin", "--memory", "16M"], SHOW_MODES);
    const seen = await running.until("vm> ");
    process.kill(Number(/pid (\d+)/.exec(seen)?.[1]), signal);
    const { status, stdout } = await running.ended;
    expect(status).toBe(expected);
    expect(stdout.slice(stdout.lastIndexOf("speed"))).toMatch(/ icanon[\s\S]* echo /);
  });

  it("a power-off restores it too", async () => {
    const running = onTerminal(["boot", "--builtin", "--memory", "16M"], SHOW_MODES);
    await running.until("vm> ");
    running.type("exit 9\r");
    const { status, stdout } = await running.ended;
    expect(status).toBe(9);
    expect(stdout.slice(stdout.lastIndexOf("speed"))).toMatch(/ icanon[\s\S]* echo /);
  });
});
