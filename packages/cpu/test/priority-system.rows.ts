import * as S from "../src/state.js";
import {
  absent,
  atLevel0,
  CR4_DE,
  condition,
  lock,
  nonCanonical,
  privileged,
  RECORDED,
  sourceAbsent,
  strings,
  undefinedForm,
  word,
} from "./conditions.js";
import { DATA, GDT } from "./fake-machine.js";
import type { Chain } from "./priority-chain.js";
import type { Condition, Scene } from "./scene.js";
import { HERE } from "./scene.js";

/** Priorities among faults of ports, privileged instructions and descriptors. */

const noPermission = condition(10, "no I/O permission", "#GP(0)", (s) => {
  s.flags &= ~S.IOPL;
});
const ports: readonly Chain[] = [
  { name: "OUTS", code: [0x6e], setup: strings, within: RECORDED, conditions: [lock, noPermission, sourceAbsent] },
  { name: "INS", code: [0x6c], setup: strings, within: RECORDED, conditions: [lock, noPermission, absent(6)] },
  {
    name: "REP OUTS",
    code: [0xf3, 0x6e],
    setup: strings,
    within: RECORDED,
    conditions: [lock, noPermission, sourceAbsent],
  },
];

const noSuchRegister = (code: readonly number[]): Condition => undefinedForm("no such register", code);
const privilege: readonly Chain[] = [
  {
    name: "LGDT",
    code: [0x0f, 0x01, 0x13],
    setup: atLevel0,
    within: RECORDED,
    conditions: [lock, privileged, absent(0)],
  },
  {
    name: "LMSW",
    code: [0x0f, 0x01, 0x33],
    setup: atLevel0,
    within: RECORDED,
    conditions: [lock, privileged, absent(0)],
  },
  { name: "HLT", code: [0xf4], setup: atLevel0, within: "", conditions: [lock, privileged] },
  {
    name: "MOV to CR",
    code: [0x0f, 0x22, 0xd0], // CR2
    setup: atLevel0,
    within: RECORDED,
    conditions: [noSuchRegister([0x0f, 0x22, 0xc8]), privileged],
  },
  {
    name: "MOV from CR",
    code: [0x0f, 0x20, 0xd0],
    setup: atLevel0,
    within: RECORDED,
    conditions: [noSuchRegister([0x44, 0x0f, 0x20, 0xc8]), privileged],
  },
  {
    name: "MOV from DR4 or DR0",
    code: [0x0f, 0x21, 0xc0],
    setup: (s) => {
      atLevel0(s);
      s.m.vcpu.cr4 |= CR4_DE;
    },
    within: "SDM vol. 3, 17.2.2 and 17.2.4; 26.1.1 for the order",
    conditions: [
      noSuchRegister([0x0f, 0x21, 0xe0]),
      privileged,
      condition(10, "DR7.GD", "#DB 2000", ({ m: { vcpu } }) => {
        vcpu.dr[14] = (vcpu.dr[14] as number) | 0x2000;
      }),
    ],
  },
  {
    name: "XSETBV",
    code: [0x0f, 0x01, 0xd1],
    setup: (s) => {
      atLevel0(s);
      s.m.vcpu.cr4 |= 0x40000;
      s.rax = 1n;
    },
    within: "SDM vol. 2, XSETBV",
    conditions: [
      condition(9, "CR4.OSXSAVE clear", "#UD", ({ m: { vcpu } }) => {
        vcpu.cr4 &= ~0x40000;
      }),
      privileged,
    ],
  },
  {
    name: "SYSRET",
    code: [0x48, 0x0f, 0x07],
    setup: atLevel0,
    within: "SDM vol. 2, SYSRET",
    conditions: [
      condition(9, "EFER.SCE clear", "#UD", ({ m: { vcpu } }) => {
        vcpu.efer &= ~1;
      }),
      privileged,
    ],
  },
  {
    name: "MOV to CS",
    code: [0x8b, 0x03],
    within: RECORDED,
    conditions: [undefinedForm("CS as the destination", [0x8e, 0x0b]), absent(4)],
  },
];

/** Selectors for descriptor tests: one that the GDT of the machine leaves free, one beyond its limit. */
const FREE = 0x38;
const BEYOND = 0x1230;
/** Writable data and readable code of level 0, 64-bit TSS; present is bit 47. */
const DATA_SEGMENT = 0x00cf93000000ffffn;
const CODE_SEGMENT = 0x00af9b000000ffffn;
const TSS_SEGMENT = 0x0000890030000067n;
const PRESENT = 1n << 47n;
const tableAbsent = condition(10, "descriptor page absent", "#PF(0)", (s) => s.m.map(GDT, { absent: true }));
const nullSelector = condition(10, "null selector", "#GP(0)", word(0));
const beyondTable = condition(10, "selector beyond the table", `#GP(${BEYOND.toString(16)})`, word(BEYOND));
/** A flaw of the descriptor itself; bits of the flaws of a chain add up. */
const flaw = (name: string, event: string, bits: bigint): Condition =>
  condition(10, name, event, (s) => s.m.qword(GDT + FREE, s.m.q(GDT + FREE) ^ bits));
