import { beforeAll, describe, expect, it } from "vitest";
import { createMachine } from "../../src/index.js";
import { seededRandom } from "../../src/random.js";
import { type Sound, soundMachines, spoil, tryOut } from "./hostile.js";

const CASES = 100;

let machines: readonly Sound[] = [];
beforeAll(async () => {
  machines = await soundMachines();
});

/** The state of the first machine, with one value changed. */
function changed(path: string, value: unknown): { readonly meta: unknown; readonly state: unknown } {
  const { meta, state } = structuredClone({ ...(machines[0] as Sound).snapshot, pieces: null });
  let holder = { meta, ...(state as object) } as Record<string, unknown>;
  const root = holder;
  const keys = path.split(".");
  for (const key of keys.slice(0, -1)) holder = holder[key] as Record<string, unknown>;
  holder[keys.at(-1) as string] = value;
  const { meta: own, ...rest } = root;
  return { meta: own, state: rest };
}

describe("a snapshot's state that somebody has made up", () => {
  it("is as good as another one where nothing is wrong with it", async () => {
    for (const sound of machines)
      expect(await tryOut(sound, structuredClone({ ...sound.snapshot, pieces: null }))).toBe("stopped");
  });

  it.each([
    ["board.parts.uart.fifo", Array(17).fill(0), "board.parts.uart.fifo is a list of 17, expected a list of 0 to 16"],
    ["board.parts.uart.scr", 300, "board.parts.uart.scr is 300, expected a whole number from 0 to 255"],
    ["board.parts.extra", 1, "board.parts.extra is nothing that is known"],
    ["board.apics.1.timer.initialCount", -1, "board.apics[1].timer.initialCount is -1, expected a whole number from"],
    ["board.parts.virtio0.queues.0.nextUsed", 65536, "board.parts.virtio0.queues[0].nextUsed is 65536, expected"],
    ["clock.time", { ns: 2 ** 62 }, "clock.time cannot be: the state of a clock has"],
    ["loop.next", 2, "loop.next is 2, expected a whole number from 0 to 1"],
    ["vcpus.1", null, "vcpus[1] is null, expected a record"],
    ["vcpus.0.rflags", 0, "vcpus[0] cannot be: state.rflags is 0"],
    ["asyncPf", null, "asyncPf cannot be: "],
    ["plugins.0.0.version", 1, "plugins[0][0].version is 1, expected bits of fffffffe"],
    ["console.line", new Uint8Array(513), "console.line is 513 bytes, expected 0 to 512 bytes"],
    ["overlays", [], "overlays is a list of 0, expected a list of 2"],
    ["exitStatus", 256, "exitStatus is 256, expected a whole number from 0 to 255"],
  ])("is refused, and it is said where: %s", async (path, value, sentence) => {
    const { snapshot, disks } = machines[0] as Sound;
    const made = createMachine({ snapshot: { ...changed(path, value), pieces: snapshot.pieces }, disks: disks() });
    await expect(made).rejects.toThrow(
      expect.objectContaining({
        code: "option",
        message: expect.stringContaining(`the snapshot's state is none of such a machine: ${sentence}`),
      }),
    );
  });

  it("is refused where it is of other devices than it says: meta.cpus", async () => {
    const { snapshot, disks } = machines[0] as Sound;
    const made = createMachine({ snapshot: { ...changed("meta.cpus", 0.5), pieces: snapshot.pieces }, disks: disks() });
    await expect(made).rejects.toThrow(/^the snapshot is none of a machine: meta.cpus is 0.5, expected a whole number/);
  });

  it(`is refused in a sentence or makes a machine that runs: ${CASES} of them`, async () => {
    const random = seededRandom(20);
    const dice = { below: (limit: number) => Math.floor(((random() >>> 0) / 2 ** 32) * limit) };
    const seen = new Map<string, number>();
    for (let k = 0; k < CASES; k++) {
      const sound = machines[k % machines.length] as Sound;
      const copy = structuredClone({ meta: sound.snapshot.meta, state: sound.snapshot.state });
      const how = spoil(dice.below(8) === 0 ? copy.meta : copy.state, dice);
      const outcome = await tryOut(sound, copy).catch((error: unknown) => error);
      expect(outcome, `case ${k}: ${how.join("; ")}`).toBeTypeOf("string");
      seen.set(String(outcome), (seen.get(String(outcome)) ?? 0) + 1);
    }
    // Not all is refused, nor all taken.
    expect(seen.get("refused")).toBeGreaterThan(CASES / 4);
    expect(seen.get("stopped")).toBeGreaterThan(CASES / 20);
  });
});
