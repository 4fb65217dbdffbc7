import { readFileSync } from "node:fs";
import type { BlockBackend } from "@vm/devices";
import { BODY_ENCLAVE, parseQuote, SimulatedPlatform, verifyQuote } from "@vm/tdx";
import { describe, expect, it } from "vitest";
import { createMachine, type Machine, tdx } from "../../src/index.js";
import { simulatedPlatform } from "../../src/td/quoting.js";
import { guests } from "./debian.js";

const SELFTEST = process.env.VM_TDX_GUEST_TEST;
const SECTOR = 512;
/** When `icount` machines are made, s. */
const UNIX_TIME = 1_700_000_000;

/** A disk of a few sectors, each of which begins with its number. */
class NumberedDisk implements BlockBackend {
  readonly sectors = 2048;
  readonly readonly = false;
  readonly written = new Map<number, Uint8Array>();

  read(sector: number, dst: Uint8Array): void {
    for (let at = 0; at < dst.length; at += SECTOR) {
      const number = sector + at / SECTOR;
      const bytes = this.written.get(number) ?? new TextEncoder().encode(`sector ${number}\n`.padEnd(SECTOR, "\0"));
      dst.set(bytes, at);
    }
  }

  write(sector: number, src: Uint8Array): void {
    for (let at = 0; at < src.length; at += SECTOR) this.written.set(sector + at / SECTOR, src.slice(at, at + SECTOR));
  }

  flush(): void {}
}

const debianTd = (cpus: number, disks: readonly BlockBackend[] = []): Promise<Machine> =>
  createMachine({
    ...{ cpus, disks, agent: true, clock: "icount", memory: 256 << 20 },
    kernel: readFileSync(guests?.kernel("6.12") ?? ""),
    initrd: readFileSync(guests?.initrd("6.12") ?? ""),
    plugins: [tdx()],
  });

const output = async (machine: Machine, command: string): Promise<string> => {
  const { status, stdout, stderr } = await machine.exec(command);
  expect([stderr, status], command).toEqual(["", 0]);
  return stdout.trim();
};

const REPORT = "/sys/kernel/config/tsm/report/r";

describe.skipIf(guests?.kernels["6.12"] === undefined)("Debian's 6.12 kernel as a TD", () => {
  it("knows what it is, on two processors; a virtio disk goes through bounce buffers; quotes are those of its TDX module", async () => {
    const disk = new NumberedDisk();
    const machine = await debianTd(2, [disk]);
    expect(await output(machine, "dmesg | grep -o 'tdx: Guest detected'")).toBe("tdx: Guest detected");
    const features = "dmesg | grep -o 'Memory Encryption Features active: .*'";
    expect(await output(machine, features)).toBe("Memory Encryption Features active: Intel TDX");
    expect(await output(machine, "grep -c -w tdx_guest /proc/cpuinfo; cat /sys/devices/system/cpu/online")).toBe(
      "2\n0-1",
    );

    expect(await output(machine, "dd if=/dev/vda bs=512 skip=77 count=1 2>/dev/null | head -1")).toBe("sector 77");
    await output(machine, "echo written by a TD | dd of=/dev/vda bs=512 seek=5 conv=sync,fsync 2>/dev/null");
    expect(new TextDecoder().decode(disk.written.get(5)?.subarray(0, 16))).toBe("written by a TD\n");

    const data = "5a".repeat(64);
    await output(machine, `mkdir ${REPORT} && yes Z | tr -d '\\n' | head -c 64 >${REPORT}/inblob`);
    expect(await output(machine, `cat ${REPORT}/provider`)).toBe("tdx_guest");
    const hex = await output(machine, `od -An -v -tx1 ${REPORT}/outblob | tr -d ' \\n'`);
    const quote = Uint8Array.from(Buffer.from(hex, "hex"));
    const { body } = parseQuote(quote);
    if (body.type === BODY_ENCLAVE) throw new Error("the quote is an enclave's");
    expect(Buffer.from(body.report.reportData).toString("hex")).toBe(data);
    expect(body.report.mrTd.some((byte) => byte !== 0)).toBe(true);

    const { root, collateral } = simulatedPlatform("vm", UNIX_TIME);
    const options = { collateral: JSON.stringify(collateral), root, time: new Date(UNIX_TIME * 1000 + 3_600_000) };
    expect(verifyQuote(quote, options)).toMatchObject({ accepted: true, tcbStatus: "UpToDate", reasons: [] });
    expect(verifyQuote(quote.with(600, (quote[600] as number) ^ 1), options).accepted).toBe(false);
    const other = new SimulatedPlatform({
      seed: "another",
      current: { notBefore: new Date(0), notAfter: new Date(1e13) },
    });
    expect(verifyQuote(quote, { ...options, root: other.root }).accepted).toBe(false);
    machine.stop();
    await machine.run();
  });

  it.skipIf(SELFTEST === undefined)(
    "passes the kernel's own test of its reports (needs VM_TDX_GUEST_TEST, tools/testing/selftests/tdx/tdx_guest_test.c linked statically)",
    async () => {
      const machine = await debianTd(1);
      const input = readFileSync(SELFTEST ?? "");
      await machine.exec("cat >/tdx_guest_test && chmod +x /tdx_guest_test", { input });
      const tap = await output(machine, "/tdx_guest_test");
      expect(tap).toContain("# PASSED: 1 / 1 tests passed.");
      expect(tap).toContain("ok 1 global.verify_report");
      machine.stop();
      await machine.run();
    },
  );
});
