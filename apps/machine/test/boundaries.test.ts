import { describe, expect, it } from "vitest";
import { createMachine, type Engine, type MachineOptions } from "../src/index.js";
import { boundaries, compareLegs, encoded, goneOn } from "./boundaries.js";
import { Onlooker } from "./kvmi/onlooker.js";

/** Boundaries of each run. */
const BOUNDARIES = Number(process.env.VM_SNAPSHOT_BUILTIN_BOUNDARIES ?? 24);
const OPTIONS: MachineOptions = { clock: "icount", memory: 16 << 20 };
const ENGINES: readonly Engine[] = ["interpreter", "auto", "jit"];
/** Of what is restored: compiling everything at first sight is dear for so short a leg. */
const engineOf = (leg: number): Engine => (leg % 12 === 5 ? "jit" : leg % 2 === 0 ? "interpreter" : "auto");
const TYPED = "echo one\nhelp\necho two\nexit 7\n";

describe(`saved at ${BOUNDARIES} boundaries chosen at random, the built-in guest goes on from each as if it had never stopped`, () => {
  it.each<[string, MachineOptions]>([
    ["one processor", {}],
    ["two processors", { cpus: 2 }],
    ["PCI", { pci: true }],
    ["old devices", { legacyDevices: true }],
  ])("%s, in every engine", { timeout: 600 * BOUNDARIES + 30_000 }, async (_, given) => {
    const options = { ...OPTIONS, ...given };
    const alone = await createMachine(options);
    alone.console.write(TYPED);
    const end = await alone.run();
    const { instructions } = alone.stats();
    const points = boundaries(BOUNDARIES, 0, instructions - 1);
    for (const [k, engine] of ENGINES.entries()) {
      const onlooker = new Onlooker();
      const machine = await createMachine({ ...options, engine, plugins: [onlooker.plugin] });
      await onlooker.look();
      machine.console.write(TYPED);
      const mine = points.filter((_, number) => number % ENGINES.length === k);
      // The last leg ends one instruction before the guest does.
      const differences = await compareLegs(machine, mine, instructions - 1 - (mine.at(-1) ?? 0), (leg) =>
        goneOn(encoded(leg.snapshot), leg.to, { engine: engineOf(leg.number) }),
      );
      expect(differences, engine).toEqual([]);
      expect([await machine.run(), machine.stats().instructions], engine).toEqual([end, instructions]);
    }
  });
});
