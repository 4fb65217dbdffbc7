import { expect, test } from "vitest";
import { type Attachment, Btf, ERRNO, type Generation, PerfRing } from "../../src/index.js";
import { Caller } from "./caller.js";
import { ScriptRun } from "./script.js";
import { ScriptMaker } from "./script-maker.js";
import { randomOf } from "./script-writer.js";
import { kernelTypes } from "./storage-types.js";

/** How many calls; more by option. */
const COUNT = Number(process.env.VM_BPF_CALLS ?? 3000);
const SEED = Number(process.env.VM_BPF_SEED ?? 1);
const STEPS = 40;
/** Scripts that one caller runs, one after another. */
const SCRIPTS = 25;

const KERNEL = new Btf(kernelTypes().bytes);
const ATTACHED: Attachment = {
  detach: () => undefined,
  replace: () => 0,
  detachable: true,
  iterate: () => -ERRNO.EMFILE,
};

const KNOWN: ReadonlySet<number> = new Set(Object.values(ERRNO).map((number) => -number));

test("random calls fail as Linux's do, never otherwise, and leave nothing behind", { timeout: 7_200_000 }, () => {
  const random = randomOf(SEED);
  let calls = 0;
  for (let round = 0; calls < COUNT; round++) {
    const generation: Generation = round % 2 === 0 ? "6.12" : "6.1";
    const rings = new Map<number, PerfRing>();
    const caller: Caller = new Caller({
      ...{ generation, cpus: 1 + (round % 3) },
      host: {
        kernelBtf: KERNEL,
        interrupted: () => true,
        // Two descriptors of perf events, and a system that takes programs wherever they want, every other time.
        perfEvent: (fd) => rings.get(fd) ?? -ERRNO.EBADF,
        attach: () => (random() % 2 === 0 ? -ERRNO.ENOENT : ATTACHED),
      },
    });
    for (const fd of [1, 2]) rings.set(fd, new PerfRing(caller.arena, 1));
    const run = new ScriptRun(caller);
    const before = caller.arena.used;
    for (let k = 0; k < SCRIPTS && calls < COUNT; k++) {
      const script = new ScriptMaker(random(), caller.runtime.cpus, true).make(STEPS);
      // More of what callers say is wrong than where the kernel is asked too.
      const wild = script.map((step) => {
        if (step.kind === "walk" || random() % 4 !== 0) return step;
        const attr = step.attr.slice();
        for (let change = random() % 4; change >= 0; change--) attr[random() % 152] = random() % 256;
        const command = random() % 8 === 0 ? random() % 40 : step.command;
        return { ...step, attr, command, size: random() % 16 === 0 ? random() % 300 : step.size };
      });
      calls += wild.length;
      for (const { status } of run.run(wild)) if (status < 0) expect(KNOWN).toContain(status);
      caller.closeAll();
      run.forget();
    }
    for (const fd of caller.owners.keys()) if (caller.arena.u32(caller.objectOf(fd)) !== 0) caller.free(fd);
    expect(caller.runtime.maps.size).toBe(0);
    expect(caller.arena.used).toBe(before);
  }
});
