import { describe, expect, test } from "vitest";
import { Licence, Seg } from "../src/index.js";
import { CODE, FakeMachine, frame, GDT, HANDLERS, IDT, RSP, reg, rip, setReg, snapshot, TSS } from "./fake-machine.js";
import {
  CODE_AT,
  DATA_AT,
  DATA32,
  descriptor,
  gate,
  type ProtectedMachine,
  place,
  TSS_SELECTOR,
} from "./protected-machine.js";
import { busy, F, field, fill, GATE, LDT, machine, NEXT, OTHER, OTHER_SP, OTHER_TSS, START } from "./task-machine.js";

const VECTOR = 0x40;
const SP = 0x8000;
const CR0_TS = 8;
const GP = 13;
const [NT, RF, TF] = [0x4000, 0x10000, 0x100];

describe("a task switch (SDM vol. 3, 7.3)", () => {
  test("by JMP saves the old task and loads the new one, which is not nested", () => {
    const m = machine();
    m.program((a) => a.ljmp(OTHER_TSS, 0xdeadbeef));
    for (let r = 0; r < 8; r++) setReg(m.vcpu, r, r === 4 ? SP : 0xffffff00 + r);
    m.vcpu.rflags = 0x246;
    m.vcpu.run(1);
    expect(rip(m.vcpu)).toBe(START);
    expect(place(m.vcpu)).toMatchObject({
      cs: CODE_AT[0],
      ss: DATA_AT[0],
      ds: DATA_AT[0],
      fs: 0,
      cpl: 0,
      tr: OTHER_TSS,
      flags: 2,
    });
    expect(m.vcpu.cr0 & CR0_TS).toBe(CR0_TS);
    expect(m.vcpu.paging.cr3Lo).toBe(0x77000);
    expect(Array.from({ length: 8 }, (_, r) => Number(reg(m.vcpu, r)))).toEqual([
      0xa0,
      0xa1,
      0xa2,
      0xa3,
      OTHER_SP,
      0xa5,
      0xa6,
      0xa7,
    ]);
    expect([busy(m, TSS_SELECTOR), busy(m, OTHER_TSS)]).toEqual([false, true]);
    expect(field(m, OTHER, "link")).toBe(0);

    expect(field(m, TSS, "eip")).toBe(NEXT);
    expect(field(m, TSS, "eflags")).toBe(0x246);
    expect(Array.from({ length: 8 }, (_, r) => m.view.getUint32(TSS + F.eax + 4 * r, true))).toEqual(
      Array.from({ length: 8 }, (_, r) => (r === 4 ? SP : 0xffffff00 + r)),
    );
    expect((["es", "cs", "ss", "ds", "fs", "gs"] as const).map((name) => field(m, TSS, name))).toEqual([
      DATA_AT[0],
      CODE_AT[0],
      DATA_AT[0],
      DATA_AT[0],
      DATA_AT[0],
      DATA_AT[0],
    ]);
  });

  test("by CALL nests: link, NT, both busy; IRET goes back and leaves the nested task available without NT", () => {
    const m = machine();
    m.program((a) => a.lcall(OTHER_TSS, 0).nop());
    const before = place(m.vcpu);
    m.vcpu.run(1);
    expect(place(m.vcpu)).toMatchObject({ tr: OTHER_TSS, flags: 2 | NT });
    expect(field(m, OTHER, "link")).toBe(TSS_SELECTOR);
    expect([busy(m, TSS_SELECTOR), busy(m, OTHER_TSS)]).toEqual([true, true]);
    m.vcpu.run(1);
    expect(rip(m.vcpu)).toBe(NEXT);
    expect(place(m.vcpu)).toEqual({ ...before, cr0: before.cr0 | CR0_TS });
    expect(Number(reg(m.vcpu, RSP))).toBe(SP);
    expect([busy(m, TSS_SELECTOR), busy(m, OTHER_TSS)]).toEqual([true, false]);
    expect(field(m, OTHER, "eip")).toBe(START + 1);
    expect(field(m, OTHER, "eflags")).toBe(2);
  });

  test.each([
    ["GDT", GATE | 3],
    ["LDT", 0x17],
  ])("through a task gate in the %s needs the gate's DPL, not that of the TSS", (_, selector) => {
    const m = machine(3);
    m.qword(0xd010, gate(OTHER_TSS, 0, 0xe5));
    m.vcpu.ldtr = { selector: LDT, baseLo: 0xd000, baseHi: 0, limit: 0x17, attributes: 0x82 };
    m.program((a) => a.lcall(selector, 0));
    m.vcpu.run(1);
    expect(place(m.vcpu)).toMatchObject({ tr: OTHER_TSS, cpl: 0 });
    m.vcpu.run(1);
    expect(rip(m.vcpu)).toBe(NEXT);
    expect(place(m.vcpu)).toMatchObject({ tr: TSS_SELECTOR, cpl: 3, ss: DATA_AT[3] });
  });

  test("without paging leaves CR3 alone", () => {
    const m = machine();
    m.vcpu.cr0 &= 0x7fffffff;
    m.vcpu.updatePaging();
    m.program((a) => a.ljmp(OTHER_TSS, 0));
    m.vcpu.run(1);
    expect(rip(m.vcpu)).toBe(START);
    expect(m.vcpu.paging.cr3Lo).toBe(0);
  });

  test("loads LDTR before the segments, which may be in it", () => {
    const m = machine();
    m.qword(0xd008, descriptor(0, 0xfffff, DATA32));
    fill(m, OTHER, { ldt: LDT, ds: 0xc });
    m.program((a) => a.ljmp(OTHER_TSS, 0));
    m.vcpu.run(1);
    expect(m.vcpu.ldtr).toMatchObject({ selector: LDT, baseLo: 0xd000, limit: 0x17 });
    expect(m.vcpu.segments[Seg.DS]).toMatchObject({ selector: 0xc, limit: 0xffffffff });
  });

  test("clears what DR7 enables for the task, not for all", () => {
    const m = machine();
    m.vcpu.dr[14] = 0x7ff;
    m.program((a) => a.ljmp(OTHER_TSS, 0));
    m.vcpu.run(1);
    expect(m.vcpu.dr[14]).toBe(0x6aa);
  });

  test("to a TSS with T is #DB with BT before the first instruction (17.3.1.5)", () => {
    const m = machine();
    fill(m, OTHER, { trap: 1 });
    m.program((a) => a.ljmp(OTHER_TSS, 0));
    expect(m.fault()).toMatchObject({ vector: 1, ip: START });
    expect((m.vcpu.dr[12] as number) & 0xf00f).toBe(0x8000);
  });

  test("to a task with TF traps behind its first instruction; TF of the old one does not trap (17.3.1.4)", () => {
    const m = machine();
    fill(m, OTHER, { eflags: 2 | TF });
    m.assemble(START, (a) => a.nop(), 32);
    m.program((a) => a.ljmp(OTHER_TSS, 0));
    m.vcpu.rflags = 2 | TF;
    expect(m.fault()).toMatchObject({ vector: 1, ip: START + 1 });
  });
});

