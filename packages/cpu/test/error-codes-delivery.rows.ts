import { Vector } from "../src/vcpu/registers/constants.js";
import { type ErrorRow, hex, machine } from "./error-codes.js";
import { CODE, FakeMachine, GDT, IDT, KERNEL_CS, TSS } from "./fake-machine.js";
import {
  CODE32,
  DATA_AT,
  DATA32,
  descriptor,
  dplBits,
  FREE as FREE_32,
  gate,
  ProtectedMachine,
  STACK_AT,
  TSS_SELECTOR,
} from "./protected-machine.js";

/** Error codes of faults while an event is delivered: they name what is at fault, and EXT says that no INT asked (SDM vol. 3, 6.13). */

const SOURCE = "SDM vol. 3, 6.13; vol. 2, INT n";
const FREE = 0x38;
const BEYOND = 0x1230;
const LOCAL = 0x44;
const NOWHERE = 0x50000;
/** Selector of the TSS in `FakeMachine`. */
const TSS_64 = 0x28;
/** Slot of IST3. */
const IST3 = TSS + 0x34;
const CODE_64 = 0x00af9b000000ffffn;
const PRESENT = 1n << 47n;

/** What is delivered, and how: everything but INT n is an event that no instruction asked for. */
const EVENTS: readonly {
  readonly name: string;
  readonly vector: number;
  readonly ext: 0 | 1;
  readonly raise: (m: FakeMachine) => void;
}[] = [
  { name: "INT 50h", vector: 0x50, ext: 0, raise: (m) => m.write(CODE, [0xcd, 0x50]) },
  { name: "INT3", vector: Vector.BP, ext: 0, raise: (m) => m.write(CODE, [0xcc]) },
  { name: "an exception", vector: Vector.UD, ext: 1, raise: (m) => m.write(CODE, [0x0f, 0x0b]) },
  { name: "INT1", vector: Vector.DB, ext: 1, raise: (m) => m.write(CODE, [0xf1]) },
  {
    name: "an interrupt",
    vector: 0x50,
    ext: 1,
    raise: (m) => {
      m.vcpu.rflags |= 0x200;
      m.interrupt(0x50);
    },
  },
  { name: "NMI", vector: Vector.NMI, ext: 1, raise: (m) => m.vcpu.nmi() },
];

/** What can be wrong with the gate of `vector`, and what follows. */
const FLAWS: readonly {
  readonly name: string;
  readonly event: (vector: number, ext: number) => string;
  readonly spoil: (m: FakeMachine, vector: number) => void;
}[] = [
  {
    name: "gate of no such type",
    event: (vector, ext) => `#GP(${hex(8 * vector + 2 + ext)})`,
    spoil: (m, vector) => m.gate(vector, { type: 5 }),
  },
  {
    name: "gate of 32 bits whose second half has a type",
    event: (vector, ext) => `#GP(${hex(8 * vector + 2 + ext)})`,
    spoil: (m, vector) => m.gate(vector, { type: 0xc }),
  },
  {
    name: "gate not present",
    event: (vector, ext) => `#NP(${hex(8 * vector + 2 + ext)})`,
    spoil: (m, vector) => m.gate(vector, { present: false }),
  },
  {
    name: "null selector",
    event: (_, ext) => `#GP(${ext})`,
    spoil: (m, vector) => m.gate(vector, { selector: 0 }),
  },
  {
    name: "selector beyond the GDT",
    event: (_, ext) => `#GP(${hex(BEYOND + ext)})`,
    spoil: (m, vector) => m.gate(vector, { selector: BEYOND }),
  },
  {
    name: "selector of an LDT that is not there",
    event: (_, ext) => `#GP(${hex(LOCAL + ext)})`,
    spoil: (m, vector) => m.gate(vector, { selector: LOCAL }),
  },
  {
    name: "data segment",
    event: (_, ext) => `#GP(${hex(0x10 + ext)})`,
    spoil: (m, vector) => m.gate(vector, { selector: 0x10 }),
  },
  {
    name: "code of a lower level",
    event: (_, ext) => `#GP(${hex(FREE + ext)})`,
    spoil: named(CODE_64 | (3n << 45n)),
  },
  { name: "code of 32 bits", event: (_, ext) => `#GP(${hex(FREE + ext)})`, spoil: named(0x00cf9b000000ffffn) },
  { name: "code not present", event: (_, ext) => `#NP(${hex(FREE + ext)})`, spoil: named(CODE_64 ^ PRESENT) },
  {
    name: "stack not canonical",
    event: (_, ext) => `#SS(${ext})`,
    spoil: (m, vector) => {
      m.qword(IST3, 0x800000001000n);
      m.gate(vector, { ist: 3 });
    },
  },
  {
    name: "stack pointer beyond the TSS",
    event: (_, ext) => `#TS(${hex(TSS_64 + ext)})`,
    spoil: (m, vector) => {
      m.vcpu.tr = { ...m.vcpu.tr, limit: 0x57 };
      m.gate(vector, { ist: 7 });
    },
  },
  {
    name: "handler not canonical",
    event: (_, ext) => `#GP(${ext})`,
    spoil: (m, vector) => m.view.setUint32(IDT + 16 * vector + 8, 0x8000, true),
  },
  {
    name: "stack page absent: no selector, no EXT",
    event: () => "#PF(2)",
    spoil: (m, vector) => {
      m.map(NOWHERE, { absent: true });
      m.qword(IST3, NOWHERE + 0x100);
      m.gate(vector, { ist: 3 });
    },
  },
];

