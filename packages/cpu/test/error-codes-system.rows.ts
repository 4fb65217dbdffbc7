import { Status } from "../src/ports.js";
import * as S from "../src/state.js";
import { type ErrorRow, hex, instruction } from "./error-codes.js";
import { DATA, GDT, TSS, USER_STACK } from "./fake-machine.js";
import type { Scene } from "./scene.js";

/** Error codes that are 0 whatever the cause, and those of page faults (SDM vol. 3, 4.7 and 6.15). */

const CR4_OSXSAVE = 0x40000;
const CR4_TSD = 4;
const CR4_UMIP = 0x800;
const CR4_FSGSBASE = 0x10000;
const CR4_PCIDE = 0x20000;

const level0 = (s: Scene): void => {
  s.level = 0;
};
const all =
  (...setups: readonly ((s: Scene) => void)[]) =>
  (s: Scene): void => {
    for (const setup of setups) setup(s);
  };
const a = (value: bigint) => (s: Scene) => {
  s.rax = value;
};
const c = (value: bigint) => (s: Scene) => {
  s.rcx = value;
};
const b = (value: bigint) => (s: Scene) => {
  s.rbx = value;
};
const cr4 = (bits: number) => (s: Scene) => {
  s.m.vcpu.cr4 |= bits;
};
const NON_CANONICAL = 1n << 47n;

/** Instructions of level 0, at level 3. */
const PRIVILEGED: readonly (readonly [string, readonly number[]])[] = [
  ["HLT", [0xf4]],
  ["CLTS", [0x0f, 0x06]],
  ["LMSW", [0x0f, 0x01, 0xf0]],
  ["LGDT", [0x0f, 0x01, 0x13]],
  ["LIDT", [0x0f, 0x01, 0x1b]],
  ["LLDT", [0x0f, 0x00, 0xd0]],
  ["LTR", [0x0f, 0x00, 0xd8]],
  ["MOV to CR0", [0x0f, 0x22, 0xc0]],
  ["MOV from CR0", [0x0f, 0x20, 0xc0]],
  ["MOV from CR2", [0x0f, 0x20, 0xd0]],
  ["MOV to CR3", [0x0f, 0x22, 0xd8]],
  ["MOV to CR4", [0x0f, 0x22, 0xe0]],
  ["MOV to CR8", [0x44, 0x0f, 0x22, 0xc0]],
  ["MOV to DR7", [0x0f, 0x23, 0xf8]],
  ["MOV from DR6", [0x0f, 0x21, 0xf0]],
  ["INVLPG", [0x0f, 0x01, 0x3b]],
  ["WBINVD", [0x0f, 0x09]],
  ["INVD", [0x0f, 0x08]],
  ["RDMSR", [0x0f, 0x32]],
  ["WRMSR", [0x0f, 0x30]],
  ["SWAPGS", [0x0f, 0x01, 0xf8]],
  ["SYSRET", [0x48, 0x0f, 0x07]],
  ["SYSEXIT", [0x48, 0x0f, 0x35]],
];

/** Instructions that IOPL 0 keeps from level 3 (SDM vol. 1, 19.5). */
const IO: readonly (readonly [string, readonly number[]])[] = [
  ["CLI", [0xfa]],
  ["STI", [0xfb]],
  ["IN AL, imm8", [0xe4, 0x80]],
  ["OUT imm8, EAX", [0xe7, 0x80]],
  ["IN AX, DX", [0x66, 0xed]],
  ["OUT DX, AL", [0xee]],
  ["INS", [0x6c]],
  ["OUTS", [0x6e]],
];

const UMIP: readonly (readonly [string, readonly number[]])[] = [
  ["SGDT", [0x0f, 0x01, 0x03]],
  ["SIDT", [0x0f, 0x01, 0x0b]],
  ["SMSW", [0x0f, 0x01, 0xe0]],
  ["SLDT", [0x0f, 0x00, 0xc0]],
  ["STR", [0x0f, 0x00, 0xc8]],
];

