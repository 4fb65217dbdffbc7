import { cloneInsn, type Insn, type Operand } from "../decode/index.js";
import * as S from "../state.js";
import { Flow, type Template, templateOf } from "./instance.js";
import { slotOf } from "./operands.js";
import { Address, type Plan, planOf } from "./plan.js";
import type { MemoryFields, RecordWriter } from "./records.js";
import { numberOf, type Step, Uses } from "./step.js";

/** Records an instruction can become, at most. */
export const MAX_RECORDS = 9;

const SS = 2;

/** Steps that compute 32-bit and 16-bit addresses; outside 64-bit code they also check the segment's bounds. */
const EA32 = numberOf("ea32");
const EA16 = numberOf("ea16");
const EA32_LEGACY = numberOf("ea32L");
const EA16_LEGACY = numberOf("ea16L");
const ALIGNED = numberOf("aligned");

/** Plans by number of the template. */
const plans: (Plan | undefined)[] = [];

/** Turns decoded instructions into records. */
export class Lowering {
  readonly #records: RecordWriter;
  /** Page offset of the instruction. */
  #offset = 0;
  readonly #memory: MemoryFields = { base: 0, index: 0, scale: 0, dispLo: 0, dispHi: 0, seg: 0 };
  /** Page-relative target of the last instruction, as halves. */
  targetLo = 0;
  targetHi = 0;
  /** Record whose immediate takes the target, for `Flow.Branch` and `Flow.Jump`. */
  branchRecord = 0;

  constructor(records: RecordWriter) {
    this.#records = records;
  }

  /**
   * Appends the records of `insn`, which starts at page offset `offset`.
   * @param charge false when another record already charged for it
   */
  lower(insn: Insn, offset: number, charge = true): Flow {
    const template = templateOf(insn);
    this.#offset = offset;
    this.#records.begin(offset, insn.len, charge);
    this.#records.stack = template.memory ? insn.seg === SS : template.stack;
    if (template.executor === "helper") {
      // Operands of the row that it almost is have been put in order already: a helper asks the instruction itself.
      this.#records.call({ insn: cloneInsn(insn), name: template.name });
    } else this.#run(plans[template.number] ?? planned(template, insn), template, insn);
    return template.flow;
  }

  #run({ before, address, bits, steps }: Plan, template: Template, insn: Insn): void {
    for (let k = 0; k < before.length; k++) this.#emit(before[k] as Step, insn);
    if (address !== Address.None) {
      this.#plainAddress(insn, address === Address.Linear);
      if (bits !== null) this.#moveBy(bits, insn);
      if (address === Address.Linear && insn.addrSize !== 8) this.#shortAddress(template, insn);
    }
    let record = 0;
    for (let k = 0; k < steps.length; k++) record = this.#emit(steps[k] as Step, insn);
    if (template.flow === Flow.Branch || template.flow === Flow.Jump) this.#branch(insn, record);
  }

  #emit(step: Step, insn: Insn): number {
    const records = this.#records;
    const { dst, src, uses } = step;
    if (step.stack) records.stack = true;
    const record = records.emit(
      step.handler,
      dst < 0 ? slotOf(insn.operands[~dst] as Operand) : dst,
      src < 0 ? slotOf(insn.operands[~src] as Operand) : src,
      insn.immLo & step.imm,
    );
    if (uses === Uses.Memory) records.setMemory(record, this.#memory);
    else if (uses === Uses.Immediate) records.setDisplacement(record, insn.immLo, insn.immHi);
    return record;
  }

  /** The address of the element is an offset like any other: it is selected before the address is truncated and checked. */
  #moveBy(bits: Step, insn: Insn): void {
    const { seg } = this.#memory;
    this.#memory.seg = S.ZERO;
    this.#emit(bits, insn);
    this.#useEaTmp(seg);
  }

  /**
   * Other than 64-bit addresses are computed by a step, which outside 64-bit code also checks the segment's bounds.
   */
  #shortAddress({ writes, aligned, memoryAt }: Template, insn: Insn): void {
    const records = this.#records;
    const long = insn.addrSize === 4;
    if (insn.mode === 64) this.#memoryRecord(long ? EA32 : EA16);
    else {
      if (aligned && insn.seg === SS) {
        const memory = { ...this.#memory };
        this.#memoryRecord(long ? EA32 : EA16);
        this.#useEaTmp(S.ZERO);
        this.#memoryRecord(ALIGNED);
        Object.assign(this.#memory, memory);
      }
      const record = records.emit(long ? EA32_LEGACY : EA16_LEGACY, S.SEG_RANGE + 16 * insn.seg + (writes ? 8 : 0));
      records.setMemory(record, this.#memory);
      records.setAuxiliary(record, (insn.operands[memoryAt] as Operand).size);
    }
    this.#useEaTmp(S.ZERO);
  }

  #memoryRecord(handler: number): void {
    this.#records.setMemory(this.#records.emit(handler), this.#memory);
  }

  /** The following records use the address that a step has left. */
  #useEaTmp(seg: number): void {
    const memory = this.#memory;
    memory.base = S.EA_TMP;
    memory.index = S.ZERO;
    memory.scale = 0;
    memory.dispLo = 0;
    memory.dispHi = 0;
    memory.seg = seg;
  }

  #plainAddress(insn: Insn, segment: boolean): void {
    const m = this.#memory;
    const { base, index, dispLo } = insn;
    m.base = base === 16 ? S.PAGE_VA : base < 0 ? S.ZERO : S.GPR + 8 * base;
    m.index = index < 0 ? S.ZERO : S.GPR + 8 * index;
    m.scale = insn.scale;
    m.dispLo = dispLo;
    m.dispHi = insn.dispHi;
    if (base === 16) {
      m.dispLo = (dispLo + this.#offset + insn.len) | 0;
      if (dispLo >>> 0 > m.dispLo >>> 0) m.dispHi++;
    }
    m.seg = segment && (insn.mode !== 64 || insn.seg >= 4) ? S.SEG_BASE + 8 * insn.seg : S.ZERO;
  }

  #branch(insn: Insn, record: number): void {
    const next = this.#offset + insn.len;
    this.targetLo = (insn.immLo + next) | 0;
    this.targetHi = (insn.immHi + (insn.immLo >>> 0 > this.targetLo >>> 0 ? 1 : 0)) | 0;
    this.branchRecord = record;
    if (insn.mode !== 64) {
      this.#records.setDisplacement(record, this.targetLo, this.targetHi);
      this.#records.setAuxiliary(record, insn.opSize === 2 ? 16 : 0);
    }
  }
}

function planned(template: Template, insn: Insn): Plan {
  const plan = planOf(template, insn);
  plans[template.number] = plan;
  return plan;
}
