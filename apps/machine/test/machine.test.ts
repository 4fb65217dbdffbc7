import { al, cr3, dx, eax, ecx, edi, edx, mem, rax, rcx, rdi, rsi, short, sp, ss } from "@vm/asm";
import { describe, expect, it } from "vitest";
import { createMachine, MachineError, type MachineOptions, MemoryDisk } from "../src/index.js";
import { ENGINE, flood, LOAD, machineOf, powerOff, transcript } from "./guest.js";

const SMALL: MachineOptions = { memory: 16 << 20, ...ENGINE };
/** A machine that runs has a slice in every turn of the event loop. */
async function turns(): Promise<void> {
  for (let k = 0; k < 5; k++) await new Promise((resolve) => setImmediate(resolve));
}

describe("options", () => {
  it.each<[string | RegExp, MachineOptions]>([
    ["memory is 8 MiB: a machine can have 16 MiB to 3072 MiB", { memory: 8 << 20 }],
    ["memory is 4096 MiB: a machine can have 16 MiB to 3072 MiB", { memory: 2 ** 32 }],
    ["memory is 16777217 bytes, which is no multiple of 4096", { memory: 2 ** 24 + 1 }],
    ["memory is NaN MiB: a machine can have 16 MiB to 3072 MiB", { memory: Number.NaN }],
    ['memory takes a number of bytes, such as 512 * 2 ** 20, not "512MB"', { memory: "512MB" as never }],
    ["cpus takes a whole number from 1 to 32, not 0", { cpus: 0 }],
    ["cpus takes a whole number from 1 to 32, not 1.5", { cpus: 1.5 }],
    ['cpus takes a whole number from 1 to 32, not "2"', { cpus: "2" as never }],
    ["initrd needs a kernel to go with it", { initrd: new Uint8Array(1) }],
    [
      'kernel takes the bytes of a file, a Uint8Array, not "vmlinuz"; read the file first, as with readFile of node:fs/promises',
      { kernel: "vmlinuz" as never },
    ],
    [
      "kernel takes the bytes of a file, a Uint8Array, not an object (ArrayBuffer)",
      { kernel: new ArrayBuffer(8) as never },
    ],
    [
      'disks takes an array of disks; element 0 is "disk.img"; open it first, as with openDisk of @vm/machine/node',
      { disks: ["disk.img"] as never },
    ],
    ["disks has 8 elements: a machine can have 7 disks", { disks: Array(8).fill(new MemoryDisk(512)) }],
    ['clock takes "host" or "icount", not "fast"', { clock: "fast" as never }],
    ["plugins takes an array of plugins, not an object (Object)", { plugins: { name: "x" } as never }],
    ["plugins takes an array of plugins; element 0 is a function", { plugins: [() => undefined] as never }],
    ["unixTime takes seconds since 1970, from 0 to 4611686018, not -1", { unixTime: -1 }],
    ['clockOffset takes seconds from -4611686018 to 4611686018, not "+1y"', { clockOffset: "+1y" as never }],
    [
      "clockOffset is -86400 s from 1970-01-01: the time of day can be from 1970-01-01 to 2116-02-20",
      { unixTime: 3600, clockOffset: -86400 },
    ],
    ["clockRate takes a number from 0.001 to 1000, not 0", { clockRate: 0 }],
    ["kvmClock takes true or false, not 1", { kvmClock: 1 as never }],
    ["seed takes a whole number from -2147483648 to 4294967295, not 7n", { seed: 7n as never }],
    ["signal takes an AbortSignal, not an object (AbortController)", { signal: new AbortController() as never }],
    [/^there is no option "cpu"; a machine takes kernel, .*, cpus, /, { cpu: 2 } as never],
    [/^there is no option "toString"/, { toString: 2 } as never],
  ])("%s", async (message, options) => {
    const refusal = createMachine(options);
    await expect(refusal).rejects.toThrow(MachineError);
    await expect(refusal).rejects.toThrow(message);
  });
});

