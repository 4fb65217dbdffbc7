import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { createMachine } from "../../src/index.js";
import { onTerminal, run, vm } from "../cli.js";
import { transcript } from "../guest.js";
import { SyscallCounter } from "../syscall-counter.example.mjs";
import { bootFlags, guests } from "./debian.js";

describe.skipIf(guests === null)("Debian's unmodified kernels", () => {
  it("6.1 on a terminal: the shell, typing, the window's size, two processors, quitting", async () => {
    const running = onTerminal([...bootFlags("6.1"), "--cpus", "2"], "stty -a");
    await running.until("/ # ");
    const type = async (line: string, answer: RegExp): Promise<string> => {
      const from = running.stdout.length;
      running.type(`${line}\r`);
      return running.until(answer, from);
    };
    expect(await type("uname -srm", /\nLinux [^\n]*\n[\s\S]*\/ # /)).toMatch(/\nLinux 6\.1\.\S+ x86_64\r/);
    expect(await type("grep -c ^processor /proc/cpuinfo", /\n\d+\r*\n/)).toMatch(/\n2\r*\n/);
    await type("stty size", /\n31 97\r*\n/);
    await type("sh -c 'echo ready; exec sleep 1000'", /\nready\r*\n/);
    await type("\x03echo $?", /\n130\r*\n/);
    running.type("\x01x");
    const { status, stdout } = await running.ended;
    expect(status).toBe(0);
    expect(stdout.slice(stdout.lastIndexOf("speed"))).toMatch(/ icanon[\s\S]* echo /);
  });

  it("6.1: a paste of 1 MB arrives whole, line by line and raw", async () => {
    const running = vm(...bootFlags("6.1"));
    await running.until("/ # ");
    const lines = Array.from({ length: 2 ** 14 }, () => `${randomBytes(47).toString("base64")}\n`);
    const data = lines
      .join("")
      .slice(0, 2 ** 20 - 1)
      .concat("\n");
    const piece = data.slice(0, 2 ** 17);
    const sum = (text: string): string => createHash("md5").update(text).digest("hex");
    const command = `cat >/tmp/lines; stty raw -echo; head -c ${piece.length} >/tmp/raw; stty sane; md5sum /tmp/lines /tmp/raw`;
    running.type(`stty -echo; ${command}\r`);
    await running.until("/tmp/raw\r");
    running.type(`${data}\x04${piece}`);
    const answer = new RegExp(`${sum(data)} {2}/tmp/lines\\r*\\n${sum(piece)} {2}/tmp/raw`);
    expect(await running.until(/\n[0-9a-f]{32} {2}\/tmp\/raw/)).toMatch(answer);
    running.process.kill("SIGTERM");
    await running.ended;
  });

  it("6.12: a command, its output alone on stdout, its errors and the kernel's log on stderr, its status", async () => {
    const { status, stdout, stderr } = await run(
      ...bootFlags("6.12"),
      "-v",
      "--exec",
      "uname -r; echo to stderr >&2; exit 41",
    );
    expect(stdout).toMatch(/^6\.12\.\S+\n$/);
    expect(status).toBe(41);
    expect(stderr).toContain("Linux version 6.12");
    expect(stderr).toMatch(/^to stderr\r?$/m);
  });

  it("6.1 with icount: the same output and exits after the same instructions, interpreted and with regions", async () => {
    const boot = async (engine: string): Promise<object> => {
      const flags = ["--clock", "icount", "--exec", "dmesg; ls -lR /proc/sys | md5sum; exit 3", "--stats"];
      const { status, stdout, stderr } = await run(...bootFlags("6.1"), ...flags, "--engine", engine);
      const { instructions, exits, faults, jit } = JSON.parse(stderr.trim().split("\n").at(-1) as string);
      expect(jit === null).toBe(engine === "interpreter");
      return { status, stdout, instructions, exits, faults };
    };
    const interpreted = await boot("interpreter");
    expect(interpreted).toMatchObject({ status: 3 });
    expect(await boot("auto")).toEqual(interpreted);
  });

  it("the README's plugin counts the system calls of each process", async () => {
    const counter = new SyscallCounter();
    const kill = 62;
    const loop = (times: number): string =>
      `sh -c 'i=0; while [ $i -lt ${times} ]; do kill -0 $$; i=$((i+1)); done; exit'`;
    const command = Buffer.from(`${loop(111)}; ${loop(222)}; true`).toString("base64url");
    const machine = await createMachine({
      kernel: readFileSync(guests?.kernel("6.1") ?? ""),
      initrd: readFileSync(guests?.initrd("6.1") ?? ""),
      commandLine: `vm.exec=${command} vm.nonce=00`,
      plugins: [counter],
    });
    const seen = transcript(machine);
    expect(await machine.run()).toEqual({ reason: "power-off", status: null });
    expect(seen.text).toContain("\x01VM-EXEC-END 00 0\x02");
    const kills = [...counter.counts.values()].map((calls) => calls.get(kill) ?? 0);
    expect(kills).toContain(111);
    expect(kills).toContain(222);
  });
});
