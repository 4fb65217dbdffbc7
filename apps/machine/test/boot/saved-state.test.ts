import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { createMachine, type Machine, type MachineOptions, MemoryDisk } from "../../src/index.js";
import { transcript } from "../guest.js";
import { restore, restoreLate, savedAt } from "../saving.js";
import { guests, KERNELS } from "./debian.js";

/** Boundaries at which a boot is saved; what must be shown is 1000 of them. */
const POINTS = Number(process.env.VM_SNAPSHOT_POINTS ?? 1);
const DISK = 1 << 20;
/** Two processors that write to a disk and read from it at the same time, and then the end. */
const TYPED = [
  "for k in 1 2 3; do (dd if=/dev/zero of=/dev/vda bs=4k count=40 seek=$((k*40)) conv=fsync; sha256sum /dev/vda) & done; wait",
  "cat /proc/interrupts; date; od -An -tx4 -N16 /dev/urandom; cat /proc/uptime",
  "poweroff -f",
];

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

const optionsOf = (series: "6.1" | "6.12", disk: Uint8Array): MachineOptions => ({
  ...{ cpus: 2, memory: 192 << 20, clock: "icount", seed: 7, disks: [new MemoryDisk(disk)], pci: series === "6.12" },
  kernel: readFileSync(guests?.kernel(series) ?? ""),
  initrd: readFileSync(guests?.initrd(series) ?? ""),
});

async function finish(machine: Machine, seen: { readonly text: string }, disk: Uint8Array) {
  const { reason } = await machine.run();
  const { instructions } = machine.stats();
  return { reason, instructions, disk: sha256(disk), text: seen.text };
}

describe.skipIf(guests === null)("Debian, saved in the middle and restored", () => {
  it.each(KERNELS)(
    "%s goes on as the run that never was saved, to the instruction and the byte",
    { timeout: 1_200_000 * POINTS },
    async (series) => {
      const disk = new Uint8Array(DISK);
      const whole = await createMachine(optionsOf(series, disk));
      whole.console.write(`${TYPED.join("\n")}\n`);
      const expected = await finish(whole, transcript(whole), disk);
      expect(expected.reason).toBe("power-off");
      for (let k = 1; k <= POINTS; k++) {
        // In the later half, and never at a round number.
        const at = Math.floor((expected.instructions * (POINTS + k)) / (2 * POINTS + 1)) + 7 * k;
        const firstDisk = new Uint8Array(DISK);
        const first = await createMachine(optionsOf(series, firstDisk));
        first.console.write(`${TYPED.join("\n")}\n`);
        const seen = transcript(first);
        const save = savedAt(first, at).then((state) => ({ state, text: seen.text, disk: firstDisk.slice() }));
        void first.run();
        const { state, text, disk: then } = await save;
        expect(await finish(first, seen, firstDisk), `saved at ${at}`).toEqual(expected);
        for (const restored of [restore, restoreLate]) {
          const disk = then.slice();
          const second = await createMachine(optionsOf(series, disk));
          restored(second, state);
          const rest = await finish(second, transcript(second), disk);
          expect({ ...rest, text: text + rest.text }, `${restored.name} at ${at}`).toEqual(expected);
        }
      }
    },
  );
});
