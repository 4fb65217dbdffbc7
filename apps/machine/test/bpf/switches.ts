import { expect } from "vitest";
import type { Plugin } from "../../src/index.js";
import { whenFirstProgramRuns } from "../../src/plugins/bpf/first-program.js";
import { guestKernel } from "../../src/plugins/bpf/guest-kernel.js";
import { Shadow } from "../../src/plugins/bpf/shadow.js";
import { findTracepoint, type Tracepoint } from "../../src/plugins/bpf/tracepoints.js";

/** Where the members of `struct tracepoint` are in Debian's kernels. */
const LAYOUT = { "6.1": { key: 8, funcs: 64 }, "6.12": { key: 8, funcs: 72 } };

interface Switch {
  readonly cpu: number;
  readonly previous: bigint;
  readonly next: bigint;
}

/** Writes down every context switch, as the arguments of the kernel's tracepoint have it. */
export class Switches implements Plugin {
  readonly name = "switches";
  readonly seen: Switch[] = [];
  /** Switches whose arguments could not be made out. */
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

  /** Expects that each processor's next task is the one that it leaves after that. */
  check(cpus: number): void {
    expect(this.error).toBeUndefined();
    expect(this.lost).toBe(0);
    expect(this.seen.length).toBeGreaterThan(20);
    for (let cpu = 0; cpu < cpus; cpu++) {
      const own = this.seen.filter((each) => each.cpu === cpu);
      for (let k = 1; k < own.length; k++) expect(own[k]?.previous).toBe(own[k - 1]?.next);
    }
  }
}
