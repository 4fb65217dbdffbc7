import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { BpfMap } from "@vm/bpf-storage";
import { describe, expect, it } from "vitest";
import { createMachine, type Plugin } from "../../src/index.js";
import { type AttachedBpf, bpf } from "../../src/plugins/bpf/plugin.js";
import { guests } from "../boot/debian.js";
import { Switches } from "./switches.js";

const program = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(fileURLToPath(new URL(`programs/${name}.bpf.o`, import.meta.url))));

/** Counts system calls as the processor sees them. Programs are attached at the first, in time to see it too. */
class Seen implements Plugin {
  readonly name = "seen";
  calls = 0;

  install({ vcpus }: Parameters<Plugin["install"]>[0]): void {
    for (const { on } of vcpus)
      on("syscall", () => {
        this.calls++;
      });
  }
}

describe.skipIf(guests === null)("a program of clang's, attached to a booted Debian from outside", () => {
  for (const version of ["6.1", "6.12"] as const)
    it(`${version}: counts the system calls of every task, in storage that goes with it; no context switch is lost`, async () => {
      if (guests === null) return;
      const [kernel, initrd] = [guests.kernel(version), guests.initrd(version)].map(
        (path) => new Uint8Array(readFileSync(path)),
      );
      const seen = new Seen();
      let attached: AttachedBpf | undefined;
      const errors: unknown[] = [];
      const plugin = bpf({
        object: program("syscount"),
        onAttached: (it) => {
          attached = it;
        },
        onError: (error) => errors.push(error),
      });
      const switches = new Switches(version);
      const machine = await createMachine({ kernel, initrd, agent: true, cpus: 2, plugins: [seen, plugin, switches] });
      const { stdout } = await machine.exec("for k in 1 2 3 4 5; do true | cat; done; cat /proc/self/comm; echo $$");
      expect(errors).toEqual([]);
      expect(stdout).toMatch(/^cat\n\d+\n$/);
      machine.stop();
      await machine.run();
      const { runtime, loaded, taskStorage } = attached as AttachedBpf;
      const data = loaded.maps.get(".bss") as BpfMap;
      const total = Number(runtime.arena.view.getBigUint64(data.lookup(runtime.arena.alloc(4)), true));
      expect(total).toBe(seen.calls);
      const rows = [...taskStorage("counts")].map(({ value: { buffer } }) => {
        const view = new DataView(buffer);
        return { calls: Number(view.getBigUint64(0, true)), pid: view.getUint32(8, true) };
      });
      // Tasks that have ended are not there any more: all calls are in the sum.
      expect(rows.map(({ pid }) => pid)).toContain(1);
      expect(rows.length).toBeLessThan(10);
      expect(rows.reduce((sum, { calls }) => sum + calls, 0)).toBeLessThan(total);
      switches.check(2);
    });
});
