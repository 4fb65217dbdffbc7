import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createMachine, type Machine, type MachineOptions } from "../src/index.js";
import { machineOf, transcript } from "./guest.js";
import { restless } from "./kvmi/restless.js";

type Engine = NonNullable<MachineOptions["engine"]>;
const ENGINES: readonly Engine[] = ["interpreter", "auto", "jit"];
const BYTES = 16 << 20;

/** What a run left: output, instruction counts, exits, all of memory. */
function left(machine: Machine, text: string): object {
  const { instructions, exits } = machine.stats();
  const memory = new Uint8Array(BYTES);
  machine.memory.read(0, memory);
  const registers = machine.vcpus.map((vcpu) => ({ ...vcpu.registers }));
  return { text, instructions, exits, registers, memory: createHash("sha256").update(memory).digest("hex") };
}

/** Runs the same with every engine: all must leave what the interpreter leaves. */
async function same(run: (engine: Engine) => Promise<object>): Promise<object> {
  const [expected, ...others] = await Promise.all(ENGINES.map(run));
  for (const other of others) expect(other).toEqual(expected);
  return expected as object;
}

describe("with icount every engine leaves the same bytes after the same instructions", () => {
  it("of the built-in guest: its commands, one after the other", async () => {
    const result = await same(async (engine) => {
      const machine = await createMachine({ memory: BYTES, clock: "icount", engine });
      const seen = transcript(machine);
      const commands = ["time\r", "ticks\r", "cpuid\r", "echo hello\r", "exit 3\r"];
      machine.console.onOutput(() => {
        if (seen.text.endsWith("vm> ")) machine.console.write(commands.shift() ?? "");
      });
      await machine.run();
      return left(machine, seen.text);
    });
    expect(result).toMatchObject({ text: expect.stringMatching(/tsc \d+[\s\S]*hello/) });
  });

  it("of a guest that never rests, on two processors, stopped in the middle", async () => {
    await same(async (engine) => {
      const machine = await machineOf(restless, { cpus: 2, clock: "icount", engine });
      const seen = transcript(machine);
      machine.clock.schedule(400_000, () => machine.stop());
      await machine.run();
      return left(machine, seen.text);
    });
  });
});