describe("how a machine ends", () => {
  it("power-off, with the status the guest wrote", async () => {
    const machine = await createMachine({ ...SMALL, commandLine: 'exec="exit 7"' });
    expect(await machine.run()).toEqual({ reason: "power-off", status: 7 });
    expect(machine.ended).toEqual({ reason: "power-off", status: 7 });
  });

  it("power-off without one", async () => {
    expect(await (await machineOf(powerOff)).run()).toEqual({ reason: "power-off", status: null });
  });

  it("reset", async () => {
    const machine = await createMachine({ ...SMALL, commandLine: 'exec="reboot"' });
    expect(await machine.run()).toEqual({ reason: "reset" });
  });

  it("triple fault", async () => {
    const machine = await machineOf((a) => a.ud2());
    expect(await machine.run()).toEqual({ reason: "shutdown", vcpu: 0 });
  });

  it("halted with interrupts off", async () => {
    const machine = await machineOf((a) => a.cli().hlt());
    expect(await machine.run()).toEqual({ reason: "halted" });
  });

  it("an instruction fetch from where no memory is: all ones, which is #UD, and here nobody handles it", async () => {
    const machine = await machineOf((a) => a.mov(eax, 0xd000_0000).jmp(rax));
    expect(await machine.run()).toEqual({ reason: "shutdown", vcpu: 0 });
  });

  it("a hook that throws ends the machine, not the program", async () => {
    const machine = await machineOf((a) => a.cpuid());
    const error = new Error("from a hook");
    machine.vcpus[0]?.on("cpuid", () => {
      throw error;
    });
    expect(await machine.run()).toEqual({ reason: "internal-error", vcpu: 0, error });
  });

  it("stop(), even while the guest runs on and on", async () => {
    const machine = await machineOf((a) => a.cpuid().jmp(short(a.here("self"))));
    machine.vcpus[0]?.on("cpuid", () => {
      setImmediate(() => machine.stop());
    });
    expect(await machine.run()).toEqual({ reason: "stopped" });
    expect(machine.stats().instructions).toBeGreaterThan(0);
  });

  it("stop() before it ran", async () => {
    const machine = await machineOf(powerOff);
    machine.stop();
    expect(await machine.run()).toEqual({ reason: "stopped" });
    expect(machine.stats().instructions).toBe(0);
  });

  it("run() again gives the same end", async () => {
    const machine = await machineOf(powerOff);
    expect(machine.run()).toBe(machine.run());
    await machine.run();
  });
});

describe("the console", () => {
  it("carries an interactive session", async () => {
    const machine = await createMachine(SMALL);
    const seen = transcript(machine);
    const answers = ["echo typed\r", "exit 0\r"];
    machine.console.onOutput(() => {
      if (seen.text.endsWith("vm> ")) machine.console.write(answers.shift() ?? "");
    });
    expect(await machine.run()).toEqual({ reason: "power-off", status: 0 });
    expect(seen.text).toContain("vm> echo typed\r\ntyped\r\nvm> exit 0\r\n");
  });

  it("keeps 64 KiB for a stream that nobody reads; the guest's transmitter waits, and goes on with the reader", async () => {
    const machine = await machineOf(flood);
    const reader = machine.console.readable.getReader();
    const exit = machine.run();
    const take = async (): Promise<number> => (await reader.read()).value?.length ?? 0;
    // Some chunk is the last that fits; the rest of the time the guest finds its transmitter full.
    for (let k = 0; k < 5; k++) await turns();
    let kept = 0;
    while (kept < 65536) kept += await take();
    expect(kept).toBeLessThan(65536 + 2 * 4096);
    expect(await take()).toBeGreaterThan(0);
    machine.stop();
    expect(await exit).toEqual({ reason: "stopped" });
  });

  it("tells who types much when to go on", async () => {
    const machine = await machineOf((a) => a.jmp(a.here("busy")));
    machine.console.write(new Uint8Array(65535));
    await machine.console.hungry();
    machine.console.write("x");
    let hungry = false;
    const waiting = machine.console.hungry().then(() => {
      hungry = true;
    });
    const exit = machine.run();
    await turns();
    expect([hungry, machine.console.backlog]).toEqual([false, 65536]);
    machine.stop();
    await Promise.all([exit, waiting]);
  });

  it("is a pair of web streams as well; the readable one ends with the machine", async () => {
    const machine = await createMachine(SMALL);
    const { readable } = machine.console;
    const writer = machine.console.writable.getWriter();
    await writer.write("echo from a stream\r");
    await writer.write(new TextEncoder().encode("exit\r"));
    const end = machine.run();
    const text = await new Response(readable as ReadableStream<Uint8Array<ArrayBuffer>>).text();
    expect(text).toContain("\r\nfrom a stream\r\n");
    await end;
    expect(await new Response(machine.console.readable as ReadableStream<Uint8Array<ArrayBuffer>>).text()).toBe("");
  });

  it("a cancelled stream and a disposed listener hear nothing more", async () => {
    const machine = await createMachine({ ...SMALL, commandLine: 'exec="echo x"' });
    await machine.console.readable.cancel();
    let heard = 0;
    machine.console.onOutput(() => heard++)();
    await machine.run();
    expect(heard).toBe(0);
  });
});