const selecting =
  (descriptor: bigint, level: 0 | 3 = 0) =>
  (s: Scene): void => {
    s.level = level;
    s.before = [0x90];
    word(FREE)(s);
    s.m.qword(GDT + FREE, descriptor);
    s.m.qword(GDT + FREE + 8, 0);
  };

const descriptors: readonly Chain[] = [
  {
    name: "MOV to DS",
    code: [0x8e, 0x1b],
    setup: selecting(DATA_SEGMENT),
    within: "SDM vol. 2, MOV; vol. 3, 5.5",
    conditions: [
      lock,
      nonCanonical,
      absent(0),
      flaw("system descriptor", "#GP(38)", 1n << 44n),
      flaw("not present", "#NP(38)", PRESENT),
    ],
  },
  {
    name: "MOV to DS, table",
    code: [0x8e, 0x1b],
    setup: selecting(DATA_SEGMENT),
    within: "SDM vol. 3, 3.5.1: the limit is checked before the descriptor is read",
    conditions: [beyondTable, tableAbsent, flaw("not present", "#NP(38)", PRESENT)],
  },
  {
    name: "MOV to DS, privilege",
    code: [0x8e, 0x1b],
    setup: selecting(DATA_SEGMENT | (3n << 45n), 3),
    within: "SDM vol. 2, MOV",
    conditions: [absent(4), flaw("DPL below CPL", "#GP(38)", 3n << 45n), flaw("not present", "#NP(38)", PRESENT)],
  },
  {
    name: "MOV to SS",
    code: [0x8e, 0x13],
    setup: selecting(DATA_SEGMENT),
    within: "SDM vol. 2, MOV",
    conditions: [absent(0), flaw("not writable", "#GP(38)", 1n << 41n), flaw("not present", "#SS(38)", PRESENT)],
  },
  {
    name: "MOV to SS, table",
    code: [0x8e, 0x13],
    setup: selecting(DATA_SEGMENT),
    within: "SDM vol. 2, MOV",
    conditions: [beyondTable, tableAbsent, flaw("not present", "#SS(38)", PRESENT)],
  },
  {
    name: "LTR",
    code: [0x0f, 0x00, 0x1b],
    setup: selecting(TSS_SEGMENT),
    within: "SDM vol. 2, LTR",
    conditions: [
      lock,
      privileged,
      absent(0),
      flaw("busy", "#GP(38)", 1n << 41n),
      flaw("not present", "#NP(38)", PRESENT),
    ],
  },
  {
    name: "LTR, table",
    code: [0x0f, 0x00, 0x1b],
    setup: selecting(TSS_SEGMENT),
    within: "SDM vol. 2, LTR",
    conditions: [privileged, nullSelector, tableAbsent, flaw("not present", "#NP(38)", PRESENT)],
  },
  {
    name: "JMP far",
    code: [0xff, 0x2b],
    setup: (s) => {
      selecting(CODE_SEGMENT)(s);
      s.m.view.setUint32(DATA, HERE, true);
      s.m.view.setUint16(DATA + 4, FREE, true);
    },
    within: "SDM vol. 2, JMP",
    conditions: [
      lock,
      absent(0),
      flaw("data segment", "#GP(38)", 1n << 43n),
      flaw("not present", "#NP(38)", PRESENT),
      condition(10, "target beyond the limit", "#GP(0)", (s) => {
        // As 32-bit code with a limit of a page.
        s.m.qword(GDT + FREE, (s.m.q(GDT + FREE) & ~0x002f00000000ffffn) | (1n << 54n));
        s.m.view.setUint32(DATA, HERE, true);
      }),
    ],
  },
  {
    name: "INT n",
    code: [0xcd, 0x50],
    within: "SDM vol. 2, INT n",
    setup: (s) => s.m.gate(0x50, { dpl: 3 }),
    conditions: [
      lock,
      condition(10, "IDT entry beyond the limit", "#GP(282)", ({ m: { vcpu } }) => {
        vcpu.idtr.limit = 0x50 * 16 + 14;
      }),
      condition(10, "gate not present", "#NP(282)", (s) => s.m.gate(0x50, { dpl: 3, present: false })),
    ],
  },
];

export const SYSTEM_CHAINS: readonly Chain[] = [...ports, ...privilege, ...descriptors];
