import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createMachine, type Machine, type MachineSnapshot, MemoryDisk } from "../../src/index.js";
import { loadSnapshot, saveSnapshot } from "../../src/node.js";
import { run, vm } from "../cli.js";
import { bootFlags, guests } from "./debian.js";

const folder = mkdtempSync(join(tmpdir(), "vm-exec-saved-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A guest that has run a command, and waits for the next; its disk is a MiB of the letter a. */
let warm: MachineSnapshot | null = null;
const diskOfLetters = (): MemoryDisk => new MemoryDisk(new Uint8Array(1 << 20).fill(0x61));
const goOn = (snapshot: MachineSnapshot = warm as MachineSnapshot): Promise<Machine> =>
  createMachine({ snapshot, disks: [diskOfLetters()] });

describe.skipIf(guests === null)("a guest that runs commands", () => {
  beforeAll(async () => {
    const [kernel, initrd] = [guests?.kernel("6.12") ?? "", guests?.initrd("6.12") ?? ""];
    const machine = await createMachine({
      ...{ agent: true, memory: 256 << 20, kernel: readFileSync(kernel), initrd: readFileSync(initrd) },
      disks: [diskOfLetters()],
    });
    expect(await machine.exec("echo $((6*7)); exit 3")).toEqual({ status: 3, stdout: "42\n", stderr: "" });
    warm = await machine.snapshot({ stop: true });
    await machine.run();
  }, 240_000);

  it("is saved while one runs, and while none does; both go on", { timeout: 600_000 }, async () => {
    const machine = await goOn();
    let told = "";
    const rest = machine.exec("read a; echo $a; sleep 1; cat; echo over >&2; exit 5", {
      input: "first\nsecond\n",
      onOutput: (bytes) => {
        told += Buffer.from(bytes).toString();
      },
    });
    const seen = async (): Promise<void> => {
      while (!told.includes("first\n")) await new Promise(setImmediate);
    };
    await seen();
    const busy = await machine.snapshot();
    expect(await rest).toMatchObject({ status: 5, stderr: "over\n" });
    machine.stop();
    expect((await machine.run()).reason).toBe("stopped");

    await saveSnapshot(join(folder, "idle"), warm as MachineSnapshot);
    const stored = await loadSnapshot(join(folder, "idle"), { lazy: true });
    const idle = await goOn(stored);
    expect(idle.resumedExec()).toBeNull();
    expect(await idle.exec("cat; uname", { input: "typed\n" })).toMatchObject({ stdout: "typed\nLinux\n" });
    idle.stop();
    await idle.run();
    await stored.close();

    const going = await goOn(busy);
    const ended = await going.resumedExec();
    expect(ended).toMatchObject({ status: 5, stderr: "over\n" });
    expect(`first\n${ended?.stdout}`).toContain("second\n");
    expect(await going.exec("echo next")).toMatchObject({ stdout: "next\n" });
    going.stop();
    await going.run();
  });

  it("is forked: each fork has its files, its disk and its memory as they were", { timeout: 600_000 }, async () => {
    const parent = await goOn();
    const first = (machine: Machine) => machine.exec("cat /tmp/x; head -c 4 /dev/vda");
    await parent.exec("echo before >/tmp/x");
    const forks = [await parent.fork(), await parent.fork()];
    await parent.exec("echo after >/tmp/x; printf zzzz | dd of=/dev/vda conv=notrunc,fsync");
    expect(await first(parent)).toMatchObject({ stdout: "after\nzzzz" });
    for (const [k, fork] of forks.entries()) {
      expect(await first(fork)).toMatchObject({ stdout: "before\naaaa" });
      await fork.exec(`echo ${k} >/tmp/x; printf ${k}${k}${k}${k} | dd of=/dev/vda conv=notrunc,fsync`);
    }
    for (const [k, fork] of forks.entries())
      expect(await first(fork)).toMatchObject({ stdout: `${k}\n${k}${k}${k}${k}` });
    expect(await first(parent)).toMatchObject({ stdout: "after\nzzzz" });
    const running = parent.exec("read a; echo $a; sleep 1; echo end; exit 7", { input: "go\n" });
    const child = await parent.fork();
    const [mine, its] = [await running, await child.resumedExec()];
    expect([mine.status, its?.status, mine.stdout]).toEqual([7, 7, "go\nend\n"]);
    for (const machine of [parent, child, ...forks]) {
      // Each that goes on from what others go on from has random numbers of its own: the kernel was told.
      expect((await machine.exec("dmesg | grep -c 'reseeded due to virtual machine fork'")).stdout).toMatch(/^[1-9]/);
      machine.stop();
      await machine.run();
    }
  });

  it("is saved by vm boot when it is about to run one, and each command starts there", {
    timeout: 600_000,
  }, async () => {
    const folderOfWarm = join(folder, "warm");
    const args = [...bootFlags("6.12"), "--exec", "echo $((40+2)); exit 4"];
    const first = await run(...args, "--snapshot-at", `ready:${folderOfWarm}`);
    expect(first).toMatchObject({ stdout: "42\n", status: 4 });
    expect(first.stderr).toMatch(/vm: saved to .*warm, \d+\.\d MB\n/);
    for (const word of ["one", "two"]) {
      const command = `cat; echo ${word} >&2; exit 6`;
      const next = vm("boot", "--snapshot", folderOfWarm, "--lazy", "--exec", command, "--timeout", "240");
      next.process.stdin.end("in\n");
      expect(await next.ended).toMatchObject({ stdout: "in\n", stderr: `${word}\n`, status: 6 });
    }
    const again = ["--exec", "true", "--snapshot-at", `ready:${join(folder, "again")}`, "--stop-after-snapshot"];
    expect(await run("boot", "--snapshot", folderOfWarm, ...again)).toMatchObject({ stdout: "", status: 0 });
    expect((await run("snapshot", "inspect", join(folder, "again"))).stdout).toMatch(/\ndisks {8}0\n/);
    const none = await run("boot", "--snapshot", folderOfWarm);
    expect(none).toMatchObject({ status: 2, stderr: "vm: the guest waits for a command: expected --exec COMMAND\n" });
  });
});
