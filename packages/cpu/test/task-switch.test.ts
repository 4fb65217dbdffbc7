import { describe, expect, test } from "vitest";
import { Licence, Seg } from "../src/index.js";
import { CODE, FakeMachine, frame, GDT, HANDLERS, IDT, RSP, reg, rip, setReg, snapshot, TSS } from "./fake-machine.js";
import {
  CODE_AT,
  CODE32,
  DATA_AT,
  DATA32,
  descriptor,
  dplBits,
  FREE,
  gate,
  type Level,
  ProtectedMachine,
  place,
  TSS_SELECTOR,
} from "./protected-machine.js";

/** The other task's TSS, and that of the task that handles faults, with their descriptors; a gate to the other task. */
const OTHER = TSS + 0x100;
const HANDLER = TSS + 0x200;
const OTHER_TSS = FREE;
const HANDLER_TSS = FREE + 8;
const GATE = FREE + 0x10;
const LDT = FREE + 0x18;
/** Descriptors for rows to spoil. */
const SPARE = FREE + 0x20;

const START = 0x12000;
const HANDLE = 0x13000;
const SP = 0x8000;
const OTHER_SP = 0xe000;
const HANDLER_SP = 0xf000;
const VECTOR = 0x40;
const [DF, TS, NP, SS, GP, PF, AC] = [8, 10, 11, 12, 13, 14, 17];
const CR0_TS = 8;
const [NT, RF, TF] = [0x4000, 0x10000, 0x100];

/** Offsets in a 32-bit TSS (SDM vol. 3, figure 7-2). */
const F = {
  link: 0,
  cr3: 0x1c,
  eip: 0x20,
  eflags: 0x24,
  eax: 0x28,
  esp: 0x38,
  es: 0x48,
  cs: 0x4c,
  ss: 0x50,
  ds: 0x54,
  fs: 0x58,
  gs: 0x5c,
  ldt: 0x60,
  trap: 0x64,
} as const;
type Fields = Partial<Record<keyof typeof F, number>>;

function fill(m: ProtectedMachine, at: number, fields: Fields): void {
  for (const [name, value] of Object.entries(fields)) m.d32(at + F[name as keyof typeof F], value);
}

const segmentsOf = (level: Level): Fields => {
  const data = DATA_AT[level];
  return { cs: CODE_AT[level], ss: data, ds: data, es: data, fs: data, gs: data };
};

/** Code at `level`, and another task that starts at `START` with EAX to EDI of 0xa0 to 0xa7. */
function machine(level: Level = 0): ProtectedMachine {
  const m = new ProtectedMachine(level);
  m.describe(OTHER_TSS, descriptor(OTHER, 0x67, 0x89));
  m.describe(HANDLER_TSS, descriptor(HANDLER, 0x67, 0x89));
  m.describe(GATE, gate(OTHER_TSS, 0, 0xe5));
  m.describe(LDT, descriptor(0xd000, 0x17, 0x82));
  for (let r = 0; r < 8; r++) m.d32(OTHER + F.eax + 4 * r, 0xa0 + r);
  fill(m, OTHER, { ...segmentsOf(0), eip: START, eflags: 2, esp: OTHER_SP, cr3: 0x77000, fs: 0 });
  fill(m, HANDLER, { ...segmentsOf(0), eip: HANDLE, eflags: 2, esp: HANDLER_SP, cr3: 0x78000 });
  m.assemble(START, (a) => a.iretd(), 32);
  m.assemble(HANDLE, (a) => a.hlt(), 32);
  return m;
}
const field = (m: ProtectedMachine, at: number, name: keyof typeof F): number => m.view.getUint32(at + F[name], true);
const busy = (m: ProtectedMachine, selector: number): boolean => ((m.ram[GDT + selector + 5] as number) & 2) !== 0;
/** Length of the direct far branch in 32-bit code. */
const NEXT = CODE + 7;

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