const privileges = [
  ...PRIVILEGED.map(([name, code]) => instruction(`${name} at CPL 3`, `SDM vol. 2, ${name}`, code, "#GP(0)")),
  ...IO.map(([name, code]) =>
    instruction(`${name} at CPL 3 with IOPL 0`, `SDM vol. 2, ${name}`, code, "#GP(0)", (s) => {
      s.flags &= ~S.IOPL;
    }),
  ),
  ...UMIP.map(([name, code]) =>
    instruction(`${name} at CPL 3 with CR4.UMIP`, "SDM vol. 3, 2.5", code, "#GP(0)", cr4(CR4_UMIP)),
  ),
  instruction("RDTSC at CPL 3 with CR4.TSD", "SDM vol. 2, RDTSC", [0x0f, 0x31], "#GP(0)", cr4(CR4_TSD)),
  instruction("RDTSCP at CPL 3 with CR4.TSD", "SDM vol. 2, RDTSCP", [0x0f, 0x01, 0xf9], "#GP(0)", cr4(CR4_TSD)),
  instruction("XSETBV at CPL 3", "SDM vol. 2, XSETBV", [0x0f, 0x01, 0xd1], "#GP(0)", all(cr4(CR4_OSXSAVE), a(1n))),
];

const MOV_CR0 = [0x0f, 0x22, 0xc0];
const MOV_CR3 = [0x0f, 0x22, 0xd8];
const MOV_CR4 = [0x0f, 0x22, 0xe0];
const MOV_CR8 = [0x44, 0x0f, 0x22, 0xc0];
const WRMSR = [0x0f, 0x30];
const RDMSR = [0x0f, 0x32];
const XSETBV = [0x0f, 0x01, 0xd1];
const XGETBV = [0x0f, 0x01, 0xd0];
const INVPCID = [0x66, 0x0f, 0x38, 0x82, 0x0b]; // rcx, [rbx]

