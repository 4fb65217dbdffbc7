import {
  Assembler,
  eax,
  ecx,
  edi,
  edx,
  esi,
  type Label,
  mem,
  r8,
  r9,
  r10,
  r12d,
  r13,
  rax,
  rbx,
  rcx,
  rdi,
  rdx,
  rsi,
  rsp,
} from "@vm/asm";
import {
  Ask,
  FIRST_TAG,
  FRAME,
  HEAD_SIZE,
  INPUT,
  PAYLOAD_MAX,
  REQUEST,
  REQUEST_HEAD,
  REQUEST_WORDS,
  Say,
  TAG,
} from "./agent-abi.js";
import { argument, byte, call, dword, qword, type Subroutines, SYS } from "./agent-code.js";
import { CODE, elf } from "./agent-elf.js";
import { emitPump } from "./agent-pump.js";
import { WIDE } from "./agent-request.js";

const O_RDWR_NOCTTY_CLOEXEC = 2 | 0o400 | 0o2000000;
const TCSETS = 0x5402;
const F_DUPFD_CLOEXEC = 1030;
/** CLONE_VM | CLONE_VFORK | SIGCHLD: the child runs in our memory while we wait until it has become another program. */
const VFORK = 0x4111;

/**
 * The program that does the host's work inside the guest: a static x86-64 ELF file that needs nothing of the root it runs in. It opens
 * the second serial line (ttyS1), says hello, and carries out what it is asked (agent-abi.ts): system calls, and one command whose
 * input and outputs it carries over the line. What is to be done is decided by the host alone.
 *
 * R12 is the line's descriptor throughout.
 */
export function agentImage(): Uint8Array {
  const a = new Assembler({ org: CODE });
  const sub = {
    /** Writes a frame of type EAX with the EDX bytes behind the head. */
    send: a.label("send"),
    /** Reads RDX bytes to RSI. */
    receive: a.label("receive"),
    /** Reads a request; RAX is its number. */
    request: a.label("request"),
    /** Passes on what can be read from poll entry R8 as a frame of type R9D. */
    relay: a.label("relay"),
    serve: a.label("serve"),
    pump: a.label("pump"),
    fail: a.label("fail"),
  };
  emitStart(a, sub);
  emitServe(a, sub);
  emitPump(a, sub);
  emitTransfers(a, sub);
  return elf(a.assemble());
}

function emitStart(a: Assembler, sub: Subroutines): void {
  const [dev, type, tty, termios, message, opened] = ["dev", "type", "tty", "termios", "message", "opened"].map(
    (name) => a.label(name),
  ) as [Label, Label, Label, Label, Label, Label];
  const open = (): void => {
    a.lea(rdi, mem(tty)).mov(esi, O_RDWR_NOCTTY_CLOEXEC).xor(edx, edx);
    call(a, SYS.open);
    a.test(eax, eax);
  };
  a.mov(rbx, rsp);
  a.lea(rdi, mem(dev)).mov(esi, 0o755);
  call(a, SYS.mkdir);
  a.lea(rdi, mem(type)).lea(rsi, mem(dev)).lea(rdx, mem(type)).mov(r10, 2).xor(eax, eax).mov(r8, rax);
  call(a, SYS.mount);
  open();
  a.jns(opened);
  a.lea(rdi, mem(tty))
    .mov(esi, 0o20600)
    .mov(edx, (4 << 8) | 65);
  call(a, SYS.mknod);
  open();
  a.js(sub.fail);
  a.bind(opened);
  // Descriptors 0 to 2 are the command's, even where the kernel found no console to open.
  a.mov(edi, eax).mov(esi, F_DUPFD_CLOEXEC).mov(edx, 3);
  call(a, SYS.fcntl);
  a.mov(r12d, eax);
  a.mov(edi, eax).mov(esi, TCSETS).lea(rdx, mem(termios));
  call(a, SYS.ioctl);
  a.mov(rax, littleEndian(FIRST_TAG)).mov(qword(TAG), rax);
  a.mov(qword(FRAME + HEAD_SIZE), rbx);
  a.mov(eax, Say.Hello).mov(edx, 8).call(sub.send);
  a.jmp(sub.serve);

  a.bind(sub.fail);
  const text = "vm-agent: this kernel has no second serial line\n";
  a.mov(edi, 2).lea(rsi, mem(message)).mov(edx, text.length);
  call(a, SYS.write);
  a.mov(edi, 1);
  call(a, SYS.exitGroup);

  a.bind(message).db(text);
  a.bind(dev).db("/dev", 0);
  a.bind(type).db("devtmpfs", 0);
  a.bind(tty).db("/dev/ttyS1", 0);
  // struct termios: no input, output or local processing; 8 bits, receiver on, no carrier needed, RTS/CTS; VMIN = 1.
  a.bind(termios).dd(0, 0, 0x80000000 + 0x800 + 0x80 + 0x30 + 0x1002, 0);
  a.db(0, 0, 0, 0, 0, 0, 0, 1).space(12);
}