describe("events through a task gate (SDM vol. 3, 6.12.2)", () => {
  function toTask(vector: number, attributes = 0x85): ProtectedMachine {
    const m = machine(3);
    m.qword(IDT + 8 * vector, gate(OTHER_TSS, 0, attributes));
    return m;
  }

  test("INT n nests the task; IRET comes back behind it", () => {
    const m = toTask(VECTOR, 0xe5);
    m.program((a) => a.int(VECTOR).nop());
    m.vcpu.run(1);
    expect(place(m.vcpu)).toMatchObject({ tr: OTHER_TSS, cpl: 0, flags: 2 | NT });
    expect(field(m, OTHER, "link")).toBe(TSS_SELECTOR);
    expect(field(m, TSS, "eip")).toBe(CODE + 2);
    m.vcpu.run(1);
    expect(rip(m.vcpu)).toBe(CODE + 2);
    expect(place(m.vcpu)).toMatchObject({ tr: TSS_SELECTOR, cpl: 3, flags: 2 });
  });

  test("INT n through a gate whose DPL is below CPL is #GP", () => {
    const m = toTask(VECTOR);
    m.program((a) => a.int(VECTOR));
    expect(m.fault()).toMatchObject({ vector: GP, error: VECTOR * 8 + 2, ip: CODE });
  });

  test("a fault's error code is on the new task's stack, and RF in the old one's flags", () => {
    const m = toTask(GP);
    m.program((a) => a.hlt());
    m.assemble(START, (a) => a.hlt(), 32);
    expect(m.go()).toEqual({ reason: "hlt" });
    expect(rip(m.vcpu)).toBe(START + 1);
    expect(m.top(1)).toEqual([0]);
    expect(Number(reg(m.vcpu, RSP))).toBe(OTHER_SP - 4);
    expect(field(m, TSS, "eip")).toBe(CODE);
    expect(field(m, TSS, "eflags")).toBe(2 | RF);
  });

  test("a 16-bit task has the error code as a word", () => {
    const m = toTask(PF);
    m.describe(OTHER_TSS, descriptor(OTHER, 0x2b, 0x81));
    [0x5000, 2, 0, 0, 0, 0, OTHER_SP, 0, 0, 0, DATA_AT[0], CODE_AT[0], DATA_AT[0], DATA_AT[0], 0].forEach((w, k) => {
      m.view.setUint16(OTHER + 0x0e + 2 * k, w, true);
    });
    m.assemble(0x5000, (a) => a.hlt(), 32);
    m.map(CODE, { absent: true });
    m.go();
    expect(m.top(1, 2)).toEqual([0x14]);
    expect(Number(reg(m.vcpu, RSP)) & 0xffff).toBe(OTHER_SP - 2);
  });

  test("an interrupt from outside switches, and a fault of the switch has EXT", () => {
    const m = toTask(VECTOR);
    m.program((a) => a.nop().nop());
    m.assemble(START, (a) => a.hlt(), 32);
    m.vcpu.rflags = 0x202;
    m.interrupt(VECTOR);
    m.go();
    expect(rip(m.vcpu)).toBe(START + 1);
    expect(field(m, TSS, "eip")).toBe(CODE);

    const n = toTask(VECTOR);
    n.describe(OTHER_TSS, descriptor(OTHER, 0x67, 0x8b));
    n.vcpu.rflags = 0x202;
    n.interrupt(VECTOR);
    expect(n.fault()).toMatchObject({ vector: GP, error: OTHER_TSS | 1, ip: CODE, cs: CODE_AT[3] });
  });

  test("no room for the error code is #SS(EXT) in the new task", () => {
    const m = toTask(AC);
    m.describe(SPARE, descriptor(0, OTHER_SP - 5, 0x4093));
    fill(m, OTHER, { ss: SPARE });
    m.qword(IDT + 8 * SS, gate(HANDLER_TSS, 0, 0x85));
    m.vcpu.inject(AC, 0);
    m.go();
    expect(rip(m.vcpu)).toBe(HANDLE + 1);
    expect(m.top(1)).toEqual([1]);
    expect(field(m, HANDLER, "link")).toBe(OTHER_TSS);
    expect(field(m, OTHER, "eip")).toBe(START);
  });

  test("a double fault's task starts with its T trap, which is no third fault", () => {
    const m = toTask(DF);
    fill(m, OTHER, { trap: 1 });
    m.qword(IDT + 8 * GP, 0n);
    m.program((a) => a.hlt());
    expect(m.fault()).toMatchObject({ vector: 1, ip: START });
  });
});

type Row = readonly [statement: string, vector: number, error: number, prepare: (m: ProtectedMachine) => void];