/** Values that registers do not take, at CPL 0. */
const VALUES: readonly (readonly [string, string, readonly number[], ...((s: Scene) => void)[]])[] = [
  ["CR0: PG without PE", "SDM vol. 2, MOV CR", MOV_CR0, a(0x80000010n)],
  ["CR0: NW without CD", "SDM vol. 2, MOV CR", MOV_CR0, a(0xa0050033n)],
  ["CR0: bit 32", "SDM vol. 2, MOV CR", MOV_CR0, a(0x180050033n)],
  ["CR0: PG clear in 64-bit mode", "SDM vol. 2, MOV CR", MOV_CR0, a(0x50033n)],
  ["CR3: bits above the physical address", "SDM vol. 2, MOV CR", MOV_CR3, a(1n << 60n)],
  ["CR4: reserved bit", "SDM vol. 3, 2.5", MOV_CR4, a((1n << 15n) | 0x6a0n)],
  ["CR4: bit 32", "SDM vol. 2, MOV CR", MOV_CR4, a((1n << 32n) | 0x6a0n)],
  ["CR4: PAE clear in IA-32e mode", "SDM vol. 2, MOV CR", MOV_CR4, a(0x680n)],
  ["CR4: LA57 changed in IA-32e mode", "SDM vol. 2, MOV CR", MOV_CR4, a(0x16a0n)],
  [
    "CR4: PCIDE set with bits 0-11 of CR3",
    "SDM vol. 3, 4.10.1",
    MOV_CR4,
    a(0x206a0n),
    (s) => {
      s.m.vcpu.paging.cr3Lo = 8;
    },
  ],
  ["CR0: PG clear with CR4.PCIDE", "SDM vol. 3, 4.10.1", MOV_CR0, a(0x50033n), cr4(CR4_PCIDE)],
  ["CR8: above 15", "SDM vol. 2, MOV CR", MOV_CR8, a(16n)],
  ["DR7: bit 32", "SDM vol. 2, MOV DR", [0x0f, 0x23, 0xf8], a(1n << 32n)],
  ["DR6: bit 63", "SDM vol. 2, MOV DR", [0x0f, 0x23, 0xf0], a(1n << 63n)],
  ["XCR0: x87 clear", "SDM vol. 2, XSETBV", XSETBV, cr4(CR4_OSXSAVE), a(2n)],
  ["XCR0: a component not offered", "SDM vol. 2, XSETBV", XSETBV, cr4(CR4_OSXSAVE), a(0x80000001n)],
  ["XCR1", "SDM vol. 2, XSETBV", XSETBV, cr4(CR4_OSXSAVE), a(1n), c(1n)],
  ["XGETBV of XCR2", "SDM vol. 2, XGETBV", XGETBV, cr4(CR4_OSXSAVE), c(2n)],
  ["WRMSR to none", "SDM vol. 2, WRMSR", WRMSR, c(0x12345n)],
  ["RDMSR from none", "SDM vol. 2, RDMSR", RDMSR, c(0x12345n)],
  ["WRMSR to a read-only register", "SDM vol. 2, WRMSR", WRMSR, c(0xfen)],
  ["WRMSR of a reserved bit to IA32_EFER", "SDM vol. 3, 2.2.1", WRMSR, c(0xc0000080n), a(2n)],
  ["WRMSR of LME with paging on", "SDM vol. 3, 9.8.5", WRMSR, c(0xc0000080n), a(0xc01n)],
  ["WRMSR of no memory type to IA32_PAT", "SDM vol. 3, 12.12.2", WRMSR, c(0x277n), a(2n)],
  ["RDPMC of no counter", "SDM vol. 2, RDPMC", [0x0f, 0x33], c(0x1234n)],
  ["SYSRET to nowhere", "SDM vol. 2, SYSRET", [0x48, 0x0f, 0x07], c(NON_CANONICAL)],
  ["SYSEXIT without IA32_SYSENTER_CS", "SDM vol. 2, SYSEXIT", [0x48, 0x0f, 0x35]],
  ["SYSENTER without IA32_SYSENTER_CS", "SDM vol. 2, SYSENTER", [0x0f, 0x34]],
  [
    "WRFSBASE of no address",
    "SDM vol. 2, WRFSBASE",
    [0xf3, 0x48, 0x0f, 0xae, 0xd0],
    cr4(CR4_FSGSBASE),
    a(NON_CANONICAL),
  ],
  ["INVPCID: type 4", "SDM vol. 2, INVPCID", INVPCID, c(4n)],
  ["INVPCID: type 2 with bit 32", "SDM vol. 2, INVPCID", INVPCID, c(0x100000002n)],
  ["INVPCID: reserved bits", "SDM vol. 2, INVPCID", INVPCID, (s) => s.m.qword(DATA, 0x1000)],
  ["INVPCID: PCID without CR4.PCIDE", "SDM vol. 2, INVPCID", INVPCID, c(1n), (s) => s.m.qword(DATA, 5)],
  ["INVPCID: address not canonical", "SDM vol. 2, INVPCID", INVPCID, (s) => s.m.qword(DATA + 8, NON_CANONICAL)],
  ["LGDT: base not canonical", "SDM vol. 2, LGDT", [0x0f, 0x01, 0x13], (s) => s.m.qword(DATA + 2, NON_CANONICAL)],
  ["LIDT: base not canonical", "SDM vol. 2, LIDT", [0x0f, 0x01, 0x1b], (s) => s.m.qword(DATA + 2, NON_CANONICAL)],
  ["MOVAPS of a misaligned operand", "SDM vol. 2, MOVAPS", [0x0f, 0x28, 0x03], b(BigInt(DATA + 8))],
  ["FXRSTOR of a misaligned area", "SDM vol. 2, FXRSTOR", [0x0f, 0xae, 0x0b], b(BigInt(DATA + 8))],
  [
    "FXRSTOR of reserved bits of MXCSR",
    "SDM vol. 2, FXRSTOR",
    [0x0f, 0xae, 0x0b],
    (s) => s.m.qword(DATA + 24, 1 << 16),
  ],
  ["XSAVE to a misaligned area", "SDM vol. 2, XSAVE", [0x0f, 0xae, 0x23], cr4(CR4_OSXSAVE), b(BigInt(DATA + 16))],
  [
    "XRSTOR of a component not enabled",
    "SDM vol. 2, XRSTOR",
    [0x0f, 0xae, 0x2b],
    cr4(CR4_OSXSAVE),
    (s) => s.m.qword(DATA + 512, 4),
  ],
  ["CMPXCHG16B of a misaligned operand", "SDM vol. 2, CMPXCHG16B", [0x48, 0x0f, 0xc7, 0x0b], b(BigInt(DATA + 8))],
  ["JMP to nowhere", "SDM vol. 2, JMP", [0xff, 0xe3], b(NON_CANONICAL)],
  [
    "IRETQ with NT",
    "SDM vol. 2, IRET",
    [0x48, 0xcf],
    (s) => {
      s.flags |= S.NT;
    },
  ],
];

