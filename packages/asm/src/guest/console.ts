import { short } from "../label.js";
import { mem } from "../operand.js";
import { al, cl, dl, dx, eax, ebx, ecx, edi, edx, r8, r9, rax, rbx, rcx, rdi, rdx, rsi, rsp } from "../registers.js";
import { dword, type Guest } from "./context.js";
import { RING_SIZE, UART } from "./layout.js";

/** The serial line and what is written and read on it: bytes, strings, numbers. */
export function emitConsole(g: Guest): void {
  emitOutput(g);
  emitNumbers(g);
  emitInput(g);
  emitParsing(g);
}

function emitOutput({ a, sub }: Guest): void {
  a.bind(sub.putByte);
  a.mov(cl, al);
  a.mov(dx, UART.lineStatus);
  const wait = a.here("wait");
  a.in(al, dx);
  a.test(al, UART.transmitEmpty);
  const ready = a.label("ready");
  a.jnz(short(ready));
  a.pause();
  a.jmp(short(wait));
  a.bind(ready);
  a.mov(dx, UART.data);
  a.mov(al, cl);
  a.out(dx, al);
  a.ret();

  a.bind(sub.puts);
  const done = a.label("done");
  const plain = a.label("plain");
  const next = a.here("next");
  a.lodsb();
  a.test(al, al);
  a.jz(short(done));
  a.cmp(al, 0x0a);
  a.jne(short(plain));
  a.mov(al, 0x0d);
  a.call(sub.putByte);
  a.mov(al, 0x0a);
  a.bind(plain);
  a.call(sub.putByte);
  a.jmp(short(next));
  a.bind(done);
  a.ret();
}

function emitNumbers({ a, sub }: Guest): void {
  a.bind(sub.putHex);
  a.push(rbx);
  a.mov(rbx, rax);
  a.mov(al, 0x30);
  a.call(sub.putByte);
  a.mov(al, 0x78);
  a.call(sub.putByte);
  a.mov(edi, 16);
  const digit = a.here("digit");
  a.rol(rbx, 4);
  a.mov(eax, ebx);
  a.and(eax, 15);
  a.cmp(al, 10);
  const decimal = a.label("decimal");
  a.jb(short(decimal));
  a.add(al, 0x61 - 0x3a);
  a.bind(decimal);
  a.add(al, 0x30);
  a.call(sub.putByte);
  a.dec(edi);
  a.jnz(short(digit));
  a.pop(rbx);
  a.ret();

  a.bind(sub.putDecimal);
  a.mov(ecx, 1);
  a.bind(sub.putPadded);
  // Digits are made last first on the stack, below a saved RBX.
  a.push(rbx);
  a.mov(ebx, ecx);
  a.mov(rdi, rsp);
  a.sub(rsp, 32);
  a.dec(rdi);
  a.mov(mem(rdi, { size: 1 }), 0);
  a.mov(r8, 10);
  const divide = a.here("divide");
  a.xor(edx, edx);
  a.div(r8);
  a.add(dl, 0x30);
  a.dec(rdi);
  a.mov(mem(rdi), dl);
  a.dec(ebx);
  a.test(rax, rax);
  a.jnz(short(divide));
  a.test(ebx, ebx);
  a.jg(short(divide));
  a.mov(rsi, rdi);
  a.call(sub.puts);
  a.add(rsp, 32);
  a.pop(rbx);
  a.ret();
}

function emitInput({ a, at, sub }: Guest): void {
  a.bind(sub.getByte);
  const got = a.label("got");
  const check = a.here("check");
  a.cli(); // STI HLT is atomic: an interrupt between the check and the HLT would be lost otherwise
  a.mov(eax, dword(at.ringTail));
  a.cmp(eax, dword(at.ringHead));
  a.jne(short(got));
  a.sti();
  a.hlt();
  a.jmp(short(check));
  a.bind(got);
  a.and(eax, RING_SIZE - 1);
  a.movzx(eax, mem(rax, { disp: at.ring, size: 1 }));
  a.inc(dword(at.ringTail));
  a.sti();
  a.ret();

  a.bind(sub.drainUart);
  const done = a.label("done");
  const more = a.here("more");
  a.mov(ecx, dword(at.ringHead));
  a.mov(eax, ecx);
  a.sub(eax, dword(at.ringTail));
  a.cmp(eax, RING_SIZE);
  a.jae(short(done)); // no room: the bytes stay in the UART until the next timer tick
  a.mov(dx, UART.lineStatus);
  a.in(al, dx);
  a.test(al, UART.dataReady);
  a.jz(short(done));
  a.mov(dx, UART.data);
  a.in(al, dx);
  a.and(ecx, RING_SIZE - 1);
  a.mov(mem(rcx, { disp: at.ring }), al);
  a.inc(dword(at.ringHead));
  a.jmp(short(more));
  a.bind(done);
  a.ret();
}

function emitParsing({ a, sub }: Guest): void {
  a.bind(sub.skipBlanks);
  const stop = a.label("stop");
  const skip = a.here("skip");
  a.cmp(mem(rsi, { size: 1 }), 0x20);
  a.jne(short(stop));
  a.inc(rsi);
  a.jmp(short(skip));
  a.bind(stop);
  a.ret();

  // R8 is the base, R9 the start of the digits; RAX the value so far.
  a.bind(sub.parseNumber);
  const digits = a.label("digits");
  const loop = a.label("loop");
  const end = a.label("end");
  const none = a.label("none");
  const value = a.label("value");
  a.xor(eax, eax);
  a.mov(r8, 10);
  a.cmp(mem(rsi, { size: 2 }), 0x7830); // "0x"
  a.jne(short(digits));
  a.mov(r8, 16);
  a.add(rsi, 2);
  a.bind(digits);
  a.mov(r9, rsi);
  a.bind(loop);
  a.movzx(edx, mem(rsi, { size: 1 }));
  a.sub(edx, 0x30);
  a.cmp(edx, 10);
  a.jb(short(value));
  a.or(edx, 0x20); // letters in either case, from 'a' - '0' = 0x31
  a.sub(edx, 0x31);
  a.cmp(edx, 6);
  a.jae(short(end));
  a.add(edx, 10);
  a.bind(value);
  a.cmp(rdx, r8);
  a.jae(short(none));
  a.imul(rax, r8);
  a.add(rax, rdx);
  a.inc(rsi);
  a.jmp(short(loop));
  a.bind(end);
  a.cmp(rsi, r9);
  a.je(short(none));
  const terminated = a.label("terminated");
  a.cmp(mem(rsi, { size: 1 }), 0);
  a.je(short(terminated));
  a.cmp(mem(rsi, { size: 1 }), 0x20);
  a.jne(short(none));
  a.call(sub.skipBlanks);
  a.bind(terminated);
  a.clc();
  a.ret();
  a.bind(none);
  a.stc();
  a.ret();
}
