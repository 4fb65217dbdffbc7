import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { createMachine, type Machine, type MachineOptions, type MachineSnapshot } from "../../src/index.js";
import { transcript } from "../guest.js";
import { chunksOf, lateSnapshot } from "../late-machine.js";
import { guests, KERNELS } from "./debian.js";

/** A program that waits with a large array of its own, and goes through it when it is told. */
const SLEEPER = `awk 'BEGIN { for (i = 0; i < 60000; i++) a[i] = i; print "array ready"; getline < "/go"; for (i = 0; i < 60000; i++) s += a[i]; print "sum", s }' & A=$!`;
/** One that counts until the other has ended. */
const COUNTER = "(while :; do echo; done) >/n & C=$!; echo >/go; wait $A; kill $C; echo counted $(wc -l </n)";

/** The memory of a snapshot, chunk by chunk, each after so many turns of the event loop. */
function late(snapshot: MachineSnapshot, turns: number): MachineSnapshot {
  const chunks = chunksOf(snapshot);
  const fetch = async (chunk: number): Promise<Uint8Array> => {
    for (let k = 0; k < turns; k++) await new Promise(setImmediate);
    return chunks.get(chunk) as Uint8Array;
  };
  return lateSnapshot(snapshot, chunks, { fetch });
}

async function until(machine: Machine, seen: { readonly text: string }, what: RegExp): Promise<string> {
  void machine.run();
  for (;;) {
    const found = what.exec(seen.text);
    if (found !== null) return found[0];
    await new Promise<void>((resolve) => {
      const off = machine.console.onOutput(() => {
        off();
        resolve();
      });
    });
  }
}

const optionsOf = (series: "6.1" | "6.12", asyncPf: boolean): MachineOptions => ({
  ...{ memory: 192 << 20, asyncPf },
  kernel: readFileSync(guests?.kernel(series) ?? ""),
  initrd: readFileSync(guests?.initrd(series) ?? ""),
});

describe.skipIf(guests === null)("Debian, whose memory arrives late", () => {
  it.each(KERNELS)("%s goes on with other tasks", { timeout: 600_000 }, async (series) => {
    const booted = async (asyncPf: boolean): Promise<MachineSnapshot> => {
      const machine = await createMachine(optionsOf(series, asyncPf));
      const seen = transcript(machine);
      machine.console.write(`mkfifo /go\n${SLEEPER}\n`);
      await until(machine, seen, /(?<!")array ready/);
      return machine.snapshot({ stop: true });
    };
    // Without, with VM_TESTS=full.
    for (const asyncPf of process.env.VM_TESTS === "full" ? [true, false] : [true]) {
      const machine = await createMachine({ snapshot: late(await booted(asyncPf), 2) });
      const seen = transcript(machine);
      machine.console.write(`${COUNTER}; grep HYP: /proc/interrupts; echo over\n`);
      await until(machine, seen, /\nover/);
      machine.stop();
      await machine.run();
      expect(seen.text).toContain("sum 1799970000");
      expect(Number(/^counted (\d+)/m.exec(seen.text)?.[1])).toBeGreaterThan(0);
      const told = Number(/^ *HYP: +(\d+)/m.exec(seen.text)?.[1] ?? 0);
      if (asyncPf) expect(told).toBeGreaterThan(0);
      else expect(told).toBe(0);
      expect(machine.stats().lateMemory?.arrived).toBeGreaterThan(100);
    }
  });
});
