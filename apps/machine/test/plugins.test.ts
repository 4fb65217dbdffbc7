import { type Assembler, al, dx, eax, ebx, ecx, edx, mem, rax, rbx, rcx, rdx } from "@vm/asm";
import { VirtioRng } from "@vm/devices";
import { Licence } from "@vm/mmu";
import { describe, expect, it, vi } from "vitest";
import type { Machine, MachineHandle, MachineOptions, Plugin } from "../src/index.js";
import { createMachine, MachineError } from "../src/index.js";
import { LOAD, machineOf, powerOff } from "./guest.js";

const plugin = (install: Plugin["install"], name = "test"): Plugin => ({ name, install });

/** Runs `write`'s code with a plugin, to a power-off. */
async function run(
  write: (a: Assembler) => void,
  install: Plugin["install"],
  options: MachineOptions = {},
): Promise<Machine> {
  const code = (a: Assembler): void => {
    write(a);
    powerOff(a);
  };
  const machine = await machineOf(code, { clock: "icount", ...options, plugins: [plugin(install)] });
  expect(await machine.run()).toEqual({ reason: "power-off", status: null });
  return machine;
}

const registers = (machine: Machine) => {
  const [vcpu] = machine.vcpus;
  if (vcpu === undefined) throw new Error("a machine has a processor");
  return vcpu.registers;
};

describe("what a plugin adds to the processors", () => {
  it("an MSR is read and written; what its provider refuses is #GP", async () => {
    let stored = 0x1122_3344_5566_7788n;
    const guest = (a: Assembler): void => {
      a.mov(ecx, 0x4b564dff).rdmsr().mov(rbx, rax).mov(eax, 7).mov(edx, 1).wrmsr();
    };
    const machine = await run(guest, ({ additions }) => {
      additions.msr(0x4b564dff, {
        read: () => stored,
        write: (_vcpu, value) => {
          stored = value;
          return true;
        },
      });
    });
    expect([stored, registers(machine).rbx]).toEqual([0x1_0000_0007n, 0x5566_7788n]);

    const refused = await machineOf((a) => a.mov(ecx, 0x4b564dff).rdmsr(), {
      plugins: [plugin(({ additions }) => void additions.msr(0x4b564dff, { read: () => null, write: () => false }))],
    });
    // There is no handler: #GP becomes a triple fault.
    expect(await refused.run()).toEqual({ reason: "shutdown", vcpu: 0 });
  });

  it("a CPUID leaf is read, its range reaches it, and bits join those of another leaf", async () => {
    const guest = (a: Assembler): void => {
      a.mov(eax, 0x40000000)
        .cpuid()
        .mov(mem(LOAD + 0x4000), rax);
      a.mov(eax, 0x40000010)
        .mov(ecx, 3)
        .cpuid()
        .mov(mem(LOAD + 0x4008), rax)
        .mov(mem(LOAD + 0x4010), rdx);
      a.mov(eax, 0x40000001)
        .mov(ecx, 0)
        .cpuid()
        .mov(mem(LOAD + 0x4018), rax);
    };
    const machine = await run(guest, ({ additions }) => {
      additions.cpuid(0x40000010, (subleaf, { id }) => ({ eax: 0x100 + subleaf, ebx: 0, ecx: 0, edx: 0x200 + id }));
      additions.cpuidBits(0x40000001, { eax: 1 << 14 });
      additions.cpuidBits(0x40000001, { eax: 1 << 4 });
    });
    const words = [0, 8, 16, 24].map((at) => machine.memory.readU32(LOAD + 0x4000 + at));
    expect(words).toEqual([0x40000010, 0x103, 0x200, (1 << 14) | (1 << 4)]);
  });

  it("a hypercall is answered at CPL 0", async () => {
    const guest = (a: Assembler): void => {
      a.mov(eax, 12).mov(ebx, 5).vmcall().mov(rbx, rax).mov(eax, 99).vmcall();
    };
    const machine = await run(guest, ({ additions }) => {
      additions.hypercall(12, ({ registers: { rbx } }) => -rbx);
    });
    expect([registers(machine).rbx, registers(machine).rax & ~0xffn]).toEqual([
      BigInt.asUintN(64, -5n),
      BigInt.asUintN(64, -1000n) & ~0xffn,
    ]);
  });

  it.each<[string, (machine: MachineHandle) => unknown]>([
    [
      "MSR 0xc0000080 is there already",
      ({ additions }) => additions.msr(0xc0000080, { read: () => 0n, write: () => true }),
    ],
    ["MSR 0x1b is there already", ({ additions }) => additions.msr(0x1b, { read: () => 0n, write: () => true })],
    ["MSR 0x802 is there already", ({ additions }) => additions.msr(0x802, { read: () => 0n, write: () => true })],
    [
      "MSR 0x4b564d01 is there already",
      ({ additions }) => additions.msr(0x4b564d01, { read: () => 0n, write: () => true }),
    ],
    [
      "CPUID leaf 0x7 is there already",
      ({ additions }) => additions.cpuid(7, () => ({ eax: 0, ebx: 0, ecx: 0, edx: 0 })),
    ],
    ["hypercall 10 is there already", ({ additions }) => additions.hypercall(10, () => 0n)],
    ["interrupt 4 is not free; free are 16, 17, 18, 19, 20, 21, 22, 23", ({ devices }) => devices.takeInterrupt(4)],
  ])("%s", async (message, install) => {
    const refusal = createMachine({
      memory: 16 << 20,
      kvmClock: true,
      plugins: [plugin((machine) => void install(machine))],
    });
    await expect(refusal).rejects.toThrow(new MachineError("taken", message));
    await expect(refusal).rejects.toMatchObject({ code: "taken" });
  });

  it("what is taken back is free again", async () => {
    await createMachine({
      memory: 16 << 20,
      plugins: [
        plugin(({ additions }) => {
          const provider = { read: () => 0n, write: () => true };
          const undo = additions.msr(0x123, provider);
          expect(() => additions.msr(0x123, provider)).toThrow(MachineError);
          undo();
          undo();
          additions.msr(0x123, provider);
        }),
      ],
    });
  });
});

