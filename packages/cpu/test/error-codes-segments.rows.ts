import { type ErrorRow, hex, instruction } from "./error-codes.js";
import { DATA, GDT, KERNEL_STACK, USER_CS, USER_STACK } from "./fake-machine.js";
import { HERE, type Scene } from "./scene.js";

/** Error codes that name a selector: loads of segment registers, far transfers, LLDT and LTR (SDM vol. 3, 6.13). */

/** A selector the GDT of the machine leaves free, with the next one; one beyond its limit; one of the LDT, which is empty. */
const FREE = 0x38;
const BEYOND = 0x1230;
const LOCAL = 0x44;

const PRESENT = 1n << 47n;
const DATA_SEGMENT = 0x00cf93000000ffffn;
const READ_ONLY = 0x00cf91000000ffffn;
const CODE = 0x00af9b000000ffffn;
const EXECUTE_ONLY = 0x00cf99000000ffffn;
const LDT = 0x000082003000ffffn;
const TSS = 0x0000890030000067n;
const CALL_GATE = 0x00008c0000080000n;
const level = (dpl: number): bigint => BigInt(dpl) << 45n;

const describe = (s: Scene, descriptor: bigint, upper = 0n): void => {
  s.m.qword(GDT + FREE, descriptor);
  s.m.qword(GDT + FREE + 8, upper);
};

/** Situations of a selector: what is loaded, what it names, at which level, and the exception by its name. */
interface Flaw {
  readonly name: string;
  readonly selector: number;
  readonly descriptor?: bigint;
  readonly cpl?: 0 | 3;
  readonly event: string;
}

const DATA_FLAWS: readonly Flaw[] = [
  { name: "beyond the GDT", selector: BEYOND, event: "#GP" },
  { name: "RPL is not part of the code", selector: BEYOND | 3, event: "#GP" },
  { name: "in an LDT that is not there", selector: LOCAL, event: "#GP" },
  { name: "system descriptor", selector: FREE, descriptor: LDT, event: "#GP" },
  { name: "code that cannot be read", selector: FREE, descriptor: EXECUTE_ONLY, event: "#GP" },
  { name: "RPL above DPL", selector: FREE | 3, descriptor: DATA_SEGMENT, event: "#GP" },
  { name: "CPL above DPL", selector: FREE, descriptor: DATA_SEGMENT, cpl: 3, event: "#GP" },
  { name: "not present", selector: FREE, descriptor: DATA_SEGMENT ^ PRESENT, event: "#NP" },
];

const STACK_FLAWS: readonly Flaw[] = [
  { name: "beyond the GDT", selector: BEYOND, event: "#GP" },
  { name: "in an LDT that is not there", selector: LOCAL, event: "#GP" },
  { name: "RPL other than CPL", selector: FREE | 3, descriptor: DATA_SEGMENT, event: "#GP" },
  { name: "DPL other than CPL", selector: FREE, descriptor: DATA_SEGMENT | level(3), event: "#GP" },
  { name: "not writable", selector: FREE, descriptor: READ_ONLY, event: "#GP" },
  { name: "code", selector: FREE, descriptor: CODE, event: "#GP" },
  { name: "not present", selector: FREE, descriptor: DATA_SEGMENT ^ PRESENT, event: "#SS" },
];

const CODE_FLAWS: readonly Flaw[] = [
  { name: "beyond the GDT", selector: BEYOND, event: "#GP" },
  { name: "in an LDT that is not there", selector: LOCAL, event: "#GP" },
  { name: "data segment", selector: FREE, descriptor: DATA_SEGMENT, event: "#GP" },
  { name: "DPL above CPL", selector: FREE, descriptor: CODE | level(3), event: "#GP" },
  { name: "both L and D", selector: FREE, descriptor: CODE | (1n << 54n), event: "#GP" },
  { name: "not present", selector: FREE, descriptor: CODE ^ PRESENT, event: "#NP" },
];

