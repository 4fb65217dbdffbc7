import { cloneInsn, type Insn, type Operand } from "../decode/index.js";
import * as S from "../state.js";
import type { HelperSite } from "../vcpu/context/helper.js";
import { Flow, templateOf } from "./instance.js";
import { slotOf } from "./operands.js";
import * as P from "./packed-plans.js";
import { Address } from "./plan.js";
import type { MemoryFields, RecordWriter } from "./records.js";
import { numberOf, Uses } from "./step.js";
import { x87Destination, x87Record } from "./x87.js";

/** Records an instruction can become, at most. */
export const MAX_RECORDS = 9;

const SS = 2;

/** Steps that compute 32-bit and 16-bit addresses; outside 64-bit code they also check the segment's bounds. */
const EA32 = numberOf("ea32");
const EA16 = numberOf("ea16");
const EA32_LEGACY = numberOf("ea32L");
const EA16_LEGACY = numberOf("ea16L");
const ALIGNED = numberOf("aligned");

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
  /** The last instruction is always TypeScript's. */
  helped = false;

  constructor(records: RecordWriter) {
    this.#records = records;
  }

  /**
   * Appends the records of `insn`, which starts at page offset `offset`.
   * @param charge false when another record already charged for it
   */
  lower(insn: Insn, offset: number, charge = true): Flow {
    const at = P.planAt(insn);
    const head = P.words[at] as number;
    const records = this.#records;
    this.#offset = offset;
    records.begin(offset, insn.len, charge);
    records.stack = head & P.MEMORY ? insn.seg === SS : (head & P.STACK) !== 0;
    this.helped = false;
    if (head & P.HELPER) this.#helper(insn);
    else this.#run(head, at + 1, insn);
    return head & P.FLOW_MASK;
  }

  /** It asks the instruction itself, or it is an x87 instruction that is not always its helper's. */
  #helper(insn: Insn): void {
    const records = this.#records;
    const site: HelperSite = { insn: cloneInsn(insn), name: templateOf(insn).name };
    const x87 = x87Record(insn);
    if (x87 === null) {
      records.call(site);
      this.helped = true;
      return;
    }
    const record = records.call(site, x87.handler);
    if (x87.bytes > 0) {
      this.#plainAddress(insn, true);
      records.setMemory(record, this.#memory);
    }
    records.setAuxiliary(record, x87.operation);
    records.setDestination(record, x87Destination(x87, insn));
  }

  #run(head: number, start: number, insn: Insn): void {
    let at = start;
    for (let k = (head >> P.BEFORE_SHIFT) & P.BEFORE_MASK; k > 0; k--) {
      this.#emit(at, insn);
      at += P.STEP_WORDS;
    }
    const address = (head >> P.ADDRESS_SHIFT) & P.ADDRESS_MASK;
    if (address !== Address.None) {
      this.#plainAddress(insn, address === Address.Linear);
      if (head & P.BITS) {
        this.#moveBy(at, insn);
        at += P.STEP_WORDS;
      }
      if (address === Address.Linear && insn.addrSize !== 8) this.#shortAddress(head, insn);
    }
    let record = 0;
    for (let k = (head >> P.STEPS_SHIFT) & P.STEPS_MASK; k > 0; k--) {
      record = this.#emit(at, insn);
      at += P.STEP_WORDS;
    }
    const flow: Flow = head & P.FLOW_MASK;
    if (flow === Flow.Branch || flow === Flow.Jump) this.#branch(insn, record);
  }

  /** Appends the record of the step at `at`. */
  #emit(at: number, insn: Insn): number {
    const records = this.#records;
    const step = P.words[at] as number;
    const slots = P.words[at + 1] as number;
    const [dst, src] = [(slots << 16) >> 16, slots >> 16];
    if (step & P.STEP_STACK) records.stack = true;
    const record = records.emit(
      step & P.HANDLER_MASK,
      dst < 0 ? slotOf(insn.operands[~dst] as Operand) : dst,
      src < 0 ? slotOf(insn.operands[~src] as Operand) : src,
      insn.immLo & (P.words[at + 2] as number),
    );
    const uses: Uses = (step >> P.USES_SHIFT) & P.USES_MASK;
    if (uses === Uses.Memory) records.setMemory(record, this.#memory);
    else if (uses === Uses.Immediate) records.setDisplacement(record, insn.immLo, insn.immHi);
    return record;
  }

  /** The address of the element is an offset like any other: it is selected before the address is truncated and checked. */
  #moveBy(bits: number, insn: Insn): void {
    const { seg } = this.#memory;
    this.#memory.seg = S.ZERO;
    this.#emit(bits, insn);
    this.#useEaTmp(seg);
  }

  /** Other than 64-bit addresses are computed by a step, which outside 64-bit code also checks the segment's bounds. */
  #shortAddress(head: number, insn: Insn): void {
    const records = this.#records;
    const long = insn.addrSize === 4;
    if (insn.mode === 64) this.#memoryRecord(long ? EA32 : EA16);
    else {
      if (head & P.ALIGNED && insn.seg === SS) {
        const memory = { ...this.#memory };
        this.#memoryRecord(long ? EA32 : EA16);
        this.#useEaTmp(S.ZERO);
        this.#memoryRecord(ALIGNED);
        Object.assign(this.#memory, memory);
      }
      const record = records.emit(
        long ? EA32_LEGACY : EA16_LEGACY,
        S.SEG_RANGE + 16 * insn.seg + (head & P.WRITES ? 8 : 0),
      );
      records.setMemory(record, this.#memory);
      records.setAuxiliary(record, (insn.operands[(head >> P.AT_SHIFT) & P.AT_MASK] as Operand).size);
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
