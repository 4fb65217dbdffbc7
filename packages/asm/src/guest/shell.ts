import type { Label } from "../label.js";
import { short } from "../label.js";
import { mem } from "../operand.js";
import { al, dl, eax, ebx, edi, esi, r8, r9, rax, rbx, rdi, rsi } from "../registers.js";
import { dword, type Guest, print } from "./context.js";
import { LINE_SIZE, STATUS, ZERO_PAGE } from "./layout.js";

/** A command: its name and where its code is. The code gets its arguments at RSI and returns a status in EAX. */
export interface Command {
  readonly name: string;
  readonly code: Label;
}

/** Prompt, line editor, dispatch and the `exec=` option. */
export function emitShell(g: Guest, commands: readonly Command[], banner: string): void {
  emitLoop(g, banner);
  emitDispatch(g, commands);
  emitExec(g);
}

function emitLoop(g: Guest, banner: string): void {
  const { a, at, sub } = g;
  a.bind(sub.shell);
  print(g, banner);
  const prompt = a.here("prompt");
  print(g, "vm> ");
  a.xor(ebx, ebx); // EBX: characters in the line
  const next = a.here("next");
  const [enter, erase, abandon, lineFeed] = [
    a.label("enter"),
    a.label("erase"),
    a.label("abandon"),
    a.label("lineFeed"),
  ];
  a.call(sub.getByte);
  a.xor(edi, edi);
  a.xchg(dword(at.lastWasCr), edi);
  a.cmp(al, 0x0a);
  a.je(lineFeed);
  a.cmp(al, 0x0d);
  a.je(enter);
  a.cmp(al, 0x08);
  a.je(erase);
  a.cmp(al, 0x7f);
  a.je(erase);
  a.cmp(al, 0x03);
  a.je(abandon);
  a.cmp(al, 0x20);
  a.jb(next);
  a.cmp(ebx, LINE_SIZE - 1);
  a.jae(next);
  a.mov(mem(rbx, { disp: at.line }), al);
  a.inc(ebx);
  a.call(sub.putByte);
  a.jmp(next);

  a.bind(erase);
  a.test(ebx, ebx);
  a.jz(next);
  a.dec(ebx);
  print(g, "\b \b");
  a.jmp(next);

  a.bind(abandon);
  print(g, "^C\n");
  a.jmp(prompt);

  a.bind(lineFeed);
  a.test(edi, edi);
  a.jnz(next);
  const run = a.label("run");
  a.jmp(short(run));
  a.bind(enter);
  a.mov(dword(at.lastWasCr), 1);
  a.bind(run);
  a.mov(mem(rbx, { disp: at.line, size: 1 }), 0);
  print(g, "\n");
  a.mov(esi, at.line);
  a.call(sub.runLine);
  a.jmp(prompt);
}

function emitDispatch(g: Guest, commands: readonly Command[]): void {
  const { a, sub } = g;
  const table = a.label("commands");
  const [each, compare, differs, empty, unknown, found] = [
    a.label("each"),
    a.label("compare"),
    a.label("differs"),
    a.label("empty"),
    a.label("unknown"),
    a.label("found"),
  ];
  a.bind(sub.runLine);
  a.call(sub.skipBlanks);
  a.cmp(mem(rsi, { size: 1 }), 0);
  a.je(empty);
  a.lea(r8, mem(table));
  a.bind(each); // R8: entry of the table, R9: the word, RDI: the name
  a.mov(rdi, mem(r8));
  a.test(rdi, rdi);
  a.jz(unknown);
  a.mov(r9, rsi);
  a.bind(compare);
  a.mov(al, mem(r9));
  a.mov(dl, mem(rdi));
  a.test(dl, dl);
  const ended = a.label("ended");
  a.jz(short(ended));
  a.cmp(al, dl);
  a.jne(short(differs));
  a.inc(r9);
  a.inc(rdi);
  a.jmp(short(compare));
  a.bind(ended);
  a.test(al, al);
  a.jz(short(found));
  a.cmp(al, 0x20);
  a.je(short(found));
  a.bind(differs);
  a.add(r8, 16);
  a.jmp(short(each));
  a.bind(found);
  a.mov(rsi, r9);
  a.call(sub.skipBlanks);
  a.jmp(mem(r8, { disp: 8 }));
  a.bind(empty);
  a.xor(eax, eax);
  a.ret();
  a.bind(unknown);
  a.push(rsi);
  print(g, "unknown command: ");
  a.pop(rsi);
  a.call(sub.puts);
  print(g, "\n(try: help)\n");
  a.mov(eax, STATUS.unknownCommand);
  a.ret();

  a.align(8, 0);
  a.bind(table);
  for (const { name, code } of commands) a.dq(g.text(name), code);
  a.dq(0);
}

function emitExec({ a, at, sub }: Guest): void {
  const option = [...'exec="'];
  const [scan, miss, copy, end, none] = [
    a.label("scan"),
    a.label("miss"),
    a.label("copy"),
    a.label("end"),
    a.label("none"),
  ];
  a.bind(sub.execFromCommandLine);
  a.mov(edi, mem(rsi, { disp: ZERO_PAGE.cmdLinePtr }));
  a.mov(eax, mem(rsi, { disp: ZERO_PAGE.extCmdLinePtr }));
  a.shl(rax, 32);
  a.or(rdi, rax);
  a.jz(none);
  a.mov(dl, 0x20); // the character before: the option starts a word
  a.bind(scan);
  a.mov(al, mem(rdi));
  a.test(al, al);
  a.jz(none);
  a.cmp(dl, 0x20);
  a.jne(miss);
  option.forEach((character, i) => {
    a.cmp(mem(rdi, { disp: i, size: 1 }), character.charCodeAt(0));
    a.jne(miss);
  });
  a.xor(ebx, ebx);
  a.bind(copy);
  a.mov(al, mem(rdi, { index: rbx, disp: option.length }));
  a.test(al, al);
  a.jz(short(end));
  a.cmp(al, '"'.charCodeAt(0));
  a.je(short(end));
  a.mov(mem(rbx, { disp: at.line }), al);
  a.inc(ebx);
  a.cmp(ebx, LINE_SIZE - 1);
  a.jb(short(copy));
  a.bind(end);
  a.mov(mem(rbx, { disp: at.line, size: 1 }), 0);
  a.mov(esi, at.line);
  a.call(sub.runLine);
  a.mov(edi, eax);
  a.jmp(sub.powerOff);
  a.bind(miss);
  a.mov(dl, al);
  a.inc(rdi);
  a.jmp(scan);
  a.bind(none);
  a.ret();
}
