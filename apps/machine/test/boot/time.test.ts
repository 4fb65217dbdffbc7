import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { createMachine, type Machine, type MachineOptions } from "../../src/index.js";
import { transcript } from "../guest.js";
import { guests } from "./debian.js";

const DAY = 86_400;
/** With `npm run test:timens` everything, else a sample: a shorter leap, and no second run, which a small guest has too (`machine-time.test.ts`). */
const full = process.env.VM_TIMENS === "full";
/** Seconds of the leap. */
const LEAP = full ? 2 * DAY : DAY / 8;
/** The real-time clock, the time of day by the kernel, and the real-time clock once more: seconds since 1970. Then the uptime. */
const CLOCKS = "cat /sys/class/rtc/rtc0/since_epoch; date +%s; cat /sys/class/rtc/rtc0/since_epoch; cat /proc/uptime";

interface Clocks {
  readonly date: number;
  readonly rtc: number;
  readonly uptime: number;
  readonly agree: boolean;
}

/** What {@link CLOCKS} printed. Two clocks agree if the one was between two readings of the other, which are whole seconds. */
function clocksOf(text: string): Clocks {
  const [rtc = 0, date = 0, again = 0, uptime = 0] = text.trim().split("\n").map(Number.parseFloat);
  return { date, rtc, uptime, agree: rtc - 1 <= date && date <= again + 1 };
}

/** Debian's 6.1 kernel. */
function debian(options: MachineOptions): Promise<Machine> {
  if (guests === null) throw new Error("no guest");
  const [kernel, initrd] = [guests.kernel("6.1"), guests.initrd("6.1")].map(
    (path) => new Uint8Array(readFileSync(path)),
  );
  return createMachine({ kernel, initrd, ...options });
}

describe.skipIf(guests === null)("Debian's 6.1 kernel", () => {
  it("ten times as fast and a year ahead: its clocks agree; with icount the same output after the same instructions", async () => {
    const run = async (): Promise<readonly [string, number, number]> => {
      const command = Buffer.from(`${CLOCKS}; echo; sleep 100; ${CLOCKS}`).toString("base64url");
      const commandLine = `vm.exec=${command} vm.nonce=00`;
      const machine = await debian({ clock: "icount", clockRate: 10, clockOffset: 365 * DAY, commandLine });
      const seen = transcript(machine);
      expect(await machine.run()).toMatchObject({ reason: "power-off" });
      return [seen.text, machine.stats().instructions, machine.clock.now()];
    };
    const first = await run();
    const [text, instructions, ns] = first;
    const output = text.slice(text.indexOf("VM-EXEC-BEGIN\x02") + 14, text.indexOf("\x01VM-EXEC-END"));
    const [earlier = "", later = ""] = output.split("\n\n");
    const [before, after] = [clocksOf(earlier), clocksOf(later)];
    expect([before, after]).toMatchObject([{ agree: true }, { agree: true }]);
    expect(before.date - 1_700_000_000 - 365 * DAY).toBeGreaterThanOrEqual(Math.floor(before.uptime));
    expect(before.date - 1_700_000_000 - 365 * DAY).toBeLessThan(before.uptime + 2);
    for (const clock of ["date", "rtc", "uptime"] as const) {
      expect(after[clock] - before[clock]).toBeGreaterThanOrEqual(99);
      expect(after[clock] - before[clock]).toBeLessThan(102);
    }
    // 10 ns for each instruction, and what was slept through.
    expect(ns).toBeGreaterThanOrEqual(10 * instructions + 99e9);
    expect(ns).toBeLessThan(10 * instructions + 110e9);
    if (full) expect(await run()).toEqual(first);
  });

  it("while it runs: time stands still, hours or days pass with what was to happen in them, and the real-time clock is set", async () => {
    await using machine = await debian({ agent: true });
    const sh = async (command: string): Promise<string> => (await machine.exec(command)).stdout;
    const clocks = async () => clocksOf(await sh(CLOCKS));

    await sh("true");
    machine.time.freeze();
    const still = await sh(CLOCKS);
    expect(await sh(CLOCKS)).toBe(still);
    machine.time.thaw();
    const before = await clocks();
    expect(before.agree).toBe(true);

    // What a kernel does every second is most of what they cost.
    await sh(
      "cd /proc/sys/vm; echo 0 >compaction_proactiveness; echo 1000 >stat_interval; echo 0 >dirty_writeback_centisecs",
    );
    await sh("echo 0 >/proc/sys/kernel/watchdog; mkdir -p /etc; echo root:x:0:0::/:/bin/sh >/etc/passwd");
    await sh("mkdir -p /var/spool/cron/crontabs; echo '0 * * * * date +%s >>/tmp/hours' | crontab -");
    await sh("crond -b -L /tmp/log </dev/null >/dev/null 2>&1");
    const expiry = `if [ $(date +%s) -lt ${before.date + 0.6 * LEAP} ]; then echo valid; else echo expired; fi`;
    expect(await sh(expiry)).toBe("valid\n");
    await machine.time.jump(LEAP);
    expect(await sh(expiry)).toBe("expired\n");
    const after = await clocks();
    expect(after.agree).toBe(true);
    for (const clock of ["date", "rtc", "uptime"] as const)
      expect(after[clock] - before[clock]).toBeGreaterThanOrEqual(LEAP - 1);
    // Every full hour, in the first seconds of it.
    const hours = (await sh("cat /tmp/hours")).trim().split("\n").map(Number);
    const first = Math.floor(before.date / 3600) + 1;
    expect(hours.map((hour) => Math.floor(hour / 3600))).toEqual(
      Array.from({ length: Math.floor(after.date / 3600) - first + 1 }, (_, k) => first + k),
    );
    expect(hours.filter((hour) => hour % 3600 >= 60)).toEqual([]);
    expect(await sh("dmesg | grep -ciE 'lockup|stall|clocksource.*unstable|hung|backwards'")).toBe("0\n");

    machine.time.step(-2 * DAY);
    const stepped = await clocks();
    expect(stepped.date).toBeGreaterThanOrEqual(after.date);
    expect(stepped.date - stepped.rtc).toBeGreaterThanOrEqual(2 * DAY - 1);
    await sh("hwclock -s");
    const set = await clocks();
    expect(set).toMatchObject({ agree: true });
    expect(set.date).toBeLessThan(stepped.date - DAY);
    expect(set.uptime).toBeGreaterThanOrEqual(stepped.uptime);
  });
});
