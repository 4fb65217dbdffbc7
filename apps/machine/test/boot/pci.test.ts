import { readFileSync } from "node:fs";
import type { BlockBackend } from "@vm/devices";
import { describe, expect, it } from "vitest";
import { createMachine, type Machine } from "../../src/index.js";
import { guests, KERNELS } from "./debian.js";

const SECTOR = 512;

/** A disk of a few sectors, each of which begins with its number. */
class NumberedDisk implements BlockBackend {
  readonly sectors = 2048;
  readonly readonly = false;
  readonly written = new Map<number, Uint8Array>();

  read(sector: number, dst: Uint8Array): void {
    for (let at = 0; at < dst.length; at += SECTOR)
      dst.set(new TextEncoder().encode(`sector ${sector + at / SECTOR}\n`.padEnd(SECTOR, "\0")), at);
  }

  write(sector: number, src: Uint8Array): void {
    for (let at = 0; at < src.length; at += SECTOR) this.written.set(sector + at / SECTOR, src.slice(at, at + SECTOR));
  }

  flush(): void {}
}

const output = async (machine: Machine, command: string): Promise<string> => {
  const { status, stdout, stderr } = await machine.exec(command);
  expect([stderr, status], command).toEqual(["", 0]);
  return stdout.trim();
};

/** Interrupts of a device so far, by what its line of /proc/interrupts ends in. */
const interrupts = async (machine: Machine, name: string): Promise<{ kind: string; count: number }> => {
  const [, ...words] = (await output(machine, `grep ${name}$ /proc/interrupts`)).split(/\s+/);
  const counts = words.filter((word) => /^\d+$/.test(word)).map(Number);
  return { kind: words.find((word) => /[A-Z]/.test(word)) ?? "", count: counts.reduce((sum, count) => sum + count, 0) };
};

const debian = (series: "6.1" | "6.12", disk: BlockBackend, words = ""): Promise<Machine> =>
  createMachine({
    ...{ pci: true, cpus: 2, disks: [disk], agent: true, clock: "icount", memory: 256 << 20, commandLine: words },
    kernel: readFileSync(guests?.kernel(series) ?? ""),
    initrd: readFileSync(guests?.initrd(series) ?? ""),
  });

const useDisk = async (machine: Machine, disk: NumberedDisk): Promise<void> => {
  expect(await output(machine, "dd if=/dev/vda bs=512 skip=77 count=1 2>/dev/null | head -1")).toBe("sector 77");
  await output(machine, "echo written | dd of=/dev/vda bs=512 seek=5 conv=sync,fsync 2>/dev/null");
  expect(new TextDecoder().decode(disk.written.get(5)?.subarray(0, 8))).toBe("written\n");
};

describe.skipIf(guests === null)("Debian's kernels on a machine with PCI", () => {
  it.each(KERNELS)(
    "%s finds the bridges and its devices, maps configuration space, complains of nothing, and has messages for its disk",
    async (series) => {
      const disk = new NumberedDisk();
      const machine = await debian(series, disk);
      const list = "cd /sys/bus/pci/devices; for d in *; do echo $d $(cat $d/vendor $d/device $d/class); done";
      expect((await output(machine, list)).split("\n")).toEqual([
        "0000:00:00.0 0x8086 0x29c0 0x060000",
        "0000:00:01.0 0x1af4 0x1042 0x010000",
        "0000:00:02.0 0x1af4 0x1044 0x00ff00",
        "0000:00:1f.0 0x8086 0x2918 0x060100",
      ]);
      const log = await output(machine, "dmesg");
      expect(log).toMatch(
        /PCI: (ECAM|MMCONFIG) .*\[mem 0xe0000000-0xefffffff\] reserved (as|in) ACPI motherboard resource/,
      );
      expect(log).toContain("root bus resource [mem 0x80000000-0xdfffffff window]");
      expect(log).toMatch(/0000:00:1f\.0: quirk: \[io {2}0x0600-0x067f\] claimed by ICH6 ACPI/);
      expect(
        log.split("\n").filter((line) => /pci/i.test(line) && /can't|fail|bogus|error|conflict|invalid/i.test(line)),
      ).toEqual([]);
      await useDisk(machine, disk);
      const { kind, count } = await interrupts(machine, "virtio0-req.0");
      expect(kind).toMatch(/^PCI-MSI/);
      expect(count).toBeGreaterThan(0);
      // The bars are not the machine's to place: the kernel did, within what the host bridge hands on.
      expect(await output(machine, "grep -c '8000[0-9a-f]000-8000[0-9a-f]fff : 0000:00:0[12].0' /proc/iomem")).toBe(
        "4",
      );
      await expect(machine.exec("busybox poweroff -f; sleep 100")).rejects.toThrow("power-off");
    },
  );

  it("uses the disk's INTA where it is told to do without messages; a reboot ends the machine", async () => {
    const disk = new NumberedDisk();
    const machine = await debian("6.12", disk, "pci=nomsi");
    await useDisk(machine, disk);
    const { kind, count } = await interrupts(machine, "virtio0");
    expect(kind).toBe("IO-APIC");
    expect(count).toBeGreaterThan(0);
    await expect(machine.exec("busybox reboot -f; sleep 100")).rejects.toThrow("reset");
  });
});