describe("RF of a task (SDM vol. 3, 17.3.1.1)", () => {
  test.each([
    [0, 1, START],
    [RF, GP, START + 1],
  ])("EFLAGS %i: a breakpoint at its first instruction", (flag, vector, ip) => {
    const m = machine();
    fill(m, OTHER, { eflags: 2 | flag });
    m.assemble(START, (a) => a.nop().lcall(0, 0), 32);
    m.vcpu.dr[0] = START;
    m.vcpu.dr[14] = 0x402;
    m.vcpu.debugRegistersChanged();
    m.program((a) => a.ljmp(OTHER_TSS, 0));
    expect(m.fault()).toMatchObject({ vector, ip });
  });
});

describe("tasks of 16 bits (SDM vol. 3, 7.6)", () => {
  /** Offsets in a 16-bit TSS. */
  const state = (words: readonly number[]): number[] => words.flatMap((w) => [w & 0xff, w >> 8]);

  test("have 16-bit registers, null FS and GS, and keep CR3", () => {
    const m = machine();
    m.describe(OTHER_TSS, descriptor(OTHER, 0x2b, 0x81));
    const words = [0x5000, 0x4046, 1, 2, 3, 4, 0xe000, 6, 7, 8, DATA_AT[0], CODE_AT[0], DATA_AT[0], DATA_AT[0], 0];
    m.write(OTHER + 0x0e, state(words));
    m.program((a) => a.ljmp(OTHER_TSS, 0));
    for (let r = 0; r < 8; r++) setReg(m.vcpu, r, 0xabcd1234);
    m.vcpu.rflags = 0x200002;
    m.vcpu.run(1);
    expect(rip(m.vcpu)).toBe(0x5000);
    expect(m.vcpu.rflags).toBe(0x4046);
    expect(Array.from({ length: 8 }, (_, r) => Number(reg(m.vcpu, r)) & 0xffff)).toEqual([1, 2, 3, 4, 0xe000, 6, 7, 8]);
    expect(place(m.vcpu)).toMatchObject({ cs: CODE_AT[0], ss: DATA_AT[0], fs: 0, gs: 0, tr: OTHER_TSS });
    expect(m.vcpu.paging.cr3Lo).toBe(0);
    expect(m.ram[GDT + OTHER_TSS + 5]).toBe(0x83);
    expect(field(m, TSS, "eax")).toBe(0xabcd1234);
  });

  test("are saved as such", () => {
    const m = machine();
    m.vcpu.tr = { selector: TSS_SELECTOR, baseLo: TSS, baseHi: 0, limit: 0x2b, attributes: 0x83 };
    m.ram.fill(0xee, TSS, TSS + 0x68);
    m.program((a) => a.ljmp(OTHER_TSS, 0));
    for (let r = 0; r < 8; r++) setReg(m.vcpu, r, 0xabcd1230 + r);
    m.vcpu.run(1);
    expect(rip(m.vcpu)).toBe(START);
    const words = [NEXT & 0xffff, 2, ...Array.from({ length: 8 }, (_, r) => 0x1230 + r)];
    words.push(DATA_AT[0], CODE_AT[0], DATA_AT[0], DATA_AT[0]);
    expect([...m.ram.subarray(TSS + 0x0e, TSS + 0x2a)]).toEqual(state(words));
    expect([...m.ram.subarray(TSS + 0x2a, TSS + 0x2c)]).toEqual([0xee, 0xee]);
  });
});