describe("faults before the switch leave the old task as it was (SDM vol. 3, table 7-1; vol. 2, JMP, CALL, IRET, INT n)", () => {
  const common: readonly Row[] = [
    ["TSS limit below 103", TS, OTHER_TSS, (m) => m.describe(OTHER_TSS, descriptor(OTHER, 0x66, 0x89 | 0x60))],
    ["16-bit TSS limit below 43", TS, OTHER_TSS, (m) => m.describe(OTHER_TSS, descriptor(OTHER, 0x2a, 0x81 | 0x60))],
    ["limit of the current TSS", TS, TSS_SELECTOR, (m) => Object.assign(m.vcpu.tr, { limit: 0x66 })],
    ["TSS not present", NP, OTHER_TSS, (m) => m.describe(OTHER_TSS, descriptor(OTHER, 0x67, 0x69))],
    ["TSS busy", GP, OTHER_TSS, (m) => m.describe(OTHER_TSS, descriptor(OTHER, 0x67, 0x8b | 0x60))],
    ["new TSS absent", PF, 0, (m) => absent(m, 0x41000)],
    ["current TSS read-only", PF, 3, (m) => m.map(TSS, { readOnly: true })],
    ["GDT read-only", PF, 3, (m) => m.map(GDT, { readOnly: true })],
  ];
  /** Puts the other TSS in two pages, of which the second one is absent. */
  function absent(m: ProtectedMachine, page: number): void {
    m.map(page, { absent: true });
    m.describe(OTHER_TSS, descriptor(page - 0x20, 0x67, 0xe9));
  }
  const direct: readonly Row[] = [
    ...common,
    ["TSS DPL < CPL", GP, OTHER_TSS, (m) => m.describe(OTHER_TSS, descriptor(OTHER, 0x67, 0xc9))],
    [
      "TSS DPL < CPL comes before not present",
      GP,
      OTHER_TSS,
      (m) => m.describe(OTHER_TSS, descriptor(OTHER, 0x67, 0x49)),
    ],
  ];
  const throughGate: readonly Row[] = [
    ...common,
    ["gate DPL < CPL", GP, GATE, (m) => m.describe(GATE, gate(OTHER_TSS, 0, 0xc5))],
    ["gate not present", NP, GATE, (m) => m.describe(GATE, gate(OTHER_TSS, 0, 0x65))],
    ["TSS selector of the LDT", GP, OTHER_TSS | 4, (m) => m.describe(GATE, gate(OTHER_TSS | 4, 0, 0xe5))],
    ["TSS selector behind the GDT", GP, 0x200, (m) => m.describe(GATE, gate(0x200, 0, 0xe5))],
    ["TSS selector of code", GP, CODE_AT[0], (m) => m.describe(GATE, gate(CODE_AT[0], 0, 0xe5))],
    ["TSS selector of a gate", GP, GATE, (m) => m.describe(GATE, gate(GATE, 0, 0xe5))],
    ["null TSS selector", GP, 0, (m) => m.describe(GATE, gate(0, 0, 0xe5))],
  ];

  function check(m: ProtectedMachine, [, vector, error, prepare]: Row): void {
    // The fault itself is handled at the same level, which needs no TSS.
    m.describe(0x1f0, descriptor(0, 0xfffff, CODE32 | dplBits(3)));
    m.qword(IDT + 8 * vector, gate(0x1f3, HANDLERS + 16 * vector, 0x8e));
    m.assemble(HANDLERS + 16 * vector, (a) => a.nop(), 32);
    prepare(m);
    const before = place(m.vcpu);
    const busyBefore = [busy(m, TSS_SELECTOR), busy(m, OTHER_TSS)];
    m.vcpu.run(1);
    expect(rip(m.vcpu)).toBe(HANDLERS + 16 * vector + 1);
    expect(m.top(3)).toEqual([error, CODE, CODE_AT[3]]);
    expect(place(m.vcpu)).toEqual({ ...before, cs: 0x1f3, flags: before.flags & ~NT });
    expect([busy(m, TSS_SELECTOR), busy(m, OTHER_TSS)]).toEqual(busyBefore);
    expect(field(m, OTHER, "link")).toBe(0);
  }

  test.each(direct)("JMP to a TSS: %s", (...row) => {
    const m = machine(3);
    m.describe(OTHER_TSS, descriptor(OTHER, 0x67, 0xe9));
    m.program((a) => a.ljmp(OTHER_TSS | 3, 0));
    check(m, row);
  });

  test.each(throughGate)("CALL through a task gate: %s", (...row) => {
    const m = machine(3);
    m.program((a) => a.lcall(GATE | 3, 0));
    check(m, row);
  });

  test.each([
    ["a TSS in the LDT", 0x17],
    ["its RPL is above the TSS's DPL", OTHER_TSS | 1],
  ])("JMP to a TSS: %s", (_, selector) => {
    const m = machine(0);
    m.qword(0xd010, descriptor(OTHER, 0x67, 0x89));
    m.vcpu.ldtr = { selector: LDT, baseLo: 0xd000, baseHi: 0, limit: 0x17, attributes: 0x82 };
    m.program((a) => a.ljmp(selector, 0));
    expect(m.fault()).toMatchObject({ vector: GP, error: selector & ~3, ip: CODE });
  });

  const back: readonly Row[] = [
    ["link to the LDT", TS, OTHER_TSS | 4, (m) => fill(m, TSS, { link: OTHER_TSS | 4 })],
    ["link behind the GDT", TS, 0x200, (m) => fill(m, TSS, { link: 0x200 })],
    ["link to code", TS, CODE_AT[0], (m) => fill(m, TSS, { link: CODE_AT[0] })],
    ["link to a task that is not busy", TS, OTHER_TSS, (m) => m.describe(OTHER_TSS, descriptor(OTHER, 0x67, 0x89))],
    ["link to a TSS that is not present", NP, OTHER_TSS, (m) => m.describe(OTHER_TSS, descriptor(OTHER, 0x67, 0x0b))],
    ["TSS limit", TS, OTHER_TSS, (m) => m.describe(OTHER_TSS, descriptor(OTHER, 0x66, 0x8b))],
    ["link absent", PF, 0, (m) => m.map(TSS, { absent: true })],
  ];
  test.each(back)("IRET with NT: %s", (...row) => {
    const m = machine(3);
    m.describe(OTHER_TSS, descriptor(OTHER, 0x67, 0x8b));
    fill(m, TSS, { link: OTHER_TSS });
    m.vcpu.rflags = 2 | NT;
    m.program((a) => a.iretd());
    check(m, row);
  });
});