const values = VALUES.map(([name, source, code, ...setups]) =>
  instruction(name, source, code, "#GP(0)", all(level0, ...setups)),
);

const stack: readonly ErrorRow[] = [
  instruction("PUSH with RSP not canonical", "SDM vol. 2, PUSH", [0x50], "#SS(0)", (s) => {
    s.rsp = NON_CANONICAL | 0x1000n;
  }),
  instruction("POP with RSP not canonical", "SDM vol. 2, POP", [0x58], "#SS(0)", (s) => {
    s.rsp = NON_CANONICAL;
  }),
  instruction("a load through RBP not canonical", "SDM vol. 3, 6.15", [0x8b, 0x45, 0x00], "#SS(0)", (s) => {
    s.rbp = NON_CANONICAL;
  }),
];

/** Operands where alignment is checked: size of the check by instruction (SDM vol. 3, table 6-7; recorded from a processor). */
const ALIGNED: readonly (readonly [string, readonly number[], number])[] = [
  ["a word", [0x66, 0x8b, 0x03], 1],
  ["a doubleword", [0x8b, 0x03], 2],
  ["a quadword", [0x48, 0x8b, 0x03], 4],
  ["a single", [0xd9, 0x03], 2],
  ["a double", [0xdd, 0x03], 4],
  ["an extended double", [0xdb, 0x2b], 4],
  ["packed BCD", [0xdf, 0x23], 4],
  ["a 32-bit far pointer of 48 bits", [0x0f, 0xb4, 0x03], 2],
  ["a 64-bit far pointer", [0x48, 0x0f, 0xb4, 0x03], 4],
  ["FNSTENV's area", [0xd9, 0x33], 2],
  ["FNSTENV's area of 16 bits", [0x66, 0xd9, 0x33], 1],
  ["FRSTOR's area", [0xdd, 0x23], 2],
  ["FXSAVE's area", [0x0f, 0xae, 0x03], 2],
  ["MOVQ xmm, m64", [0xf3, 0x0f, 0x7e, 0x03], 4],
  ["a bit string", [0x0f, 0xa3, 0x03], 1],
  ["CMPXCHG8B", [0x0f, 0xc7, 0x0b], 4],
];
const checked =
  (offset: number) =>
  (s: Scene): void => {
    s.m.vcpu.cr0 |= 0x40000;
    s.flags |= S.AC;
    s.rbx = BigInt(DATA + offset);
  };
