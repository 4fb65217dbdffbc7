import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { createMachine, type Plugin } from "../../src/index.js";
import { bpf } from "../../src/plugins/bpf/plugin.js";
import { guests, KERNELS } from "../boot/debian.js";

interface Wait {
  readonly comm: string;
  readonly ns: number;
  readonly pid: number;
}

function waitOf(bytes: Uint8Array): Wait {
  const view = new DataView(bytes.buffer);
  const comm = Buffer.from(bytes.subarray(0, bytes.indexOf(0))).toString("latin1");
  return { comm, ns: Number(view.getBigUint64(16, true)), pid: view.getInt32(24, true) };
}

describe.skipIf(guests === null)("how long tasks wait for a processor, told by their storage", () => {
  for (const version of KERNELS)
    it(`${version}: their names are those that ps shows, and the guest executes not one instruction more`, async () => {
      if (guests === null) return;
      const [kernel, initrd] = [guests.kernel(version), guests.initrd(version)].map(
        (path) => new Uint8Array(readFileSync(path)),
      );
      const object = readFileSync(fileURLToPath(new URL("programs/runqueue.bpf.o", import.meta.url)));
      const run = async (plugins: readonly Plugin[]): Promise<readonly [string, number]> => {
        const command = Buffer.from("(sleep 1; sleep 1) & sleep 1; ps -o pid,comm; wait").toString("base64url");
        const machine = await createMachine({
          ...{ kernel, initrd, plugins, clock: "icount", commandLine: `vm.exec=${command} vm.nonce=00` },
        });
        let text = "";
        machine.console.onOutput((bytes) => {
          text += Buffer.from(bytes).toString("latin1");
        });
        expect(await machine.run()).toMatchObject({ reason: "power-off" });
        return [text, machine.stats().instructions];
      };
      const waits: Wait[] = [];
      const errors: unknown[] = [];
      const watched = await run([
        bpf({ object, onRecord: ({ bytes }) => waits.push(waitOf(bytes)), onError: (error) => errors.push(error) }),
      ]);
      expect(errors).toEqual([]);
      expect(await run([])).toEqual(watched);
      const rows = [...watched[0].matchAll(/^ *(\d+) (\S+)\r?$/gm)].map(
        ([, pid, name]) => `${pid} ${name?.slice(0, 15)}`,
      );
      const told = waits.map(({ pid, comm }) => `${pid} ${comm}`);
      expect(rows.length).toBeGreaterThan(10);
      // What slept when ps ran has waited for its turn since, under the name that ps shows.
      const sleepers = rows.filter((row) => /^\d+ sleep$/.test(row));
      expect(sleepers.length).toBeGreaterThanOrEqual(1);
      for (const row of sleepers) expect(told).toContain(row);
      expect(waits.every(({ ns, pid }) => ns >= 0 && pid > 0)).toBe(true);
    });
});
