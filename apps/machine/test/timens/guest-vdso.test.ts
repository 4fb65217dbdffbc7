import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { createMachine, type Machine, type MachineOptions, type Plugin } from "../../src/index.js";
import { guests } from "../boot/debian.js";

/** Debian's kernel in the machine, its vDSO and its time namespaces. */

const folder = mkdtempSync(join(tmpdir(), "vm-timens-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The compiled program, null where there is no compiler for it. */
function compiled(name: string, path: string, ...flags: readonly string[]): Uint8Array | null {
  const program = join(folder, name);
  try {
    execFileSync("cc", ["-O1", "-s", "-pthread", "-o", program, path, ...flags], { stdio: "ignore" });
    return new Uint8Array(readFileSync(program));
  } catch {
    return null;
  }
}

/** Counts system calls by number. */
class Calls implements Plugin {
  readonly name = "calls";
  readonly counts = new Map<number, number>();

  install({ vcpus }: Parameters<Plugin["install"]>[0]): () => void {
    const observers = vcpus.map(({ cpu, on }) =>
      on("syscall", () => {
        const number = cpu.regLo(0);
        this.counts.set(number, (this.counts.get(number) ?? 0) + 1);
      }),
    );
    return () => {
      for (const end of observers) end();
    };
  }

  get clockGettime(): number {
    return this.counts.get(228) ?? 0;
  }
}

function debian(options: MachineOptions): Promise<Machine> {
  if (guests === null) throw new Error("no guest");
  const [kernel, initrd] = [guests.kernel("6.1"), guests.initrd("6.1")].map(
    (path) => new Uint8Array(readFileSync(path)),
  );
  return createMachine({ kernel, initrd, agent: true, ...options });
}

/** Puts a program into the guest. */
async function install(machine: Machine, name: string, program: Uint8Array): Promise<void> {
  const { status, stderr } = await machine.exec(`cat >/${name} && chmod +x /${name}`, { input: program });
  expect(stderr).toBe("");
  expect(status).toBe(0);
}

/** With `npm run test:timens` everything, else a sample. */
const full = process.env.VM_TIMENS === "full";
const READS = full ? 100_000_000 : 100_000;
const reads = compiled("reads", fileURLToPath(new URL("reads.c", import.meta.url)), "-static");
if (reads === null) console.log("skipped: no C compiler for static programs here");

const SOURCE = "/sys/devices/system/clocksource/clocksource0/current_clocksource";

describe.skipIf(guests === null || reads === null)("the guest's own vDSO", () => {
  it.each(full ? [1, 4] : [4])(
    "reads TSC and kvmclock without a system call, and never goes backwards (%i CPUs)",
    async (cpus) => {
      const calls = new Calls();
      await using machine = await debian({ cpus, kvmClock: true, plugins: [calls] });
      await install(machine, "reads", reads as Uint8Array);
      for (const source of ["kvm-clock", "tsc"]) {
        await machine.exec(`echo ${source} >${SOURCE}`);
        expect((await machine.exec(`cat ${SOURCE}`)).stdout).toBe(`${source}\n`);
        const before = calls.clockGettime;
        const { stdout } = await machine.exec(`/reads ${cpus} ${READS}`);
        expect(stdout).toBe(`${READS} reads, 0 backwards\n`);
        expect(calls.clockGettime - before).toBe(0);
        // So calls would be seen.
        const asked = await machine.exec(`/reads ${cpus} 1000 syscall`);
        expect(asked.stdout).toBe("1000 reads, 0 backwards\n");
        expect(calls.clockGettime - before).toBe(1000);
      }
    },
  );
});

/** The kernel's tests of time namespaces, built here, static and dynamic. */
const sources = process.env.VM_SELFTESTS;
if (sources === undefined) console.log("skipped: the kernel's tests of time namespaces; npm run test:timens runs them");
const TESTS = ["timens", "timerfd", "timer", "clock_nanosleep", "procfs", "exec", "futex"];
/** What a dynamic program needs. */
const LIBRARIES = ["/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6"];

describe.skipIf(guests === null || sources === undefined)("the kernel's tests of time namespaces", () => {
  it("print in the guest what they print natively", async () => {
    await using machine = await debian({ clock: "icount" });
    await machine.exec("mkdir -p /lib64 /lib/x86_64-linux-gnu");
    for (const library of LIBRARIES) await install(machine, library.slice(1), new Uint8Array(readFileSync(library)));
    for (const test of TESTS)
      for (const flags of [["-static"], []]) {
        const program = compiled(test, join(sources as string, "timens", `${test}.c`), ...flags);
        if (program === null) throw new Error(`${test} could not be compiled with ${flags.join(" ")}`);
        await install(machine, "test", program);
        const { status, stdout } = await machine.exec("/test");
        expect(status, `${test} ${stdout}`).toBe(0);
        expect(stdout).toBe(execFileSync(join(folder, test), { encoding: "utf8" }));
      }
  });
});
