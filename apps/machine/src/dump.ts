import { DecodeStatus, decode, format, Insn, type Vcpu } from "@vm/cpu";

const REGISTERS = "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15".split(" ");
const SEGMENTS = ["es", "cs", "ss", "ds", "fs", "gs"];
const MAX_INSN = 15;

const hex32 = (value: number): string => (value >>> 0).toString(16).padStart(8, "0");
const hex64 = (lo: number, hi: number): string => hex32(hi) + hex32(lo);

/** The registers of a processor and the instruction at its instruction pointer, in lines for a person. Changes nothing. */
export function dumpRegisters(vcpu: Vcpu): string {
  const general = REGISTERS.map((name, r) => `${name.padEnd(3)} ${hex64(vcpu.regLo(r), vcpu.regHi(r))}`);
  const lines: string[] = [];
  for (let row = 0; row < general.length; row += 4) lines.push(general.slice(row, row + 4).join("  "));
  lines.push(`rip ${hex64(vcpu.ripLo, vcpu.ripHi)}  rflags ${hex32(vcpu.rflags)}  cpl ${vcpu.cpl}  ${vcpu.mode}-bit`);
  const { cr3Lo, cr3Hi } = vcpu.paging;
  const cr2 = hex64(vcpu.cr2Lo, vcpu.cr2Hi);
  lines.push(
    `cr0 ${hex32(vcpu.cr0)}  cr2 ${cr2}  cr3 ${hex64(cr3Lo, cr3Hi)}  cr4 ${hex32(vcpu.cr4)}  efer ${hex32(vcpu.efer)}`,
  );
  for (const row of [SEGMENTS.slice(0, 3), SEGMENTS.slice(3)]) {
    lines.push(row.map((name) => segment(vcpu, name)).join("  "));
  }
  lines.push(`${table("gdtr", vcpu.gdtr)}  ${table("idtr", vcpu.idtr)}`);
  lines.push(`at rip: ${instruction(vcpu)}`);
  return lines.join("\n");
}

function segment(vcpu: Vcpu, name: string): string {
  const cache = vcpu.segments[SEGMENTS.indexOf(name)];
  if (cache === undefined) return name;
  return `${name} ${cache.selector.toString(16).padStart(4, "0")} base ${hex64(cache.baseLo, cache.baseHi)}`;
}

const table = (name: string, { baseLo, baseHi, limit }: { baseLo: number; baseHi: number; limit: number }): string =>
  `${name} ${hex64(baseLo, baseHi)}:${limit.toString(16).padStart(4, "0")}`;

function instruction(vcpu: Vcpu): string {
  const [bytes, missing] = readCode(vcpu);
  if (bytes.length === 0) return `no memory there`;
  const insn = new Insn();
  const padded = new Uint8Array(MAX_INSN + 1);
  padded.set(bytes);
  const status = decode(padded, 0, padded.length, vcpu.mode, insn);
  const length = Math.min(status === DecodeStatus.Ok ? insn.len : bytes.length, bytes.length);
  const shown = [...bytes.subarray(0, length)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  if (status !== DecodeStatus.Ok || (missing && insn.len > bytes.length)) return `${shown}  (no instruction)`;
  const at = (BigInt(vcpu.ripHi >>> 0) << 32n) | BigInt(vcpu.ripLo >>> 0);
  return `${shown}  ${format(insn, at)}`;
}

/** The bytes at RIP, as far as they are readable, and whether some of them are not. */
function readCode(vcpu: Vcpu): [bytes: Uint8Array, missing: boolean] {
  const code = vcpu.segments[1];
  const baseLo = vcpu.mode === 64 || code === undefined ? 0 : code.baseLo;
  const bytes = new Uint8Array(MAX_INSN);
  const pending = vcpu.pending;
  let length = 0;
  const one = new Uint8Array(1);
  while (length < MAX_INSN && vcpu.linear.readBytes((vcpu.ripLo + baseLo + length) | 0, vcpu.ripHi, one)) {
    bytes[length++] = one[0] as number;
  }
  if (pending === null) vcpu.forget();
  return [bytes.subarray(0, length), length < MAX_INSN];
}
