import { type Assembler, ecx, mem, rax, rbx, rdi, rdx } from "@vm/asm";
import { expect, test } from "vitest";
import { CALLS_PER_LOOK } from "../../src/ports.js";
import * as S from "../../src/state.js";
import { CODE, DATA, FakeMachine, RDI, setReg } from "../fake-machine.js";

/** The counter counts instructions here, so that a reading tells how many were counted when it was taken. */

const ROUNDS = 40;
const HANDLER = DATA + 0x2000;
const CR4_TSD = 4;

/** Runs `body` `ROUNDS` times; RDI goes through the data. @returns the data, and the share that regions had */
function repeat(jit: boolean, body: (a: Assembler) => void, budget = 100_000) {
  const machine = new FakeMachine(jit ? { jit: { threshold: 1, again: 1, batch: 1 } } : {});
  const { vcpu } = machine;
  vcpu.setMsr(0xc0000103, 0x12345, 0);
  machine.assemble(CODE, (a) => {
    a.mov(ecx, ROUNDS).mov(rbx, 1);
    const again = a.here("again");
    body(a);
    a.dec(mem(DATA + 0x1000, { size: 4 }))
      .jnz(again)
      .hlt();
  });
  machine.write(DATA + 0x1000, [ROUNDS, 0, 0, 0]);
  setReg(vcpu, RDI, DATA);
  while (vcpu.run(budget).reason !== "hlt") expect(vcpu.retired).toBeLessThan(100_000);
  const share = vcpu.i32(S.REGION_RETIRED) / vcpu.retired;
  return { data: Buffer.from(machine.ram.subarray(DATA, DATA + 0xf00)).toString("hex"), share };
}

/** Keeps what was read. */
const keep = (a: Assembler): void =>
  void a
    .mov(mem(rdi), rax)
    .mov(mem(rdi, { disp: 8 }), rdx)
    .add(rdi, 16);

test.each([100_000, 7])("RDTSC and RDTSCP read the same in regions as in the interpreter (budgets of %i)", (budget) => {
  const body = (a: Assembler): void => {
    a.inc(rbx).rdtsc();
    keep(a);
    a.add(rbx, rbx).add(rbx, 3).rdtscp();
    keep(a);
    a.mov(mem(rdi), ecx).add(rdi, 8);
  };
  const [interpreted, compiled] = [repeat(false, body, budget), repeat(true, body, budget)];
  expect(compiled.data).toBe(interpreted.data);
  expect(new Set(interpreted.data.match(/.{16}/g)).size).toBeGreaterThan(2 * ROUNDS);
  expect(compiled.share).toBeGreaterThan(budget > 7 ? 0.8 : 0);
});

test("CR4.TSD keeps a program from the counter, also in a region that was made before", () => {
  const machine = new FakeMachine({ jit: { threshold: 1, again: 1, batch: 1 } });
  const { vcpu } = machine;
  machine.assemble(CODE, (a) => {
    a.mov(ecx, ROUNDS);
    const again = a.here("again");
    a.rdtsc().dec(ecx).jnz(again).ud2();
  });
  machine.gate(6, { handler: HANDLER });
  machine.gate(13, { handler: HANDLER });
  const run = (cpl: 0 | 3): number => {
    machine.setPrivilege(vcpu, cpl);
    vcpu.setRip(CODE, 0);
    vcpu.activity = "active";
    vcpu.run(100_000);
    return vcpu.counts.faults;
  };
  machine.assemble(HANDLER, (a) => a.hlt());
  const ecxAfter = (): number => vcpu.regLo(1);
  expect([run(3), ecxAfter()]).toEqual([1, 0]);
  expect(vcpu.i32(S.REGION_RETIRED)).toBeGreaterThan(ROUNDS);
  vcpu.cr4 |= CR4_TSD;
  // The first of its readings is the one that faults.
  expect([run(3), ecxAfter()]).toEqual([2, ROUNDS]);
  expect([run(0), ecxAfter()]).toEqual([3, 0]);
});

test("the host looks after every so many readings of the counter", () => {
  let looks = 0;
  const machine = new FakeMachine({ jit: { threshold: 1, again: 1, batch: 1 }, look: () => looks++ });
  const readings = 50 * CALLS_PER_LOOK;
  machine.assemble(CODE, (a) => {
    a.mov(ecx, readings);
    const again = a.here("again");
    a.rdtsc().dec(ecx).jnz(again).hlt();
  });
  machine.go();
  expect(machine.vcpu.i32(S.REGION_RETIRED)).toBeGreaterThan(readings);
  expect(looks).toBeGreaterThanOrEqual(50);
});