describe("time", () => {
  it("with icount two runs are the same to the instruction and the byte", async () => {
    const run = async (): Promise<[string, number]> => {
      const machine = await createMachine({ ...SMALL, clock: "icount" });
      const seen = transcript(machine);
      const answers = ["time\r", "ticks\r", "cpuid\r", "exit\r"];
      machine.console.onOutput(() => {
        if (seen.text.endsWith("vm> ")) machine.console.write(answers.shift() ?? "");
      });
      await machine.run();
      return [seen.text, machine.stats().instructions];
    };
    const first = await run();
    expect(await run()).toEqual(first);
    expect(first[0]).toMatch(/tsc \d+/);
  });

  it("with icount an idle guest's time is skipped: an hour passes at once", async () => {
    const machine = await machineOf((a) => a.bind(a.label("wait")).sti().hlt(), { clock: "icount" });
    const hour = 3600e9;
    machine.clock.schedule(hour, () => machine.stop());
    await machine.run();
    expect(machine.clock.now()).toBe(hour);
    expect(machine.stats().instructions).toBe(2);
  });

  it("with icount a timer fires after exactly its instructions", async () => {
    const machine = await machineOf((a) => a.jmp(short(a.here("self"))), { clock: "icount" });
    const seen: number[] = [];
    for (const at of [1, 1000, 123_457]) {
      machine.clock.schedule(at, () => {
        seen.push(machine.stats().instructions);
        if (at > 1000) machine.stop();
      });
    }
    await machine.run();
    expect(seen).toEqual([1, 1000, 123_457]);
  });

  it("with icount a timer set by the running guest ends its slice", async () => {
    const machine = await machineOf((a) => a.cpuid().jmp(short(a.here("self"))), { clock: "icount" });
    let fired = 0;
    machine.vcpus[0]?.on("cpuid", () => {
      machine.clock.schedule(machine.clock.now() + 50, () => {
        fired = machine.clock.now();
        machine.stop();
      });
    });
    await machine.run();
    expect(fired).toBeGreaterThanOrEqual(50);
    expect(fired).toBeLessThanOrEqual(52);
  });

  it("stands still while the machine is paused", async () => {
    const machine = await machineOf((a) => a.jmp(short(a.here("self"))));
    const end = machine.run();
    await machine.pause();
    const { instructions } = machine.stats();
    const now = machine.clock.now();
    await turns();
    expect(machine.stats().instructions).toBe(instructions);
    expect(machine.clock.now()).toBe(now);
    await machine.pause();
    machine.resume();
    await new Promise<void>((resolve) => machine.clock.schedule(now + 1e6, resolve));
    expect(machine.stats().instructions).toBeGreaterThan(instructions);
    machine.stop();
    await end;
  });

  it("a machine paused before it runs does not begin", async () => {
    const machine = await machineOf(powerOff);
    await machine.pause();
    const end = machine.run();
    await turns();
    expect(machine.stats().instructions).toBe(0);
    machine.resume();
    expect((await end).reason).toBe("power-off");
  });
});

describe("several processors", () => {
  it("INIT and SIPI start one, and both get their turns", async () => {
    const FLAG = 0x9_0000;
    const TRAMPOLINE = 0x6_0000;
    const machine = await machineOf(
      (a) => {
        const [trampoline, end, wait] = [a.label("trampoline"), a.label("end"), a.label("wait")];
        a.lea(rsi, mem(trampoline)).mov(edi, TRAMPOLINE).mov(ecx, 64).rep().movsb();
        const icr = (high: number, low: number): void => {
          a.mov(eax, 0xfee0_0000);
          a.mov(mem(rax, { disp: 0x310, size: 4 }), high);
          a.mov(mem(rax, { disp: 0x300, size: 4 }), low);
        };
        icr(1 << 24, 0x4500);
        icr(1 << 24, 0x4660);
        a.mov(edi, FLAG);
        a.bind(wait)
          .cmp(mem(rdi, { size: 1 }), 0)
          .je(short(wait));
        powerOff(a);
        a.bind(end);
        a.bits = 16;
        a.bind(trampoline);
        a.mov(sp, FLAG >> 4).mov(ss, sp);
        a.emit([0x36, 0xc6, 0x06, 0, 0, 1]);
        const self = a.here("self");
        a.jmp(short(self));
        a.bits = 64;
      },
      { cpus: 2, clock: "icount" },
    );
    expect((await machine.run()).reason).toBe("power-off");
    expect(machine.memory.readU8(FLAG)).toBe(1);
    expect(machine.vcpus[1]?.cpu.retired).toBeGreaterThan(0);
  });
});

