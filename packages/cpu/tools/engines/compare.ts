import * as S from "../../src/state.js";
import type { Trace } from "./run.js";

const NAMES = [
  ..."rip rip+4 rflags mxcsr cr2 cr2+4 cr0 cr4 cpl".split(" "),
  ...Array.from({ length: 16 }, (_, k) => `dr${k >> 1}${k & 1 ? "+4" : ""}`),
  ..."es cs ss ds fs gs".split(" ").flatMap((name) => [name, `${name}.base`, `${name}.base+4`]),
  "activity",
];
const GENERAL = "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15".split(" ");

/** The first thing in which two runs of a program differ, or null. Of the cuts those are compared that `b` has. */
export function difference(a: Trace, b: Trace): string | null {
  const at = new Map(a.cuts.map((cut) => [cut.at, cut.state]));
  for (const { at: count, state } of b.cuts) {
    const other = at.get(count);
    if (other === undefined) return `only one went on to ${count}`;
    if (!other.equals(state)) return `at ${count}: ${registers(other, state)}`;
  }
  if (a.end.at !== b.end.at) return `ended at ${a.end.at} / ${b.end.at}`;
  if (!a.end.state.equals(b.end.state)) return `at the end, ${a.end.at}: ${registers(a.end.state, b.end.state)}`;
  const length = Math.max(a.log.length, b.log.length);
  for (let k = 0; k < length; k++) if (a.log[k] !== b.log[k]) return `log ${k}: ${a.log[k]} / ${b.log[k]}`;
  if (Buffer.compare(a.ram, b.ram) !== 0) {
    const where = a.ram.findIndex((byte, k) => byte !== b.ram[k]);
    return `memory ${where.toString(16)}: ${a.ram[where]?.toString(16)} / ${b.ram[where]?.toString(16)}`;
  }
  return null;
}

function registers(a: Buffer, b: Buffer): string {
  const words = 4 * NAMES.length;
  const found: string[] = [];
  for (let k = 0; k < NAMES.length; k++) {
    const [x, y] = [a.readUInt32LE(4 * k), b.readUInt32LE(4 * k)];
    if (x !== y) found.push(`${NAMES[k]} ${x.toString(16)}/${y.toString(16)}`);
  }
  for (let k = 0; k < 16; k++) {
    const [x, y] = [a.readBigUInt64LE(words + 8 * k), b.readBigUInt64LE(words + 8 * k)];
    if (x !== y) found.push(`${GENERAL[k]} ${x.toString(16)}/${y.toString(16)}`);
  }
  for (let k = 0; k < 16; k++) {
    const [x, y] = [a, b].map((state) => state.subarray(words + 128 + 16 * k, words + 144 + 16 * k).toString("hex"));
    if (x !== y) found.push(`xmm${k} ${x}/${y}`);
  }
  for (let k = words + 384; k < a.length; k++)
    if (a[k] !== b[k]) found.push(`x87+${(k - words - 384 + S.FPR).toString(16)} ${a[k]}/${b[k]}`);
  return found.join(", ");
}
