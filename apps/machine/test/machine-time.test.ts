import { type Assembler, rax, rbx, rcx, rdi, rdx, rsi, short } from "@vm/asm";
import { afterEach, describe, expect, it, vi } from "vitest";
import { VirtualClock } from "../src/clock.js";
import { createMachine, type Machine, MachineError, type MachineOptions, VmClockError } from "../src/index.js";
import { turn } from "../src/turn.js";
import { ENGINE, machineOf, powerOff, transcript } from "./guest.js";

const MODES = ["host", "icount"] as const;
const HOUR = 3600;
/** Time of day in the middle of nowhere, so that steps have room. */
const NOON = 1_800_000_000;

const halts = (a: Assembler): void => {
  const again = a.here("again");
  a.sti().hlt().jmp(short(again));
};
const spins = (a: Assembler): void => {
  a.jmp(short(a.here("self")));
};

/** Runs `machine` while `use` does something with it, and then stops it. */
async function whileRunning(machine: Machine, use: () => Promise<void>): Promise<void> {
  const end = machine.run();
  await use();
  machine.stop();
  expect(await end).toEqual({ reason: "stopped" });
}

async function turns(count = 20): Promise<void> {
  for (let k = 0; k < count; k++) await turn();
}

describe("the rate", () => {
  it("with icount is what an instruction takes: a timer fires after exactly as many as reach it", async () => {
    const machine = await machineOf(spins, { clock: "icount", clockRate: 10 });
    const seen: number[] = [];
    for (const at of [1, 1001, 1_234_567])
      machine.clock.schedule(at, () => {
        seen.push(machine.stats().instructions);
        if (at > 10_000) machine.stop();
      });
    await machine.run();
    expect(seen).toEqual([1, 101, 123_457]);
    expect(machine.clock.now()).toBe(1_234_570);
  });

  it("with icount below 1 takes several instructions for a ns", async () => {
    const machine = await machineOf(spins, { clock: "icount", clockRate: 0.25 });
    machine.clock.schedule(1000, () => machine.stop());
    await machine.run();
    expect(machine.stats().instructions).toBe(4000);
  });

  it.each([100, 0.01])(
    "set while a slice runs counts from the next instruction on, for its timers too (%d)",
    async (rate) => {
      const machine = await machineOf(
        (a) =>
          a
            .nop()
            .cpuid()
            .jmp(short(a.here("self"))),
        { clock: "icount" },
      );
      machine.vcpus[0]?.on("cpuid", () => {
        machine.time.rate = rate;
      });
      const fired: number[] = [];
      machine.clock.schedule(2 + 10_000, () => {
        fired.push(machine.stats().instructions);
        machine.stop();
      });
      await machine.run();
      // CPUID is the second, and counted when its hook is called.
      expect(fired).toEqual([2 + 10_000 / rate]);
    },
  );

  it("set while the guest sleeps is what it sleeps by", async () => {
    const machine = await machineOf(halts);
    await whileRunning(machine, async () => {
      const fired = new Promise<void>((resolve) => void machine.clock.schedule(machine.clock.now() + 300e9, resolve));
      await turns();
      // 300 s in 0.3 s: waited for, not slept.
      machine.time.rate = 1000;
      await fired;
    });
  });

  it("that no clock can have is refused, and changes nothing", async () => {
    const machine = await machineOf(halts, { clockRate: 2 });
    expect(() => Object.assign(machine.time, { rate: 0 })).toThrow(VmClockError);
    expect(machine.time.rate).toBe(2);
  });
});

describe.each(MODES)("frozen (%s)", (clock) => {
  afterEach(() => vi.restoreAllMocks());

  it("a guest that is halted sleeps until time goes on, and takes nothing of its host", async () => {
    const machine = await machineOf(halts, { clock, cpus: 2 });
    await whileRunning(machine, async () => {
      machine.time.freeze();
      const at = machine.clock.now();
      let fired = false;
      machine.clock.schedule(at + 1, () => {
        fired = true;
      });
      await turns();
      const fire = vi.spyOn(VirtualClock.prototype, "fire");
      await turns(100);
      expect(fire).not.toHaveBeenCalled();
      expect([machine.clock.now(), fired, machine.time.frozen]).toEqual([at, false, true]);
      await new Promise<void>((resolve) => {
        machine.clock.schedule(at + 2, resolve);
        machine.time.thaw();
      });
      expect([fired, machine.time.frozen]).toEqual([true, false]);
    });
  });

  it("a guest that is busy goes on executing", async () => {
    const machine = await machineOf(spins, { clock });
    await whileRunning(machine, async () => {
      machine.time.freeze();
      const at = machine.clock.now();
      const before = machine.stats().instructions;
      while (machine.stats().instructions < before + 1e6) await turn();
      expect(machine.clock.now()).toBe(at);
    });
  });

  it("a guest hears what is typed and answers; the machine can be paused, resumed and stopped", async () => {
    const machine = await createMachine({ memory: 16 << 20, ...ENGINE, clock });
    const seen = transcript(machine);
    const until = async (text: string, also = (): boolean => true): Promise<void> => {
      while (!seen.text.endsWith(text) || !also()) await turn();
    };
    await whileRunning(machine, async () => {
      await until("vm> ");
      machine.time.freeze();
      machine.console.write("echo typed by someone who waits for an answer\r");
      await until("\r\ntyped by someone who waits for an answer\r\nvm> ");
      await machine.pause();
      machine.resume();
      for (const times of [1, 2]) {
        machine.console.write("time\r");
        await until(" s\r\nvm> ", () => seen.text.split("tsc ").length > times);
      }
      const [first, second] = seen.text.match(/tsc \d+/g) ?? [];
      expect(second).toBe(first);
    });
  });
});

