import { DecodeStatus, decode, format, Insn } from "../../src/index.js";
import { CODE } from "./machine.js";
import type { Part, Program } from "./program.js";

/** A program in memory. */
export interface Layout {
  /** Bytes by address of the window. */
  readonly pieces: readonly { readonly address: number; readonly bytes: readonly number[] }[];
  /** Addresses of the parts. */
  readonly parts: readonly number[];
  /** Addresses of all instructions, in ascending order. */
  readonly instructions: readonly number[];
  /** Where it begins. */
  readonly start: number;
}

const JMP = 0xe9;
const dword = (value: number): number[] => [
  value & 0xff,
  (value >> 8) & 0xff,
  (value >> 16) & 0xff,
  (value >> 24) & 0xff,
];

/** Puts the parts one after the other, with jumps to those that have places of their own, and from the last one to the first. */
export function layOut({ parts }: Program): Layout {
  const addresses: number[] = [];
  const pieces: { address: number; bytes: number[] }[] = [];
  const start = parts[0]?.place ?? CODE;
  let next = start;
  const jump = (to: number): void => {
    pieces.push({ address: next, bytes: [JMP, ...dword(to - next - 5)] });
  };
  parts.forEach((part, k) => {
    if (part.place !== undefined && k > 0) {
      jump(part.place);
      next = part.place;
    }
    addresses.push(next);
    next += part.bytes.length;
  });
  jump(start);
  parts.forEach((part, k) => {
    pieces.push({ address: addresses[k] as number, bytes: resolved(part, addresses[k] as number, addresses) });
  });
  const instructions = pieces.flatMap(({ address, bytes }) => boundaries(bytes).map((offset) => address + offset));
  return { pieces, parts: addresses, instructions: [...new Set(instructions)].sort((a, b) => a - b), start };
}

function resolved({ bytes, displacements }: Part, address: number, addresses: readonly number[]): number[] {
  const out = [...bytes];
  for (const { at, next, to } of displacements) {
    const target = "part" in to ? (addresses[to.part] as number) + to.plus : to.address;
    out.splice(at, 4, ...dword(target - address - next));
  }
  return out;
}

function boundaries(bytes: readonly number[]): number[] {
  const padded = Uint8Array.from([...bytes, ...new Array(16).fill(0x90)]);
  const insn = new Insn();
  const offsets: number[] = [];
  for (let offset = 0; offset < bytes.length; offset += insn.len) {
    offsets.push(offset);
    if (decode(padded, offset, padded.length, 64, insn) !== DecodeStatus.Ok) break;
  }
  return offsets;
}

/** The program as text: what is where before anything runs. */
export function listing(program: Program): string {
  const { pieces } = layOut(program);
  const insn = new Insn();
  const lines = [...pieces]
    .sort((a, b) => a.address - b.address)
    .flatMap(({ address, bytes }) =>
      boundaries(bytes).map((offset) => {
        const code = Uint8Array.from([...bytes.slice(offset), ...new Array(16).fill(0x90)]);
        const ok = decode(code, 0, code.length, 64, insn) === DecodeStatus.Ok;
        const hex = Buffer.from(code.subarray(0, ok ? insn.len : 4)).toString("hex");
        const where = program.base + BigInt(address + offset);
        return `${where.toString(16)}  ${hex.padEnd(30)} ${ok ? format(insn, where) : "?"}`;
      }),
    );
  const events = program.events.map(({ at, what, a }) => `${what}(${a.toString(16)}) at ${at}`);
  return [
    `seed ${program.seed}, CPL ${program.cpl}, RFLAGS ${program.rflags.toString(16)}, ${program.length} instructions`,
    `events: ${events.join(", ") || "none"}; cuts: ${program.cuts.join(", ") || "none"}`,
    ...lines,
  ].join("\n");
}
