import { SECTOR_SIZE } from "@vm/devices";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FreezableDisk, type FrozenDisk } from "../src/disk/frozen-disk.js";
import { createMachine, type Machine, type MachineOptions, MemoryDisk, tdx } from "../src/index.js";
import { ENGINE, elfKernel, transcript } from "./guest.js";

const OPTIONS: MachineOptions = { clock: "icount", memory: 16 << 20, ...ENGINE };
const AT = 9000;

/** A machine that stands still before it has read what was typed. */
async function paused(options: MachineOptions = {}): Promise<Machine> {
  const machine = await createMachine({ ...OPTIONS, ...options });
  await machine.snapshot({ at: AT });
  await machine.pause();
  return machine;
}

async function typed(machine: Machine, text: string) {
  const seen = transcript(machine);
  machine.console.write(text);
  const end = await machine.run();
  return { end, text: seen.text, instructions: machine.stats().instructions };
}

describe("a fork", () => {
  it("goes on as its machine would, as often as it is made, and changes nothing there", async () => {
    const parent = await paused();
    const forks = [await parent.fork(), await parent.fork(), await parent.fork()];
    const [one, two] = [await typed(forks[0] as Machine, "exit 4\n"), await typed(forks[1] as Machine, "exit 5\n")];
    expect([one.end, two.end]).toEqual([
      { reason: "power-off", status: 4 },
      { reason: "power-off", status: 5 },
    ]);
    parent.resume();
    expect(await typed(parent, "exit 4\n")).toEqual(one);
    // Its machine is gone.
    expect(await typed(forks[2] as Machine, "exit 5\n")).toEqual(two);
    await expect(parent.fork()).rejects.toMatchObject({ code: "state", message: /has ended/ });
  });

  it("is made of one that runs, and of a fork", async () => {
    const parent = await createMachine(OPTIONS);
    const child = await parent.fork();
    const grandchild = await child.fork();
    const ended = await Promise.all([grandchild, child, parent].map((machine, k) => typed(machine, `exit ${k}\n`)));
    expect(ended.map(({ end }) => end)).toEqual([0, 1, 2].map((status) => ({ reason: "power-off", status })));
  });

  it("is paid for by its machine only while it is there", async () => {
    const parent = await paused();
    const [slot] = (parent.memory as unknown as { vm: { slots: { all: { firstWrites: unknown }[] } } }).vm.slots.all;
    const forks = [await parent.fork(), await parent.fork()];
    expect(slot?.firstWrites).not.toBeNull();
    for (const fork of forks) {
      fork.stop();
      await fork.run();
    }
    expect(slot?.firstWrites).toBeNull();
    parent.stop();
    await parent.run();
  });

  it.each<[string, MachineOptions, RegExp]>([
    ["a guest_memfd", { memoryBackend: "guest-memfd" }, /guest-memfd cannot be forked/],
    ["a plugin that is not saved", { plugins: [{ name: "none", install: () => undefined }] }, /the plugin none/],
    ["a TD", { plugins: [tdx()], kernel: elfKernel((a) => void a.hlt()) }, /a TD cannot be saved/],
  ])("is refused of a machine with %s", async (_, options, message) => {
    const machine = await createMachine({ ...OPTIONS, ...options });
    await expect(machine.fork()).rejects.toMatchObject({ code: "option", message });
    machine.stop();
    await machine.run();
  });
});

const SECTORS = 8;
const write = fc.record({ sector: fc.nat(SECTORS - 1), count: fc.integer({ min: 1, max: 3 }), value: fc.nat(255) });

describe("a frozen disk", () => {
  it("whose old bytes cannot be read is lost to the fork, and not to its machine", async () => {
    let fails = false;
    const written: number[] = [];
    const disk = new FreezableDisk({
      ...{ sectors: SECTORS, readonly: false, flush: () => undefined },
      read: async () => {
        if (fails) throw new Error("I/O error");
      },
      write: (sector) => void written.push(sector),
    });
    const frozen = disk.freeze();
    fails = true;
    await disk.write(3, new Uint8Array(SECTOR_SIZE));
    fails = false;
    expect(written).toEqual([3]);
    await expect(frozen.read(0, new Uint8Array(SECTOR_SIZE))).rejects.toMatchObject({ code: "refused" });
  });

  it("stays what it was, whatever is written and however long that takes", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(write, fc.constant("freeze" as const)), { maxLength: 20 }),
        fc.nat(),
        async (steps, seed) => {
          let turns = seed;
          const slowly = async (work: () => void): Promise<void> => {
            turns = (turns * 1103515245 + 12345) >>> 0;
            for (let k = turns % 4; k > 0; k--) await new Promise(setImmediate);
            work();
          };
          const memory = new MemoryDisk(new Uint8Array(SECTORS * SECTOR_SIZE));
          const disk = new FreezableDisk({
            ...{ sectors: SECTORS, readonly: false, flush: () => undefined },
            read: (sector, dst) => slowly(() => memory.read(sector, dst)),
            write: (sector, src) => slowly(() => memory.write(sector, src)),
          });
          const model = new Uint8Array(SECTORS);
          const taken: { frozen: FrozenDisk; bytes: Uint8Array; early: Promise<void>; seen: Uint8Array }[] = [];
          let writing: Promise<unknown> = Promise.resolve();
          for (const step of steps) {
            if (step === "freeze") {
              await writing;
              const [frozen, seen] = [disk.freeze(), new Uint8Array(SECTORS * SECTOR_SIZE)];
              // Read while it is overwritten.
              taken.push({ frozen, bytes: model.slice(), early: frozen.read(0, seen), seen });
              continue;
            }
            const count = Math.min(step.count, SECTORS - step.sector);
            model.fill(step.value, step.sector, step.sector + count);
            const before = writing;
            // Writes of a guest at the same place wait for each other.
            writing = before.then(() => disk.write(step.sector, new Uint8Array(count * SECTOR_SIZE).fill(step.value)));
          }
          await writing;
          for (const { frozen, bytes, early, seen } of taken) {
            await early;
            const late = new Uint8Array(SECTORS * SECTOR_SIZE);
            await frozen.read(0, late);
            for (let sector = 0; sector < SECTORS; sector++)
              expect([seen[sector * SECTOR_SIZE], late[(sector + 1) * SECTOR_SIZE - 1]]).toEqual([
                bytes[sector],
                bytes[sector],
              ]);
            await frozen.close();
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