describe.each(MODES)("a jump (%s)", (clock) => {
  it("is over when so much time has passed; every timer fires at its time, in its order", async () => {
    const machine = await machineOf(halts, { clock, cpus: 2 });
    const fired: string[] = [];
    const start = machine.clock.now();
    for (const hours of [30, 1, 2])
      machine.clock.schedule(start + hours * HOUR * 1e9, () => {
        const late = machine.clock.now() - start - hours * HOUR * 1e9;
        fired.push(`${hours} ${late < 60e9 ? "in time" : `late by ${late} ns`}`);
      });
    const jump = machine.time.jump(48 * HOUR);
    await whileRunning(machine, async () => {
      await jump;
      expect(machine.clock.now() - start).toBeGreaterThanOrEqual(48 * HOUR * 1e9);
      expect(fired).toEqual(["1 in time", "2 in time", "30 in time"]);
    });
  });

  it("follows one that is under way, wakes a guest that sleeps, and takes the time of day with it", async () => {
    const machine = await machineOf(halts, { clock, unixTime: NOON });
    await whileRunning(machine, async () => {
      await turns();
      const ends: number[] = [];
      const note = (): void => void ends.push(machine.unixTime());
      await Promise.all([machine.time.jump(HOUR).then(note), machine.time.jump(HOUR).then(note)]);
      expect(ends[0]).toBeGreaterThanOrEqual(NOON + HOUR);
      expect(ends[1]).toBeGreaterThanOrEqual(NOON + 2 * HOUR);
    });
  });

  it("of 0 s is over at once", async () => {
    const machine = await machineOf(spins, { clock });
    await whileRunning(machine, () => machine.time.jump(0));
  });

  it("waits while the machine is paused or its time frozen", async () => {
    const machine = await machineOf(halts, { clock });
    await whileRunning(machine, async () => {
      await machine.pause();
      machine.time.freeze();
      let over = false;
      const jump = machine.time.jump(HOUR).then(() => {
        over = true;
      });
      await turns();
      machine.resume();
      await turns();
      expect(over).toBe(false);
      machine.time.thaw();
      await jump;
    });
  });

  it("fails when the machine ends before, and when it has ended", async () => {
    const machine = await machineOf(halts, { clock });
    machine.time.freeze();
    const jump = machine.time.jump(HOUR);
    const refused = expect(jump).rejects.toThrow("the machine has ended (stopped): its time goes no further");
    await whileRunning(machine, () => turns());
    await refused;
    await expect(machine.time.jump(1)).rejects.toThrow(MachineError);
  });

  it.each([-1, 2 ** 62 / 1e9, Number.NaN])("of %d s is refused", async (seconds) => {
    const machine = await machineOf(halts, { clock });
    await expect(machine.time.jump(seconds)).rejects.toThrow(VmClockError);
  });
});

describe("a jump of a guest that never waits", () => {
  /** Powers off when the TSC is beyond `end`, and leaves the largest difference of two readings in RSI. */
  const reads =
    (end: number) =>
    (a: Assembler): void => {
      const [again, smaller] = [a.label("again"), a.label("smaller")];
      const read = (): Assembler => a.rdtsc().shl(rdx, 32).or(rax, rdx);
      read().mov(rcx, rax).xor(rsi, rsi).mov(rdi, end);
      a.bind(again);
      read().mov(rbx, rax).sub(rbx, rcx).mov(rcx, rax).cmp(rbx, rsi).jb(short(smaller)).mov(rsi, rbx);
      a.bind(smaller).cmp(rax, rdi).jb(short(again));
      powerOff(a);
    };

  it("brings it forward by a second at a time", async () => {
    const machine = await machineOf(reads(60e9), { clock: "icount" });
    const jump = machine.time.jump(60);
    const end = machine.run();
    await jump;
    expect((await end).reason).toBe("power-off");
    const largest = Number(machine.vcpus[0]?.registers.rsi);
    expect(largest).toBeGreaterThanOrEqual(1e9);
    expect(largest).toBeLessThan(1.001e9);
    // 10 million until it is impatient, and 100,000 for each second.
    expect(machine.stats().instructions).toBeLessThan(10_000_000 + 61 * 100_000);
  });

  it("is the same every time with icount, however often the event loop has its turn", async () => {
    const ran = async (ms: number): Promise<unknown> => {
      const machine = await machineOf(reads(20e9), { clock: "icount", clockRate: 10 });
      machine.attentive(ms);
      const jump = machine.time.jump(20);
      const end = machine.run();
      await jump;
      return [await end, machine.stats().instructions, machine.clock.now(), machine.vcpus[0]?.registers.rsi];
    };
    expect(await ran(1)).toEqual(await ran(1e9));
  });

  it.each<MachineOptions>([{ clock: "host" }, { clock: "host", cpus: 2 }, { clock: "icount", cpus: 2 }])(
    "ends (%j)",
    async (options) => {
      const machine = await machineOf(spins, options);
      await whileRunning(machine, () => machine.time.jump(HOUR / 60));
    },
  );
});

describe("a step", () => {
  it("changes the time of day and nothing else", async () => {
    const machine = await machineOf(halts, { clock: "icount", unixTime: NOON, clockOffset: HOUR });
    expect(machine.unixTime()).toBe(NOON + HOUR);
    machine.time.step(-2 * HOUR);
    expect([machine.unixTime(), machine.clock.now()]).toEqual([NOON - HOUR, 0]);
    machine.time.step(0.5);
    expect(machine.unixTime()).toBe(NOON - HOUR + 0.5);
    expect(() => machine.time.step(-2 * NOON)).toThrow("-3600000000 s: the time of day can be from 1970-01-01 to");
  });
});