describe("what a plugin puts on the board", () => {
  it("ports, addresses and an interrupt that are free", async () => {
    const guest = (a: Assembler): void => {
      a.mov(dx, 0x1000).in(al, dx).mov(ebx, 0xc000_0000).mov(rcx, mem(rbx)).mov(rbx, rax);
    };
    const machine = await run(guest, ({ devices, memory }) => {
      const [port, address] = [devices.freePorts(4), devices.freeAddresses(4096)];
      expect([port, address, devices.freeInterrupts]).toEqual([0x1000, 0xc000_0000, [16, 17, 18, 19, 20, 21, 22, 23]]);
      devices.ports.attach(0x1000, 4, { ioRead: () => 0x5a, ioWrite: () => undefined });
      devices.mmio.attach(0xc000_0000, 4096, { mmioRead: (offset) => 0x11 + offset, mmioWrite: () => undefined });
      expect([devices.freePorts(1), devices.freeAddresses(16)]).toEqual([0x1004, 0xc000_1000]);
      memory.setMemslot({ slot: 9, gpa: 0xc000_1000, size: 4096 });
      expect(devices.freeAddresses(16)).toBe(0xc000_2000);
      expect([devices.takeInterrupt().gsi, devices.takeInterrupt(20).gsi]).toEqual([16, 20]);
      expect(devices.freeInterrupts).toEqual([17, 18, 19, 21, 22, 23]);
    });
    expect([registers(machine).rbx & 0xffn, registers(machine).rcx]).toEqual([0x5an, 0x15_0000_0011n]);
  });

  it("virtio devices get the slots behind the disks, until no interrupt is left, and stand in the ACPI tables", async () => {
    const rng = (): VirtioRng => new VirtioRng({ entropy: { fill: (dst) => void dst.fill(7) } });
    const slots: unknown[] = [];
    let handle: MachineHandle | undefined;
    const machine = await createMachine({
      memory: 16 << 20,
      plugins: [
        plugin((machine) => {
          handle = machine;
          for (let k = 0; k < 8; k++) slots.push(machine.devices.attachVirtio(rng()));
          expect(() => machine.devices.attachVirtio(rng())).toThrow(
            new MachineError("exhausted", "no interrupt is left for another device"),
          );
          machine.devices.describe({ hid: "ACME0001", memory: [{ base: 0xd000_0000, size: 4096 }] });
        }),
      ],
    });
    expect([slots[0], slots[7]]).toEqual([
      { base: 0xfeb0_0000, size: 0x200, gsi: 16 },
      { base: 0xfeb0_0e00, size: 0x200, gsi: 23 },
    ]);
    const tables = new Uint8Array(4096);
    machine.memory.read(0xe0000, tables);
    const text = Buffer.from(tables).toString("latin1");
    expect(text.match(/LNRO0005/g)).toHaveLength(8);
    expect(text).toContain("ACME0001");
    expect(() => handle?.devices.attachVirtio(rng())).toThrow(MachineError);
    expect(() => handle?.devices.describe({ hid: "ACME0002" })).toThrow(expect.objectContaining({ code: "state" }));
  });

  it("a device that no table can describe is refused, and plugins are undone", async () => {
    const undone = vi.fn();
    const refusal = createMachine({
      memory: 16 << 20,
      plugins: [
        plugin(({ devices }) => {
          devices.describe({ hid: "no such" });
          return undone;
        }),
      ],
    });
    await expect(refusal).rejects.toMatchObject({ name: "AmlError", code: "hid" });
    expect(undone).toHaveBeenCalledOnce();
  });
});

