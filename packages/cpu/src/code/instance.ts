import { type Insn, Kind, type Operand } from "../decode/index.js";
import { isMmx } from "./mmx.js";
import { letterOf, swap } from "./operands.js";
import { rowOf } from "./rows.js";
import { BIT_STRINGS, BRANCHES, ENDS, READS, STACK, STACK_HELPERS, UNALIGNED } from "./traits.js";

/** Where an instruction leads. */
export enum Flow {
  /** The next instruction follows. */
  Through,
  /** Control may go to the target too. */
  Branch,
  /** Control goes to the target only. */
  Jump,
  /** Control goes where only execution tells. */
  End,
}

/** Who executes an instruction. */
export type Executor =
  /** Semantics row `name`. */
  | "row"
  /** Rows and steps of the interpreter in sequence (`mmx.ts`). */
  | "mmx"
  /** Helper `name`, in TypeScript. */
  | "helper";

/**
 * An instruction as everybody needs to know it before deciding how to run it. Engines encode instances: as records (`lower.ts`) or as
 * pieces of a region (`jit/`); neither knows of opcodes.
 */
export interface Instance {
  readonly insn: Insn;
  readonly executor: Executor;
  /** Of the row or helper. */
  readonly name: string;
  /** Operand size in bytes. */
  readonly size: number;
  /** A letter an operand, as in `Row.forms`. */
  readonly form: string;
  /** The operand that is memory and accessed, or -1. */
  readonly memoryAt: number;
  /** The memory operand is written. */
  readonly writes: boolean;
  /** A register moves the memory operand by whole operands (BT and friends). */
  readonly bitString: boolean;
  /** The memory operand must be aligned to its size. */
  readonly aligned: boolean;
  /** Its memory accesses are to the stack segment. */
  readonly stack: boolean;
  readonly flow: Flow;
}

/** Sees the rows' instance in `insn`, whose operands may be put in the order that rows want. */
export function instanceOf(insn: Insn): Instance {
  if (isMmx(insn)) return other(insn, "mmx", insn.op, Flow.Through);
  const row = rowOf(insn);
  if (row === null) return helper(insn);
  const { name, size } = row;
  if (name === "nop" || name === "ud2") insn.nops = 0;
  if (name === "xchg" && insn.operands[1].kind === Kind.Mem) swap(insn.operands[0], insn.operands[1]);
  const form = formOf(insn, name);
  if (form === null) return helper(insn);
  const memoryAt = name === "lea" ? -1 : memoryOperand(insn);
  // It takes the only element there is in memory.
  if (name === "insertps" && memoryAt === 1) insn.immLo &= 0x3f;
  return {
    insn,
    executor: "row",
    name,
    size,
    form,
    memoryAt,
    writes: memoryAt === 0 && !READS.has(name),
    bitString: memoryAt === 0 && BIT_STRINGS.has(name) && insn.operands[1].kind === Kind.Gpr,
    aligned: memoryAt >= 0 && (insn.operands[memoryAt] as Operand).size === 16 && !UNALIGNED.has(name),
    stack: onStack(insn, STACK.has(name)),
    flow: flowOf(name),
  };
}

function helper(insn: Insn): Instance {
  return other(insn, "helper", insn.op, ENDS.has(insn.op) ? Flow.End : Flow.Through);
}

function other(insn: Insn, executor: Executor, name: string, flow: Flow): Instance {
  const memoryAt = memoryOperand(insn);
  return {
    insn,
    executor,
    name,
    size: insn.opSize,
    form: "",
    memoryAt,
    writes: memoryAt === 0,
    bitString: false,
    aligned: memoryAt >= 0 && (insn.operands[memoryAt] as Operand).size === 16,
    stack: onStack(insn, STACK_HELPERS.has(name)),
    flow,
  };
}

const memoryOperand = (insn: Insn): number => insn.operands.findIndex((o, k) => k < insn.nops && o.kind === Kind.Mem);

/** @param implicitly without a memory operand it would access the stack */
const onStack = (insn: Insn, implicitly: boolean): boolean => (memoryOperand(insn) < 0 ? implicitly : insn.seg === 2);

/** Letters of the operands, or null if no handler takes them. */
function formOf(insn: Insn, name: string): string | null {
  let form = "";
  for (let k = 0; k < insn.nops; k++) {
    const letter = letterOf(insn.operands[k] as Operand, name, k);
    if (letter === "") return null;
    form += letter;
  }
  if (BRANCHES.has(name)) return "";
  return name === "ret" && form === "" ? "i" : form;
}

function flowOf(name: string): Flow {
  if (name === "jmp" || name === "call") return Flow.Jump;
  if (BRANCHES.has(name)) return Flow.Branch;
  return name === "callr" || name === "jmpr" || name === "ret" || name === "ud2" ? Flow.End : Flow.Through;
}
