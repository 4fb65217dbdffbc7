import { cloneInsn, type Insn, Kind, type Operand, SHAPES } from "../decode/index.js";
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

/** What instructions of one shape have in common, worked out once. */
export interface Template {
  /** Ordinal: what else follows from the shape can be kept in an array. */
  readonly number: number;
  readonly executor: Executor;
  /** Of the row or helper. */
  readonly name: string;
  /** Operand size in bytes. */
  readonly size: number;
  /** A letter an operand, as in `Row.forms`. */
  readonly form: string;
  /** There is a memory operand, accessed or not. */
  readonly memory: boolean;
  /** The operand that is memory and accessed, or -1. */
  readonly memoryAt: number;
  /** The memory operand is written. */
  readonly writes: boolean;
  /** A register moves the memory operand by whole operands (BT and friends). */
  readonly bitString: boolean;
  /** The memory operand must be aligned to its size. */
  readonly aligned: boolean;
  /** It accesses the stack beside its operands, of which none is memory. */
  readonly stack: boolean;
  readonly flow: Flow;
  /** Puts the instruction into the order that rows want; null if it is. */
  readonly adjust: ((insn: Insn) => void) | null;
  /** The template for immediates of more than 32 bits, if another. */
  readonly wide: Template | null;
}

/**
 * An instruction as everybody needs to know it before deciding how to run it. Engines encode instances: as records (`lower.ts`) or as
 * pieces of a region (`jit/`); neither knows of opcodes.
 */
export class Instance {
  readonly insn: Insn;
  readonly template: Template;

  constructor(insn: Insn, template: Template) {
    this.insn = insn;
    this.template = template;
  }

  get executor(): Executor {
    return this.template.executor;
  }
  get name(): string {
    return this.template.name;
  }
  get size(): number {
    return this.template.size;
  }
  get form(): string {
    return this.template.form;
  }
  get memoryAt(): number {
    return this.template.memoryAt;
  }
  get bitString(): boolean {
    return this.template.bitString;
  }
  get aligned(): boolean {
    return this.template.aligned;
  }
  get flow(): Flow {
    return this.template.flow;
  }
}

/** Sees the rows' instance in `insn`, whose operands may be put in the order that rows want. */
export function instanceOf(insn: Insn): Instance {
  return new Instance(insn, templateOf(insn));
}

/** All templates by number; there is no number 0. */
const templates: (Template | undefined)[] = [undefined];
/** Numbers by shape, 0 where there is none yet. */
const numbers = new Uint16Array(SHAPES);

/** The template of `insn`, whose operands may be put in the order that rows want. */
export function templateOf(insn: Insn): Template {
  let template = templates[numbers[insn.shape] as number] ?? made(insn);
  if (template.wide !== null && insn.immHi !== insn.immLo >> 31) template = template.wide;
  if (template.adjust !== null) template.adjust(insn);
  return template;
}

function made(insn: Insn): Template {
  let template = templateBy(cloneInsn(insn));
  const { name, size, form } = template;
  if (name === "mov" && size === 8 && form === "ri") {
    const wide = { ...template, name: "movabs", form: "rI" };
    templates.push(wide);
    template = { ...template, number: templates.length, wide };
  }
  templates.push(template);
  numbers[insn.shape] = template.number;
  return template;
}

/** What follows from the shape of `insn`, numbered to be the next one; may change it. */
function templateBy(insn: Insn): Template {
  if (isMmx(insn)) return without(insn, "mmx", Flow.Through);
  const row = rowOf(insn);
  const adjust = row === null ? null : adjustmentOf(insn, row.name);
  adjust?.(insn);
  const form = row === null ? null : formOf(insn, row.name);
  if (row === null || form === null) return without(insn, "helper", ENDS.has(insn.op) ? Flow.End : Flow.Through);
  const { name, size } = row;
  const at = memoryOperand(insn);
  const memoryAt = name === "lea" ? -1 : at;
  return {
    number: templates.length,
    executor: "row",
    name,
    size,
    form,
    memory: at >= 0,
    memoryAt,
    writes: memoryAt === 0 && !READS.has(name),
    bitString: memoryAt === 0 && BIT_STRINGS.has(name) && insn.operands[1].kind === Kind.Gpr,
    aligned: memoryAt >= 0 && (insn.operands[memoryAt] as Operand).size === 16 && !UNALIGNED.has(name),
    stack: STACK.has(name),
    flow: flowOf(name),
    adjust,
    wide: null,
  };
}

/** What has no row of its own. */
function without(insn: Insn, executor: Executor, flow: Flow): Template {
  const { op, opSize, operands } = insn;
  const memoryAt = memoryOperand(insn);
  return {
    number: templates.length,
    executor,
    name: op,
    size: opSize,
    form: "",
    memory: memoryAt >= 0,
    memoryAt,
    writes: memoryAt === 0,
    bitString: false,
    aligned: memoryAt >= 0 && (operands[memoryAt] as Operand).size === 16,
    stack: STACK_HELPERS.has(op),
    flow,
    adjust: null,
    wide: null,
  };
}

function memoryOperand({ nops, operands }: Insn): number {
  for (let k = 0; k < nops; k++) if ((operands[k] as Operand).kind === Kind.Mem) return k;
  return -1;
}

/** How instructions of the row are put into the order that it wants. */
function adjustmentOf(insn: Insn, name: string): Template["adjust"] {
  if (name === "nop" || name === "ud2") return withoutOperands;
  if (name === "xchg" && insn.operands[1].kind === Kind.Mem) return swapped;
  return name === "insertps" && insn.operands[1].kind === Kind.Mem ? firstElement : null;
}

const withoutOperands = (insn: Insn): void => {
  insn.nops = 0;
};
const swapped = ({ operands }: Insn): void => swap(operands[0], operands[1]);
/** It takes the only element there is in memory. */
const firstElement = (insn: Insn): void => {
  insn.immLo &= 0x3f;
};

/** Letters of the operands, or null if no handler takes them. */
function formOf(insn: Insn, name: string): string | null {
  let form = "";
  for (let k = 0; k < insn.nops; k++) {
    const letter = letterOf(insn.operands[k] as Operand, k);
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