/** Gates and RPL matter to JMP and CALL only: RET and IRET take RPL as the level they return to. */
const DIRECT_FLAWS: readonly Flaw[] = [
  { name: "RPL above CPL", selector: FREE | 3, descriptor: CODE, event: "#GP" },
  { name: "TSS, in IA-32e mode", selector: FREE, descriptor: TSS, event: "#GP" },
  { name: "call gate that is not present", selector: FREE, descriptor: CALL_GATE ^ PRESENT, event: "#NP" },
  { name: "call gate with DPL below RPL", selector: FREE | 3, descriptor: CALL_GATE, event: "#GP" },
];

interface Loader {
  readonly name: string;
  readonly source: string;
  readonly code: readonly number[];
  /** Puts the selector where the instruction finds it. */
  readonly place: (s: Scene, selector: number) => void;
}

const inMemory =
  (offset: number) =>
  (s: Scene, selector: number): void =>
    s.m.view.setUint16(DATA + offset, selector, true);
const onStack =
  (offset: number) =>
  (s: Scene, selector: number): void => {
    s.m.qword(KERNEL_STACK, HERE);
    s.m.qword(KERNEL_STACK + offset, selector);
    s.m.qword(KERNEL_STACK + 16, 2);
    s.m.qword(KERNEL_STACK + 24, USER_STACK);
    s.m.qword(KERNEL_STACK + 32, 0);
  };

const DATA_LOADERS: readonly Loader[] = [
  { name: "MOV to DS", source: "SDM vol. 2, MOV", code: [0x8e, 0x1b], place: inMemory(0) },
  { name: "POP FS", source: "SDM vol. 2, POP", code: [0x0f, 0xa1], place: onStack(0) },
  { name: "LGS", source: "SDM vol. 2, LDS/LES/LFS/LGS/LSS", code: [0x0f, 0xb5, 0x03], place: inMemory(4) },
];
const STACK_LOADERS: readonly Loader[] = [
  { name: "MOV to SS", source: "SDM vol. 2, MOV", code: [0x8e, 0x13], place: inMemory(0) },
  { name: "LSS", source: "SDM vol. 2, LDS/LES/LFS/LGS/LSS", code: [0x0f, 0xb2, 0x03], place: inMemory(4) },
];
const BRANCHES: readonly Loader[] = [
  { name: "JMP far", source: "SDM vol. 2, JMP", code: [0xff, 0x2b], place: inMemory(4) },
  { name: "CALL far", source: "SDM vol. 2, CALL", code: [0xff, 0x1b], place: inMemory(4) },
];
const RETURNS: readonly Loader[] = [
  { name: "RET far", source: "SDM vol. 2, RET", code: [0x48, 0xcb], place: onStack(8) },
  { name: "IRETQ", source: "SDM vol. 2, IRET", code: [0x48, 0xcf], place: onStack(8) },
];

const cross = (loaders: readonly Loader[], flaws: readonly Flaw[]): ErrorRow[] =>
  loaders.flatMap(({ name, source, code, place }) =>
    flaws.map((flaw) =>
      instruction(`${name}: ${flaw.name}`, source, code, `${flaw.event}(${hex(flaw.selector & 0xfffc)})`, (s) => {
        s.level = flaw.cpl ?? 0;
        if (flaw.descriptor !== undefined) describe(s, flaw.descriptor);
        place(s, flaw.selector);
      }),
    ),
  );

const NULLS: readonly ErrorRow[] = [
  ...[...BRANCHES, ...RETURNS].map(({ name, source, code, place }) =>
    instruction(`${name}: null selector`, source, code, "#GP(0)", (s) => {
      s.level = 0;
      place(s, 3);
    }),
  ),
  ...STACK_LOADERS.flatMap(({ name, source, code, place }) => [
    instruction(`${name} at CPL 3: null selector`, source, code, "#GP(0)", (s) => place(s, 3)),
    instruction(`${name} at CPL 0: null selector with RPL 3`, source, code, "#GP(0)", (s) => {
      s.level = 0;
      place(s, 3);
    }),
  ]),
];

