import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  createMachine,
  type Machine,
  type MachineOptions,
  type MachineSnapshot,
  MemoryDisk,
  tdx,
} from "../../src/index.js";
import { loadSnapshot, saveSnapshot } from "../../src/node.js";
import { ENGINE, elfKernel, transcript } from "../guest.js";

const OPTIONS: MachineOptions = { clock: "icount", memory: 16 << 20, ...ENGINE };
/** Late enough for a prompt, early enough for all that was typed to be still there. */
const AT = 9000;

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "vm-snapshots-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function typed(options: MachineOptions = OPTIONS): Promise<Machine> {
  const machine = await createMachine(options);
  machine.console.write("echo one\necho two\nexit 3\n");
  return machine;
}

describe("a machine", () => {
  it("is saved to a folder and goes on from it, any number of times, as if it had never stopped", async () => {
    const whole = await typed();
    const all = transcript(whole);
    const end = await whole.run();

    const first = await typed();
    const before = transcript(first);
    const snapshot = await first.snapshot({ at: AT, stop: true });
    const seen = before.text;
    expect((await first.run()).reason).toBe("stopped");
    expect(first.stats().instructions).toBe(AT);
    await saveSnapshot(join(folder, "one"), snapshot);

    for (let k = 0; k < 2; k++) {
      const stored = await loadSnapshot(join(folder, "one"));
      const machine = await createMachine({ snapshot: stored });
      await stored.close();
      const after = transcript(machine);
      expect(await machine.run()).toEqual(end);
      expect(seen + after.text).toBe(all.text);
      expect(machine.stats().instructions).toBe(whole.stats().instructions);
    }
    const again = await createMachine({ snapshot });
    const after = transcript(again);
    await again.run();
    expect(seen + after.text).toBe(all.text);
  });

  it("stores what a parent has only once", async () => {
    const [early, late] = await Promise.all(
      [AT, AT + 500].map(async (at) => (await typed()).snapshot({ at, stop: true })),
    );
    const first = await saveSnapshot(join(folder, "parent"), early as MachineSnapshot);
    const parent = join(folder, "parent");
    const second = await saveSnapshot(join(folder, "child"), late as MachineSnapshot, { parent });
    expect(second.storedBytes).toBeLessThan(first.storedBytes);
    const stored = await loadSnapshot(join(folder, "child"));
    const restored = await createMachine({ snapshot: stored });
    await stored.close();
    expect(await restored.run()).toEqual({ reason: "power-off", status: 3 });
  });

  it("that has ended, or ends before, cannot be saved", async () => {
    const machine = await typed();
    await expect(machine.snapshot({ at: 1e9 })).rejects.toMatchObject({ code: "state", message: /before it could/ });
    await expect(machine.snapshot()).rejects.toMatchObject({ code: "state", message: /has ended/ });
  });

  it("with a plugin that is not made for it is refused", async () => {
    const machine = await createMachine({ ...OPTIONS, plugins: [{ name: "none", install: () => undefined }] });
    const message = /^a machine with the plugin none cannot be saved: .* it is no observer$/;
    await expect(machine.snapshot()).rejects.toMatchObject({ code: "option", message });
    machine.stop();
    await machine.run();
  });

  it("that is a TD is refused, and no file is left", async () => {
    const kernel = elfKernel((a) => void a.hlt());
    const machine = await createMachine({ ...OPTIONS, kernel, plugins: [tdx()] });
    await expect(machine.snapshot()).rejects.toMatchObject({ code: "option", message: /a TD cannot be saved/ });
    expect(readdirSync(folder).sort()).toEqual(["child", "one", "parent"]);
    machine.stop();
    await machine.run();
  });
});

describe("options that contradict a snapshot are one sentence", () => {
  it.each<[string, MachineOptions, RegExp]>([
    ["another kernel", { kernel: new Uint8Array(1) }, /^kernel does not go with snapshot/],
    ["other memory", { memory: 32 << 20 }, /^memory is 33554432, and 16777216 in the snapshot/],
    ["more processors", { cpus: 2 }, /^cpus is 2, and 1 in the snapshot/],
    ["other features", { asyncPf: true }, /^asyncPf is true, and false in the snapshot/],
    ["another clock", { clock: "host" }, /^clock is host, and icount/],
    ["disks that it has not", { disks: [new MemoryDisk(512)] }, /of a machine with 0 disks, and there are 1/],
    [
      "a plugin",
      { plugins: [{ name: "a", install: () => undefined }] },
      /with no plugins, and plugins are the plugins a;/,
    ],
    ["KVM's clock", { kvmClock: true }, /^kvmClock is true, and false in the snapshot/],
  ])("%s", async (_, options, message) => {
    const machine = await typed();
    const snapshot = await machine.snapshot({ at: 100, stop: true });
    await expect(createMachine({ ...options, snapshot })).rejects.toMatchObject({ code: "option", message });
  });

  it.each([
    ["nothing", { meta: null, state: null }],
    ["a later version", { meta: { version: 2 }, state: null }],
    [
      "no state",
      {
        meta: {
          version: 1,
          cpus: 1,
          memory: 16 << 20,
          clock: "icount",
          pci: false,
          legacyDevices: false,
          testDevices: false,
          disks: 0,
          cpuid: null,
        },
        state: {},
      },
    ],
  ])("a snapshot of %s", async (_, { meta, state }) => {
    const snapshot = { meta, state, pieces: () => [] };
    await expect(createMachine({ snapshot })).rejects.toMatchObject({ code: "option", message: /snapshot/ });
  });
});
