import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { createMachine, type Plugin } from "../../src/index.js";
import { whenFirstProgramRuns } from "../../src/plugins/bpf/first-program.js";
import { guestKernel } from "../../src/plugins/bpf/guest-kernel.js";
import { Shadow } from "../../src/plugins/bpf/shadow.js";
import { findTracepoint, type Tracepoint } from "../../src/plugins/bpf/tracepoints.js";
import { guests } from "../boot/debian.js";

/** Where the members of `struct tracepoint` are in the kernels below. */
const LAYOUT = { "6.1": { key: 8, funcs: 64 }, "6.12": { key: 8, funcs: 72 } };

interface Switch {
  readonly cpu: number;
  readonly previous: bigint;
  readonly next: bigint;
}

/** Writes down every context switch, as the arguments of the kernel's tracepoint have it. */
class Switches implements Plugin {
  readonly name = "switches";
  readonly seen: Switch[] = [];
  lost = 0;
  error: unknown;

  constructor(readonly version: "6.1" | "6.12") {}

  install(machine: Parameters<Plugin["install"]>[0]): () => void {
    return whenFirstProgramRuns(
      machine,
      async (vcpu) => {
        const { symbols } = await guestKernel(machine, vcpu);
        const found = findTracepoint("sched_switch", symbols, LAYOUT[this.version], vcpu.memory);
        expect(found?.sites.length).toBeGreaterThan(0);
        const { sites, callees, probes } = found as Tracepoint;
        const shadow = new Shadow(machine.memory);
        for (const { id, breakpoint, cpu } of machine.vcpus)
          for (const { code, target } of sites)
            breakpoint(code, () => {
              const at = shadow.run(cpu, target, callees, [{ address: probes, value: probes }]);
              if (at === null) this.lost++;
              else this.seen.push({ cpu: id, previous: at.rdx, next: at.rcx });
            });
      },
      (error) => {
        this.error = error;
      },
    );
  }
}

describe.skipIf(guests === null)("tracepoints of an unmodified kernel", () => {
  for (const version of ["6.1", "6.12"] as const)
    it(`${version}: each processor's next task is the one that it leaves after that`, async () => {
      if (guests === null) return;
      const [kernel, initrd] = [guests.kernel(version), guests.initrd(version)].map(
        (path) => new Uint8Array(readFileSync(path)),
      );
      const switches = new Switches(version);
      const machine = await createMachine({ kernel, initrd, agent: true, cpus: 2, plugins: [switches] });
      const { status } = await machine.exec("for k in 1 2 3 4 5; do (true) & done; wait");
      expect(status).toBe(0);
      machine.stop();
      await machine.run();
      expect(switches.error).toBeUndefined();
      expect(switches.lost).toBe(0);
      expect(switches.seen.length).toBeGreaterThan(20);
      for (const cpu of [0, 1]) {
        const own = switches.seen.filter((each) => each.cpu === cpu);
        for (let k = 1; k < own.length; k++) expect(own[k]?.previous).toBe(own[k - 1]?.next);
      }
    });
});
