import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { BpfMap } from "@vm/bpf-storage";
import { describe, expect, it } from "vitest";
import { createMachine, type Plugin } from "../../src/index.js";
import { type AttachedBpf, bpf } from "../../src/plugins/bpf/plugin.js";
import { guests } from "../boot/debian.js";
import { expectShown } from "./shown.js";
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

/** What an object has as variables. */
function variables(attached: AttachedBpf | undefined): DataView {
  const { runtime, loaded } = attached as AttachedBpf;
  const { arena } = runtime;
  const data = loaded.maps.get(".bss") as BpfMap;
  return new DataView(arena.read(data.lookup(arena.alloc(4)), data.desc.valueSize).buffer);
}

describe.skipIf(guests === null)("a program of clang's, attached to a booted Debian from outside", () => {
  for (const version of ["6.1", "6.12"] as const)
    it(`${version}: counts the system calls of every task, in storage that goes with it; no context switch is lost`, async () => {
      if (guests === null) return;
      const [kernel, initrd] = [guests.kernel(version), guests.initrd(version)].map(
        (path) => new Uint8Array(readFileSync(path)),
      );
      const seen = new Seen();
      const attached = new Map<string, AttachedBpf>();
      const errors: unknown[] = [];
      const plugins = ["syscount", "rmdir"].map((name) =>
        bpf({
          object: program(name),
          onAttached: (it) => attached.set(name, it),
          onError: (error) => errors.push(error),
        }),
      );
      const switches = new Switches(version);
      const machine = await createMachine({
        kernel,
        initrd,
        agent: true,
        cpus: 2,
        plugins: [seen, ...plugins, switches],
      });
      const { stdout } = await machine.exec(
        "mkdir -p /a /b/c; rmdir /a; rmdir /b 2>/dev/null; rmdir /b/c; cat /proc/self/comm; echo $$",
      );
      expect(errors).toEqual([]);
      expect(stdout).toMatch(/^cat\n\d+\n$/);
      machine.stop();
      await machine.run();
      const { taskStorage } = attached.get("syscount") as AttachedBpf;
      const total = Number(variables(attached.get("syscount")).getBigUint64(0, true));
      // Stopped at any instruction, each processor may stand between the one that calls and the tracepoint.
      expect(seen.calls - total).toBeGreaterThanOrEqual(0);
      expect(seen.calls - total).toBeLessThanOrEqual(2);
      const rows = [...taskStorage("counts")].map(({ value: { buffer } }) => {
        const view = new DataView(buffer);
        return { calls: Number(view.getBigUint64(0, true)), pid: view.getUint32(8, true) };
      });
      // Tasks that have ended are not there any more: all calls are in the sum.
      expect(rows.map(({ pid }) => pid)).toContain(1);
      expect(rows.length).toBeLessThan(10);
      expect(rows.reduce((sum, { calls }) => sum + calls, 0)).toBeLessThan(total);
      switches.check(2);
      await expectShown(attached.get("syscount") as AttachedBpf, attached.get("rmdir") as AttachedBpf);
      // Removed, refused because it is not empty (ENOTEMPTY), and removed.
      const rmdir = variables(attached.get("rmdir"));
      const values = [0, 4, 8, 12, 16, 20, 24, 28].map((at) => rmdir.getInt32(at, true));
      expect(values.sort((a, b) => a - b)).toEqual([-39, 1, 1, 2, 3, 3, 3, 3]);
      // Three calls, at whose beginning and end two programs each are told the function.
      expect(rmdir.getInt32(40, true)).toBe(12);
    });
});
