import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { createMachine, type Machine, MachineError, type Plugin } from "../../src/index.js";
import { Dice } from "../dice.example.js";
import { StealTime } from "../steal-time.example.js";
import { guests } from "./debian.js";

/** Debian's 6.1 kernel with the agent, and plugins. */
function debian(...plugins: Plugin[]): Promise<Machine> {
  if (guests === null) throw new Error("no guest");
  const [kernel, initrd] = [guests.kernel("6.1"), guests.initrd("6.1")].map(
    (path) => new Uint8Array(readFileSync(path)),
  );
  return createMachine({ kernel, initrd, agent: true, clock: "icount", plugins });
}

describe.skipIf(guests === null)("Debian's 6.1 kernel", () => {
  it("lists and drives a virtio device that a plugin adds, finds its CPUID bit and writes its MSR; runs one command after another", async () => {
    await using machine = await debian(new Dice(), new StealTime(5_000_000_000n));
    const list = await machine.exec(
      "cat /sys/bus/virtio/devices/*/device; cat /sys/class/misc/hw_random/rng_available",
    );
    expect(list).toEqual({ status: 0, stdout: "0x0004\nvirtio_rng.0 \n", stderr: "" });
    const throws = await machine.exec(
      "head -c 1000 /dev/hwrng | od -An -v -tu1 | tr -s ' ' '\\n' | sort -u | tr '\\n' ' '",
    );
    expect(throws.stdout.trim()).toBe("1 2 3 4 5 6");
    // The kernel has taken the bit, named its memory by the MSR and found there what had been stolen, in hundredths of a second.
    const { stdout } = await machine.exec("head -1 /proc/stat");
    expect(stdout.trim().split(/\s+/)[8]).toBe("500");
    expect(await machine.exec("wc -c; exit 3", { input: "hello" })).toEqual({ status: 3, stdout: "5\n", stderr: "" });
    expect(await machine.exec("echo more >&2; kill -9 $$")).toEqual({ status: 137, stdout: "", stderr: "more\n" });
    const pieces: string[] = [];
    const onOutput = (bytes: Uint8Array): void => void pieces.push(Buffer.from(bytes).toString());
    expect(await machine.exec("seq 1 3", { onOutput })).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(pieces.join("")).toBe("1\n2\n3\n");
    await expect(machine.exec("cat /dev/zero", { maxBuffer: 5000 })).rejects.toMatchObject({ code: "exec" });
    const controller = new AbortController();
    const sleeping = machine.exec("sleep 1000000", { signal: controller.signal });
    const after = machine.exec("echo after");
    controller.abort(new Error("enough"));
    await expect(sleeping).rejects.toThrow("enough");
    expect((await after).stdout).toBe("after\n");
    const ended = machine.exec("poweroff -f; sleep 10");
    await expect(ended).rejects.toThrow('"poweroff -f; sleep 10" has not ended: the machine has ended (power-off)');
    await expect(machine.exec("true")).rejects.toThrow(MachineError);
  });
});
