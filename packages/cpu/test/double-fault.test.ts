import { describe, expect, test } from "vitest";
import { Vector } from "../src/vcpu/registers/constants.js";
import { CODE, FakeMachine, setReg, TSS } from "./fake-machine.js";
import { eventsOf } from "./scene.js";

/** What SDM vol. 3, 6.15 (tables 6-4 and 6-5) says of a second exception while the first is being delivered. */
const CONTRIBUTORY: readonly Vector[] = [Vector.DE, Vector.TS, Vector.NP, Vector.SS, Vector.GP];

const FIRST: readonly Vector[] = [
  ...[Vector.DE, Vector.DB, Vector.NMI, Vector.BP, Vector.OF, Vector.BR, Vector.UD, Vector.NM, Vector.DF],
  ...[Vector.TS, Vector.NP, Vector.SS, Vector.GP, Vector.PF, Vector.MF, Vector.AC, Vector.XM],
];
const WITH_CODE: readonly Vector[] = [8, 10, 11, 12, 13, 14, 17];

const NOWHERE = 0x50000;
/** Slots of IST3 to IST5 in the TSS. */
const IST = (index: number): number => TSS + 0x24 + 8 * (index - 1);

/** Ways to make the delivery of `vector` fail, with the exception they end in: EXT is set in error codes (SDM vol. 3, 6.13). */
const SECOND: readonly {
  readonly name: keyof typeof Vector;
  readonly event: (vector: number) => string;
  readonly spoil: (m: FakeMachine, vector: number) => void;
}[] = [
  {
    name: "TS",
    event: () => "#TS(29)",
    spoil: (m, vector) => {
      m.vcpu.tr = { ...m.vcpu.tr, limit: 0x57 };
      m.gate(vector, { ist: 7 });
    },
  },
  {
    name: "NP",
    event: (vector) => `#NP(${(8 * vector + 3).toString(16)})`,
    spoil: (m, vector) => m.gate(vector, { present: false }),
  },
  {
    name: "SS",
    event: () => "#SS(1)",
    spoil: (m, vector) => {
      m.qword(IST(3), 0x800000001000n);
      m.gate(vector, { ist: 3 });
    },
  },
  {
    name: "GP",
    event: (vector) => `#GP(${(8 * vector + 3).toString(16)})`,
    spoil: (m, vector) => m.gate(vector, { type: 5 }),
  },
  {
    name: "PF",
    event: () => "#PF(2)",
    spoil: (m, vector) => {
      m.map(NOWHERE, { absent: true });
      m.qword(IST(4), NOWHERE + 0x100);
      m.gate(vector, { ist: 4 });
    },
  },
];

const isDouble = (first: Vector, second: Vector): boolean =>
  first === Vector.PF
    ? second === Vector.PF || CONTRIBUTORY.includes(second)
    : CONTRIBUTORY.includes(first) && CONTRIBUTORY.includes(second);

const title = (vector: number): string => `#${Vector[vector]}`;

describe.each(FIRST.map((first) => ({ first, name: title(first) })))("while $name is delivered", ({ first, name }) => {
  const code = WITH_CODE.includes(first) ? 0 : null;
  const own = `${first === Vector.NMI ? "NMI" : name}${code === null ? "" : "(0)"}${first === Vector.DB ? " 0" : ""}`;

  test.each(SECOND)("#$name (SDM vol. 3, table 6-5)", ({ name: by, event, spoil }) => {
    const m = new FakeMachine();
    const second = Vector[by];
    spoil(m, first);
    m.vcpu.inject(first, code);
    const told = event(first);
    // The very vector that cannot be delivered fails again.
    const expected = first === Vector.DF ? [own, "shutdown"] : isDouble(first, second) ? [own, "#DF(0)"] : [own, told];
    expect(eventsOf(m)).toEqual(expected);
  });
});

describe("what is no exception is benign: the second event is delivered in its place", () => {
  test.each([
    ["an interrupt", (m: FakeMachine) => m.interrupt(0x40), "INTR 40", 0x40],
    ["an NMI", (m: FakeMachine) => m.vcpu.nmi(), "NMI", 2],
  ] as const)("%s", (_, arrive, name, vector) => {
    for (const { event, spoil } of SECOND) {
      const m = new FakeMachine();
      m.assemble(CODE, (a) => a.nop());
      m.vcpu.rflags = 0x202;
      spoil(m, vector);
      arrive(m);
      expect(eventsOf(m)).toEqual([name, event(vector)]);
    }
  });

  test.each([
    ["INT 50", [0xcd, 0x50], 0x50],
    ["INT d: not #GP though it has its vector", [0xcd, 13], 13],
  ] as const)("%s, whose error codes have EXT clear", (_, bytes, vector) => {
    const m = new FakeMachine();
    m.write(CODE, bytes);
    m.gate(vector, { present: false });
    expect(eventsOf(m).slice(1)).toEqual([`#NP(${(8 * vector + 2).toString(16)})`]);
  });
});

describe("three in a row (SDM vol. 3, 6.15, interrupt 8)", () => {
  test("a fault while #DF is delivered shuts down", () => {
    const m = new FakeMachine();
    m.gate(13, { present: false });
    m.gate(8, { present: false });
    m.vcpu.inject(13, 0);
    expect(eventsOf(m)).toEqual(["#GP(0)", "#DF(0)", "shutdown"]);
  });

  test("a benign exception, then a fault, then a fault of that: #DF and no earlier", () => {
    const m = new FakeMachine();
    m.gate(6, { present: false });
    m.gate(11, { present: false });
    m.write(CODE, [0x0f, 0x0b]);
    expect(eventsOf(m)).toEqual(["#UD", "#NP(33)", "#DF(0)"]);
  });

  test("a page fault while #GP is delivered is a page fault, and a second one is #DF", () => {
    const m = new FakeMachine();
    m.map(NOWHERE, { absent: true });
    m.qword(IST(4), NOWHERE + 0x100);
    m.gate(13, { ist: 4 });
    m.gate(14, { ist: 4 });
    m.write(CODE, [0x0f, 0x22, 0xd8]); // mov cr3, rax
    setReg(m.vcpu, 0, 1n << 60n);
    expect(eventsOf(m)).toEqual(["#GP(0)", "#PF(2)", "#DF(0)"]);
  });

  test("a page fault on the first instruction of a handler is a page fault of its own", () => {
    const m = new FakeMachine();
    m.map(NOWHERE, { absent: true });
    m.gate(13, { handler: NOWHERE });
    m.vcpu.inject(13, 0);
    expect(eventsOf(m)).toEqual(["#GP(0)", "#PF(10)"]);
  });
});
