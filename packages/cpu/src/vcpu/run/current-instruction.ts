import type { CodeCache } from "../../code/cache.js";
import { Kind, type Operand } from "../../decode/index.js";
import { handlerNumber } from "../../interp/handlers.js";
import * as R from "../../record.js";
import * as S from "../../state.js";
import type { HelperSite } from "../context/helper.js";
import type { StateBlock } from "../registers/state-block.js";

/** Which of IN, OUT, INS and OUTS an access to a port is of, as the exit qualification tells it (SDM vol. 3, table 28-5). */
export interface IoForm {
  /** INS or OUTS. */
  readonly string: boolean;
  /** With a REP prefix. */
  readonly rep: boolean;
  /** The port is an immediate operand, not DX. */
  readonly immediate: boolean;
}

const HELPER = handlerNumber("helper") as number;

/** The instruction that TypeScript was called for, by its record. Nothing is worked out unless somebody asks. */
export class CurrentInstruction {
  readonly #block: StateBlock;
  readonly #code: CodeCache;

  constructor(block: StateBlock, code: CodeCache) {
    this.#block = block;
    this.#code = code;
  }

  /** In bytes, prefixes included; 0 between instructions. */
  get length(): number {
    const record = this.#block.i32(S.REC);
    return record === 0 ? 0 : (this.#block.memory[record + R.R_LEN] as number);
  }

  /** Null if it is none of those. */
  get ioForm(): IoForm | null {
    const record = this.#block.i32(S.REC);
    const { memory, memoryWords } = this.#block;
    const handler = (memory[record + R.R_HANDLER] as number) | ((memory[record + R.R_HANDLER + 1] as number) << 8);
    if (record === 0 || handler !== HELPER) return null;
    const site = this.#code.site(memoryWords[(record + R.R_IMM) >> 2] as number);
    const { insn, name } = site as HelperSite;
    if (insn === undefined) return null;
    if (name === "ins" || name === "outs") return { string: true, rep: insn.rep !== 0, immediate: false };
    const port = (name === "in" ? insn.operands[1] : insn.operands[0]) as Operand;
    return name === "in" || name === "out" ? { string: false, rep: false, immediate: port.kind === Kind.Imm } : null;
  }
}
