import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { createMachine, type MachineOptions, MemoryDisk } from "../../src/index.js";
import { loadSnapshot, saveSnapshot } from "../../src/node.js";
import { ENGINE, transcript } from "../guest.js";

/** Snapshots that earlier versions have written, each in a folder with what its guest did then: they have to go on for ever. */
const RELEASES = fileURLToPath(new URL("./releases/", import.meta.url));
/** Writes the one of this version: `VM_WRITE_RELEASE=0.1.0 npx vitest run test/snapshot/releases.test.ts`, once for a release. */
const WRITE = process.env.VM_WRITE_RELEASE;

const OPTIONS: MachineOptions = { clock: "icount", memory: 16 << 20, cpus: 2, legacyDevices: true, kvmClock: true };
const disks = (): MemoryDisk[] => [new MemoryDisk(65536)];

async function typed() {
  const machine = await createMachine({ ...OPTIONS, disks: disks() });
  machine.console.write("echo one\nticks\necho two\nexit 3\n");
  return { machine, seen: transcript(machine) };
}

describe("a snapshot of a release", () => {
  it.skipIf(WRITE === undefined)("is written", async () => {
    const folder = join(RELEASES, WRITE ?? "");
    mkdirSync(folder, { recursive: true });
    const [whole, saved] = [await typed(), await typed()];
    const { reason } = await whole.machine.run();
    const { instructions } = whole.machine.stats();
    await saveSnapshot(join(folder, "snapshot"), await saved.machine.snapshot({ at: 9000, stop: true }));
    const text = whole.seen.text.slice(saved.seen.text.length);
    writeFileSync(join(folder, "rest.json"), `${JSON.stringify({ reason, instructions, text }, null, 2)}\n`);
  });

  const releases = existsSync(RELEASES) ? readdirSync(RELEASES) : [];
  it.each(releases)("%s goes on as it did then, to the instruction", async (release) => {
    const folder = join(RELEASES, release);
    const stored = await loadSnapshot(join(folder, "snapshot"));
    const machine = await createMachine({ snapshot: stored, disks: disks(), ...ENGINE });
    await stored.close();
    const seen = transcript(machine);
    const { reason } = await machine.run();
    const { instructions } = machine.stats();
    expect({ reason, instructions, text: seen.text }).toEqual(
      JSON.parse(readFileSync(join(folder, "rest.json"), "utf8")),
    );
  });

  it("is there for this version", () => {
    const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
    expect(releases).toContain(version);
  });
});
