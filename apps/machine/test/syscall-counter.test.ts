import { cr3, eax, ecx, edi, edx, esi, mem, rax, rcx } from "@vm/asm";
import { expect, it } from "vitest";
import { machineOf, powerOff } from "./guest.js";
import { SyscallCounter } from "./syscall-counter.example.mjs";

const [EFER, STAR, LSTAR] = [0xc0000080, 0xc0000081, 0xc0000082] as const;
const [FIRST, SECOND] = [0x9000, 0x5_0000] as const;

it("the plugin of the README counts system calls by process", async () => {
  const counter = new SyscallCounter();
  const machine = await machineOf(
    (a) => {
      const [kernel, start] = [a.label("kernel"), a.label("start")];
      const call = (number: number): void => void a.mov(eax, number).syscall();
      a.jmp(start);
      a.bind(kernel).jmp(rcx);
      a.bind(start);
      a.mov(ecx, EFER).rdmsr().or(eax, 1).wrmsr();
      a.mov(ecx, STAR).mov(eax, 0).mov(edx, 0x10).wrmsr();
      a.lea(rax, mem(kernel)).mov(ecx, LSTAR).mov(edx, 0).wrmsr();
      for (const number of [39, 39, 1]) call(number);
      a.mov(esi, FIRST).mov(edi, SECOND).mov(ecx, 512).rep().movsq();
      a.mov(eax, SECOND).mov(cr3, rax);
      call(39);
      powerOff(a);
    },
    { plugins: [counter] },
  );
  expect(await machine.run()).toEqual({ reason: "power-off", status: null });
  const seen = [...counter.counts].map(([process, calls]) => [process, Object.fromEntries(calls)]);
  expect(seen).toEqual([
    [FIRST & ~0x1fff, { 39: 2, 1: 1 }],
    [SECOND, { 39: 1 }],
  ]);
  expect("syscall" in (machine.vcpus[0]?.cpu.hooks ?? {})).toBe(false);
});
