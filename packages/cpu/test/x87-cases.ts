import { x87Destination, x87Record } from "../src/code/x87.js";
import { decode, Insn } from "../src/decode/index.js";
import * as S from "../src/state.js";
import { X87_OPERATIONS } from "../src/x87/functions.js";
import type { Random } from "../tools/random.js";
import { DATA, type FakeMachine } from "./fake-machine.js";
import { type F80, memoryOperand } from "./x87-operands.js";

/** x87 instructions that have functions in wasm, and states to execute them in. */

const MODRM_RSI = 0x06;
const MASKED = 0x3f;
export const FCW_INITIAL = 0x37f;

export interface Instruction {
  readonly bytes: readonly number[];
  readonly insn: Insn;
  readonly key: string;
  /** The register that the function is told. */
  readonly i: number;
}

/** Every x87 instruction that has a function, found by decoding all of them: with [RSI], and with each register or none. */
export const INSTRUCTIONS: readonly Instruction[] = Array.from({ length: 8 }, (_, low) => 0xd8 + low)
  .flatMap((opcode) => Array.from({ length: 72 }, (_, k) => [opcode, k < 8 ? (k << 3) | MODRM_RSI : 0xb8 + k]))
  .concat([[0x9b, 0x90]])
  .flatMap((bytes): Instruction[] => {
    const insn = new Insn();
    decode(Uint8Array.from(bytes), 0, bytes.length, 64, insn);
    const record = x87Record(insn);
    if (record === null) return [];
    return [
      {
        bytes: bytes.slice(0, insn.len),
        insn,
        key: X87_OPERATIONS[record.operation] as string,
        i: record.bytes > 0 ? 0 : x87Destination(record, insn),
      },
    ];
  });

/** A control word with all exceptions masked. */
export const masked = (random: Random): number => 0x40 | MASKED | random.below(0x1000);
/** Tags: a register that a push can take, and all others full. */
export const room = (top: number): number => 0xff & ~(1 << ((top + 7) & 7));
export const full = (): number => 0xff;

/** What a state is made of: `tags` gives the tag byte for a top of the stack, `st` the numbers in registers, by distance from the top. */
export type Preparation = [random: Random, fcw: number, tags: (top: number) => number, st: (k: number) => F80];

/** Makes a random state: flags, status word and the operand at `DATA` are any. */
export function prepare({ vcpu, view }: FakeMachine, ...[random, fcw, tags, st]: Preparation): void {
  const state = Buffer.from(vcpu.memory.buffer, vcpu.base, S.STATE_SIZE);
  vcpu.rflags = 2 | (random.below(0x1000) & S.ARITH);
  const fsw = random.below(0x10000) & (random.below(8) > 0 ? ~0x8080 : -1);
  const top = (fsw >> 11) & 7;
  state.writeUInt16LE(fcw, S.FCW);
  state.writeUInt16LE(fsw, S.FSW);
  state[S.FTW] = tags(top);
  for (let k = 0; k < 8; k++) {
    const { significand, top16 } = st(k);
    const at = S.FPR + 16 * ((top + k) & 7);
    state.writeBigUInt64LE(significand, at);
    state.writeUInt16LE(top16, at + 8);
  }
  memoryOperand(random, view, DATA);
}

/** Makes the memory operand of a function an ordinary one. */
export function simplify({ view }: FakeMachine, key: string): void {
  if (key === "fldcw.m2") view.setUint16(DATA, FCW_INITIAL, true);
  else if (key.startsWith("fi")) view.setBigInt64(DATA, -3n, true);
  else if (key.endsWith("m4")) view.setFloat32(DATA, 1.25, true);
  else if (key.endsWith("m8")) view.setFloat64(DATA, 1.1, true);
}
