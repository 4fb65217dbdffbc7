import type { Label } from "../label.js";
import { short } from "../label.js";
import { mem } from "../operand.js";
import { al, ax, cr2, dx, eax, ecx, edi, edx, r8, rax, rcx, rdx, rsp } from "../registers.js";
import { type Guest, print, qword } from "./context.js";
import { APIC, IOAPIC, SELECTOR, STATUS, UART, VECTOR } from "./layout.js";

/** Exceptions that push an error code (SDM vol. 3, table 6-1). */
const WITH_ERROR_CODE: ReadonlySet<number> = new Set([8, 10, 11, 12, 13, 14, 17, 21, 29, 30]);
/** Bytes between the entries of two exceptions. */
const STUB_SIZE = 16;
/** Present 64-bit interrupt gate, so that handlers run with interrupts off; IST in the low bits (SDM vol. 3, 6.14.1). */
const INTERRUPT_GATE = 0x8e00;

type Handlers = Readonly<Record<"exceptions" | "timer" | "uart" | "spurious", Label>>;

/** IDT, exception and interrupt handlers, and the start of local APIC, timer, I/O APIC and UART. */
export function emitInterrupts(g: Guest): void {
  const { a, sub } = g;
  const handlers: Handlers = {
    exceptions: a.label("exceptions"),
    timer: a.label("timer"),
    uart: a.label("uart"),
    spurious: a.label("spurious"),
  };
  a.bind(sub.setupInterrupts);
  emitIdt(g, handlers);
  emitApic(g);
  emitUart(g);
  a.ret();
  emitExceptions(g, handlers.exceptions);
  emitHandlers(g, handlers);
}

function emitIdt({ a, at }: Guest, handlers: Handlers): void {
  const setGate = a.label("setGate");
  const loaded = a.label("loaded");
  a.xor(ecx, ecx);
  a.lea(rax, mem(handlers.exceptions));
  const each = a.here("each");
  a.call(setGate);
  a.add(rax, STUB_SIZE);
  a.inc(ecx);
  a.cmp(ecx, VECTOR.exceptions);
  a.jb(short(each));
  for (const name of ["timer", "uart", "spurious"] as const) {
    a.lea(rax, mem(handlers[name]));
    a.mov(ecx, VECTOR[name]);
    a.call(setGate);
  }
  a.or(mem(at.idt + VECTOR.doubleFault * 16 + 4, { size: 1 }), 1); // double faults get the stack of IST 1
  a.sub(rsp, 16);
  a.mov(mem(rsp, { disp: 6, size: 2 }), 256 * 16 - 1);
  a.mov(mem(rsp, { disp: 8, size: 8 }), at.idt);
  a.lidt(mem(rsp, { disp: 6 }));
  a.add(rsp, 16);
  a.jmp(short(loaded));

  // Handler RAX for vector ECX. The handler lies below 4 GiB: the top half of the gate stays zero.
  a.bind(setGate);
  a.mov(r8, rcx);
  a.shl(r8, 4);
  a.add(r8, at.idt);
  a.mov(mem(r8, { size: 2 }), ax);
  a.mov(mem(r8, { disp: 2, size: 2 }), SELECTOR.code);
  a.mov(edx, eax);
  a.mov(dx, INTERRUPT_GATE);
  a.mov(mem(r8, { disp: 4 }), edx);
  a.ret();
  a.bind(loaded);
}

function emitApic({ a, platform }: Guest): void {
  const set = (register: number, value: number): void => {
    a.mov(mem(rdx, { disp: register, size: 4 }), value);
  };
  a.mov(edx, APIC.base);
  set(APIC.spurious, 0x100 | VECTOR.spurious);
  set(APIC.taskPriority, 0);
  set(APIC.lvtLint0, APIC.masked);
  set(APIC.lvtLint1, APIC.masked);
  set(APIC.divide, APIC.divideBy1);
  set(APIC.lvtTimer, APIC.periodic | VECTOR.timer);
  set(APIC.initialCount, Math.round(platform.apicHz / platform.timerHz));
  a.mov(eax, mem(rdx, { disp: APIC.id }));

  // IRQ 4: edge-triggered, active high, fixed delivery to this CPU, whose ID stays in bits 24 to 31.
  a.mov(edx, IOAPIC.base);
  a.mov(mem(rdx, { disp: IOAPIC.index, size: 4 }), IOAPIC.redirection + 2 * IOAPIC.comIrq + 1);
  a.mov(mem(rdx, { disp: IOAPIC.data }), eax);
  a.mov(mem(rdx, { disp: IOAPIC.index, size: 4 }), IOAPIC.redirection + 2 * IOAPIC.comIrq);
  a.mov(mem(rdx, { disp: IOAPIC.data, size: 4 }), VECTOR.uart);
}

function emitUart({ a }: Guest): void {
  const set = (port: number, value: number): void => {
    a.mov(dx, port);
    a.mov(al, value);
    a.out(dx, al);
  };
  set(UART.interruptEnable, 0);
  set(UART.lineControl, 0x80); // divisor latch: 1 = 115200 baud
  set(UART.data, 1);
  set(UART.interruptEnable, 0);
  set(UART.lineControl, 0x03); // 8 bits, no parity, 1 stop bit
  set(UART.fifoControl, 0x01); // FIFOs on, interrupt at the first byte
  set(UART.modemControl, 0x0b); // DTR, RTS, OUT2: on a PC OUT2 lets the interrupt through
  set(UART.interruptEnable, 0x01); // received data
}

function emitExceptions(g: Guest, entry: Label): void {
  const { a, at, sub } = g;
  const common = a.label("common");
  a.align(STUB_SIZE);
  a.bind(entry);
  for (let vector = 0; vector < VECTOR.exceptions; vector++) {
    if (!WITH_ERROR_CODE.has(vector)) a.push(0);
    a.push(vector);
    a.jmp(common);
    a.align(STUB_SIZE);
  }

  // The stack from RSP: RAX, vector, error code, RIP, CS, RFLAGS, RSP, SS.
  a.bind(common);
  a.push(rax);
  const keep = (offset: number, to: number): void => {
    a.mov(rax, mem(rsp, { disp: offset }));
    a.mov(qword(to), rax);
  };
  keep(8, at.faultVector);
  keep(16, at.faultError);
  keep(24, at.faultRip);
  a.mov(rax, cr2);
  a.mov(qword(at.faultAddress), rax);
  a.xor(eax, eax);
  a.xchg(qword(at.recoverAt), rax);
  a.test(rax, rax);
  const fatal = a.label("fatal");
  a.jz(short(fatal));
  a.mov(mem(rsp, { disp: 24 }), rax);
  a.pop(rax);
  a.add(rsp, 16);
  a.iretq();

  a.bind(fatal);
  print(g, "\n");
  a.call(sub.putFault);
  a.mov(edi, STATUS.failed);
  a.jmp(sub.powerOff);
}

function emitHandlers({ a, at, sub }: Guest, { timer, uart, spurious }: Handlers): void {
  a.bind(timer);
  a.inc(qword(at.ticks));
  a.bind(uart); // the timer looks at the UART too: a byte left there for want of room is fetched later
  for (const register of [rax, rcx, rdx]) a.push(register);
  a.call(sub.drainUart);
  a.mov(eax, APIC.base);
  a.mov(mem(rax, { disp: APIC.eoi, size: 4 }), 0);
  for (const register of [rdx, rcx, rax]) a.pop(register);
  a.bind(spurious); // takes no EOI (SDM vol. 3, 11.9)
  a.iretq();
}