describe("a watched page with a descriptor of the new task", () => {
  test.each([
    ["JMP", (m: ProtectedMachine) => m.program((a) => a.ljmp(OTHER_TSS, 0))],
    ["INT n", (m: ProtectedMachine) => m.program((a) => a.int(VECTOR))],
    ["an interrupt", (m: ProtectedMachine) => m.interrupt(VECTOR)],
  ])("leaves the guest before %s has done anything, and later all of it is done", (_, prepare) => {
    const m = machine();
    m.qword(0xd008, descriptor(0, 0xfffff, DATA32));
    fill(m, OTHER, { ldt: LDT, ds: 0xc });
    m.qword(IDT + 8 * VECTOR, gate(OTHER_TSS, 0, 0xe5));
    m.map(0xd000, { withheld: Licence.Read | Licence.Write });
    m.vcpu.rflags = 0x202;
    m.vcpu.dr[14] = 0x7ff;
    prepare(m);
    const state = () => [snapshot(m.vcpu), place(m.vcpu), m.vcpu.paging.cr3Lo, m.vcpu.dr[14], busy(m, OTHER_TSS)];
    const before = state();
    expect(m.vcpu.run(1)).toMatchObject({ reason: "memory-fault", gfn: 0xd });
    expect(state()).toEqual(before);
    expect(busy(m, TSS_SELECTOR)).toBe(true);
    m.map(0xd000, {});
    m.assemble(START, (a) => a.hlt(), 32);
    m.go();
    expect(rip(m.vcpu)).toBe(START + 1);
    expect(place(m.vcpu)).toMatchObject({ tr: OTHER_TSS, ds: 0xc, ldtr: LDT });
  });
});

describe("in IA-32e mode there is no task switch", () => {
  test("IRET with NT is #GP(0)", () => {
    const m = new FakeMachine();
    m.assemble(CODE, (a) => a.iretq());
    m.vcpu.rflags = 2 | NT;
    m.go();
    expect(rip(m.vcpu)).toBe(HANDLERS + 16 * GP + 1);
    expect(frame(m, true)).toMatchObject({ error: 0, ip: CODE });
  });

  test("an event whose gate is a task gate is #GP(vector)", () => {
    const m = new FakeMachine();
    m.assemble(CODE, (a) => a.int(VECTOR));
    m.gate(VECTOR, { type: 5, selector: 0x28 });
    m.go();
    expect(frame(m, true)).toMatchObject({ error: VECTOR * 8 + 2, ip: CODE });
  });
});
