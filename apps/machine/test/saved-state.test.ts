import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createMachine, type Machine, type MachineOptions } from "../src/index.js";
import { ENGINE, transcript } from "./guest.js";
import { restore, savedAt } from "./saving.js";

/** How a run ended, what it printed, and every byte of memory. */
interface Run {
  readonly text: string;
  readonly end: unknown;
  readonly instructions: number;
  readonly memory: string;
}

const memoryOf = (machine: Machine): string => {
  const hash = createHash("sha256");
  for (const { gfn, bytes } of machine.memory.save().pages)
    if (bytes.some((byte) => byte !== 0)) hash.update(`${gfn}:`).update(bytes);
  return hash.digest("hex");
};

async function finish(machine: Machine, seen: { readonly text: string }): Promise<Run> {
  const { reason } = await machine.run();
  return { text: seen.text, end: reason, instructions: machine.stats().instructions, memory: memoryOf(machine) };
}

const TYPED = "echo one\nhelp\necho two\nexit 7\n";
const builtin = async (options: MachineOptions): Promise<Machine> => {
  const machine = await createMachine({ clock: "icount", memory: 16 << 20, ...ENGINE, ...options });
  machine.console.write(TYPED);
  return machine;
};

describe("a machine that is saved and restored goes on as the one that never was", () => {
  it.each([
    ["one processor", {}],
    ["two processors", { cpus: 2 }],
    ["PCI", { pci: true }],
    ["old devices", { legacyDevices: true }],
  ])("the built-in guest, %s", async (_, options) => {
    const whole = await builtin(options);
    const expected = await finish(whole, transcript(whole));
    for (let k = 1; k < 6; k++) {
      const at = Math.floor((expected.instructions * k) / 6);
      const first = await builtin(options);
      const seen = transcript(first);
      const save = savedAt(first, at);
      void first.run();
      const state = await save;
      const before = seen.text;
      // Saving leaves no trace.
      expect(await finish(first, seen), `saved at ${at}`).toEqual(expected);
      const second = await createMachine({ clock: "icount", memory: 16 << 20, ...ENGINE, ...options });
      restore(second, state);
      const rest = await finish(second, transcript(second));
      expect({ ...rest, text: before + rest.text }, `restored at ${at}`).toEqual(expected);
    }
  });
});