const alignment = [
  ...ALIGNED.map(([name, code, offset]) =>
    instruction(`#AC: ${name} off by ${offset}`, "SDM vol. 3, table 6-7", code, "#AC(0)", checked(offset)),
  ),
  ...(
    [
      ["MASKMOVQ", [0x0f, 0xf7, 0xc0], 4],
      ["MASKMOVDQU", [0x66, 0x0f, 0xf7, 0xc0], 1],
    ] as const
  ).map(([name, code, offset]) =>
    instruction(`#AC: ${name} off by ${offset}`, "recorded from a processor", code, "#AC(0)", (s) => {
      checked(0)(s);
      s.rdi = BigInt(DATA + offset);
    }),
  ),
  instruction("#AC: a push", "SDM vol. 3, table 6-7", [0x50], "#AC(0)", (s) => {
    checked(0)(s);
    s.rsp = BigInt(USER_STACK + 4);
  }),
  ...(
    [
      ["MOVUPS off by 8", [0x0f, 0x10, 0x03], 8],
      ["MOVUPS off by 1", [0x0f, 0x10, 0x03], 1],
      ["LDDQU off by 1", [0xf2, 0x0f, 0xf0, 0x03], 1],
      ["PCMPISTRI off by 1", [0x66, 0x0f, 0x3a, 0x63, 0x03, 0], 1],
      ["CLFLUSH off by 1", [0x0f, 0xae, 0x3b], 1],
      ["a byte anywhere", [0x8a, 0x03], 3],
    ] as const
  ).map(([name, code, offset]) =>
    instruction(`no #AC: ${name}`, "recorded from a processor", [...code, 0x0f, 0x0b], "#UD", checked(offset)),
  ),
  instruction(
    "#AC is not checked at CPL 0",
    "SDM vol. 3, 6.15",
    [0x8b, 0x03, 0x0f, 0x0b],
    "#UD",
    all(checked(1), level0),
  ),
];

/** Page faults: P 1, W 2, U 4, I 10h. Other bits are the page walk's (see `@vm/mmu`), which hands over the whole code. */
const PAGE_FAULTS: readonly (readonly [string, readonly number[], 0 | 3, Parameters<Scene["m"]["map"]>[1], number])[] =
  [
    ["a read of an absent page at CPL 0", [0x8b, 0x03], 0, { absent: true }, 0],
    ["a write to an absent page at CPL 0", [0x89, 0x03], 0, { absent: true }, 2],
    ["a write to a read-only page at CPL 0", [0x89, 0x03], 0, { readOnly: true }, 3],
    ["a read of an absent page at CPL 3", [0x8b, 0x03], 3, { absent: true }, 4],
    ["a read of a supervisor page at CPL 3", [0x8b, 0x03], 3, { supervisor: true }, 5],
    ["a write to an absent page at CPL 3", [0x89, 0x03], 3, { absent: true }, 6],
    ["a write to a supervisor page at CPL 3", [0x89, 0x03], 3, { supervisor: true }, 7],
    ["a write to a read-only page at CPL 3", [0x89, 0x03], 3, { readOnly: true }, 7],
    ["a read-modify-write of an absent page", [0x01, 0x03], 3, { absent: true }, 6],
    ["CMPXCHG that would not write", [0x0f, 0xb1, 0x0b], 3, { readOnly: true }, 7],
    ["XADD with a read-only page", [0x0f, 0xc1, 0x03], 3, { readOnly: true }, 7],
    ["BTS of memory", [0x0f, 0xab, 0x03], 3, { readOnly: true }, 7],
    ["BT of memory", [0x0f, 0xa3, 0x03], 3, { absent: true }, 4],
    ["CLFLUSH of an absent page", [0x0f, 0xae, 0x3b], 3, { absent: true }, 4],
    ["FXSAVE to a read-only page", [0x0f, 0xae, 0x03], 3, { readOnly: true }, 7],
    ["FXRSTOR from an absent page", [0x0f, 0xae, 0x0b], 3, { absent: true }, 4],
    ["STOS to an absent page", [0xaa], 3, { absent: true }, 6],
    ["SCAS of an absent page", [0xae], 3, { absent: true }, 4],
    ["MASKMOVQ to a read-only page", [0x0f, 0xf7, 0xc0], 3, { readOnly: true }, 7],
    ["a jump to an absent page at CPL 3", [0xff, 0xe3], 3, { absent: true }, 0x14],
    ["a jump to a no-execute page at CPL 3", [0xff, 0xe3], 3, { noExecute: true }, 0x15],
    ["a jump to a supervisor page at CPL 3", [0xff, 0xe3], 3, { supervisor: true }, 0x15],
    ["a jump to an absent page at CPL 0", [0xff, 0xe3], 0, { absent: true }, 0x10],
    ["a jump to a no-execute page at CPL 0", [0xff, 0xe3], 0, { noExecute: true }, 0x11],
  ];