const beyondCode = [...BRANCHES, ...RETURNS].map(({ name, source, code, place }) =>
  instruction(`${name}: target beyond the limit of 32-bit code`, source, code, "#GP(0)", (s) => {
    s.level = 0;
    describe(s, 0x00409b000000ffffn);
    place(s, FREE);
    s.m.view.setUint32(DATA, 0x10000, true);
    s.m.qword(KERNEL_STACK, 0x10000);
    // IRETQ of 64-bit code pops SS as well.
    s.m.qword(KERNEL_STACK + 32, 0x10);
  }),
);

const returnsOut = RETURNS.flatMap(({ name, source, code }) => {
  // Behind RIP and CS; IRETQ has RFLAGS between.
  const at = name === "IRETQ" ? 24 : 16;
  const to =
    (stack: number, descriptor = DATA_SEGMENT | level(3)) =>
    (s: Scene): void => {
      s.level = 0;
      describe(s, descriptor);
      s.m.qword(KERNEL_STACK, HERE);
      s.m.qword(KERNEL_STACK + 8, USER_CS);
      s.m.qword(KERNEL_STACK + 16, 2);
      s.m.qword(KERNEL_STACK + at, USER_STACK);
      s.m.qword(KERNEL_STACK + at + 8, stack);
    };
  return [
    instruction(`${name} to CPL 3: null SS`, source, code, "#GP(0)", to(0)),
    instruction(`${name} to CPL 3: SS beyond the GDT`, source, code, `#GP(${hex(BEYOND)})`, to(BEYOND | 3)),
    instruction(`${name} to CPL 3: RPL of SS`, source, code, "#GP(38)", to(FREE)),
    instruction(`${name} to CPL 3: DPL of SS`, source, code, "#GP(38)", to(FREE | 3, DATA_SEGMENT)),
    instruction(`${name} to CPL 3: SS not writable`, source, code, "#GP(38)", to(FREE | 3, READ_ONLY | level(3))),
    instruction(
      `${name} to CPL 3: SS not present`,
      source,
      code,
      "#SS(38)",
      to(FREE | 3, (DATA_SEGMENT | level(3)) ^ PRESENT),
    ),
    instruction(`${name} from CPL 3 to CPL 0`, source, code, "#GP(8)", (s) => {
      s.rsp = BigInt(USER_STACK);
      s.m.qword(USER_STACK, HERE);
      s.m.qword(USER_STACK + 8, 8);
    }),
    instruction(`${name}: target not canonical`, source, code, "#GP(0)", (s) => {
      to(FREE | 3)(s);
      s.m.qword(KERNEL_STACK, 1n << 47n);
    }),
  ];
});

const systemSegments = (["LLDT", "LTR"] as const).flatMap((name) => {
  const code = name === "LLDT" ? [0x0f, 0x00, 0x13] : [0x0f, 0x00, 0x1b];
  const right = name === "LLDT" ? LDT : TSS;
  const row = (what: string, selector: number, event: string, descriptor = right, upper = 0n): ErrorRow =>
    instruction(`${name}: ${what}`, `SDM vol. 2, ${name}`, code, event, (s) => {
      s.level = 0;
      describe(s, descriptor, upper);
      inMemory(0)(s, selector);
    });
  return [
    row("beyond the GDT", BEYOND, `#GP(${hex(BEYOND)})`),
    row("selector of the LDT", LOCAL, `#GP(${hex(LOCAL)})`),
    row("another type", FREE, "#GP(38)", DATA_SEGMENT),
    row("not present", FREE | 3, "#NP(38)", right ^ PRESENT),
    row("base not canonical", FREE, "#GP(38)", right, 0x8000n),
    row("type in the upper half", FREE, "#GP(38)", right, 0x100n << 32n),
    ...(name === "LTR" ? [row("null", 0, "#GP(0)"), row("busy", FREE, "#GP(38)", right | (2n << 40n))] : []),
  ];
});

export const SEGMENT_ROWS: readonly ErrorRow[] = [
  ...cross(DATA_LOADERS, DATA_FLAWS),
  ...cross(STACK_LOADERS, STACK_FLAWS),
  ...cross([...BRANCHES, ...RETURNS], CODE_FLAWS),
  ...cross(BRANCHES, DIRECT_FLAWS),
  ...NULLS,
  ...beyondCode,
  ...returnsOut,
  ...systemSegments,
];
