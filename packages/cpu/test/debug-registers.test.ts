import { al, dr6 as DR6, eax, mem, rax, rbx, ss } from "@vm/asm";
import { describe, expect, test } from "vitest";
import * as S from "../src/state.js";
import { CODE, DATA, FakeMachine, frame, HANDLERS, KERNEL_SS, RAX, RBX, reg, rip, setReg } from "./fake-machine.js";

const DB = 1;
const BS = 0x4000;
const LOW = 0xffff0ff0;

const entered = (m: FakeMachine): boolean => rip(m.vcpu) === HANDLERS + 16 * DB + 1;
const dr6 = (m: FakeMachine): number => (m.vcpu.dr[12] as number) >>> 0;

/** A machine at CODE with DR0 = `at` and the R/W and LEN fields of DR7 for it. */
function machine(at: number, field: number, write: Parameters<FakeMachine["assemble"]>[1], flags = 0): FakeMachine {
  const m = new FakeMachine();
  m.assemble(CODE, write);
  m.vcpu.rflags = 2 | flags;
  m.vcpu.dr[0] = at;
  m.vcpu.dr[14] = 0x401 | (field << 16);
  m.vcpu.debugRegistersChanged();
  setReg(m.vcpu, RBX, DATA);
  return m;
}

const EXECUTE = 0;
const WRITE4 = 0xd;
const ACCESS4 = 0xf;
const IO1 = 2;

describe("instruction breakpoints (SDM vol. 3, 17.3.1.1)", () => {
  test("#DB is a fault: before the instruction, with RF clear in the image", () => {
    const m = machine(CODE + 3, EXECUTE, (a) => a.inc(rax).inc(rax).inc(rax));
    m.go();
    expect(entered(m)).toBe(true);
    expect(frame(m, false).ip).toBe(CODE + 3);
    expect(frame(m, false).flags & S.RF).toBe(0);
    expect(dr6(m)).toBe((LOW | 1) >>> 0);
    expect(reg(m.vcpu, RAX)).toBe(1n);
  });

  test("RF lets the instruction run once, and is gone after it", () => {
    const m = machine(CODE, EXECUTE, (a) => a.inc(rax).inc(rax), S.RF);
    m.vcpu.run(2);
    expect(reg(m.vcpu, RAX)).toBe(2n);
    expect(m.vcpu.flags & S.RF).toBe(0);
  });

  test("other pages and other instructions of the page run as ever", () => {
    const m = machine(CODE + 0x800, EXECUTE, (a) => a.inc(rax).inc(rax).inc(rax));
    m.vcpu.run(3);
    expect(reg(m.vcpu, RAX)).toBe(3n);
  });

  test("not on the instruction after MOV SS (SDM vol. 3, 6.8.3)", () => {
    const m = machine(CODE + 2, EXECUTE, (a) => a.mov(ss, eax).inc(rbx).inc(rbx));
    setReg(m.vcpu, RAX, KERNEL_SS);
    m.vcpu.run(3);
    expect(entered(m)).toBe(false);
    expect(reg(m.vcpu, RBX)).toBe(BigInt(DATA + 2));
  });
});

describe("data breakpoints (SDM vol. 3, 17.3.1.2)", () => {
  test("a store is followed by #DB, as a trap", () => {
    const m = machine(DATA, WRITE4, (a) => a.mov(mem(rbx, { disp: 2 }), al).inc(rax));
    m.go();
    expect(entered(m)).toBe(true);
    expect(frame(m, false).ip).toBe(CODE + 3);
    expect(dr6(m)).toBe((LOW | 1) >>> 0);
  });

  test("a write breakpoint does not see loads, an access breakpoint does", () => {
    const load = (field: number): FakeMachine => {
      const m = machine(DATA, field, (a) => a.mov(eax, mem(rbx)).inc(rax));
      m.vcpu.run(2);
      return m;
    };
    expect(dr6(load(WRITE4))).toBe(LOW);
    expect(dr6(load(ACCESS4))).toBe((LOW | 1) >>> 0);
  });

  test("neighbours in the same page do not trigger it, and still arrive", () => {
    const m = machine(DATA, WRITE4, (a) => a.mov(mem(rbx, { disp: 4 }), al));
    setReg(m.vcpu, RAX, 0x5a);
    m.vcpu.run(1);
    expect(dr6(m)).toBe(LOW);
    setReg(m.vcpu, RAX, 0);
    m.assemble(CODE + 0x40, (a) => a.mov(al, mem(rbx, { disp: 4 })));
    m.vcpu.setRip(CODE + 0x40, 0);
    m.vcpu.run(1);
    expect(reg(m.vcpu, RAX)).toBe(0x5an);
  });

  test("with TF set, one #DB tells both", () => {
    const m = machine(DATA, WRITE4, (a) => a.mov(mem(rbx), al).inc(rax), S.TF);
    m.go();
    expect(dr6(m)).toBe((LOW | BS | 1) >>> 0);
  });
});

test("a port breakpoint needs CR4.DE and follows the instruction", () => {
  for (const de of [0, 8]) {
    const m = machine(0x80, IO1, (a) => a.out(0x80, al).inc(rax));
    m.vcpu.cr4 |= de;
    m.vcpu.debugRegistersChanged();
    m.vcpu.run(2);
    expect(dr6(m)).toBe((de ? LOW | 1 : LOW) >>> 0);
  }
});

test("DR7.GD: MOV DR is #DB with BD before it runs, and delivery clears GD (SDM vol. 3, 17.2.4)", () => {
  const m = machine(0, EXECUTE, (a) => a.mov(rax, DR6));
  m.vcpu.dr[14] = 0x2400;
  m.vcpu.debugRegistersChanged();
  m.go();
  expect(entered(m)).toBe(true);
  expect(frame(m, false).ip).toBe(CODE);
  expect(dr6(m)).toBe((LOW | 0x2000) >>> 0);
  expect((m.vcpu.dr[14] as number) & 0x2000).toBe(0);
});
