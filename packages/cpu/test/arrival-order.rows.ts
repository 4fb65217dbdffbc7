import * as S from "../src/state.js";
import { Vector } from "../src/vcpu/registers/constants.js";
import { all, type Row, step } from "./debug-priority.rows.js";
import { DEVICE, HANDLERS, KERNEL_SS, KERNEL_STACK } from "./fake-machine.js";
import type { Scene } from "./scene.js";

/** Several events at one boundary between instructions: in which order they are all delivered. Handlers halt, unless something else comes. */

const NOP2 = [0x90, 0x90];
const UD2 = [0x0f, 0x0b];
const ORDER = "SDM vol. 3, table 6-2 and 6.8.1";

const nmi = (s: Scene): void => {
  s.arrivals.push(() => s.m.vcpu.nmi());
};
const interrupt = (s: Scene): void => {
  s.flags |= S.IF;
  s.arrivals.push(() => s.m.interrupt(0x40));
};
/** The handler of `vector` starts with IF as it was. */
const trapGate = (vector: Vector) => (s: Scene) => s.m.gate(vector, { type: 0xf, ist: 1 });

export const ARRIVAL_ROWS: readonly Row[] = [
  {
    name: "a trap, an NMI and an interrupt: the interrupt waits for IF",
    source: ORDER,
    code: NOP2,
    setup: all(step, nmi, interrupt),
    events: ["#DB 4000", "NMI"],
  },
  {
    name: "a trap, an NMI and an interrupt through trap gates",
    source: ORDER,
    code: NOP2,
    setup: all(step, nmi, interrupt, trapGate(Vector.DB), trapGate(Vector.NMI)),
    events: ["#DB 4000", "NMI", "INTR 40"],
  },
  {
    name: "an NMI and an interrupt: the interrupt waits for IF",
    source: ORDER,
    code: NOP2,
    setup: all(nmi, interrupt),
    events: ["NMI"],
  },
  {
    name: "an NMI and an interrupt through a trap gate",
    source: ORDER,
    code: NOP2,
    setup: all(nmi, interrupt, trapGate(Vector.NMI)),
    events: ["NMI", "INTR 40"],
  },
  {
    name: "an interrupt before the instruction that would fault",
    source: ORDER,
    code: UD2,
    setup: interrupt,
    events: ["INTR 40"],
    ip: 0,
  },
  {
    name: "two interrupts: the second waits for IF",
    source: ORDER,
    code: NOP2,
    setup: all(interrupt, (s) => s.arrivals.push(() => s.m.interrupt(0x50))),
    events: ["INTR 40"],
  },
  {
    name: "two NMIs are one",
    source: "SDM vol. 3, 6.7.1",
    code: NOP2,
    setup: all(nmi, nmi),
    events: ["NMI"],
  },
  {
    name: "an IRET that faults lets the next NMI in all the same",
    source: 'SDM vol. 3, "Information About NMI Unblocking Due to IRET"',
    code: UD2,
    setup: all(nmi, (s) => {
      // The handler causes the next one, then it returns to a null selector: the memory at 0 is zero.
      s.m.write(HANDLERS + 16 * Vector.NMI, [0xe6, 0x80, 0x31, 0xe4, 0x48, 0xcf]);
      s.arrivals.push(() => s.arrivals.push(() => s.m.vcpu.nmi()));
    }),
    events: ["NMI", "#GP(0)", "NMI", "#GP(0)"],
  },
  {
    name: "LSS holds no interrupt off",
    source: "SDM vol. 3, 6.8.3: MOV SS and POP SS do",
    code: UD2,
    setup: (s) => {
      s.level = 0;
      s.flags |= S.IF;
      // LSS ESP from a device, which interrupts.
      s.before = [0x0f, 0xb2, 0x65, 0x00];
      s.rbp = BigInt(DEVICE);
      s.m.bus.mmioRead = (gpa) => {
        s.m.interrupt(0x40);
        return gpa === DEVICE ? KERNEL_STACK : KERNEL_SS;
      };
    },
    events: ["INTR 40"],
    ip: 0,
  },
  {
    name: "an NMI that comes while one is handled waits for IRET",
    source: "SDM vol. 3, 6.7.1",
    code: UD2,
    setup: all(nmi, (s) => {
      // The handler causes the next one by its own write to a port, then it is left.
      s.m.write(HANDLERS + 16 * Vector.NMI, [0xe6, 0x80, 0x90, 0x48, 0xcf]);
      s.arrivals.push(() => s.arrivals.push(() => s.m.vcpu.nmi()));
    }),
    events: ["NMI", "NMI", "#UD"],
    ip: 0,
  },
];