const pageFaults = PAGE_FAULTS.map(([name, code, level, page, error]) =>
  instruction(`#PF: ${name}`, "SDM vol. 3, 4.7", code, `#PF(${hex(error)})`, (s) => {
    s.level = level;
    s.m.map(DATA, page);
  }),
);

/** Codes that only a walk of real page tables gives: reserved bits 8, protection keys 20h. They are pushed as they come. */
const WALKED: readonly (readonly [string, readonly number[], number])[] = [
  ["a reserved bit, read at CPL 3", [0x8b, 0x03], 0xd],
  ["a reserved bit, write at CPL 3", [0x89, 0x03], 0xf],
  ["a reserved bit, fetch at CPL 3", [0xff, 0xe3], 0x1d],
  ["a protection key, read at CPL 3", [0x8b, 0x03], 0x25],
  ["a protection key, write at CPL 3", [0x89, 0x03], 0x27],
];
const walked = WALKED.map(([name, code, error]) =>
  instruction(`#PF: ${name}`, "SDM vol. 3, 4.7", code, `#PF(${hex(error)})`, ({ m: { mmu } }) => {
    const translate = mmu.translate.bind(mmu);
    mmu.translate = (controls, lo, hi, access) => {
      const status = translate(controls, lo, hi, access);
      if (lo >>> 12 !== DATA >>> 12) return status;
      Object.assign(mmu.translation, { errorCode: error });
      return Status.Fault;
    };
  }),
);

/** A page that the GDT and the I/O bitmap can be made to reach into, and that nothing else uses. */
const APART = 0xc000;
/** Accesses by the processor itself have U clear, also at CPL 3 (SDM vol. 3, 4.6.1 and 4.7). */
const implicit = [
  instruction("#PF: a descriptor in an absent page, from CPL 3", "SDM vol. 3, 4.7", [0x8e, 0xd8], "#PF(0)", (s) => {
    s.m.vcpu.gdtr.limit = 0xffff;
    s.rax = BigInt(APART - GDT) | 3n;
    s.m.map(APART, { absent: true });
  }),
  instruction(
    "#PF: the accessed bit of a descriptor in a read-only page, from CPL 3",
    "SDM vol. 3, 4.7",
    [0x8e, 0xd8],
    "#PF(3)",
    (s) => {
      s.rax = 0x1bn;
      s.m.qword(GDT + 0x18, s.m.q(GDT + 0x18) & ~(1n << 40n));
      s.m.map(GDT, { readOnly: true });
    },
  ),
  instruction("#PF: the I/O bitmap in an absent page, from CPL 3", "SDM vol. 3, 4.7", [0xe4, 0x80], "#PF(0)", (s) => {
    s.flags &= ~S.IOPL;
    s.m.vcpu.tr = { ...s.m.vcpu.tr, limit: 0xffff };
    s.m.view.setUint16(TSS + 0x66, APART - TSS, true);
    s.m.map(APART, { absent: true });
  }),
];

export const SYSTEM_ROWS: readonly ErrorRow[] = [
  ...privileges,
  ...values,
  ...stack,
  ...alignment,
  ...pageFaults,
  ...walked,
  ...implicit,
];
