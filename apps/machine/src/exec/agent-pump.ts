import {
  type Assembler,
  eax,
  ebp,
  ebx,
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
  r13d,
  r14d,
  r15d,
  rax,
  rbx,
  rdi,
  rdx,
  rsi,
} from "@vm/asm";
import { Ask, FRAME, HEAD_SIZE, INPUT, POLL, Say, SIGNAL } from "./agent-abi.js";
import { argument, byte, call, dword, type Subroutines, SYS, word } from "./agent-code.js";

const POLLIN = 1;
const POLLOUT = 4;
const POLLERR_NVAL = 0x28;
const EAGAIN = 11;
/** Entries of the poll table. */
const [TTY, OUT, ERR, IN, CHILD] = [0, 1, 2, 3, 4].map((k) => POLL + 8 * k) as [number, number, number, number, number];
/** Bits of R14 while a command runs. */
const REQUESTED = 1;
const EXITED = 2;

/** Carries a command's input and outputs. EBX is where in the piece of input, EBP what is left of it; R13 the child, R15 its status. */
export function emitPump(a: Assembler, sub: Subroutines): void {
  const [loop, noInput, wait, noLine, noChild] = ["loop", "noInput", "wait", "noLine", "noChild"].map((name) =>
    a.label(name),
  ) as [Label, Label, Label, Label, Label];
  const [reap, discard, data, closeInput, next] = ["reap", "discard", "data", "closeInput", "next"].map((name) =>
    a.label(name),
  ) as [Label, Label, Label, Label, Label];
  const watch = (entry: number, events: number): void => void a.mov(word(entry + 4), events);

  a.bind(sub.pump);
  a.mov(dword(TTY), r12d);
  for (const [entry, n] of [
    [IN, 1],
    [OUT, 2],
    [ERR, 3],
    [CHILD, 4],
  ] as const)
    a.mov(rax, argument(n)).mov(dword(entry), eax);
  for (const entry of [TTY, OUT, ERR, CHILD]) watch(entry, POLLIN);
  a.mov(r13, argument(5)).xor(r14d, r14d).xor(ebp, ebp);

  a.bind(loop);
  watch(IN, 0);
  a.cmp(dword(IN), 0).jl(noInput);
  const empty = a.label("empty");
  a.test(ebp, ebp).jz(empty);
  watch(IN, POLLOUT);
  a.jmp(noInput);
  a.bind(empty).test(r14d, REQUESTED).jnz(noInput);
  a.or(r14d, REQUESTED).mov(eax, Say.Ready).xor(edx, edx).call(sub.send);
  a.bind(noInput);
  a.test(r14d, EXITED).jz(wait);
  a.cmp(dword(OUT), 0).jge(wait);
  a.cmp(dword(ERR), 0).jge(wait);
  a.mov(dword(FRAME + HEAD_SIZE), r15d)
    .mov(eax, Say.Exit)
    .mov(edx, 4)
    .call(sub.send);
  a.jmp(sub.serve);

  a.bind(wait);
  a.mov(edi, POLL).mov(esi, 5).mov(rdx, -1);
  call(a, SYS.poll);
  a.test(eax, eax).jle(loop);
  a.mov(r8, OUT).mov(r9, Say.Output).call(sub.relay);
  a.mov(r8, ERR).mov(r9, Say.Errors).call(sub.relay);

  a.cmp(word(CHILD + 6), 0).je(noChild);
  a.mov(edi, dword(CHILD)).mov(esi, SIGNAL).mov(edx, 128);
  call(a, SYS.read);
  a.bind(reap);
  a.mov(rdi, -1).mov(esi, SIGNAL).mov(edx, 1).xor(eax, eax).mov(r10, rax);
  call(a, SYS.wait4);
  a.test(eax, eax).jle(noChild);
  a.cmp(eax, r13d).jne(reap);
  a.mov(r15d, dword(SIGNAL)).or(r14d, EXITED).jmp(reap);
  a.bind(noChild);

  a.test(byte(TTY + 6), POLLIN).jz(noLine);
  a.call(sub.request);
  a.cmp(rax, Ask.Data).je(data);
  a.cmp(rax, Ask.Kill).jne(noLine);
  a.mov(rdi, r13).neg(rdi).mov(rsi, argument(1));
  call(a, SYS.kill);
  a.jmp(noLine);
  a.bind(data);
  a.mov(esi, INPUT).mov(rdx, argument(1)).mov(ebp, edx).xor(ebx, ebx).and(r14d, ~REQUESTED).call(sub.receive);
  a.cmp(dword(IN), 0).jl(discard);
  a.test(ebp, ebp).jnz(noLine);
  // The end of the input.
  a.mov(edi, dword(IN)).mov(dword(IN), -1);
  call(a, SYS.close);
  a.jmp(loop);
  a.bind(discard).xor(ebp, ebp);
  a.bind(noLine);

  a.cmp(dword(IN), 0).jl(next);
  a.test(byte(IN + 6), POLLERR_NVAL).jnz(closeInput);
  a.test(byte(IN + 6), POLLOUT).jz(next);
  a.mov(edi, dword(IN))
    .lea(rsi, mem(rbx, { disp: INPUT }))
    .mov(edx, ebp);
  call(a, SYS.write);
  a.cmp(rax, -EAGAIN).je(next);
  a.test(rax, rax).js(closeInput);
  a.add(ebx, eax).sub(ebp, eax);
  a.bind(next).jmp(loop);

  a.bind(closeInput);
  a.mov(edi, dword(IN)).mov(dword(IN), -1).xor(ebp, ebp);
  call(a, SYS.close);
  a.mov(eax, Say.Closed).xor(edx, edx).call(sub.send);
  a.jmp(loop);
}
