import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createMachine, type MachineOptions, type MachineSnapshot } from "../../src/index.js";
import type { MemoryPiece } from "../../src/machine-snapshot.js";
import { loadSnapshot, saveSnapshot } from "../../src/node.js";
import { ENGINE, transcript } from "../guest.js";
import { RangedServer } from "./ranged-server.js";

const OPTIONS: MachineOptions = { clock: "icount", memory: 16 << 20, ...ENGINE };
const AT = 9000;

async function typed() {
  const machine = await createMachine(OPTIONS);
  machine.console.write("echo one\necho two\nexit 3\n");
  return machine;
}

describe("a machine that starts without its memory", () => {
  const folder = mkdtempSync(join(tmpdir(), "vm-lazy-"));
  const booted = join(folder, "booted");
  let server: RangedServer;
  let taken: MachineSnapshot;
  let seen = "";
  let whole: Run;
  afterAll(() => rmSync(folder, { recursive: true }));
  afterAll(() => server.close());
  beforeAll(async () => {
    const first = await typed();
    const before = transcript(first);
    taken = await first.snapshot({ at: AT, stop: true });
    seen = before.text;
    await saveSnapshot(booted, taken);
    server = await new RangedServer(folder).listen();
    const machine = await typed();
    whole = await finish(machine, transcript(machine));
  });

  it.each([
    ["a folder", () => booted],
    ["a web server", () => `${server.url}/booted`],
  ])("and has it from %s goes on as if it had never stopped", async (_, place) => {
    const snapshot = await loadSnapshot(place(), { lazy: true });
    const machine = await createMachine({ snapshot });
    expect(machine.stats().lateMemory).toMatchObject({ arrived: 0, demanded: 0 });
    const rest = await finish(machine, transcript(machine));
    expect({ ...rest, text: seen + rest.text }).toEqual(whole);
    const { chunks = 0, arrived = 0, demanded } = machine.stats().lateMemory ?? {};
    expect(demanded).toBe(arrived);
    expect(arrived).toBeGreaterThan(0);
    expect(arrived).toBeLessThanOrEqual(chunks);
    await snapshot.close();
  });

  it("can be saved: what has not arrived comes then", async () => {
    const snapshot = await loadSnapshot(booted, { lazy: true });
    const machine = await createMachine({ snapshot });
    const again = await machine.snapshot({ stop: true });
    expect(machine.stats().lateMemory).toMatchObject({ demanded: 0 });
    await snapshot.close();
    const pieces = (of: MachineSnapshot) => [...(of.pieces() as Iterable<MemoryPiece>)];
    expect(pieces(again)).toEqual(pieces(taken));
  });

  it("ends with what is wrong when memory cannot be had", async () => {
    const snapshot = await loadSnapshot(booted, { lazy: true });
    const machine = await createMachine({ snapshot });
    for (const file of readdirSync(booted))
      if (file !== "snapshot") truncateSync(join(booted, file), Math.floor(statSync(join(booted, file)).size / 2));
    const end = await machine.run();
    expect(end).toMatchObject({ reason: "internal-error", error: { code: "size" } });
    await snapshot.close();
  });
});

interface Run {
  readonly text: string;
  readonly end: unknown;
  readonly instructions: number;
}

async function finish(
  machine: Awaited<ReturnType<typeof createMachine>>,
  text: { readonly text: string },
): Promise<Run> {
  const end = await machine.run();
  return { text: text.text, end, instructions: machine.stats().instructions };
}
