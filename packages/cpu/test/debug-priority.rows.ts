import * as S from "../src/state.js";
import { CR4_DE, EXECUTE, IO1, READ_WRITE1, RECORDED } from "./conditions.js";
import { DATA, DEVICE, GDT, HANDLERS, IDT, IST1, KERNEL_SS, TSS } from "./fake-machine.js";
import { BEFORE_PORT, BEFORE_READS, HERE, type Scene } from "./scene.js";

/** One scene and all that comes of it. */
export interface Row {
  readonly name: string;
  readonly source: string;
  readonly code: readonly number[];
  readonly setup: (s: Scene) => void;
  readonly events: readonly string[];
  /** Pushed instruction pointer, relative to the instruction under test. */
  readonly ip?: number;
  /** RF in the pushed flags. */
  readonly rf?: boolean;
  /** RCX then. */
  readonly rcx?: number;
}

const IMPLICIT = "SDM vol. 3, 17.3.1.2: every data access counts, those of the processor itself too";
const NOP2 = [0x90, 0x90];
const UD2 = [0x0f, 0x0b];
const LOAD = [0x8b, 0x03];
const MOV_SS = [0x8e, 0x55, 0x00]; // mov ss, [rbp]

export const alone = (s: Scene): void => {
  s.before = [];
};
export const step = (s: Scene): void => {
  s.flags |= S.TF;
};
/** Behind MOV SS from a device, during which `arrivals` happen. */
const behindMovSs = (s: Scene): void => {
  s.level = 0;
  s.before = MOV_SS;
  s.rbp = BigInt(DEVICE);
  s.m.bus.mmioRead = () => {
    for (const arrive of s.arrivals.splice(0)) arrive();
    return KERNEL_SS;
  };
};
const nmi = (s: Scene): void => {
  s.arrivals.push(() => s.m.vcpu.nmi());
};
const interrupt = (s: Scene): void => {
  s.flags |= S.IF;
  s.arrivals.push(() => s.m.interrupt(0x40));
};
export const all =
  (...setups: readonly ((s: Scene) => void)[]) =>
  (s: Scene): void => {
    for (const setup of setups) setup(s);
  };
export const code = (n: number) => (s: Scene) => s.breakpoint(n, HERE, EXECUTE);
export const data = (n: number, at: number) => (s: Scene) => s.breakpoint(n, at, READ_WRITE1);
const port = (n: number) => (s: Scene) => {
  s.m.vcpu.cr4 |= CR4_DE;
  s.breakpoint(n, BEFORE_PORT, IO1);
};
/** REP MOVS of 3 bytes between pages of their own. */
export const copy = (s: Scene): void => {
  s.before = [];
  s.rcx = 3n;
  s.rsi = BigInt(BEFORE_READS);
};

