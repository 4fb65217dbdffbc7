import type { Process } from "@vm/kvmi";
import { printable } from "./printable.js";

/** Characters of a name; the kernel's own has as many. */
const NAME = 15;

/** The listing that busybox's `ps` prints: process, user number, arguments. What a guest's programs call themselves cannot make it look otherwise. */
export function listing(processes: readonly Process[]): string {
  const rows = processes.map(({ pid, uid, name, commandLine }) => {
    const command = argumentsOf(name.slice(0, NAME), commandLine);
    return `${String(pid).padStart(5)} ${String(uid).padEnd(8)} ${printable(command)}`;
  });
  return `${["PID   USER     COMMAND", ...rows].join("\n")}\n`;
}

/** Arguments, with the name in braces in front if the program is called otherwise; the name in brackets if there are none. */
function argumentsOf(name: string, commandLine: string): string {
  if (commandLine.length === 0) return `[${name}]`;
  let end = commandLine.length;
  while (end > 0 && commandLine[end - 1] === "\0") end--;
  const text = commandLine.slice(0, end);
  const [program = ""] = text.split(/[\0 ]/, 1);
  const base = program.slice(program.lastIndexOf("/") + 1).replace(/^-/, "");
  const shown = text.replaceAll("\0", " ");
  return base.startsWith(name) ? shown : `{${name}} ${shown}`;
}
