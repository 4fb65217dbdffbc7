import { type Insn, isWide } from "../isa/insn.js";
import type { Mode } from "./access.js";
import type { Straight } from "./meaning.js";
import { type Operation, operationOf, samples } from "./operation.js";
import { type Analyzed, blocksOf, callRegister, jumpTarget } from "./program.js";

/** Programs as the interpreter reads them: a record for each instruction, and for what comes before a function and a block. */

/** Fields of a record: offsets in bytes. u32, but for the immediate. */
export const Record = {
  /** Index in the list of `handlers`. */
  handler: 0,
  /** Eight times the number of the register. */
  dst: 4,
  src: 8,
  /** i32. */
  offset: 12,
  /** i64: the immediate, sign-extended; bytes of a frame; instructions of a block; number of a host function, or index of a helper in the table. */
  immediate: 16,
  pc: 24,
  /** Offset in memory of the record that is jumped to, or of the function's first. */
  target: 28,
} as const;
export const RECORD_BYTES = 32;

/** What the interpreter has code for. */
export type Handler =
  | { readonly kind: "enter"; readonly mode: Mode }
  | { readonly kind: "charge" | "tail" | "wasm" | "host" }
  | { readonly kind: "constant" | "jump" | "may_goto" | "exit" | "local" | "indirect" }
  | Extract<Operation, { kind: "compare" }>
  | (Extract<Operation, { kind: "packet" }> & { readonly mode: Mode })
  | (Straight & { readonly mode: Mode });

const keyOf = (handler: Handler): string =>
  Object.entries(handler)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`)
    .join();

interface Handlers {
  readonly list: readonly Handler[];
  readonly numbers: ReadonlyMap<string, number>;
}

let known: Handlers | null = null;

/** All handlers: those of every operation that there is an instruction for, in both modes if they differ. */
export function handlers(): Handlers {
  if (known !== null) return known;
  const numbers = new Map<string, number>();
  const list: Handler[] = [];
  const add = (handler: Handler): void => {
    const key = keyOf(handler);
    if (!numbers.has(key)) numbers.set(key, list.push(handler) - 1);
  };
  for (const kind of ["charge", "tail", "wasm", "host"] as const) add({ kind });
  for (const mode of ["trusted", "checked"] as const) add({ kind: "enter", mode });
  for (const insn of samples()) {
    const operation = operationOf(insn);
    if (operation === null) continue;
    for (const mode of ["trusted", "checked"] as const) {
      const handler = handlerOf(operation, mode);
      if (handler !== null) add(handler);
    }
  }
  known = { list, numbers };
  return known;
}

const numberOf = (handler: Handler): number => handlers().numbers.get(keyOf(handler)) as number;

/** The handler of an operation; null if that depends on what is called. */
function handlerOf(operation: Operation, mode: Mode): Handler | null {
  switch (operation.kind) {
    case "arithmetic":
    case "unary":
      return { ...operation, mode: "trusted" };
    case "load":
    case "store":
    case "atomic":
    case "packet":
      return { ...operation, mode };
    case "compare":
      return operation;
    case "function":
      return { kind: "constant" };
    case "helper":
    case "kfunc":
      return null;
    default:
      return { kind: operation.kind };
  }
}

/** What a call by number is in a record. */
export interface RecordCallee {
  readonly kind: "tail" | "wasm" | "host";
  /** Number of the host function, or index of the helper in the table. */
  readonly number: number;
}

/** What records are written for. */
export interface RecordTarget {
  readonly mode: Mode;
  readonly metered: boolean;
  /** Index in the engine's table of the program's first function. */
  readonly entry: number;
  /** By the instruction that calls. */
  readonly callees: ReadonlyMap<number, RecordCallee>;
}

interface Draft {
  readonly handler: number;
  readonly dst: number;
  readonly src: number;
  readonly offset: number;
  readonly low: number;
  readonly high: number;
  readonly pc: number;
  /** Instruction that is jumped to, or function that is called; null if there is none. */
  readonly jump: number | null;
  readonly call: number | null;
}

/** A program's records. */
export interface Records {
  readonly count: number;
  /** Index of the first record of each function. */
  readonly entries: readonly number[];
  /** Writes them to an offset of the memory, a multiple of 8. */
  write(memory: ArrayBufferLike, offset: number): void;
}

export function recordsOf(program: Analyzed, target: RecordTarget): Records {
  const drafts: Draft[] = [];
  const entries: number[] = [];
  /** First record of the block that begins at an instruction. */
  const blocks = new Map<number, number>();
  const pseudo = (handler: Handler, pc: number, immediate: number): void => {
    const none = { dst: 0, src: 0, offset: 0, high: 0, jump: null, call: null };
    drafts.push({ ...none, handler: numberOf(handler), low: immediate, pc });
  };
  for (const subprogram of program.subprograms) {
    entries.push(drafts.length);
    pseudo({ kind: "enter", mode: target.mode }, subprogram.first, subprogram.frame);
    for (const { first, end, count } of blocksOf(program, subprogram)) {
      blocks.set(first, drafts.length);
      if (target.metered) pseudo({ kind: "charge" }, first, count);
      for (let pc = first; pc < end; pc++) {
        const operation = program.operations[pc];
        if (operation !== null && operation !== undefined) drafts.push(draft(program, target, pc, operation));
      }
    }
  }
  const write = (memory: ArrayBufferLike, offset: number): void => {
    const words = new Int32Array(memory, offset, (drafts.length * RECORD_BYTES) / 4);
    const at = (index: number | undefined): number => offset + RECORD_BYTES * (index ?? 0);
    drafts.forEach(({ handler, dst, src, offset: distance, low, high, pc, jump, call }, k) => {
      const to = jump !== null ? at(blocks.get(jump)) : call !== null ? at(entries[call]) : 0;
      words.set([handler, 8 * dst, 8 * src, distance, low, high, pc, to], k * 8);
    });
  };
  return { count: drafts.length, entries, write };
}

function draft(program: Analyzed, target: RecordTarget, pc: number, operation: Operation): Draft {
  const insn = program.insns[pc] as Insn;
  const { dst, src, off, imm } = insn;
  const { kind } = operation;
  const subprogram = kind === "local" || kind === "function" ? (program.functionAt.get(pc + 1 + imm) ?? 0) : null;
  const base = { dst, src, offset: off, low: imm, high: imm >> 31, pc, jump: null, call: null };
  const handler = handlerOf(operation, target.mode);
  if (handler === null) {
    const callee = target.callees.get(pc) as RecordCallee;
    return { ...base, handler: numberOf({ kind: callee.kind }), low: callee.number };
  }
  const number = numberOf(handler);
  switch (kind) {
    case "local":
      return { ...base, handler: number, call: subprogram };
    case "function":
      return { ...base, handler: number, low: target.entry + (subprogram ?? 0), high: 0 };
    case "constant":
      return { ...base, handler: number, high: isWide(insn) ? (program.insns[pc + 1]?.imm ?? 0) : 0 };
    case "indirect":
      return { ...base, handler: number, dst: callRegister(insn) };
    case "jump":
    case "compare":
    case "may_goto":
      return { ...base, handler: number, jump: jumpTarget(pc, insn) };
    default:
      return { ...base, handler: number };
  }
}
