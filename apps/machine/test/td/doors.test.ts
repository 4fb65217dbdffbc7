import { type Assembler, cl, eax, mem, r8, rax, rcx, short } from "@vm/asm";
import { PrivateMemoryError } from "@vm/mmu";
import { describe, expect, it } from "vitest";
import { createMachine, kvmi, type Machine, MachineError, tdx } from "../../src/index.js";
import { elfKernel, LOAD } from "../elf-kernel.js";
import { powerOff, tdOf } from "./bare.js";

const SECRET = 0x20_0000;

/** Writes a secret to its memory, and ends. */
function keepSecret(a: Assembler): void {
  a.mov(r8, SECRET).mov(rax, 0x1122_3344_5566_7788n).mov(mem(r8), rax);
  powerOff(a, 5);
}

const ended = async (machine: Machine) => await machine.run();
const code = (work: () => unknown): unknown => {
  try {
    work();
    return "nothing thrown";
  } catch (error) {
    return error instanceof MachineError ? error.code : error;
  }
};

describe("a TD on a machine", () => {
  it("runs, and what it asks for by TDVMCALL is done", async () => {
    expect(await ended(await tdOf(keepSecret))).toEqual({ reason: "power-off", status: 5 });
  });

  it("gets as far, instruction for instruction, in both engines", async () => {
    const machines = await Promise.all(
      (["interpreter", "jit"] as const).map((engine) =>
        tdOf(
          (a) => {
            a.mov(rcx, 20_000).xor(eax, eax);
            const loop = a.here("loop");
            a.add(eax, 3).dec(rcx).jnz(short(loop));
            powerOff(a, 1);
          },
          { engine, clock: "icount" },
        ),
      ),
    );
    const runs: [unknown, number][] = [];
    for (const machine of machines) runs.push([await ended(machine), machine.stats().instructions]);
    expect(runs[0]).toEqual(runs[1]);
  });

  it("that touches memory which it has not accepted is dead, and the machine says why", async () => {
    // All memory is accepted by the loader, but for what is not there.
    const end = await ended(await tdOf((a) => a.mov(r8, 0x4000_0000).mov(cl, mem(r8))));
    expect(end).toMatchObject({ reason: "memory-fault", vcpu: 0, gfn: 0x4_0000 });
  });

  it("that gives up says with what", async () => {
    const end = await ended(
      await tdOf((a) => {
        a.xor(eax, eax).emit([0x45, 0x31, 0xd2]).emit([0x41, 0xbb, 0x03, 0x00, 0x01, 0x00]);
        a.emit([0x41, 0xbc, 0x34, 0x12, 0, 0]).emit([0x49, 0xbe, 0x77, 0x68, 0x79, 0, 0, 0, 0, 0]);
        a.emit([0xb9, 0, 0x7c, 0, 0]).tdcall();
      }),
    );
    expect(end).toMatchObject({ reason: "fatal-error", vcpu: 0, code: 0x1234, message: "why" });
  });
});

describe("what is private to a TD is not to be had", () => {
  it("by the host: reading and writing its memory is refused, before and after it has run", async () => {
    const machine = await tdOf(keepSecret);
    const { memory } = machine;
    for (const gpa of [0, LOAD, SECRET, 0xffff_f000]) {
      expect(code(() => memory.read(gpa, new Uint8Array(8)))).toBeInstanceOf(PrivateMemoryError);
      expect(code(() => memory.write(gpa, new Uint8Array(8)))).toBeInstanceOf(PrivateMemoryError);
    }
    await ended(machine);
    expect(code(() => memory.read(SECRET, new Uint8Array(8)))).toBeInstanceOf(PrivateMemoryError);
    expect(code(() => memory.save().pages[Symbol.iterator]().next())).toBeInstanceOf(PrivateMemoryError);
  });

  it("by a plugin or a debugger: registers, hooks, breakpoints, linear memory and events are refused", async () => {
    const machine = await tdOf(keepSecret);
    const [vcpu] = machine.vcpus;
    if (vcpu === undefined) throw new Error("it has a processor");
    const doors = [
      () => vcpu.registers.rax,
      () => vcpu.memory,
      () => vcpu.cpu,
      () => vcpu.on("cpuid", () => undefined),
      () => vcpu.breakpoint(0n, () => undefined),
      () => vcpu.inject(3),
      () => vcpu.leave(),
    ];
    expect(doors.map(code)).toEqual(doors.map(() => "private"));
    expect([vcpu.id, vcpu.state]).toEqual([0, "paused"]);
    machine.stop();
    await machine.run();
  });

  it("by introspection: a machine with both is refused, and so are options that a TD cannot have", async () => {
    const kernel = elfKernel(keepSecret);
    const introspection = kvmi({ connect: () => Promise.reject(new Error("nobody there")) } as never);
    const refused = async (options: Parameters<typeof createMachine>[0]) =>
      code(
        await createMachine(options).then(
          () => () => undefined,
          (error: unknown) => () => {
            throw error;
          },
        ),
      );
    const base = { memory: 16 << 20, kernel };
    expect(await refused({ ...base, plugins: [tdx(), introspection] })).toBe("private");
    expect(await refused({ ...base, plugins: [tdx()], kvmClock: true })).toBe("option");
    expect(await refused({ ...base, plugins: [tdx()], legacyDevices: true })).toBe("option");
    expect(await refused({ memory: 16 << 20, plugins: [tdx()] })).toBe("option");
  });
});
