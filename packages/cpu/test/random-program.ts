import {
  type Assembler,
  al,
  bl,
  cl,
  dl,
  eax,
  ebp,
  ebx,
  ecx,
  edx,
  type Mem,
  mem,
  r8,
  r8d,
  r9,
  r9d,
  r10,
  r10d,
  r11,
  r11d,
  r12,
  r12d,
  r15,
  rax,
  rbp,
  rbx,
  rcx,
  rdi,
  rdx,
  rsi,
  rsp,
  xmm0,
  xmm1,
  xmm2,
} from "@vm/asm";
import fc from "fast-check";
import { CODE, DATA, DEVICE, FakeMachine, HANDLERS, KERNEL_SS, setReg } from "./fake-machine.js";

/** One step of a program: a few numbers, so that it shrinks well. */
export interface Step {
  readonly kind: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

const WIDE = [rax, rbx, rcx, rdx, rbp, r8, r9, r10, r11, r12];
const NARROW = [eax, ebx, ecx, edx, ebp, r8d, r9d, r10d, r11d, r12d];
const BYTES = [al, bl, cl, dl];
const VECTORS = [xmm0, xmm1, xmm2];
const pick = <T>(from: readonly T[], k: number): T => from[k % from.length] as T;

/** Mapped by its fault handler, absent again after every use. */
const LAZY = DATA + 0x8000;
/** Ports that make things happen: an interrupt, `LAZY` away, `LAZY` there. */
const RAISE = 0x80;
const UNMAP = 0x81;
const MAP = 0x82;
const INTERRUPT = 0x40;
const TICKS = DATA + 0x9000;

/** A memory operand; every fifth is at a page boundary, some of those across it. */
const at = (c: number, size?: number): Mem =>
  mem(DATA + 0x1000 + (c % 5 === 0 ? -(c % 9) : (c * 8) % 0xe00), size === undefined ? {} : { size });
const device = (c: number): Mem => mem(r15, { disp: c & 0x7c });

/** String instructions across page boundaries. */
function strings(a: Assembler, s: Step): void {
  a.mov(rdi, DATA + 0x2000 - (s.c % 64))
    .mov(rsi, DATA + 0x1000 - (s.b % 64))
    .mov(rcx, s.c % 200);
  pick(
    [
      () => a.rep().movsb(),
      () => a.rep().stosq(),
      () => a.repne().scasb(),
      () => a.rep().cmpsb(),
      () => a.rep().movsd(),
    ],
    s.a,
  )();
}

const KINDS: readonly ((a: Assembler, step: Step) => void)[] = [
  (a, s) => (s.c & 1 ? a.add(pick(WIDE, s.a), pick(WIDE, s.b)) : a.sub(pick(NARROW, s.a), pick(NARROW, s.b))),
  (a, s) => (s.c & 1 ? a.adc(pick(NARROW, s.a), pick(NARROW, s.b)) : a.xor(pick(WIDE, s.a), s.c)),
  (a, s) => a.mov(at(s.c), pick(WIDE, s.a)),
  (a, s) => a.mov(pick(WIDE, s.a), at(s.c)),
  (a, s) => a.add(at(s.c), pick(NARROW, s.a)),
  (a, s) => a.xchg(at(s.c), pick(WIDE, s.a)),
  (a, s) => (s.c & 1 ? a.lock().xadd(at(s.c), pick(WIDE, s.a)) : a.inc(at(s.c, 4))),
  (a, s) => (s.c & 1 ? a.shl(pick(WIDE, s.a), s.c % 64) : a.ror(pick(NARROW, s.a), cl)),
  (a, s) => a.imul(pick(WIDE, s.a), pick(WIDE, s.b)),
  (a, s) => a.div(pick(WIDE, s.a)),
  (a, s) => a.push(pick(WIDE, s.a)).pop(pick(WIDE, s.b)),
  (a, s) => a.pushfq().pop(pick(WIDE, s.a)),
  (a, s) => a.bsf(pick(WIDE, s.a), pick(WIDE, s.b)).setz(pick(BYTES, s.c)),
  // A branch over two instructions.
  (a, s) => {
    const skip = a.label();
    const jump = pick([a.jz, a.jb, a.js, a.jnz], s.c);
    jump.call(a, skip);
    a.not(pick(WIDE, s.a)).add(pick(BYTES, s.b), 1);
    a.bind(skip);
  },
  // A counted loop.
  (a, s) => {
    a.mov(rsi, (s.c % 6) + 1);
    const again = a.here();
    a.add(pick(WIDE, s.a), rsi).dec(rsi).jnz(again);
  },
  // A call and a return.
  (a, s) => {
    const over = a.label();
    const routine = a.label();
    a.call(routine).jmp(over);
    a.bind(routine).inc(pick(WIDE, s.a)).ret();
    a.bind(over);
  },
  strings,
  (a, s) => a.mov(pick(NARROW, s.a), device(s.c)),
  (a, s) => a.mov(device(s.c), pick(NARROW, s.a)),
  (a, s) => a.add(device(s.c), pick(NARROW, s.a)),
  (a, s) => (s.c & 1 ? a.in(al, s.c & 0x7f) : a.out(s.c & 0x7f, eax)),
  // An interrupt, and what lets it in or holds it off.
  (a) => a.out(RAISE, al),
  (a) => a.sti(),
  (a) => a.cli(),
  (a) => a.mov(rdx, KERNEL_SS).emit([0x8e, 0xd2]),
  (a) => a.int(INTERRUPT),
  (a) => a.rdtsc(),
  (a) => a.cpuid(),
  (a, s) => a.movdqu(pick(VECTORS, s.c), at(s.c)).paddd(pick(VECTORS, s.a), pick(VECTORS, s.b)),
  (a, s) => a.movdqu(at(s.c), pick(VECTORS, s.a)),
  // Rewrites the immediate of the ADD that follows.
  (a, s) => {
    const target = a.label();
    a.mov(mem(target, { disp: 3, size: 1 }), s.c & 0x7f);
    a.bind(target).emit([0x48, 0x83, 0xc0 + (s.a & 3), 5]);
  },
  (a, s) => a.mov(pick(WIDE, s.a), mem(LAZY + (s.c & 0xf8))).out(UNMAP, al),
];

/** Whether a program has repeated string instructions, which retire in chunks. */
export const repeats = (program: readonly Step[]): boolean => program.some(({ kind }) => KINDS[kind] === strings);

export const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.record({ kind: fc.nat({ max: KINDS.length - 1 }), a: fc.nat(30), b: fc.nat(30), c: fc.nat(255) }),
  { minLength: 1, maxLength: 25, size: "max" },
);

