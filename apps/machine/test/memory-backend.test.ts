import { Lockdep, Task, throwReport } from "@vm/lockdep";
import { describe, expect, it } from "vitest";
import { createMachine, type MachineOptions } from "../src/index.js";
import { transcript } from "./guest.js";

const GMEM: MachineOptions = { memory: 16 << 20, memoryBackend: "guest-memfd" };

describe("RAM out of a guest_memfd", () => {
  it("is RAM like any other: the built-in guest runs in it, and no lock is taken out of order", async () => {
    const lockdep = new Lockdep({ onReport: throwReport });
    const machine = await createMachine({ ...GMEM, lockdep, commandLine: 'exec="exit 7"' });
    const seen = transcript(machine);
    expect(await machine.run()).toEqual({ reason: "power-off", status: 7 });
    const plain = await createMachine({ memory: 16 << 20, commandLine: 'exec="exit 7"' });
    const expected = transcript(plain);
    await plain.run();
    expect(seen.text).toBe(expected.text);
    expect(machine.stats().touchedRamBytes).toBe(plain.stats().touchedRamBytes);
  });

  it("a guest that needs a page which somebody is changing waits for that, not the program", async () => {
    const lockdep = new Lockdep({ onReport: throwReport });
    const machine = await createMachine({ ...GMEM, lockdep, commandLine: 'exec="exit 7"' });
    const lock = machine.memory.vm.slots.find(0)?.gmem?.invalidateLock;
    const task = new Task(lockdep, "host");
    await lock?.downWrite(task);
    const ended = machine.run();
    await new Promise((resolve) => setImmediate(resolve));
    expect(machine.ended).toBeNull();
    expect(machine.stats().instructions).toBe(0);
    lock?.upWrite(task);
    expect(await ended).toEqual({ reason: "power-off", status: 7 });
  });
});
