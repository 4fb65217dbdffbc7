import { eax, ebx, ecx, mem, rax, rbx, rcx, rdi, rsi, xmm0, xmm1 } from "@vm/asm";
import { describe, expect, test } from "vitest";
import type { JitOptions, VcpuState } from "../../src/index.js";
import * as S from "../../src/state.js";
import { CODE, DATA, FakeMachine, HANDLERS, IDT, KERNEL_SS, setReg } from "../fake-machine.js";
import { CODE_AT, gate, ProtectedMachine } from "../protected-machine.js";
import { OTHER_TSS, machine as taskMachine } from "../task-machine.js";
import { move } from "./move.js";

/** A program whose state is more than registers, and when it has shown what it is there for. */
interface Scene {
  readonly name: string;
  readonly make: (jit?: JitOptions) => FakeMachine;
  readonly length: number;
  /** The scene is what it is said to be. */
  readonly met: (m: FakeMachine, exits: readonly string[], states: readonly VcpuState[]) => boolean;
  /** What happens from outside before run number `k`. */
  readonly before?: (m: FakeMachine, k: number) => void;
}

/** Code at `CODE` of 64-bit mode; MOV SS of EAX, MOV DS of EAX. */
const MOV_SS = [0x8e, 0xd0];
const HLT = 0xf4;
const TICKS = DATA + 0x800;

/** A machine in 64-bit mode. Handlers of #DB, NMI and vector 40H count, in words behind each other. */
function long(write: Parameters<FakeMachine["assemble"]>[1], jit?: JitOptions): FakeMachine {
  const m = new FakeMachine(jit === undefined ? {} : { jit });
  m.assemble(CODE, write);
  for (const [k, vector] of [1, 2, 0x40].entries()) {
    const handler = HANDLERS + 0x1800 + 64 * k;
    m.gate(vector, { handler });
    m.assemble(handler, (a) => {
      a.inc(mem(TICKS + 8 * k, { size: 8 }));
      if (vector === 2) a.nop().nop().nop();
      a.iretq();
    });
  }
  return m;
}
const ticks = (m: FakeMachine, k: number): number => Number(m.q(TICKS + 8 * k));

/** In real mode at 1000H:0, as SIPI starts it, with a vector table and a stack. */
function real(): FakeMachine {
  const m = new FakeMachine();
  m.assemble(
    CODE,
    (a) => {
      a.mov(eax, 0x900).emit(MOV_SS).emit([0xbc, 0, 1]).emit([0x8e, 0xd8]);
      const again = a.here();
      a.inc(ebx).emit([0xcd, 0x21]).emit([0x89, 0x1e, 0x10, 0]).jmp(again);
    },
    16,
  );
  m.ram.set([0, 0, 0, 0x11], 0x21 * 4);
  m.ram.set([0x9c, 0x42, 0x9d, 0xcf], 0x11000);
  m.vcpu.init();
  return m;
}

/** In 32-bit code with segments that have bases and limits, beyond one of which it reads. */
function segmented(): FakeMachine {
  const m = new ProtectedMachine();
  m.qword(IDT + 8 * 13, gate(CODE_AT[0], HANDLERS + 0x1800, 0x8e));
  // ADD ESP, 4; ADD [ESP], 6; INC EBX; IRETD: behind the instruction, of six bytes.
  m.ram.set([0x83, 0xc4, 4, 0x83, 4, 0x24, 6, 0x43, 0xcf], HANDLERS + 0x1800);
  m.vcpu.setSegment(3, { selector: 0x33, baseLo: DATA, baseHi: 0, limit: 0xff, attributes: 0x40f3 });
  m.program((a) => {
    const again = a.here();
    // MOV EAX, [0F0H]; MOV EAX, [200H]; INC ECX.
    a.emit([0x8b, 5, 0xf0, 0, 0, 0]).emit([0x8b, 5, 0, 2, 0, 0]).inc(ecx).jmp(again);
  });
  return m;
}

/** IRETD into virtual-8086 mode with IOPL 3, where segments and the stack are used. */
function virtual8086(): FakeMachine {
  const m = new ProtectedMachine();
  m.program((a) => {
    const words = [0, 0, DATA >> 4, DATA >> 4, 0x900, 0x100, 0x23002, CODE >> 4, 0x100];
    for (const word of words) a.emit([0x68, word & 255, (word >> 8) & 255, (word >> 16) & 255, 0]);
    a.iretd();
  });
  m.assemble(
    CODE + 0x100,
    (a) => {
      const again = a.here();
      a.inc(eax).emit([0xa3, 0x20, 0]).emit([0x1e, 0x07]).emit([0x9c, 0x9d]).jmp(again);
    },
    16,
  );
  return m;
}

