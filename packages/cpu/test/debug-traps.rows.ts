import * as S from "../src/state.js";
import { all, alone, code, copy, data, type Row, step } from "./debug-priority.rows.js";
import { DATA, KERNEL_CS, KERNEL_SS, KERNEL_STACK } from "./fake-machine.js";
import { HERE, type Scene } from "./scene.js";

/** When single-step traps begin and end, and which accesses meet data breakpoints. */

const NOP = 0x90;
const WRITE4 = 0xd;
const WRITE8 = 9;

/** The 8 bytes at the top of the stack. */
const top = (value: number) => (s: Scene) => s.m.qword(KERNEL_STACK, value);
/** IRETQ to `HERE + 2` with `flags`. */
const frame = (flags: number) => (s: Scene) => {
  s.level = 0;
  [HERE + 2, KERNEL_CS, flags, KERNEL_STACK, KERNEL_SS].forEach((value, k) => {
    s.m.qword(KERNEL_STACK + 8 * k, value);
  });
};
const write =
  (n: number, at: number, field = WRITE4) =>
  (s: Scene) =>
    s.breakpoint(n, at, field);
const toPageEnd = (s: Scene): void => {
  s.rbx = BigInt(DATA + 0xffe);
};

const FLAG = "SDM vol. 3, 17.3.1.4: TF as the instruction finds it";
const MATCH = "SDM vol. 3, 17.2.5: any byte in common";

/** One instruction that meets breakpoint 0 and traps at its end. */
const met = (name: string, bytes: readonly number[], ...setup: ((s: Scene) => void)[]): Row => ({
  name,
  source: MATCH,
  code: bytes,
  setup: all(alone, ...setup),
  events: ["#DB 1"],
  ip: bytes.length,
});

export const TRAP_ROWS: readonly Row[] = [
  {
    name: "POPF that sets TF is not trapped, the next instruction is",
    source: FLAG,
    code: [0x9d, NOP, NOP],
    setup: all(alone, top(2 | S.TF)),
    events: ["#DB 4000"],
    ip: 2,
  },
  {
    name: "POPF that clears TF is trapped",
    source: FLAG,
    code: [0x9d, NOP, NOP],
    setup: all(alone, step, top(2)),
    events: ["#DB 4000"],
    ip: 1,
  },
  {
    name: "IRET that sets TF is not trapped, its target is",
    source: FLAG,
    code: [0x48, 0xcf, NOP, NOP],
    setup: all(alone, frame(2 | S.TF)),
    events: ["#DB 4000"],
    ip: 3,
  },
  {
    name: "IRET that sets RF passes the breakpoint of its target",
    source: "SDM vol. 3, 17.3.1.1",
    code: [0x48, 0xcf, 0x0f, 0x0b],
    setup: all(alone, frame(2 | S.RF), (s) => s.breakpoint(0, HERE + 2, 0)),
    events: ["#UD"],
    ip: 2,
  },
  {
    name: "IRET without RF meets the breakpoint of its target",
    source: "SDM vol. 3, 17.3.1.1",
    code: [0x48, 0xcf, 0x0f, 0x0b],
    setup: all(alone, frame(2), (s) => s.breakpoint(0, HERE + 2, 0)),
    events: ["#DB 1"],
    ip: 2,
    rf: false,
  },
  {
    name: "MOV to DR7 arms a breakpoint on the next instruction",
    source: "SDM vol. 3, 17.2.4",
    code: [0x0f, 0x23, 0xf8, NOP, NOP],
    setup: all(alone, (s) => {
      s.level = 0;
      s.rax = 0x401n;
      s.m.vcpu.dr[0] = HERE + 3;
    }),
    events: ["#DB 1"],
    ip: 3,
  },
  {
    name: "general detect is a fault that pushes RF",
    source: "SDM vol. 3, 17.3.1.1: every fault does but that of an instruction breakpoint",
    code: [0x0f, 0x21, 0xc0],
    setup: all(alone, (s) => {
      s.level = 0;
      s.m.vcpu.dr[14] = 0x2400;
    }),
    events: ["#DB 2000"],
    ip: 0,
    rf: true,
  },
  {
    name: "a breakpoint is on the first byte of an instruction, prefixes included",
    source: "SDM vol. 3, 17.3.1.1",
    code: [0x66, NOP, 0x0f, 0x0b],
    setup: all(alone, (s) => s.breakpoint(0, HERE + 1, 0)),
    events: ["#UD"],
    ip: 2,
  },
  {
    name: "a breakpoint is on the first byte of an instruction, whatever its prefixes",
    source: "SDM vol. 3, 17.3.1.1",
    code: [0x66, NOP],
    setup: all(alone, code(0)),
    events: ["#DB 1"],
    ip: 0,
  },
  met("a store that shares a byte with the breakpoint", [0x48, 0x89, 0x03], write(0, DATA + 4)),
  {
    name: "a store that ends before the breakpoint",
    source: MATCH,
    code: [0x89, 0x03, 0x0f, 0x0b],
    setup: all(alone, write(0, DATA + 4)),
    events: ["#UD"],
  },
  met("an access of two pages with the breakpoint on the second", [0x8b, 0x03], toPageEnd, data(0, DATA + 0x1000)),
  met("a breakpoint of 8 bytes ignores the low bits of its address", [0x88, 0x03], write(0, DATA + 5, WRITE8)),
  {
    ...met("two breakpoints of one access", [0x48, 0x89, 0x03], write(0, DATA), write(3, DATA + 4)),
    events: ["#DB 9"],
  },
  met("a push", [0x50], write(0, KERNEL_STACK - 4)),
  met("an operand of 16 bytes", [0x0f, 0x29, 0x03], write(0, DATA + 12)),
  met("the area of FXSAVE", [0x0f, 0xae, 0x03], write(0, DATA + 0x80)),
  met("a comparison that finds no difference meets an access breakpoint", [0x39, 0x03], data(0, DATA)),
  ...(
    [
      ["REPE CMPS", [0xf3, 0xa6]],
      ["REPNE SCAS", [0xf2, 0xae]],
    ] as const
  ).map(
    ([name, bytes]): Row => ({
      name: `${name} stops behind the iteration that met the breakpoint`,
      source: "SDM vol. 3, 17.3.1.2",
      code: bytes,
      setup: all(copy, data(0, DATA + 1), (s) => {
        s.rcx = 5n;
        s.rax = 1n;
      }),
      events: ["#DB 1"],
      ip: 0,
      rf: true,
      rcx: 3,
    }),
  ),
];
