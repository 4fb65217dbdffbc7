import { type Assembler, eax, type Label, mem } from "@vm/asm";
import { REQUEST } from "./agent-abi.js";

/** What the parts of the agent's code share. */

/** System calls that the agent makes by itself (Linux arch/x86/entry/syscalls/syscall_64.tbl). */
export const SYS = {
  read: 0,
  write: 1,
  open: 2,
  close: 3,
  poll: 7,
  ioctl: 16,
  clone: 56,
  wait4: 61,
  kill: 62,
  fcntl: 72,
  mkdir: 83,
  mknod: 133,
  mount: 165,
  exitGroup: 231,
} as const;

export const byte = (address: number) => mem(address, { size: 1 });
export const word = (address: number) => mem(address, { size: 2 });
export const dword = (address: number) => mem(address, { size: 4 });
export const qword = (address: number) => mem(address, { size: 8 });
/** Argument `n` of the request, the number being 0. */
export const argument = (n: number) => qword(REQUEST + 8 * n);

/** The agent's subroutines; what they take is told where they are made. */
export type Subroutines = Readonly<Record<"send" | "receive" | "request" | "relay" | "serve" | "pump" | "fail", Label>>;

/** A system call whose arguments are in place. It keeps all registers but RAX, RCX and R11. */
export function call(a: Assembler, number: number): void {
  a.mov(eax, number).syscall();
}
