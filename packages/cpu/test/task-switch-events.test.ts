import { describe, expect, test } from "vitest";
import { CODE, IDT, RSP, reg, rip, TSS } from "./fake-machine.js";
import { CODE_AT, DATA_AT, descriptor, gate, type ProtectedMachine, place, TSS_SELECTOR } from "./protected-machine.js";
import {
  field,
  fill,
  HANDLE,
  HANDLER,
  HANDLER_TSS,
  machine,
  OTHER,
  OTHER_SP,
  OTHER_TSS,
  SPARE,
  START,
} from "./task-machine.js";

const VECTOR = 0x40;
const [DF, SS, GP, PF, AC] = [8, 12, 13, 14, 17];
const [NT, RF] = [0x4000, 0x10000];

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