/** A machine about to run `program` over and over. Everything is a function of the arguments. */
export function machineFor(program: readonly Step[]): FakeMachine {
  const m = new FakeMachine();
  m.assemble(CODE + 0xf80, (a) => {
    const again = a.here();
    for (const step of program) pick(KINDS, step.kind)(a, step);
    a.add(rax, 1).jmp(again);
  });
  // DIV of a 64-bit register has three bytes.
  m.assemble(HANDLERS, (a) => a.add(mem(rsp, { size: 8 }), 3).iretq());
  m.assemble(HANDLERS + 16 * 14, (a) => a.out(MAP, al).add(rsp, 8).iretq());
  m.assemble(HANDLERS + 16 * INTERRUPT, (a) => a.inc(mem(TICKS, { size: 8 })).iretq());
  m.map(LAZY, { absent: true });
  m.bus.onIoWrite = (port) => {
    if (port === RAISE) m.interrupt(INTERRUPT);
    else if (port === UNMAP) m.map(LAZY, { absent: true });
    else if (port === MAP) m.map(LAZY, {});
  };
  for (let r = 0; r < 16; r++) if (r !== 4) setReg(m.vcpu, r, 0x0123456789abcdefn * BigInt(r + 1));
  for (let k = 0; k < 0x3000; k++) m.ram[DATA + k] = (k * 7) & 0xff;
  setReg(m.vcpu, 15, DEVICE);
  m.vcpu.rflags = 0x202;
  m.vcpu.setRip(CODE + 0xf80, 0);
  return m;
}
