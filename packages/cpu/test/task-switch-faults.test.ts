import { describe, expect, test } from "vitest";
import { CODE, GDT, HANDLERS, IDT, rip, TSS } from "./fake-machine.js";
import {
  CODE_AT,
  CODE32,
  DATA_AT,
  DATA32,
  descriptor,
  dplBits,
  gate,
  type ProtectedMachine,
  place,
  TSS_SELECTOR,
} from "./protected-machine.js";
import {
  busy,
  type Fields,
  field,
  fill,
  GATE,
  HANDLE,
  HANDLER,
  HANDLER_TSS,
  LDT,
  machine,
  OTHER,
  OTHER_SP,
  OTHER_TSS,
  SPARE,
  START,
  segmentsOf,
} from "./task-machine.js";

const VECTOR = 0x40;
const [TS, NP, SS, GP, PF] = [10, 11, 12, 13, 14];
const NT = 0x4000;

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
