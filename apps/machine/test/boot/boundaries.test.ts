import { type ChildProcess, fork } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createMachine, type MachineOptions, MemoryDisk, OverlayDisk } from "../../src/index.js";
import { loadSnapshot, saveSnapshot } from "../../src/node.js";
import { boundaries, compareLegs, type Description, encoded, goneOn, type Leg } from "../boundaries.js";
import { ENGINE } from "../guest.js";
import { Onlooker } from "../kvmi/onlooker.js";
import { temporaryFolder } from "../snapshot/temporary-folder.js";
import { guests } from "./debian.js";
import type { FreshAnswer, FreshWork } from "./fresh-machine.js";

/** Boundaries at which the run is saved; what must be shown is 1000 of them. */
const BOUNDARIES = Number(process.env.VM_SNAPSHOT_BOUNDARIES ?? 6);
/** About where the guest's last command begins. */
const UNTIL = Number(process.env.VM_SNAPSHOT_UNTIL ?? 950e6);
/** Instructions that what was restored is followed for at most: with 1000 boundaries, to the next one. */
const MOST = BOUNDARIES < 100 ? 1_000_000 : 50_000_000;
/** The same where the interpreter alone executes them. */
const INTERPRETED = 3_000_000;
/** Whether each leg is told, for a long run. */
const TOLD = process.env.VM_SNAPSHOT_TOLD !== undefined;
/** Snapshots that a process goes on from. */
const BATCH = 50;
const DISK = 1 << 20;
/** Two processors that write to a disk and read from it at the same time. */
const TYPED = [
  "for k in 1 2 3; do (dd if=/dev/zero of=/dev/vda bs=4k count=40 seek=$((k*40)) conv=fsync; sha256sum /dev/vda) & done; wait",
  "cat /proc/interrupts; date; od -An -tx4 -N16 /dev/urandom; cat /proc/uptime",
  "poweroff -f",
];

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** The program of the fresh processes; inside of the package, where its dependencies are found. */
const BUILT = join(ROOT, ".cache", `fresh-machine-${process.pid}`);

const overlay = (): OverlayDisk => new OverlayDisk(new MemoryDisk(DISK));
const optionsOf = (): MachineOptions => ({
  ...{ cpus: 2, memory: 192 << 20, clock: "icount", seed: 7, disks: [overlay()], pci: true, ...ENGINE },
  kernel: readFileSync(guests?.kernel("6.12") ?? ""),
  initrd: readFileSync(guests?.initrd("6.12") ?? ""),
});

/** What restored machines are executed by: not always what the one that never stopped is. */
const engineOf = ({ number, from, to }: Leg): "interpreter" | "auto" =>
  number % 4 < 2 && to - from < INTERPRETED ? "interpreter" : "auto";

describe.skipIf(guests === null)(
  `Debian on two processors, looked at by a tool, saved at ${BOUNDARIES} boundaries`,
  () => {
    const folder = temporaryFolder();
    let fresh: ChildProcess | null = null;
    let served = 0;

    beforeAll(async () => {
      // All of it, from the sources: what it runs is what is tested here.
      await build({
        ...{ bundle: true, platform: "node", format: "esm", target: "es2022", logLevel: "error" },
        entryPoints: [join(ROOT, "test/boot/fresh-machine.ts")],
        outfile: join(BUILT, "fresh-machine.js"),
      });
    }, 60_000);
    afterAll(() => {
      fresh?.kill();
      rmSync(BUILT, { recursive: true, force: true });
    });

    async function elsewhere(work: FreshWork): Promise<Description> {
      if (served++ % BATCH === 0) {
        fresh?.kill();
        fresh = fork(join(BUILT, "fresh-machine.js"), { serialization: "advanced" });
      }
      const child = fresh as ChildProcess;
      const told = await new Promise<FreshAnswer>((resolve) => {
        child.once("message", (answer) => resolve(answer as FreshAnswer));
        child.once("exit", (status, signal) => resolve({ error: `the process has ended: ${status ?? signal}` }));
        child.send(work);
      });
      if ("error" in told) throw new Error(told.error);
      return told.description;
    }

    /** In turns: from what is stored, from a folder with memory that comes when it is needed, the same in another process; each with a tool and without. */
    async function goOn(leg: Leg): Promise<Description> {
      const { number, snapshot, to } = leg;
      const engine = engineOf(leg);
      const path = join(folder, "saved");
      const way = number % 3;
      if (way > 0) await saveSnapshot(path, snapshot);
      if (way === 2) return elsewhere({ folder: path, to, disk: DISK, engine });
      const onlooker = new Onlooker();
      const looked = number % 2 === 1 ? { plugins: [onlooker.plugin] } : {};
      const stored = way === 1 ? await loadSnapshot(path, { lazy: true }) : null;
      const options = { disks: [overlay()], engine, ...looked };
      const look = async (): Promise<void> => (number % 2 === 1 ? onlooker.look() : undefined);
      const description = await goneOn(stored ?? encoded(snapshot), to, options, look);
      await stored?.close();
      return description;
    }

    it("goes on from each as if it had never stopped", { timeout: 240_000 + 5_000 * BOUNDARIES }, async () => {
      const onlooker = new Onlooker();
      const machine = await createMachine({ ...optionsOf(), plugins: [onlooker.plugin] });
      machine.console.write(`${TYPED.join("\n")}\n`);
      await onlooker.look();
      const began = performance.now();
      const points = boundaries(BOUNDARIES, 0, UNTIL);
      const checked = async (leg: Leg): Promise<Description> => {
        // Processors that have been started meanwhile.
        await onlooker.look();
        const description = await goOn(leg);
        const { number, from, to } = leg;
        const seconds = Math.round((performance.now() - began) / 1000);
        if (TOLD) console.log(`${number + 1}: ${from} to ${to}, ${onlooker.events} events, ${seconds} s`);
        return description;
      };
      const differences = await compareLegs(machine, points, MOST, checked, (what) => TOLD && console.log(what));
      expect(differences).toEqual([]);
      expect(onlooker.events).toBeGreaterThan(100);
      machine.stop();
      await machine.run();
    });
  },
);
