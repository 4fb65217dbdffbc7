import { BpfError } from "../errors.js";
import { type Insn, isWide } from "../isa/insn.js";
import { CALL, CallKind, FP, JA32, LD_IMM64, Pseudo } from "../isa/opcodes.js";
import { FRAME_BYTES } from "./layout.js";
import { type Operation, operationOf } from "./operation.js";

/** A program as the engine takes it. */
export interface Program {
  /**
   * 64-bit loads are resolved: `src` is 0, or `Pseudo.Func` with the distance to a subprogram in `imm`, as for a local call; its value becomes the
   * function's index in the engine's table, which is what callbacks are called by.
   */
  readonly insns: readonly Insn[];
  /** First instruction of each function, ascending; the first is 0. */
  readonly subprograms: readonly number[];
  /** Bytes of each function's frame, 0 to 512; 512 if absent. */
  readonly frames?: readonly number[];
}

/** One function of a program, understood. */
export interface Subprogram {
  readonly first: number;
  /** Instruction after the last. */
  readonly end: number;
  /** Bytes, a multiple of 8. */
  readonly frame: number;
}

export interface Analyzed {
  readonly insns: readonly Insn[];
  /** By instruction; null for the second halves of 64-bit loads. */
  readonly operations: readonly (Operation | null)[];
  readonly subprograms: readonly Subprogram[];
  /** Number of the function that begins at an instruction. */
  readonly functionAt: ReadonlyMap<number, number>;
}

const refuse = (pc: number, message: string): never => {
  throw new BpfError("EINVAL", `instruction ${pc}: ${message}`);
};

/** Where the functions of a program begin that does not say so: at its start and where local calls and function pointers lead. */
export function functionsOf(insns: readonly Insn[]): number[] {
  const firsts = new Set([0]);
  insns.forEach(({ code, src, imm }, pc) => {
    if ((code === CALL && src === CallKind.Local) || (code === LD_IMM64 && src === Pseudo.Func))
      firsts.add(pc + 1 + imm);
  });
  return [...firsts].sort((a, b) => a - b);
}

/** Where a jump at `pc` goes. */
export const jumpTarget = (pc: number, { code, off, imm }: Insn): number => pc + 1 + (code === JA32 ? imm : off);

/** Register that holds the number that a call by register calls: `dst`, or of older compilers the immediate. */
export const callRegister = ({ dst, imm }: Insn): number => (imm === 0 ? dst : imm);

/**
 * Checks what the engine relies on; it is not the verifier.
 * @throws {BpfError} EINVAL naming the instruction and what is wrong with it
 */
export function analyze({ insns, subprograms, frames }: Program): Analyzed {
  if (subprograms[0] !== 0) refuse(0, `the first function begins at ${subprograms[0]}; expected 0`);
  const operations: (Operation | null)[] = new Array(insns.length).fill(null);
  for (let pc = 0; pc < insns.length; pc++) {
    const insn = insns[pc] as Insn;
    const operation =
      operationOf(insn) ?? refuse(pc, `unknown opcode 0x${insn.code.toString(16)}, off ${insn.off}, imm ${insn.imm}`);
    operations[pc] = operation;
    checkRegisters(pc, insn, operation);
    if (isWide(insn)) {
      const second = insns[pc + 1];
      if (second === undefined || second.code !== 0) refuse(pc, "a 64-bit load without its second half");
      pc++;
    }
  }
  const functionAt = new Map(subprograms.map((first, k) => [first, k]));
  const functions = subprograms.map((first, k): Subprogram => {
    const end = subprograms[k + 1] ?? insns.length;
    const frame = frames?.[k] ?? FRAME_BYTES;
    if (first >= end) refuse(first, `function ${k} is empty, or not in ascending order`);
    if (!(frame >= 0 && frame <= FRAME_BYTES)) refuse(first, `a frame of ${frame} bytes; expected 0 to ${FRAME_BYTES}`);
    const found = { first, end, frame: (frame + 7) & ~7 };
    checkFlow(insns, operations, found, functionAt);
    return found;
  });
  return { insns, operations, subprograms: functions, functionAt };
}