/** CALL of another task, which returns. */
function tasks(): FakeMachine {
  const m = taskMachine();
  m.program((a) => {
    const again = a.here();
    a.inc(eax).emit([0x9a, 0, 0, 0, 0, OTHER_TSS, 0]).inc(ebx).jmp(again);
  });
  return m;
}

const SCENES: readonly Scene[] = [
  {
    name: "repeated string instructions that end in the middle",
    make: (jit) =>
      long((a) => {
        const again = a.here();
        a.mov(rsi, DATA)
          .mov(rdi, DATA + 0x1ff8)
          .mov(rcx, 40)
          .rep()
          .movsb();
        a.mov(rdi, DATA + 0x2000)
          .mov(rcx, 30)
          .rep()
          .stosq();
        a.mov(rsi, DATA)
          .mov(rdi, DATA + 0x1ff8)
          .mov(rcx, 50)
          .rep()
          .cmpsb()
          .jmp(again);
      }, jit),
    length: 300,
    // Eight of forty bytes are in the first page.
    met: (_m, _exits, states) => states.some(({ general }) => general[1]?.lo === 32),
  },
  {
    name: "single steps by TF",
    make: (jit) =>
      long((a) => {
        a.pushfq().emit([0x80, 0x4c, 0x24, 1, 1]).popfq();
        const again = a.here();
        a.inc(rax).add(rbx, rax).emit([0x50, 0x58]).jmp(again);
      }, jit),
    length: 120,
    met: (m) => ticks(m, 0) > 20,
  },
  {
    name: "an interrupt that waits behind STI, and behind MOV SS",
    make: (jit) => {
      const m = long((a) => {
        const again = a.here();
        a.cli().mov(eax, KERNEL_SS).emit([0xe6, 0x80]).nop().sti().emit(MOV_SS).nop().nop().jmp(again);
      }, jit);
      m.bus.onIoWrite = () => undefined;
      return m;
    },
    length: 150,
    before: (m, k) => {
      if (k % 5 === 0) m.interrupt(0x40);
    },
    met: (m) => ticks(m, 2) > 5,
  },
  {
    name: "a data breakpoint and TF held off by MOV SS from memory",
    make: (jit) => {
      const m = long((a) => {
        a.pushfq().emit([0x80, 0x4c, 0x24, 1, 1]).popfq();
        const again = a.here();
        a.emit([0x8e, 0x13]).inc(rax).nop().jmp(again);
      }, jit);
      m.qword(DATA, KERNEL_SS);
      setReg(m.vcpu, 3, DATA);
      m.vcpu.dr[0] = DATA;
      m.vcpu.dr[14] = 0x402 | (0x7 << 16);
      m.vcpu.debugRegistersChanged();
      return m;
    },
    length: 120,
    met: (m, _, states) => ticks(m, 0) > 20 && states.some(({ debugTraps }) => debugTraps === 1),
  },
  {
    name: "NMIs, also while one is being handled",
    make: (jit) =>
      long((a) => {
        const again = a.here();
        a.inc(rax).jmp(again);
      }, jit),
    length: 150,
    before: (m, k) => {
      if (k % 9 < 2) m.vcpu.nmi();
    },
    met: (m) => ticks(m, 1) > 10,
  },
  {
    name: "HLT, ended by interrupts and NMIs",
    make: (jit) =>
      long((a) => {
        const again = a.here();
        a.sti().hlt().inc(rax).cli().hlt().inc(rbx).jmp(again);
      }, jit),
    length: 150,
    before: (m, k) => {
      if (k % 24 === 6) m.interrupt(0x40);
      if (k % 24 === 18) m.vcpu.nmi();
    },
    met: (m, exits) => exits.includes("hlt") && ticks(m, 1) > 3 && ticks(m, 2) > 3,
  },
  {
    name: "a halt that a masked interrupt ends",
    make: (jit) =>
      long((a) => {
        const again = a.here();
        a.cli().inc(rax).jmp(again);
      }, jit),
    length: 60,
    before: (m, k) => {
      if (k % 10 === 3) m.vcpu.halt(true);
      if (k % 10 === 6) m.interrupt(0x40);
      if (k % 10 === 8) m.apic.waiting.length = 0;
    },
    met: (m, exits) => exits.includes("hlt") && m.vcpu.regLo(0) > 5,
  },
  {
    name: "events injected from outside",
    make: (jit) =>
      long((a) => {
        const again = a.here();
        a.inc(rax).jmp(again);
      }, jit),
    length: 40,
    before: (m, k) => {
      if (k === 7) m.vcpu.inject(0x40, null);
      if (k === 20) m.vcpu.inject(13, 0x1234);
    },
    met: (m, exits) => ticks(m, 2) === 1 && exits.at(-1) === "hlt",
  },
  {
    name: "x87 with an exception that waits, MMX, SSE with a rounding mode of its own",
    make: (jit) => {
      const m = long((a) => {
        const again = a.here();
        // FLDPI, FLDZ, FDIVP, FLDCW [RBX], FWAIT.
        a.emit([0xd9, 0xeb, 0xd9, 0xee, 0xde, 0xf9]).emit([0xd9, 0x2b, 0x9b]).emit([0xdb, 0xe3]);
        // MOVQ MM1, RAX; EMMS; LDMXCSR [RBX+4]; CVTSI2SD; DIVSD.
        a.emit([0x48, 0x0f, 0x6e, 0xc8, 0x0f, 0x77, 0x0f, 0xae, 0x53, 4]);
        a.cvtsi2sd(xmm0, rax).inc(rax).cvtsi2sd(xmm1, rax).divsd(xmm0, xmm1).jmp(again);
      }, jit);
      setReg(m.vcpu, 3, DATA);
      setReg(m.vcpu, 0, 3);
      // All x87 exceptions unmasked; SSE rounds down.
      m.qword(DATA, 0x3f80_0000_0340n);
      // #MF: FNINIT, and on.
      m.gate(16, { handler: HANDLERS + 0x1900 });
      m.assemble(HANDLERS + 0x1900, (a) => a.emit([0xdb, 0xe2]).emit([0x48, 0xff, 4, 0x25, 0, 8, 2, 0]).iretq());
      return m;
    },
    length: 200,
    met: (m) => ticks(m, 0) > 3 && m.vcpu.i32(S.XMM + 4) !== 0,
  },
  {
    name: "the wait for SIPI, then real mode",
    make: () => real(),
    length: 120,
    before: (m, k) => {
      if (k === 5) m.vcpu.sipi(CODE >> 12);
    },
    met: (m, exits) => exits.includes("wait-for-sipi") && m.vcpu.regLo(2) > 0xa0675 && m.vcpu.regLo(3) > 5,
  },
  {
    name: "32-bit code with bases and limits",
    make: () => segmented(),
    length: 120,
    met: (m) => m.vcpu.regLo(3) > 5 && m.vcpu.regLo(1) > 5,
  },
  {
    name: "virtual-8086 mode",
    make: () => virtual8086(),
    length: 100,
    met: (m) => (m.vcpu.flags & S.VM) !== 0 && m.vcpu.regLo(0) > 10,
  },
  {
    name: "tasks that call one another",
    make: () => tasks(),
    length: 60,
    met: (m) => m.vcpu.regLo(3) > 5,
  },
  {
    name: "a triple fault",
    make: () => {
      const m = long((a) => a.nop().emit([0x0f, 0x0b]));
      m.vcpu.idtr.limit = 0;
      return m;
    },
    length: 5,
    met: (_, exits) => exits.includes("shutdown"),
  },
];

