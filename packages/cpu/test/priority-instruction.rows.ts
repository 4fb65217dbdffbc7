import * as S from "../src/state.js";
import { Seg } from "../src/vcpu/registers/constants.js";
import {
  absent,
  always,
  CR0_AM,
  CR4_OSXMMEXCPT,
  codeBreakpoint,
  codeLimit,
  compatibility,
  condition,
  dataBreakpoint,
  emulation,
  fetchFault,
  fetchFaultAfter,
  interrupt,
  lock,
  misaligned,
  misaligned16,
  NON_CANONICAL,
  nmi,
  nonCanonical,
  portBreakpoint,
  RECORDED,
  readOnly,
  reload,
  signalling,
  singleStep,
  sourceAbsent,
  sourceNonCanonical,
  strings,
  targetAddressNonCanonical,
  taskSwitched,
  x87Pending,
} from "./conditions.js";
import { DATA } from "./fake-machine.js";
import type { Chain } from "./priority-chain.js";
import { type Condition, HERE, type Scene } from "./scene.js";

/** Priorities at the boundary before an instruction, in its fetch and decoding, and among the faults of ordinary operands. */

const boundary: Chain = {
  name: "an x87 instruction with a memory operand, after OUTS",
  code: [0xd8, 0x03], // fadd dword [rbx]
  within: RECORDED,
  conditions: [
    singleStep,
    nmi,
    interrupt,
    codeBreakpoint,
    fetchFault,
    lock,
    taskSwitched,
    x87Pending,
    nonCanonical,
    misaligned,
    absent(4),
  ],
};

const traps: readonly Chain[] = [dataBreakpoint, portBreakpoint].map((trap) => ({
  name: `the instruction after OUTS with a ${trap.name}`,
  code: [0x0f, 0x0b],
  within: "SDM vol. 3, table 6-2",
  conditions: [trap, nmi, interrupt, codeBreakpoint, fetchFault],
}));

const decoding: readonly Chain[] = [
  {
    name: "an instruction of 17 bytes on two pages",
    code: [...new Array<number>(15).fill(0x2e), 0x0f, 0x0b],
    within: "",
    conditions: [codeBreakpoint, fetchFaultAfter(15), always(9, "more than 15 bytes", "#GP(0)")],
  },
  {
    name: "MOV r32, imm32 with its last bytes on another page",
    code: [0xf0, 0xb8, 1, 2, 3, 4],
    within: RECORDED,
    conditions: [codeBreakpoint, fetchFaultAfter(2), always(9, "LOCK not allowed", "#UD")],
  },
  {
    name: "32-bit code",
    code: [0xd8, 0x03],
    setup: compatibility,
    within: "SDM vol. 3, 5.3",
    conditions: [singleStep, codeBreakpoint, codeLimit, fetchFault, lock, taskSwitched],
  },
];

const operands: readonly Chain[] = [
  {
    name: "MOVAPS",
    code: [0x0f, 0x28, 0x03],
    within: RECORDED,
    conditions: [fetchFault, taskSwitched, misaligned16, absent(4)],
  },
  {
    name: "MOVAPS with CR0.EM",
    code: [0x0f, 0x28, 0x03],
    within: "SDM vol. 3, table 13-1",
    conditions: [fetchFault, emulation, taskSwitched, misaligned16],
  },
  {
    name: "MOVAPS through the stack segment",
    code: [0x0f, 0x28, 0x45, 0x00], // [rbp]
    within: RECORDED,
    conditions: [
      condition(10, "operand not 16-byte aligned", "#GP(0)", (s) => {
        s.rbp |= 8n;
      }),
      condition(10, "non-canonical operand", "#SS(0)", (s) => {
        s.rbp |= NON_CANONICAL;
      }),
      absent(4),
    ],
  },
  {
    name: "MOV through the stack segment",
    code: [0x8b, 0x45, 0x00],
    within: RECORDED,
    conditions: [
      condition(10, "non-canonical operand", "#SS(0)", (s) => {
        s.rbp |= NON_CANONICAL;
      }),
      condition(10, "misaligned operand, checked", "#AC(0)", (s) => {
        s.m.vcpu.cr0 |= CR0_AM;
        s.flags |= S.AC;
        s.rbp |= 1n;
      }),
      absent(4),
    ],
  },
  {
    name: "ADDPS",
    code: [0x0f, 0x58, 0x03],
    within: RECORDED,
    conditions: [
      taskSwitched,
      misaligned16,
      absent(4),
      condition(10, "unmasked SIMD exception", "#XM", (s) => signalling(s)),
    ],
  },
  {
    name: "ADDPS without CR4.OSXMMEXCPT",
    code: [0x0f, 0x58, 0x03],
    within: RECORDED,
    conditions: [
      misaligned16,
      absent(4),
      condition(10, "unmasked SIMD exception", "#UD", (s) => {
        signalling(s);
        s.m.vcpu.cr4 &= ~CR4_OSXMMEXCPT;
      }),
    ],
  },
  {
    name: "LDMXCSR",
    code: [0x0f, 0xae, 0x13],
    within: "SDM vol. 2, LDMXCSR",
    conditions: [
      lock,
      taskSwitched,
      misaligned,
      absent(4),
      condition(10, "reserved bits", "#GP(0)", (s) => s.m.view.setUint32(DATA, 0x10000, true)),
    ],
  },
  {
    name: "a locked ADD",
    code: [0xf0, 0x01, 0x03],
    within: RECORDED,
    conditions: [fetchFault, nonCanonical, misaligned, readOnly],
  },
  {
    name: "CMPXCHG16B",
    code: [0x48, 0x0f, 0xc7, 0x0b],
    within: RECORDED,
    conditions: [misaligned16, absent(6)],
  },
  {
    name: "FXSAVE",
    code: [0x0f, 0xae, 0x03],
    within: RECORDED,
    conditions: [lock, taskSwitched, misaligned16, absent(6)],
  },
  {
    name: "FXSAVE with alignment check",
    code: [0x0f, 0xae, 0x03],
    within: RECORDED,
    conditions: [misaligned, misaligned16, absent(6)],
  },
  {
    name: "DIV",
    code: [0xf7, 0x33],
    within: "SDM vol. 3, 6.15: the operand is read first",
    conditions: [lock, nonCanonical, misaligned, absent(4), always(10, "zero divisor", "#DE")],
  },
  {
    name: "a load in 32-bit code",
    code: [0x8b, 0x03],
    setup: (s) => {
      compatibility(s);
      s.before = [0x90];
    },
    within: "SDM vol. 3, 5.3: limit before paging",
    conditions: [
      lock,
      condition(10, "beyond the limit of DS", "#GP(0)", (s) => {
        s.loads.push(() => reload(s, Seg.DS, { limit: DATA + 2 }));
      }),
      misaligned,
      absent(4),
    ],
  },
  {
    name: "a store in 32-bit code",
    code: [0x89, 0x03],
    setup: compatibility,
    within: "SDM vol. 3, 5.4.1: type before paging",
    conditions: [
      condition(10, "DS not writable", "#GP(0)", (s) => {
        s.loads.push(() => reload(s, Seg.DS, { attributes: 0xc0f1 }));
      }),
      readOnly,
    ],
  },
  {
    name: "a load in 32-bit code through a null selector",
    code: [0x8b, 0x03],
    setup: compatibility,
    within: "SDM vol. 3, 5.4.1",
    conditions: [
      condition(10, "DS null", "#GP(0)", (s) => {
        s.loads.push(() => reload(s, Seg.DS, { selector: 0, limit: 0, attributes: 0 }));
      }),
      misaligned,
      absent(4),
    ],
  },
  {
    name: "a load from the stack segment in 32-bit code",
    code: [0x8b, 0x45, 0x00],
    setup: compatibility,
    within: "SDM vol. 3, 5.3",
    conditions: [
      condition(10, "beyond the limit of SS", "#SS(0)", (s) => {
        s.loads.push(() => reload(s, Seg.SS, { limit: DATA + 2 }));
      }),
      absent(4),
    ],
  },
];