export const DEBUG_ROWS: readonly Row[] = [
  {
    name: "single step, data and I/O breakpoint of one instruction are one #DB",
    source: "SDM vol. 3, 17.2.3: DR6 tells all of them",
    code: NOP2,
    setup: all(step, data(0, BEFORE_READS), port(1)),
    events: ["#DB 4003"],
    ip: 0,
  },
  {
    name: "two breakpoints on one byte are one #DB",
    source: "SDM vol. 3, 17.2.3",
    code: NOP2,
    setup: all(alone, code(1), code(2)),
    events: ["#DB 6"],
    ip: 0,
  },
  {
    name: "with RF set the code breakpoint is not met, the data breakpoint is",
    source: "SDM vol. 3, 17.3.1.1",
    code: LOAD,
    setup: all(alone, code(1), data(0, DATA), (s) => {
      s.flags |= S.RF;
    }),
    events: ["#DB 1"],
    ip: 2,
    rf: false,
  },
  {
    name: "an I/O breakpoint without CR4.DE is none",
    source: "SDM vol. 3, 17.2.4",
    code: UD2,
    setup: all(port(1), (s) => {
      s.m.vcpu.cr4 &= ~CR4_DE;
    }),
    events: ["#UD"],
  },
  {
    name: "an instruction that faults is not followed by its single-step trap",
    source: "SDM vol. 3, 17.3.1.4: the fault's delivery clears TF",
    code: UD2,
    setup: all(alone, step),
    events: ["#UD"],
    ip: 0,
    rf: true,
  },
  {
    name: "an access that faults does not meet its data breakpoint",
    source: "SDM vol. 3, 17.3.1.2: the trap follows the access",
    code: LOAD,
    setup: all(alone, data(0, DATA), (s) => s.m.map(DATA, { absent: true })),
    events: ["#PF(4)"],
    ip: 0,
    rf: true,
  },
  {
    name: "a segment load meets the breakpoint of its descriptor",
    source: IMPLICIT,
    code: [0x8e, 0xd8],
    setup: all(alone, data(0, GDT + 0x18), (s) => {
      s.rax = 0x1bn;
    }),
    events: ["#DB 1"],
    ip: 2,
  },
  {
    name: "delivery meets the breakpoint of its gate, before the handler's first instruction",
    source: IMPLICIT,
    code: UD2,
    setup: all(alone, data(0, IDT + 16 * 6)),
    events: ["#UD", "#DB 1"],
    ip: HANDLERS + 16 * 6 - HERE,
  },
  {
    name: "delivery meets the breakpoint of its frame, before the handler's first instruction",
    source: IMPLICIT,
    code: UD2,
    setup: all(alone, data(0, IST1 - 8), (s) => s.m.gate(1, { ist: 2 })),
    events: ["#UD", "#DB 1"],
    ip: HANDLERS + 16 * 6 - HERE,
  },
  {
    name: "the delivery of an interrupt meets the breakpoint of the stack pointer in the TSS",
    source: IMPLICIT,
    code: NOP2,
    setup: all(interrupt, data(0, TSS + 4)),
    events: ["INTR 40", "#DB 1"],
    ip: HANDLERS + 16 * 0x40 - HERE,
  },
  {
    name: "the delivery of INT n meets the breakpoint of its gate, before the handler's first instruction",
    source: IMPLICIT,
    code: [0xcc],
    setup: all(alone, data(0, IDT + 16 * 3)),
    events: ["#BP", "#DB 1"],
    ip: HANDLERS + 16 * 3 - HERE,
  },
  {
    name: "a permission check meets the breakpoint of the I/O bitmap",
    source: IMPLICIT,
    code: [0xe4, 0x80],
    setup: all(alone, data(0, TSS + 0x66), (s) => {
      s.flags &= ~S.IOPL;
      s.m.vcpu.tr = { ...s.m.vcpu.tr, limit: 0x100 };
    }),
    events: ["#DB 1"],
    ip: 2,
  },
  {
    name: "INT3 is not followed by a single-step trap",
    source: "SDM vol. 3, 17.3.1.4",
    code: [0xcc],
    setup: all(alone, step),
    events: ["#BP"],
    ip: 1,
    rf: false,
  },
  {
    name: "INT1 says nothing in DR6, and is not followed by a single-step trap",
    source: "SDM vol. 2, INT n; vol. 3, 17.3.1.4",
    code: [0xf1],
    setup: all(alone, step),
    events: ["#DB 0"],
    ip: 1,
    rf: false,
  },
  {
    name: "INT1 asks no gate for its DPL, and a code breakpoint on it comes first",
    source: "SDM vol. 2, INT n; vol. 3, table 6-2",
    code: [0xf1],
    setup: all(alone, code(0)),
    events: ["#DB 1"],
    ip: 0,
  },
  ...[nmi, interrupt].map(
    (event): Row => ({
      name: `no ${event === nmi ? "NMI" : "interrupt"} behind MOV SS: a fault of the next instruction comes first`,
      source: "SDM vol. 3, 6.8.3",
      code: UD2,
      setup: all(behindMovSs, event),
      events: event === nmi ? ["#UD", "NMI"] : ["#UD"],
    }),
  ),
  ...(
    [
      ["NMI", nmi],
      ["INTR 40", interrupt],
    ] as const
  ).map(
    ([name, event]): Row => ({
      name: `${name} behind MOV SS and one more instruction`,
      source: "SDM vol. 3, 6.8.3",
      code: NOP2,
      setup: all(behindMovSs, event),
      events: [name],
      ip: 1,
    }),
  ),
  {
    name: "no single-step trap behind MOV SS",
    source: "SDM vol. 3, 6.8.3",
    code: NOP2,
    setup: all(behindMovSs, step),
    events: ["#DB 4000"],
    ip: 1,
  },
  {
    name: "no code breakpoint behind MOV SS",
    source: "SDM vol. 3, 6.8.3",
    code: UD2,
    setup: all(behindMovSs, code(0)),
    events: ["#UD"],
    ip: 0,
  },
  {
    name: "the data breakpoint of MOV SS is told behind the next instruction",
    source: "SDM vol. 3, 6.8.3",
    code: NOP2,
    setup: all(behindMovSs, data(0, DEVICE)),
    events: ["#DB 1"],
    ip: 1,
  },
  {
    name: "no interrupt behind STI: a fault of the next instruction comes first",
    source: "SDM vol. 2, STI",
    code: UD2,
    setup: (s) => {
      s.before = [0xfb];
      s.m.interrupt(0x40);
    },
    events: ["#UD"],
    ip: 0,
  },
  {
    name: "an interrupt behind STI and one more instruction",
    source: "SDM vol. 2, STI",
    code: NOP2,
    setup: (s) => {
      s.before = [0xfb];
      s.m.interrupt(0x40);
    },
    events: ["INTR 40"],
    ip: 1,
  },
  {
    name: "a single-step trap behind STI",
    source: "SDM vol. 3, 6.8.3: only MOV SS and POP SS hold debug exceptions",
    code: NOP2,
    setup: all(step, (s) => {
      s.before = [0xfb];
    }),
    events: ["#DB 4000"],
    ip: 0,
  },
  {
    name: "with TF every iteration of REP is followed by #DB, with RF set but for the last",
    source: "SDM vol. 3, 17.3.1.1 and 17.3.1.4",
    code: [0xf3, 0xa4],
    setup: all(copy, step),
    events: ["#DB 4000"],
    ip: 0,
    rf: true,
  },
  {
    name: "with TF the last iteration of REP is followed by #DB with RF clear",
    source: "SDM vol. 3, 17.3.1.1",
    code: [0xf3, 0xa4],
    setup: all(copy, step, (s) => {
      s.rcx = 1n;
    }),
    events: ["#DB 4000"],
    ip: 2,
    rf: false,
  },
  {
    name: "an iteration of REP that meets a data breakpoint is followed by #DB with RF set",
    source: "SDM vol. 3, 17.3.1.1 and 17.3.1.2",
    code: [0xf3, 0xa4],
    setup: all(copy, data(0, DATA + 1)),
    events: ["#DB 1"],
    ip: 0,
    rf: true,
  },
  {
    name: "a code breakpoint on REP is met once, whatever the iterations",
    source: "SDM vol. 3, 17.3.1.1",
    code: [0xf3, 0xa4, 0x0f, 0x0b],
    setup: all(copy, code(0), (s) => {
      s.flags |= S.RF;
      s.rdi = BigInt(DATA + 0xffe);
    }),
    events: ["#UD"],
    ip: 2,
  },
  {
    name: "an interrupt between iterations of REP pushes RF",
    source: "SDM vol. 3, 17.3.1.1",
    code: [0xf3, 0x6e],
    setup: all(interrupt, (s) => {
      s.before = [];
      s.rcx = 3n;
    }),
    events: ["INTR 40"],
    ip: 0,
    rf: true,
  },
  {
    name: "an interrupt behind the last iteration of REP does not push RF",
    source: "SDM vol. 3, 17.3.1.1",
    code: [0xf3, 0x6e],
    setup: all(interrupt, (s) => {
      s.before = [];
      s.rcx = 1n;
    }),
    events: ["INTR 40"],
    ip: 2,
    rf: false,
  },
  {
    name: "16 bytes of prefixes are too many whether or not there is another page",
    source: RECORDED,
    code: new Array<number>(16).fill(0x66),
    setup: (s) => {
      s.before = [];
      s.at = HERE - 16;
      s.m.map(HERE, { absent: true });
    },
    events: ["#GP(0)"],
    ip: -16,
  },
  {
    name: "an undefined opcode at the end of a page needs no further page",
    source: RECORDED,
    code: UD2,
    setup: (s) => {
      s.before = [];
      s.at = HERE - 2;
      s.m.map(HERE, { absent: true });
    },
    events: ["#UD"],
    ip: -2,
  },
  {
    name: "FNSAVE does not look for a pending x87 exception",
    source: RECORDED,
    code: [0xdd, 0x33],
    setup: all(alone, pendingX87, (s) => s.m.map(DATA, { absent: true })),
    events: ["#PF(6)"],
  },
  {
    name: "CVTPI2PS from memory does not look for a pending x87 exception",
    source: RECORDED,
    code: [0x0f, 0x2a, 0x03],
    setup: all(alone, pendingX87, (s) => s.m.map(DATA, { absent: true })),
    events: ["#PF(4)"],
  },
  {
    name: "CVTPI2PS from a register does",
    source: RECORDED,
    code: [0x0f, 0x2a, 0xc0],
    setup: all(alone, pendingX87),
    events: ["#MF"],
  },
  {
    name: "REP OUTS of nothing asks for permission all the same",
    source: RECORDED,
    code: [0xf3, 0x6e],
    setup: (s) => {
      s.before = [];
      s.flags &= ~S.IOPL;
    },
    events: ["#GP(0)"],
  },
  {
    name: "REP OUTS of nothing reads nothing",
    source: "SDM vol. 2, REP",
    code: [0xf3, 0x6e, 0x0f, 0x0b],
    setup: (s) => {
      s.before = [];
      s.m.map(BEFORE_READS, { absent: true });
    },
    events: ["#UD"],
    ip: 2,
  },
];

/** A divide-by-zero exception is noted, unmasked. */
function pendingX87({ m: { vcpu } }: Scene): void {
  vcpu.setU16(S.FCW, 0x37b);
  vcpu.setU16(S.FSW, 0x8084);
}