const JIT: JitOptions = { threshold: 1, again: 1, batch: 1 };

/** Runs a scene; with `elsewhere`, saved and restored into the other of two machines before each run. */
function play({ make, length, before }: Scene, jit: JitOptions | undefined, elsewhere: boolean) {
  const machines = [make(jit), make(jit)] as const;
  let m: FakeMachine = machines[0];
  const exits: string[] = [];
  const states: VcpuState[] = [];
  for (let k = 0; k < length; k++) {
    if (elsewhere) {
      const other = machines[(k & 1) as 0 | 1];
      if (other !== m) move(m, other);
      m = other;
    }
    before?.(m, k);
    if (elsewhere) {
      // What has just come from outside is saved too.
      const other = m === machines[0] ? machines[1] : machines[0];
      move(m, other);
      m = other;
    }
    exits.push(m.vcpu.run(1).reason);
    states.push(m.vcpu.save());
  }
  return { m, exits, states };
}

describe.each([
  { engine: "in the interpreter", jit: undefined },
  { engine: "with regions of everything", jit: JIT },
])("saved and restored elsewhere at every instruction boundary, $engine", ({ jit }) => {
  test.each(SCENES)("$name", (scene) => {
    const stayed = play(scene, jit, false);
    const moved = play(scene, jit, true);
    expect(stayed.exits).toEqual(moved.exits);
    expect(moved.states).toEqual(stayed.states);
    expect(Buffer.compare(moved.m.ram, stayed.m.ram)).toBe(0);
    expect(moved.m.bus.log).toEqual(stayed.m.bus.log);
    expect(scene.met(stayed.m, stayed.exits, stayed.states)).toBe(true);
  });
});

test("single steps that the host asked for go on", () => {
  const [one, two] = [0, 1].map(() => long((a) => a.nop().nop().nop().nop().emit([HLT]))) as [FakeMachine, FakeMachine];
  one.vcpu.singleStep = true;
  one.vcpu.run(2);
  move(one, two);
  let stepped = 0;
  two.vcpu.hooks.singleStep = () => {
    stepped++;
  };
  two.vcpu.run(2);
  expect(stepped).toBe(2);
});