describe("faults behind the switch are the new task's (SDM vol. 3, table 7-1)", () => {
  const spare = (attributes: number) => (m: ProtectedMachine) => m.describe(SPARE, descriptor(0, 0xfffff, attributes));
  type TaskRow = readonly [string, number, number, Fields, ((m: ProtectedMachine) => void)?];
  const rows: readonly TaskRow[] = [
    ["LDT selector of the LDT", TS, LDT | 4, { ldt: LDT | 4 }],
    ["LDT selector behind the GDT", TS, 0x200, { ldt: 0x200 }],
    ["LDT selector of data", TS, DATA_AT[0], { ldt: DATA_AT[0] }],
    ["LDT not present", TS, SPARE, { ldt: SPARE }, (m) => m.describe(SPARE, descriptor(0xd000, 0x17, 2))],
    ["CS null", TS, 0, { cs: 0 }],
    ["CS behind the GDT", TS, 0x200, { cs: 0x200 }],
    ["CS is data", TS, DATA_AT[0], { cs: DATA_AT[0] }],
    ["CS is a gate", TS, GATE, { cs: GATE }],
    ["CS DPL differs from RPL", TS, CODE_AT[1] & ~3, { cs: CODE_AT[1] & ~3 }],
    ["conforming CS DPL above RPL", TS, SPARE, { cs: SPARE }, spare(CODE32 | 4 | dplBits(1))],
    ["CS not present", NP, SPARE, { cs: SPARE }, spare(CODE32 & ~0x80)],
    ["SS null", TS, 0, { ss: 0 }],
    ["SS behind the GDT", TS, 0x200, { ss: 0x200 }],
    ["SS is code", TS, CODE_AT[0], { ss: CODE_AT[0] }],
    ["SS is read-only", TS, SPARE, { ss: SPARE }, spare(DATA32 & ~2)],
    ["SS DPL differs from CPL", TS, DATA_AT[1] & ~3, { ss: DATA_AT[1] & ~3 }],
    ["SS RPL differs from CPL", TS, DATA_AT[0], { ss: DATA_AT[0] | 1 }],
    ["SS not present", SS, SPARE, { ss: SPARE }, spare(DATA32 & ~0x80)],
    ["DS behind the GDT", TS, 0x200, { ds: 0x200 }],
    ["ES is execute-only", TS, SPARE, { es: SPARE }, spare(CODE32 & ~2)],
    ["FS is a TSS", TS, OTHER_TSS, { fs: OTHER_TSS }],
    ["GS DPL below RPL", TS, DATA_AT[0], { gs: DATA_AT[0] | 3 }],
    ["DS not present", NP, SPARE, { ds: SPARE }, spare(DATA32 & ~0x80)],
    ["DS of the LDT without one", TS, 0xc, { ds: 0xc }],
  ];

  test.each(rows.map((row) => ({ row, name: row[0] })))("$name", ({ row: [, vector, error, fields, prepare] }) => {
    const m = machine();
    fill(m, OTHER, fields);
    prepare?.(m);
    m.qword(IDT + 8 * vector, gate(HANDLER_TSS, 0, 0x85));
    m.program((a) => a.ljmp(OTHER_TSS, 0));
    expect(m.go()).toEqual({ reason: "hlt" });
    expect(rip(m.vcpu)).toBe(HANDLE + 1);
    expect(m.top(1)).toEqual([error]);
    expect(field(m, HANDLER, "link")).toBe(OTHER_TSS);
    // Selectors are in place, the failed one too, and nothing of the task has run.
    expect(field(m, OTHER, "eip")).toBe(START);
    for (const name of ["es", "cs", "ss", "ds", "fs", "gs"] as const) {
      expect(field(m, OTHER, name)).toBe(fields[name] ?? (name === "fs" ? 0 : (segmentsOf(0)[name] as number)));
    }
    expect(m.vcpu.retired).toBe(2);
  });

  test("a data segment's DPL below CPL is #TS", () => {
    const m = machine();
    fill(m, OTHER, { ...segmentsOf(3), ds: DATA_AT[2] });
    m.d32(OTHER + 4, OTHER_SP);
    m.d32(OTHER + 8, DATA_AT[0]);
    m.program((a) => a.ljmp(OTHER_TSS, 0));
    expect(m.fault()).toMatchObject({ vector: TS, error: DATA_AT[2] & ~3, ip: START, cs: CODE_AT[3] });
  });

  test("an EIP beyond the limit of CS is #GP(0)", () => {
    const m = machine();
    m.describe(SPARE, descriptor(0, START - 1, 0x409b));
    fill(m, OTHER, { cs: SPARE });
    m.program((a) => a.ljmp(OTHER_TSS, 0));
    expect(m.fault()).toMatchObject({ vector: GP, error: 0, ip: START, cs: SPARE });
  });

  test.each([
    ["a data segment", { ds: 0x200, eip: START }, TS, 0x201],
    ["an EIP beyond the limit of CS", { cs: SPARE, eip: 0x2000 }, GP, 1],
  ])("%s, with an interrupt on the way: EXT", (_, fields, vector, error) => {
    const m = machine(3);
    m.describe(SPARE, descriptor(0, 0x1fff, 0x409b));
    fill(m, OTHER, fields);
    m.qword(IDT + 8 * VECTOR, gate(OTHER_TSS, 0, 0x85));
    m.vcpu.rflags = 0x202;
    m.interrupt(VECTOR);
    expect(m.fault()).toMatchObject({ vector, error, ip: fields.eip });
  });

  test.each([
    ["interrupt gate", HANDLERS + 16 * 8 + 1, (m: ProtectedMachine) => m],
    ["task gate", HANDLE + 1, (m: ProtectedMachine) => m.qword(IDT + 8 * 8, gate(HANDLER_TSS, 0, 0x85))],
  ])(
    "with a contributory exception on the way they are a double fault, of the new task; its handler an %s",
    (_, end, prepare) => {
      const m = machine(3);
      fill(m, OTHER, { ds: 0x200 });
      m.qword(IDT + 8 * GP, gate(OTHER_TSS, 0, 0x85));
      prepare(m);
      m.program((a) => a.hlt());
      m.go();
      expect(rip(m.vcpu)).toBe(end);
      expect(m.top(1)).toEqual([0]);
    },
  );

  test("with INT n on the way they return to the new task's first instruction, not to the INT", () => {
    const m = machine(3);
    fill(m, OTHER, { ds: 0x200 });
    m.qword(IDT + 8 * VECTOR, gate(OTHER_TSS, 0, 0xe5));
    m.program((a) => a.int(VECTOR));
    expect(m.fault()).toMatchObject({ vector: TS, error: 0x200, ip: START });
    expect(field(m, TSS, "eip")).toBe(CODE + 2);
  });

  test("if even their handler is a task that cannot start, the processor ends in a shutdown, not in a loop", () => {
    const m = machine(3);
    fill(m, OTHER, { ss: 0 });
    m.qword(IDT + 8 * GP, gate(OTHER_TSS, 0, 0x85));
    m.program((a) => a.hlt());
    expect(m.go()).toEqual({ reason: "shutdown" });
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
