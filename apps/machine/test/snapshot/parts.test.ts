import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eax, ecx } from "@vm/asm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  createMachine,
  type Machine,
  type MachineOptions,
  type MachineShape,
  MemoryDisk,
  OverlayDisk,
  type Plugin,
} from "../../src/index.js";
import { loadSnapshot, openImage, saveSnapshot } from "../../src/node.js";
import { ENGINE, machineOf, powerOff, transcript } from "../guest.js";

const OPTIONS: MachineOptions = { clock: "icount", memory: 16 << 20, ...ENGINE };
const MSR = 0x4b564dff;

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "vm-parts-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function typed(options: MachineOptions = {}): Promise<Machine> {
  const machine = await createMachine({ ...OPTIONS, ...options });
  machine.console.write("echo one\nexit 3\n");
  return machine;
}

/** Keeps what the guest writes to an MSR. */
const keeper = (name: string, seen: bigint[]): Plugin => ({
  name,
  install: ({ additions }) => {
    let value = 0n;
    additions.msr(MSR, {
      read: () => {
        seen.push(value);
        return value;
      },
      write: (_, written) => {
        value = written;
        return true;
      },
    });
    const saved = {
      save: () => value,
      restore: (state: unknown) => {
        if (typeof state !== "bigint") throw new RangeError("the value is none");
        value = state;
      },
    };
    return { saved };
  },
});

describe("what is saved with a machine", () => {
  it("is what a plugin keeps for its guest", async () => {
    const seen: bigint[] = [];
    const machine = await machineOf(
      (a) => {
        a.mov(ecx, MSR);
        for (let k = 0; k < 4; k++) a.rdmsr().add(eax, 1).wrmsr();
        powerOff(a);
      },
      { clock: "icount", plugins: [keeper("keeper", seen)] },
    );
    const snapshot = await machine.snapshot({ at: 7, stop: true });
    const before = [...seen];
    seen.length = 0;
    const plain: Plugin = { name: "onlooker", observer: true, install: () => undefined };
    const restored = await createMachine({ snapshot, plugins: [plain, keeper("keeper", seen)] });
    expect(await restored.run()).toEqual({ reason: "power-off", status: null });
    expect([before, seen]).toEqual([
      [0n, 1n],
      [2n, 3n],
    ]);
    const named = /with the plugins keeper, and plugins are no plugins/;
    await expect(createMachine({ snapshot })).rejects.toMatchObject({ code: "option", message: named });
    await expect(createMachine({ snapshot, plugins: [keeper("other", seen)] })).rejects.toMatchObject({
      code: "option",
      message: /with the plugins keeper, and plugins are the plugins other/,
    });
    const broken = { ...snapshot, meta: snapshot.meta, state: { ...(snapshot.state as object), plugins: ["x"] } };
    const pieces = () => snapshot.pieces();
    await expect(
      createMachine({ snapshot: { ...broken, pieces }, plugins: [keeper("keeper", seen)] }),
    ).rejects.toMatchObject({
      code: "option",
      message: /none of such a machine: the value is none/,
    });
  });

  it("is KVM's clock, and memory that was a guest_memfd's", async () => {
    for (const options of [{ kvmClock: true }, { memoryBackend: "guest-memfd" }] satisfies MachineOptions[]) {
      const whole = await typed(options);
      const all = transcript(whole);
      const end = await whole.run();
      const machine = await typed(options);
      const before = transcript(machine);
      const path = join(folder, Object.keys(options)[0] ?? "");
      await saveSnapshot(path, await machine.snapshot({ at: 9000, stop: true }));
      const stored = await loadSnapshot(path);
      const restored = await createMachine({ snapshot: stored });
      const after = transcript(restored);
      expect(await restored.run()).toEqual(end);
      expect(before.text + after.text).toBe(all.text);
      expect(restored.stats().instructions).toBe(whole.stats().instructions);
      const lazy = await loadSnapshot(path, { lazy: true });
      const late = createMachine({ snapshot: lazy });
      if ("kvmClock" in options) expect(await (await late).run()).toEqual(end);
      else await expect(late).rejects.toMatchObject({ code: "option", message: /guest-memfd.* before its memory/ });
      await Promise.all([stored.close(), lazy.close()]);
    }
  });

  it("is what was asked for: each caller gets a machine of its own moment", async () => {
    const machine = await typed();
    const at = [5000, 9500, 9000, 9000];
    const taken = await Promise.all(at.map((own) => machine.snapshot({ at: own })));
    expect(taken.map(({ meta }) => (meta as MachineShape).instructions)).toEqual(at);
    expect((await machine.run()).reason).toBe("power-off");
  });

  it("is what an overlay has of a disk, and not the disk", async () => {
    const base = new Uint8Array(1 << 20).fill(7);
    const overlay = new OverlayDisk(new MemoryDisk(base, { readonly: true }));
    const machine = await typed({ disks: [overlay] });
    overlay.write(3, new Uint8Array(1024).fill(1));
    overlay.write(2000, new Uint8Array(512).fill(2));
    const path = join(folder, "overlay");
    await saveSnapshot(path, await machine.snapshot({ at: 9000, stop: true }));
    const stored = await loadSnapshot(path);
    const second = new OverlayDisk(new MemoryDisk(base, { readonly: true }));
    expect(await (await createMachine({ snapshot: stored, disks: [second] })).run()).toMatchObject({ status: 3 });
    for (const sector of [2, 3, 4, 5, 1999, 2000]) {
      const [was, is] = [new Uint8Array(512), new Uint8Array(512)];
      await overlay.read(sector, was);
      await second.read(sector, is);
      expect(is, `sector ${sector}`).toEqual(was);
    }
    await expect(createMachine({ snapshot: stored, disks: [new MemoryDisk(1 << 20)] })).rejects.toMatchObject({
      code: "option",
      message: /^disk 0 was an overlay when the machine was saved/,
    });
    await stored.close();
  });

  it("is which image a disk was: another one, or one that was changed, is refused; a copy that keeps its time is not", async () => {
    const [image, copy] = [join(folder, "disk.img"), join(folder, "copy.img")];
    for (const file of [image, copy]) {
      writeFileSync(file, new Uint8Array(65536));
      utimesSync(file, 1000, 1000);
    }
    const disk = await openImage(image, { mode: "ro" });
    const machine = await typed({ disks: [disk] });
    const snapshot = await machine.snapshot({ at: 9000, stop: true });
    await disk.close();
    const goOn = async (file: string, mode: "ro" | "overlay" | "rw"): Promise<unknown> => {
      const own = await openImage(file, { mode });
      try {
        return await (await createMachine({ snapshot, disks: [own] })).run();
      } finally {
        await own.close();
      }
    };
    expect(await goOn(image, "ro")).toMatchObject({ status: 3 });
    expect(await goOn(copy, "ro")).toMatchObject({ status: 3 });
    const refused = (message: RegExp) => ({ code: "option", message });
    await expect(goOn(image, "overlay")).rejects.toMatchObject(refused(/^disk 0 .*: it can be written/));
    writeFileSync(copy, new Uint8Array(65536));
    await expect(goOn(copy, "ro")).rejects.toMatchObject(refused(/^disk 0 .*: its image was changed since/));
    writeFileSync(copy, new Uint8Array(512));
    await expect(goOn(copy, "ro")).rejects.toMatchObject(refused(/^disk 0 .*: it has 1 sectors instead of 128/));
    await expect(createMachine({ snapshot })).rejects.toMatchObject(
      refused(/with 1 disks \(".*disk.img"\), and there are 0/),
    );
  });
});
