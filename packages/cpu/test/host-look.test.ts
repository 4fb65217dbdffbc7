import { type Assembler, ecx, mem, rax, rbx, rcx, rdi } from "@vm/asm";
import { describe, expect, test } from "vitest";
import { CALLS_PER_LOOK } from "../src/ports.js";
import { CODE, DATA, DEVICE, FakeMachine, RBX, RDI, setReg } from "./fake-machine.js";

const CALLS = 50 * CALLS_PER_LOOK;

/** A machine that executes `instruction` `CALLS` times and halts; `look` is its host. */
function repeating(instruction: (a: Assembler) => void, look: (m: FakeMachine) => void): FakeMachine {
  const m: FakeMachine = new FakeMachine({ look: () => look(m) });
  m.assemble(CODE, (a) => {
    a.mov(ecx, CALLS);
    const again = a.here("again");
    instruction(a);
    a.dec(ecx).jne(again).hlt();
  });
  m.assemble(DATA, (a) => a.ret());
  setReg(m.vcpu, RDI, DATA);
  setReg(m.vcpu, RBX, DEVICE);
  return m;
}

/** Instructions that leave generated code, each in its way. */
const OUTSIDE: readonly (readonly [string, (a: Assembler) => void])[] = [
  ["a helper", (a) => a.emit([0xdb, 0xe4])],
  ["device memory", (a) => a.mov(rax, mem(rbx))],
  ["a flushed TLB", (a) => a.emit([0x0f, 0x01, 0x3f]).mov(rax, mem(rdi))],
  ["x87 in software", (a) => a.emit([0xd9, 0xe8, 0xd9, 0xfe, 0xdd, 0xd8])],
];

describe("the host of a vCPU looks", () => {
  test.each(OUTSIDE)("after every so many calls out of generated code: %s", (_, instruction) => {
    let looks = 0;
    repeating(instruction, () => looks++).go();
    expect(looks).toBeGreaterThanOrEqual(CALLS / CALLS_PER_LOOK);
  });

  test("at interrupts and exceptions that follow each other without an end", () => {
    let looks = 0;
    const m = new FakeMachine({ look: () => looks++ });
    m.assemble(CODE, (a) => a.emit([0x0f, 0x0b]));
    m.gate(6, { handler: CODE, ist: 1 });
    m.vcpu.run(100_000);
    expect(looks).toBeGreaterThanOrEqual(1024 / CALLS_PER_LOOK);
  });

  test("not at all while code stays where it is", () => {
    let looks = 0;
    repeating(
      (a) => a.nop(),
      () => looks++,
    ).go();
    expect(looks).toBeLessThan(3);
  });

  test("and a kick of its own ends the run at the next boundary, behind which it goes on", () => {
    const whole = repeating(
      (a) => a.mov(rcx, rcx).mov(rax, mem(rbx)),
      () => undefined,
    );
    whole.go();
    const cut = repeating(
      (a) => a.mov(rcx, rcx).mov(rax, mem(rbx)),
      ({ vcpu }) => vcpu.kick(),
    );
    let kicks = 0;
    while (cut.vcpu.run(100_000).reason === "kicked") kicks++;
    expect(kicks).toBeGreaterThanOrEqual(CALLS / CALLS_PER_LOOK);
    expect([cut.vcpu.retired, cut.bus.log]).toEqual([whole.vcpu.retired, whole.bus.log]);
  });

  // The page is looked up anew behind INVLPG, which is a call: with some of these loops it comes to be the one at which the host looks.
  test.each([0, 1, 2, 3])(
    "and a kick in front of an instruction that an observer has been told of, behind it: %i",
    (n) => {
      const m = repeating(
        (a) => a.emit([0x0f, 0x01, 0x38, ...new Array<number>(n).fill(0x90)]),
        ({ vcpu }) => vcpu.kick(),
      );
      setReg(m.vcpu, 0, CODE);
      const told: number[] = [];
      m.vcpu.watchCode(CODE + 5, 0, true);
      m.vcpu.hooks = { execute: () => void told.push(m.vcpu.retired) };
      let kicks = 0;
      while (m.vcpu.run(100_000).reason === "kicked") kicks++;
      expect(kicks).toBeGreaterThanOrEqual(CALLS / CALLS_PER_LOOK);
      expect(new Set(told).size).toBe(told.length);
      expect(told.length).toBe(CALLS);
    },
  );
});
