import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { createMachine } from "../../src/index.js";
import { loadSnapshot, saveSnapshot } from "../../src/node.js";
import { run, vm } from "../cli.js";
import { bootFlags, guests } from "./debian.js";

const folder = mkdtempSync(join(tmpdir(), "vm-exec-saved-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe.skipIf(guests === null)("a guest that runs commands", () => {
  it("is saved while one runs, and while none does; both go on", { timeout: 600_000 }, async () => {
    const [kernel, initrd] = [guests?.kernel("6.12") ?? "", guests?.initrd("6.12") ?? ""];
    const machine = await createMachine({
      ...{ agent: true, memory: 256 << 20, kernel: readFileSync(kernel), initrd: readFileSync(initrd) },
    });
    expect(await machine.exec("echo $((6*7)); exit 3")).toEqual({ status: 3, stdout: "42\n", stderr: "" });
    const idle = await machine.snapshot();
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

    await saveSnapshot(join(folder, "idle"), idle);
    const stored = await loadSnapshot(join(folder, "idle"), { lazy: true });
    const warm = await createMachine({ snapshot: stored });
    expect(warm.resumedExec()).toBeNull();
    expect(await warm.exec("cat; uname", { input: "typed\n" })).toMatchObject({ stdout: "typed\nLinux\n" });
    warm.stop();
    await warm.run();
    await stored.close();

    const going = await createMachine({ snapshot: busy });
    const ended = await going.resumedExec();
    expect(ended).toMatchObject({ status: 5, stderr: "over\n" });
    expect(`first\n${ended?.stdout}`).toContain("second\n");
    expect(await going.exec("echo next")).toMatchObject({ stdout: "next\n" });
    going.stop();
    await going.run();
  });

  it("is saved by vm boot when it is about to run one, and each command starts there", { timeout: 600_000 }, async () => {
    const warm = join(folder, "warm");
    const args = [...bootFlags("6.12"), "--exec", "echo $((40+2)); exit 4"];
    const first = await run(...args, "--snapshot-at", `ready:${warm}`);
    expect(first).toMatchObject({ stdout: "42\n", status: 4 });
    expect(first.stderr).toMatch(/vm: saved to .*warm, \d+\.\d MB\n/);
    for (const word of ["one", "two"]) {
      const command = `cat; echo ${word} >&2; exit 6`;
      const next = vm("boot", "--snapshot", warm, "--lazy", "--exec", command, "--timeout", "240");
      next.process.stdin.end("in\n");
      expect(await next.ended).toMatchObject({ stdout: "in\n", stderr: `${word}\n`, status: 6 });
    }
    const none = await run("boot", "--snapshot", warm);
    expect(none).toMatchObject({ status: 2, stderr: "vm: the guest waits for a command: expected --exec COMMAND\n" });
  });
});