function checkRegisters(pc: number, insn: Insn, operation: Operation): void {
  const { dst, src } = insn;
  const { kind } = operation;
  if (kind === "indirect") {
    if (!(callRegister(insn) >= 0 && callRegister(insn) < FP))
      refuse(pc, `no register ${callRegister(insn)} to call by`);
    return;
  }
  if (kind === "helper" || kind === "local" || kind === "kfunc" || kind === "jump" || kind === "exit") return;
  if (dst > FP) refuse(pc, `no register ${dst}; there are 0 to ${FP}`);
  if (kind !== "function" && src > FP) refuse(pc, `no register ${src}; there are 0 to ${FP}`);
  const written =
    kind === "arithmetic" || kind === "unary" || kind === "load" || kind === "constant" || kind === "function";
  if (written && dst === FP) refuse(pc, "the frame pointer cannot be written");
  if (kind === "atomic" && operation.fetch && operation.op !== "cmpxchg" && src === FP)
    refuse(pc, "the frame pointer cannot be written");
}

function checkFlow(
  insns: readonly Insn[],
  operations: readonly (Operation | null)[],
  { first, end }: Subprogram,
  functionAt: ReadonlyMap<number, number>,
): void {
  const target = (pc: number, to: number): void => {
    if (to < first || to >= end) refuse(pc, `jump to ${to}, outside of its function ${first} to ${end - 1}`);
    if (operations[to] === null) refuse(pc, `jump to ${to}, into a 64-bit load`);
  };
  for (let pc = first; pc < end; pc++) {
    const insn = insns[pc] as Insn;
    const operation = operations[pc];
    if (operation === null || operation === undefined) {
      if (pc === first) refuse(pc, "a function begins within a 64-bit load");
      continue;
    }
    const { kind } = operation;
    if (kind === "jump" || kind === "compare" || kind === "may_goto") target(pc, jumpTarget(pc, insn));
    if ((kind === "local" || kind === "function") && !functionAt.has(pc + 1 + insn.imm))
      refuse(pc, `no function begins at ${pc + 1 + insn.imm}`);
    const last = isWide(insn) ? pc + 1 : pc;
    if (last + 1 >= end && kind !== "exit" && kind !== "jump") refuse(pc, "control runs past the end of the function");
  }
}

/** A straight run of instructions: entered at its first, left after its last. */
export interface Block {
  readonly first: number;
  /** Instruction after the last. */
  readonly end: number;
  /** Instructions in it; a 64-bit load is one. */
  readonly count: number;
  /** Blocks that follow, by number: of a conditional jump the one after it comes first. */
  readonly successors: readonly number[];
}

/** The blocks of a function in the order of the program; the first is its entry. */
export function blocksOf({ insns, operations }: Analyzed, { first, end }: Subprogram): Block[] {
  const starts = new Set([first]);
  for (let pc = first; pc < end; pc++) {
    const kind = operations[pc]?.kind;
    if (kind === "jump" || kind === "compare" || kind === "may_goto") {
      starts.add(jumpTarget(pc, insns[pc] as Insn));
      starts.add(pc + 1);
    } else if (kind === "exit") starts.add(pc + 1);
  }
  starts.delete(end);
  const sorted = [...starts].sort((a, b) => a - b);
  const numbers = new Map(sorted.map((pc, k) => [pc, k]));
  return sorted.map((start, k): Block => {
    const stop = sorted[k + 1] ?? end;
    let [count, last] = [0, start];
    for (let pc = start; pc < stop; pc++) {
      if (operations[pc] === null) continue;
      last = pc;
      count++;
    }
    const kind = operations[last]?.kind;
    const jump = (): number => numbers.get(jumpTarget(last, insns[last] as Insn)) as number;
    const successors =
      kind === "exit"
        ? []
        : kind === "jump"
          ? [jump()]
          : kind === "compare" || kind === "may_goto"
            ? [k + 1, jump()]
            : [k + 1];
    return { first: start, end: stop, count, successors };
  });
}
