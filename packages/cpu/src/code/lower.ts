import type { Insn, Operand } from "../decode/index.js";
import { handlerKey, handlerNumber } from "../interp/generate.js";
import * as S from "../state.js";
import { Flow, type Instance, instanceOf } from "./instance.js";
import { mmxRecords } from "./mmx.js";
import { cloneInsn, slotOf } from "./operands.js";
import type { MemoryFields, RecordWriter } from "./records.js";
import { LEGACY, MODIFY, SSE, STACK } from "./traits.js";
import { x87Record } from "./x87.js";

/** Records an instruction can become, at most. */
export const MAX_RECORDS = 9;

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
    this.#offset = offset;
    this.#records.begin(offset, insn.len, charge);
    const instance = instanceOf(insn);
    this.#records.stack = instance.stack;
    switch (instance.executor) {
      case "mmx":
        this.#mmx(instance);
        break;
      case "helper":
        // Operands of the row that it almost is have been put in order already: a helper asks the instruction itself.
        if (!this.#x87(insn)) this.#records.call({ insn: cloneInsn(insn), name: instance.name });
        break;
      default:
        this.#row(instance);
    }
    return instance.flow;
  }

  /** An x87 instruction that is not always its helper's. False: it is. */
  #x87(insn: Insn): boolean {
    const plan = x87Record(insn);
    if (plan === null) return false;
    const record = this.#records.call({ insn: cloneInsn(insn), name: insn.op }, plan.handler);
    if (plan.bytes > 0) {
      this.#plainAddress(insn, true);
      this.#records.setMemory(record, this.#memory);
    }
    this.#records.setAuxiliary(record, plan.operation);
    this.#records.setDestination(record, plan.dst);
    return true;
  }

  #row(instance: Instance): void {
    const { insn, name, size, memoryAt } = instance;
    const legacy = insn.mode !== 64 && LEGACY.has(name);
    if (memoryAt >= 0) {
      if (insn.mode !== 64 && SSE.has(name)) this.#records.emit("sse");
      this.#address(instance);
    }
    if (name === "lea") {
      this.#lea(insn, size);
      return;
    }
    let { form } = instance;
    let number = handlerNumber(handlerKey(name, size, form, legacy));
    let writeBack = false;
    let temporary = -1;
    // Outside 64-bit code an operand and the stack have bounds of their own, with exceptions of their own.
    const pushes = insn.mode !== 64 && STACK.has(name);
    if ((number === undefined || pushes) && memoryAt >= 0) {
      const operand = insn.operands[memoryAt] as Operand;
      const vector = handlerNumber(handlerKey(name, size, form.replace("m", "r"), legacy)) === undefined;
      const step =
        memoryAt === 0 && MODIFY.has(name)
          ? `rmw${size}`
          : `ld${vector ? "x" : ""}${instance.aligned ? "a" : ""}${operand.size}`;
      this.#memoryRecord(step);
      writeBack = step.startsWith("rmw");
      temporary = vector ? S.XTMP : S.TMP;
      form = form.replace("m", vector ? "x" : "r");
      number = handlerNumber(handlerKey(name, size, form, legacy));
    }
    if (number === undefined) this.#missing(insn);
    if (pushes) this.#records.stack = true;
    const record = this.#records.emitNumber(number);
    this.#fill(record, insn, form, temporary === -1 ? -1 : memoryAt, temporary);
    if (writeBack) this.#memoryRecord(`wb${size}`);
    if (instance.flow === Flow.Branch || instance.flow === Flow.Jump) this.#branch(insn, record);
  }

  #mmx(instance: Instance): void {
    const { insn, memoryAt } = instance;
    if (memoryAt >= 0) {
      if (insn.mode !== 64) {
        this.#records.emit("mmx.check");
        if (memoryAt === 0) this.#records.emit("mmx.top");
      }
      this.#address(instance);
    }
    for (const { handler, dst = 0, src = 0, imm = 0, memory } of mmxRecords(insn, slotOf)) {
      const record = this.#records.emit(handler);
      this.#records.setDestination(record, dst);
      this.#records.setSource(record, src);
      this.#records.setImmediate(record, imm);
      if (memory) this.#records.setMemory(record, this.#memory);
    }
  }

  #missing(insn: Insn): never {
    throw new Error(
      `no handler for ${insn.op} ${insn.operands
        .slice(0, insn.nops)
        .map((o) => `${o.kind}:${o.size}`)
        .join()}`,
    );
  }

  #lea(insn: Insn, size: number): void {
    this.#plainAddress(insn, false);
    const short = insn.addrSize < size;
    const record = short
      ? this.#records.emit(insn.addrSize === 4 ? "lea32" : "lea16")
      : this.#records.emit(handlerKey("lea", size, "rm"));
    this.#fill(record, insn, "rm", -1);
  }

  /**
   * Sets the memory fields for the following records; other than 64-bit addresses are computed by a step, which outside 64-bit code also
   * checks the segment's bounds.
   */
  #address({ insn, size, memoryAt, writes, bitString, aligned }: Instance): void {
    this.#plainAddress(insn, true);
    const { seg } = this.#memory;
    if (bitString) {
      // The address of the element is an offset like any other: it is selected before the address is truncated and checked.
      this.#memory.seg = S.ZERO;
      const step = this.#records.emit(handlerKey("bitaddr", size, "mr"));
      this.#fill(step, insn, "mr", -1);
      this.#useEaTmp(seg);
    }
    if (insn.addrSize === 8) return;
    if (insn.mode === 64) this.#memoryRecord(`ea${8 * insn.addrSize}`);
    else {
      if (aligned && insn.seg === 2) {
        const memory = { ...this.#memory };
        this.#memoryRecord(`ea${8 * insn.addrSize}`);
        this.#useEaTmp(S.ZERO);
        this.#memoryRecord("aligned");
        Object.assign(this.#memory, memory);
      }
      const record = this.#records.emit(`ea${8 * insn.addrSize}L`);
      this.#records.setMemory(record, this.#memory);
      this.#records.setDestination(record, S.SEG_RANGE + 16 * insn.seg + (writes ? 8 : 0));
      this.#records.setAuxiliary(record, (insn.operands[memoryAt] as Operand).size);
    }
    this.#useEaTmp(S.ZERO);
  }

  #useEaTmp(seg: number): void {
    Object.assign(this.#memory, { base: S.EA_TMP, index: S.ZERO, scale: 0, dispLo: 0, dispHi: 0, seg });
  }

  #plainAddress(insn: Insn, segment: boolean): void {
    const m = this.#memory;
    m.base = insn.base === 16 ? S.PAGE_VA : insn.base < 0 ? S.ZERO : S.GPR + 8 * insn.base;
    m.index = insn.index < 0 ? S.ZERO : S.GPR + 8 * insn.index;
    m.scale = insn.scale;
    m.dispLo = insn.dispLo;
    m.dispHi = insn.dispHi;
    if (insn.base === 16) {
      const next = this.#offset + insn.len;
      m.dispLo = (insn.dispLo + next) | 0;
      m.dispHi = insn.dispHi + (insn.dispLo >>> 0 > m.dispLo >>> 0 ? 1 : 0);
    }
    m.seg = segment && (insn.mode !== 64 || insn.seg >= 4) ? S.SEG_BASE + 8 * insn.seg : S.ZERO;
  }

  #memoryRecord(step: string): void {
    this.#records.setMemory(this.#records.emit(step), this.#memory);
  }

  /** Fills register, memory and immediate fields. Operand `replaced` was fetched into slot `temporary`. */
  #fill(record: number, insn: Insn, form: string, replaced: number, temporary = 0): void {
    for (let k = 0; k < form.length; k++) {
      const slot = k === replaced ? temporary : slotOf(insn.operands[k] as Operand);
      if (form[k] === "r" || form[k] === "x") {
        if (k === 0) this.#records.setDestination(record, slot);
        else this.#records.setSource(record, slot);
      } else if (form[k] === "m") this.#records.setMemory(record, this.#memory);
      else if (form[k] === "i") this.#records.setImmediate(record, insn.immLo);
      else if (form[k] === "I") this.#records.setDisplacement(record, insn.immLo, insn.immHi);
    }
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