it("a page that is not there yet can be told to the guest as a page fault with a token, as KVM's asynchronous page faults are", async () => {
  const guest = (a: Assembler): void => {
    a.mov(rcx, mem(LOAD + 0x5000));
  };
  const told: unknown[] = [];
  const machine = await run(guest, ({ vcpus: [vcpu], memory }) => {
    if (vcpu === undefined) throw new Error("a machine has a processor");
    const page = (LOAD + 0x5000) >> 12;
    memory.write(LOAD + 0x5000, Uint8Array.of(7));
    memory.withhold(page, Licence.All);
    vcpu.on("pageAccess", (gfn, access, address) => {
      told.push([gfn, access, address]);
      vcpu.registers.cr2 = 0x1234n;
      vcpu.inject(14, 0);
      return false;
    });
    // In place of a guest that would wait for the page: it has come, and the access is tried again.
    vcpu.on("inject", (...event) => {
      told.push(event);
      memory.release(page, Licence.All);
      return false;
    });
  });
  expect(told).toEqual([
    [(LOAD + 0x5000) >> 12, Licence.Read, BigInt(LOAD + 0x5000)],
    [14, 0, "exception", 0x1234n],
  ]);
  expect(registers(machine).rcx).toBe(7n);
});

describe("a look at the guest's memory", () => {
  it("changes nothing and raises nothing, in a hook too: unmapped, not canonical, withheld, a device", async () => {
    const guest = (a: Assembler): void => {
      a.mov(eax, 1).cpuid();
    };
    const answers: unknown[] = [];
    const machine = await run(guest, ({ vcpus, memory, events }) => {
      const seen = vi.fn(() => true);
      const [vcpu] = vcpus;
      if (vcpu === undefined) throw new Error("a machine has a processor");
      memory.write(LOAD + 0x5000, new TextEncoder().encode("hello\0"));
      memory.withhold((LOAD + 0x5000) >> 12, Licence.All);
      vcpu.on("pageAccess", seen);
      vcpu.on("cpuid", () => {
        const own = vcpu.memory;
        answers.push(
          own.read(0x7000_0000_0000n, 8),
          own.read(1n << 63n, 8),
          own.read(0xfeb0_0000n, 4),
          own.readU64(2n ** 64n - 4n),
        );
        answers.push(own.readString(BigInt(LOAD + 0x5000)), own.translate(BigInt(LOAD + 0x5001)));
        answers.push(own.write(BigInt(LOAD + 0x5ffe), Uint8Array.of(1, 2, 3, 4)), own.read(BigInt(LOAD + 0x5ffe), 4));
        answers.push(own.write(0x7000_0000_0000n, Uint8Array.of(1)), own.readString(BigInt(LOAD + 0x5000), 3));
      });
      events.on("end", () => expect(seen).not.toHaveBeenCalled());
    });
    expect(answers).toEqual([
      ...[null, null, null, null],
      ...["hello", LOAD + 0x5001],
      ...[true, Uint8Array.of(1, 2, 3, 4)],
      ...[false, null],
    ]);
    expect(machine.vcpus[0]?.cpu.counts.faults).toBe(0);
  });

  it("a write that cannot all be done stores nothing", async () => {
    const machine = await machineOf(powerOff);
    const [vcpu] = machine.vcpus;
    const end = (16 << 20) - 2;
    expect(vcpu?.memory.write(BigInt(end), Uint8Array.of(9, 9, 9, 9))).toBe(false);
    expect(vcpu?.memory.read(BigInt(end), 2)).toEqual(Uint8Array.of(0, 0));
  });
});