const STACK_PAGE = 0x7000;
const stackAbsent = (code: number): Condition =>
  condition(10, "stack page absent", `#PF(${code})`, (s) => s.m.map(STACK_PAGE, { absent: true }));
/** A stack that is nothing but a page of its own. */
const ownStack = (s: Scene): void => {
  s.rsp = BigInt(STACK_PAGE + 0x800);
};
const targetNonCanonical = condition(10, "target not canonical", "#GP(0)", (s) => {
  s.m.qword(DATA, NON_CANONICAL);
});
const mmx: Chain = {
  name: "an MMX load",
  code: [0x0f, 0x6f, 0x03],
  within: RECORDED,
  conditions: [lock, emulation, taskSwitched, x87Pending, nonCanonical, misaligned, absent(4)],
};

const twoOperands: readonly Chain[] = [
  {
    name: "PUSH of memory",
    code: [0xff, 0x33],
    setup: ownStack,
    within: RECORDED,
    conditions: [nonCanonical, absent(4), stackAbsent(6)],
  },
  {
    name: "POP to memory",
    code: [0x8f, 0x03],
    setup: ownStack,
    within: RECORDED,
    conditions: [stackAbsent(4), absent(6)],
  },
  {
    name: "CALL through memory",
    code: [0xff, 0x13],
    setup: (s) => {
      ownStack(s);
      s.m.qword(DATA, HERE);
    },
    within: RECORDED,
    conditions: [absent(4), stackAbsent(6), targetNonCanonical],
  },
  {
    name: "CALL through a register",
    code: [0xff, 0xd3],
    setup: (s) => {
      s.rbx = BigInt(HERE);
    },
    within: RECORDED,
    conditions: [
      condition(10, "stack not canonical", "#SS(0)", (s) => {
        s.rsp |= NON_CANONICAL;
      }),
      nonCanonical,
    ],
  },
  ...[[0xa4], [0xf3, 0xa4]].flatMap((code): Chain[] => {
    const name = code.length > 1 ? "REP MOVS" : "MOVS";
    return [
      { name, code, setup: strings, within: RECORDED, conditions: [sourceAbsent, absent(6)] },
      {
        name: `${name} from nowhere`,
        code,
        setup: strings,
        within: RECORDED,
        conditions: [sourceNonCanonical, absent(6)],
      },
      {
        name: `${name} to nowhere`,
        code,
        setup: strings,
        within: RECORDED,
        conditions: [sourceAbsent, targetAddressNonCanonical],
      },
    ];
  }),
  ...[[0xa6], [0xf3, 0xa6]].flatMap((code): Chain[] => {
    const name = code.length > 1 ? "REPE CMPS" : "CMPS";
    return [
      {
        name: `${name} with a destination that is not canonical`,
        code,
        setup: strings,
        within: RECORDED,
        conditions: [targetAddressNonCanonical, sourceAbsent],
      },
      {
        name: `${name} with a source that is not canonical`,
        code,
        setup: strings,
        within: RECORDED,
        conditions: [absent(4), sourceNonCanonical],
      },
    ];
  }),
];

export const INSTRUCTION_CHAINS: readonly Chain[] = [boundary, ...traps, ...decoding, ...operands, mmx, ...twoOperands];