describe("plugins", () => {
  it("are installed in order before the guest runs and undone in reverse after it", async () => {
    const seen: string[] = [];
    const plugin = (name: string): NonNullable<MachineOptions["plugins"]>[number] => ({
      name,
      install: async (machine) => {
        seen.push(`+${name} ${machine.vcpus[0]?.cpu.retired}`);
        machine.events.on("end", ({ reason }) => seen.push(`${name} ${reason}`));
        return () => seen.push(`-${name}`);
      },
    });
    const machine = await machineOf(powerOff, { plugins: [plugin("a"), plugin("b")] });
    await machine.run();
    expect(seen).toEqual(["+a 0", "+b 0", "a power-off", "b power-off", "-b", "-a"]);
  });

  it("one that fails leaves no machine, and those before it are undone", async () => {
    let undone = false;
    const good = {
      name: "good",
      install: () => () => {
        undone = true;
      },
    };
    const bad = {
      name: "bad",
      install: () => {
        throw new Error("cannot");
      },
    };
    await expect(machineOf(powerOff, { plugins: [good, bad] })).rejects.toThrow("cannot");
    expect(undone).toBe(true);
  });

  it("put devices of their own on the buses", async () => {
    const machine = await machineOf((a) => {
      a.mov(edx, 0x100).emit([0xec]);
      a.mov(edx, 0xf4).out(dx, al);
      powerOff(a);
    });
    machine.devices.ports.attach(0x100, 1, { ioRead: () => 0x2a, ioWrite: () => undefined });
    expect(await machine.run()).toEqual({ reason: "power-off", status: 0x2a });
  });

  it("see exits, and can handle one so that the guest runs on", async () => {
    const withheld = 0x30_0000;
    const machine = await machineOf((a) => {
      a.mov(edi, withheld).mov(al, mem(rdi, { size: 1 }));
      powerOff(a);
    });
    const seen: unknown[] = [];
    machine.memory.withhold(withheld / 4096, 1);
    machine.exits.on((exit) => void seen.push(exit));
    machine.exits.on(async (exit) => {
      if (exit.reason !== "memory-fault") return false;
      machine.memory.release(exit.gfn, 1);
      return true;
    });
    expect((await machine.run()).reason).toBe("power-off");
    expect(seen).toEqual([{ reason: "memory-fault", gfn: withheld / 4096, access: 1 }]);
    expect(machine.stats().exits["memory-fault"]).toBe(1);
  });

  it("an exit that none handles ends the machine", async () => {
    const machine = await machineOf((a) => a.mov(al, mem(0x30_0000, { size: 1 })));
    machine.memory.withhold(0x300, 1);
    expect(await machine.run()).toEqual({ reason: "memory-fault", vcpu: 0, gfn: 0x300, access: 1 });
  });
});

describe("statistics", () => {
  it("count instructions exactly, and exits by reason", async () => {
    const machine = await machineOf((a) => {
      a.mov(ecx, 10);
      const loop = a.here("loop");
      a.push(rcx).cpuid().pop(rcx).dec(ecx).jnz(short(loop));
      a.mov(rax, cr3)
        .mov(rdi, 0xfee0_0000)
        .mov(eax, mem(rdi, { disp: 0x20, size: 4 }));
      powerOff(a);
    });
    await machine.run();
    const { instructions, exits, faults, tlbMisses, mips, cpuSeconds, peakRssBytes } = machine.stats();
    expect(instructions).toBe(1 + 50 + 3 + 3);
    expect(exits).toMatchObject({ cpuid: 10, io: 1, mmio: 1, hlt: 0, interrupt: 0, "memory-fault": 0 });
    expect(faults).toBe(0);
    expect(tlbMisses).toBeGreaterThan(0);
    expect(mips).toBeGreaterThan(0);
    expect(cpuSeconds).toBeGreaterThan(0);
    expect(peakRssBytes).toBeGreaterThan(10e6);
  });

  it("take the host's usage from whoever knows it", async () => {
    const usage = { cpuSeconds: 1, cpuSecondsMain: 0.5, peakRssBytes: null };
    const machine = await machineOf(powerOff, { hostUsage: () => usage });
    expect(machine.stats()).toMatchObject(usage);
  });
});

it("the guest starts where its kernel says, with the boot protocol's registers", async () => {
  const machine = await machineOf(powerOff);
  const cpu = machine.vcpus[0]?.cpu;
  expect([cpu?.i32(0xb8), cpu?.regLo(6), cpu?.mode]).toEqual([LOAD, 0x7000, 64]);
});
