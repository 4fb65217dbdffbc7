import { ensureGuests, ensureImages } from "@vm/guests";
import { describe, expect, it } from "vitest";
import { run, vm } from "../cli.js";
import { expectCommand, plain, quit, untilSeen } from "./on-screen.js";

const guests = await ensureGuests();
const images = await ensureImages();
const LIMIT = ["--timeout", "1500"];

describe("Debian's kernels for real machines", () => {
  it.each(Object.entries(images.kernels))("%s: to a shell that runs a command", async (name, kernel) => {
    const initrd = guests.initrd(name.startsWith("6.1-") || name === "6.1" ? "6.1" : "6.12");
    const ended = await run("boot", "--kernel", kernel, "--initrd", initrd, ...LIMIT, "--exec", "uname -rv");
    expectCommand(
      ended,
      name.endsWith("rt") ? /^6\.\S+-rt-amd64 .*PREEMPT_RT/ : /^6\.[\d.]+\S*-amd64 .*PREEMPT_DYNAMIC/,
    );
  });

  it("unpacked by their own code, which moves their text", async () => {
    const options = ["--unpack", "guest", "--initrd", guests.initrd("6.1"), ...LIMIT];
    const ended = await run("boot", "--kernel", images.kernels["6.1"], ...options, "--exec", "grep Kernel /proc/iomem");
    expectCommand(ended, /Kernel code/);
    expect(ended.stdout).not.toContain("01000000-");
  });

  it.each(["host", "guest"])("with 5-level paging where the processor has it, unpacked by the %s", async (who) => {
    const options = ["--unpack", who, "--cpu", "+la57", "--initrd", guests.initrd("6.12"), ...LIMIT];
    const command = ["--exec", "grep -c -w la57 /proc/cpuinfo"];
    // The flag is taken away from a processor whose fifth level is not in use.
    expectCommand(await run("boot", "--kernel", images.kernels["6.12"], ...options, ...command), /^1\n/);
  });

  it.each(["nosmp", "noapic", "nolapic", "acpi=off"])("with %s, by the interrupt controllers of old", async (word) => {
    const options = ["--append", word, "--initrd", guests.initrd("6.12"), ...LIMIT];
    const command = ["--exec", "grep ttyS0 /proc/interrupts"];
    expectCommand(await run("boot", "--kernel", guests.kernel("6.12"), ...options, ...command), /XT-PIC/);
  });
});

describe("other images", () => {
  it("the installer comes to its first dialog", async () => {
    const { kernel, initrd } = images.installer;
    const args = ["--memory", "1G", "--append", "priority=high TERM=vt102", ...LIMIT];
    const dialog = /Select a language[\s\S]*Choose the language[\s\S]*<Go Back>/;
    const seen = await untilSeen(dialog, "boot", "--kernel", kernel, "--initrd", initrd, ...args);
    expect(plain(seen)).toContain("English");
  });

  it.each(Object.entries(images.memtest))(
    "memtest86+ for %s comes to its test screen and tests",
    async (_, memtest) => {
      const args = ["--memory", "64M", "--append", "console=ttyS0,115200", ...LIMIT];
      const seen = await untilSeen(/Moving inversions/, "boot", "--kernel", memtest, ...args);
      expect(plain(seen)).toMatch(/Memtest86\+ v6/);
      expect(plain(seen)).toMatch(/Errors: 0/);
    },
  );

  it("Xen starts a Debian kernel as its first domain, which comes to a shell", async () => {
    const modules = ["--module", `${images.kernels["6.1"]} console=hvc0`, "--module", guests.initrd("6.1")];
    const running = vm("run-bare", images.xen, "--append", "console=com1 com1=115200,8n1", ...modules, ...LIMIT);
    try {
      await running.until("/ # ");
      expect(running.stdout).toMatch(/Xen version 4\.\d+/);
      const from = running.stdout.length;
      running.type("cat /sys/hypervisor/type /sys/hypervisor/version/major\r");
      await running.until(/xen\r*\n4\r*\n/, from);
    } finally {
      await quit(running);
    }
  });
});