function named(descriptor: bigint): (m: FakeMachine, vector: number) => void {
  return (m, vector) => {
    m.qword(GDT + FREE, descriptor);
    m.gate(vector, { selector: FREE });
  };
}

const long = EVENTS.flatMap(({ name, vector, ext, raise }) =>
  FLAWS.map((flaw) =>
    machine(`${name}: ${flaw.name}`, SOURCE, flaw.event(vector, ext), () => {
      const m = new FakeMachine();
      flaw.spoil(m, vector);
      raise(m);
      return m;
    }),
  ),
);

const beyondTheIdt = EVENTS.filter(({ vector }) => vector === 0x50).map(({ name, vector, ext, raise }) =>
  machine(`${name}: beyond the IDT`, SOURCE, `#GP(${hex(8 * vector + 2 + ext)})`, () => {
    const m = new FakeMachine();
    m.vcpu.idtr.limit = 16 * vector + 14;
    raise(m);
    return m;
  }),
);

/** The gate's DPL is asked of INT n, INT3 and INTO alone. */
const gateLevel = [
  ...EVENTS.map(({ name, vector, ext, raise }) => {
    const own = { 2: "NMI", 6: "#UD", 1: "#DB 0" }[vector] ?? "INTR 50";
    return machine(`${name} at CPL 3: gate of level 0`, SOURCE, ext ? own : `#GP(${hex(8 * vector + 2)})`, () => {
      const m = new FakeMachine();
      m.setPrivilege(m.vcpu, 3);
      raise(m);
      return m;
    });
  }),
];

/** A handler at an inner level, outside IA-32e mode: its stack is what the TSS says. */
const INNER: readonly {
  readonly name: string;
  readonly event: (ext: number) => string;
  readonly spoil: (m: ProtectedMachine) => void;
}[] = [
  { name: "null SS in the TSS", event: (ext) => `#TS(${ext})`, spoil: (m) => m.d32(TSS + 8, 0) },
  { name: "SS beyond the GDT", event: (ext) => `#TS(${hex(BEYOND + ext)})`, spoil: (m) => m.d32(TSS + 8, BEYOND) },
  { name: "RPL of SS", event: (ext) => `#TS(${hex(0x10 + ext)})`, spoil: (m) => m.d32(TSS + 8, 0x13) },
  {
    name: "DPL of SS",
    event: (ext) => `#TS(${hex((DATA_AT[3] & ~3) + ext)})`,
    spoil: (m) => m.d32(TSS + 8, DATA_AT[3] & ~3),
  },
  {
    name: "SS not writable",
    event: (ext) => `#TS(${hex(FREE_32 + ext)})`,
    spoil: stack(descriptor(0, 0xfffff, 0xc091)),
  },
  { name: "SS is code", event: (ext) => `#TS(${hex(FREE_32 + ext)})`, spoil: stack(descriptor(0, 0xfffff, CODE32)) },
  {
    name: "SS not present",
    event: (ext) => `#SS(${hex(FREE_32 + ext)})`,
    spoil: stack(descriptor(0, 0xfffff, DATA32 & ~0x80)),
  },
  {
    name: "the frame does not fit the new stack",
    event: (ext) => `#SS(${hex(FREE_32 + ext)})`,
    spoil: stack(descriptor(0, STACK_AT[0] - 0x1000, DATA32 & ~0x8000)),
  },
  {
    name: "the TSS is too short for SS0",
    event: (ext) => `#TS(${hex(TSS_SELECTOR + ext)})`,
    spoil: (m) => {
      m.vcpu.tr = { ...m.vcpu.tr, limit: 8 };
    },
  },
];

function stack(value: bigint): (m: ProtectedMachine) => void {
  return (m) => {
    m.describe(FREE_32, value);
    m.d32(TSS + 8, FREE_32);
  };
}

/** Handlers of the faults themselves run at the interrupted level, whose stack is good. */
function sameLevelHandlers(m: ProtectedMachine): void {
  m.describe(FREE_32 + 8, descriptor(0, 0xfffff, CODE32 | 4 | dplBits(0)));
  for (const vector of [Vector.TS, Vector.NP, Vector.SS, Vector.GP]) {
    m.qword(IDT + 8 * vector, gate(FREE_32 + 8, CODE + 0x100, 0x8e));
  }
  m.write(CODE + 0x100, [0xeb, 0xfe]);
}

const inner = INNER.flatMap(({ name, event, spoil }) =>
  (
    [
      ["INT 50h", 0, [0xcd, 0x50]],
      ["an exception", 1, [0x0f, 0x0b]],
    ] as const
  ).map(([what, ext, code]) =>
    machine(`${what} to an inner level: ${name}`, "SDM vol. 3, 6.13; vol. 2, INT n", event(ext), () => {
      const m = new ProtectedMachine(3);
      m.qword(IDT + 8 * 0x50, gate(KERNEL_CS, CODE + 0x200, 0xee));
      sameLevelHandlers(m);
      spoil(m);
      m.write(CODE, code);
      return m;
    }),
  ),
);

const sameLevel: ErrorRow = machine(
  "a frame that does not fit the stack of the same level, nor do those of #SS and #DF",
  "SDM vol. 2, INT n; vol. 3, 6.15",
  "shutdown",
  () => {
    const m = new ProtectedMachine(0);
    m.vcpu.setSegment(2, { ...(m.vcpu.segments[2] as (typeof m.vcpu.segments)[number]), limit: 0x10 });
    m.write(CODE, [0x0f, 0x0b]);
    return m;
  },
);

export const DELIVERY_ROWS: readonly ErrorRow[] = [...long, ...beyondTheIdt, ...gateLevel, ...inner, sameLevel];