function emitServe(a: Assembler, sub: Subroutines): void {
  const [poke, peek, spawn, notSyscall, reply8] = ["poke", "peek", "spawn", "notSyscall", "reply8"].map((name) =>
    a.label(name),
  ) as [Label, Label, Label, Label, Label];
  a.bind(sub.serve);
  a.call(sub.request);
  a.test(rax, rax).jnz(notSyscall);
  loadCall(a, REQUEST + 8);
  a.syscall();
  a.bind(reply8);
  a.mov(qword(FRAME + HEAD_SIZE), rax);
  a.mov(eax, Say.Reply).mov(edx, 8).call(sub.send);
  a.jmp(sub.serve);

  a.bind(notSyscall);
  for (const [ask, label] of [
    [Ask.Poke, poke],
    [Ask.Peek, peek],
    [Ask.Spawn, spawn],
    [Ask.Pump, sub.pump],
  ] as const)
    a.cmp(rax, ask).je(label);
  // The command has ended while input for it was on its way.
  a.cmp(rax, Ask.Data).jne(sub.serve);
  a.mov(esi, INPUT).mov(rdx, argument(1)).call(sub.receive);
  a.jmp(sub.serve);

  a.bind(poke);
  a.mov(rsi, argument(1)).mov(rdx, argument(2)).call(sub.receive);
  a.mov(eax, Say.Reply).xor(edx, edx).call(sub.send);
  a.jmp(sub.serve);

  a.bind(peek);
  a.mov(rsi, argument(1))
    .mov(edi, FRAME + HEAD_SIZE)
    .mov(rcx, argument(2))
    .mov(edx, ecx)
    .rep()
    .movsb();
  a.mov(eax, Say.Reply).call(sub.send);
  a.jmp(sub.serve);

  a.bind(spawn);
  a.mov(r13, argument(1));
  a.mov(edi, VFORK).xor(esi, esi).xor(edx, edx).mov(r10, rsi).mov(r8, rsi);
  call(a, SYS.clone);
  a.test(rax, rax).jnz(reply8);
  // The child: our stack must stay as it is.
  const [end, next] = [a.label("end"), a.here("next")];
  a.mov(rax, mem(r13)).test(rax, rax).js(end);
  a.mov(rdi, mem(r13, { disp: 8 }))
    .mov(rsi, mem(r13, { disp: 16 }))
    .mov(rdx, mem(r13, { disp: 24 }));
  a.mov(r10, mem(r13, { disp: 32 }))
    .mov(r8, mem(r13, { disp: 40 }))
    .mov(r9, mem(r13, { disp: 48 }));
  a.syscall();
  a.mov(mem(r13, { disp: 56 }), rax)
    .add(r13, 64)
    .jmp(next);
  a.bind(end).mov(edi, 127);
  call(a, SYS.exitGroup);
}

/** Number and arguments of a system call from eight quadwords at `address`. */
function loadCall(a: Assembler, address: number): void {
  [rax, rdi, rsi, rdx, r10, r8, r9].forEach((register, k) => void a.mov(register, qword(address + 8 * k)));
}

function emitTransfers(a: Assembler, sub: Subroutines): void {
  a.bind(sub.relay);
  const [some, none] = [a.label("some"), a.label("none")];
  a.cmp(mem(r8, { disp: 6, size: 2 }), 0).je(none);
  a.mov(edi, mem(r8))
    .mov(esi, FRAME + HEAD_SIZE)
    .mov(edx, PAYLOAD_MAX);
  call(a, SYS.read);
  a.mov(edx, eax).test(rax, rax).jg(some);
  a.mov(edi, mem(r8)).mov(mem(r8, { size: 4 }), -1);
  call(a, SYS.close);
  a.bind(none).ret();
  a.bind(some).mov(rax, r9);

  // A frame is one write: whatever else is written to the line comes before or after it.
  a.bind(sub.send);
  a.mov(rcx, qword(TAG))
    .mov(qword(FRAME), rcx)
    .mov(dword(FRAME + 8), eax)
    .mov(dword(FRAME + 12), edx);
  a.mov(edi, r12d).mov(esi, FRAME).add(edx, HEAD_SIZE);
  const write = a.here("write");
  call(a, SYS.write);
  a.test(rax, rax).js(sub.fail);
  a.add(rsi, rax).sub(edx, eax).jnz(write);
  a.ret();

  a.bind(sub.request);
  const [narrow, expand, done] = [a.label("narrow"), a.label("expand"), a.label("done")];
  a.mov(edi, REQUEST)
    .mov(ecx, 8 * REQUEST_WORDS)
    .xor(eax, eax)
    .rep()
    .stosb();
  a.mov(esi, REQUEST_HEAD).mov(edx, 1).call(sub.receive);
  a.movzx(ecx, byte(REQUEST_HEAD)).mov(edx, ecx).and(edx, ~WIDE).shl(edx, 2);
  a.test(ecx, WIDE).jz(narrow);
  a.shl(edx, 1);
  a.bind(narrow).mov(esi, REQUEST).call(sub.receive);
  a.movzx(ecx, byte(REQUEST_HEAD));
  a.cmp(ecx, WIDE).jae(done);
  // From the last word on: where one goes there are others that have gone already.
  a.bind(expand).test(ecx, ecx).jz(done);
  a.dec(ecx)
    .movsxd(rax, mem(REQUEST, { index: rcx, scale: 4, size: 4 }))
    .mov(mem(REQUEST, { index: rcx, scale: 8 }), rax)
    .jmp(expand);
  a.bind(done).mov(rax, argument(0)).ret();

  a.bind(sub.receive);
  const [read, received] = [a.here("read"), a.label("received")];
  a.test(rdx, rdx).jz(received);
  a.mov(edi, r12d);
  call(a, SYS.read);
  a.test(rax, rax).jle(sub.fail);
  a.add(rsi, rax).sub(rdx, rax).jmp(read);
  a.bind(received).ret();
}

function littleEndian(text: string): bigint {
  return [...text].reduceRight((value, letter) => (value << 8n) | BigInt(letter.charCodeAt(0)), 0n);
}