describe("the end of a machine", () => {
  it("every listener and disposer is called, whatever others throw; run tells what they threw", async () => {
    const calls: string[] = [];
    const failing = (name: string) => (): never => {
      calls.push(name);
      throw new Error(name);
    };
    const machine = await machineOf(powerOff, {
      plugins: [
        plugin(({ events }) => {
          events.on("end", failing("first listener"));
          events.on("end", () => void calls.push("second listener"));
          return () => void calls.push("first disposer");
        }),
        plugin(() => failing("second disposer")),
      ],
    });
    const end = await machine.run();
    expect(calls).toEqual(["first listener", "second listener", "second disposer", "first disposer"]);
    expect(end).toEqual({
      reason: "power-off",
      status: null,
      pluginErrors: [new Error("first listener"), new Error("second disposer")],
    });
    await expect(machine[Symbol.asyncDispose]()).rejects.toThrow(AggregateError);
  });

  it("a plugin that cannot be installed has those before it undone; what they throw is told as well", async () => {
    const refusal = machineOf(powerOff, {
      plugins: [
        plugin(() => () => {
          throw new Error("undoing");
        }),
        plugin(() => Promise.reject(new Error("installing"))),
      ],
    });
    await expect(refusal).rejects.toMatchObject({ errors: [new Error("installing"), new Error("undoing")] });
  });

  it("an abort stops it", async () => {
    const controller = new AbortController();
    const machine = await machineOf((a) => a.jmp(a.here("forever")), { signal: controller.signal });
    const end = machine.run();
    controller.abort();
    expect(await end).toEqual({ reason: "stopped" });
    const aborted = machineOf(powerOff, { signal: AbortSignal.abort(new Error("no")) });
    await expect(aborted).rejects.toThrow("no");
  });

  it("is waited for where the machine is disposed of", async () => {
    const machine = await machineOf((a) => a.jmp(a.here("forever")));
    await machine[Symbol.asyncDispose]();
    expect(machine.ended).toEqual({ reason: "stopped" });
  });
});

it("a processor's state says what it is about", async () => {
  const machine = await machineOf((a) => a.jmp(a.here("forever")), { cpus: 2 });
  const [first, second] = machine.vcpus;
  expect(first?.state).toBe("paused");
  const end = machine.run();
  await new Promise((resolve) => setImmediate(resolve));
  expect([first?.state, second?.state]).toEqual(["running", "wait-for-sipi"]);
  const release = first?.hold();
  expect(first?.state).toBe("held");
  release?.();
  await machine.pause();
  expect([first?.state, second?.state]).toEqual(["paused", "paused"]);
  machine.resume();
  expect(first?.state).toBe("running");
  machine.stop();
  await end;
  expect(first?.state).toBe("finished");
});
