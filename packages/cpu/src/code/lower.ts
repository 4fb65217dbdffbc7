import { type Insn, Kind, type Operand } from "../decode/index.js";
import { handlerKey, handlerNumber } from "../interp/generate.js";
import * as R from "../record.js";
import { ROWS } from "../sem/index.js";
import * as S from "../state.js";
import type { HelperSite } from "../vcpu/context/helper.js";
import type { CodeCache, CrossSite } from "./cache.js";
import { isMmx, mmxRecords } from "./mmx.js";
import { rowOf } from "./rows.js";

const MODIFY: ReadonlySet<string> = new Set(ROWS.filter((row) => row.modify).map((row) => row.name));

/** Records an instruction can become, at most. */
export const MAX_RECORDS = 9;

/** How an instruction ends its run of records. */
export enum Flow {
  /** The next instruction follows. */
  Through,
  /** Control may go to `target` (page-relative) too. */
  Branch,
  /** Control goes to `target` only. */
  Jump,
  /** Control goes where only execution tells. */
  End,
}

interface Memory {
  base: number;
  index: number;
  scale: number;
  dispLo: number;
  dispHi: number;
  seg: number;
}

/** Turns decoded instructions into records. */
export class Lowering {
  readonly #cache: CodeCache;
  readonly #u8: Uint8Array;
  readonly #u16: Uint16Array;
  readonly #i32: Int32Array;
  #first = true;
  #offset = 0;
  #length = 0;
  /** Memory accesses of the instruction go to the stack segment. */
  #stack = false;
  readonly #memory: Memory = { base: 0, index: 0, scale: 0, dispLo: 0, dispHi: 0, seg: 0 };
  /** Page-relative target of the last instruction, as halves. */
  targetLo = 0;
  targetHi = 0;
  /** Record whose immediate takes the target, for `Flow.Branch` and `Flow.Jump`. */
  branchRecord = 0;

  constructor(memory: WebAssembly.Memory, cache: CodeCache) {
    this.#cache = cache;
    this.#u8 = new Uint8Array(memory.buffer);
    this.#u16 = new Uint16Array(memory.buffer);
    this.#i32 = new Int32Array(memory.buffer);
  }

  /**
   * Appends the records of `insn`, which starts at page offset `offset`.
   * @param charge false when another record already charged for it
   */
  lower(insn: Insn, offset: number, charge = true): Flow {
    this.#first = charge;
    this.#offset = offset;
    this.#length = insn.len;
    const inMemory = insn.operands.some((o, k) => k < insn.nops && o.kind === Kind.Mem);
    this.#stack = inMemory ? insn.seg === 2 : STACK.has(insn.op);
    if (isMmx(insn)) return this.#mmx(insn);
    const row = rowOf(insn);
    if (row === null) return this.#helper(insn, insn.op);
    return this.#row(insn, row.name, row.size);
  }

  /** A record that is no instruction: charges nothing. */
  step(name: string, offset: number): number {
    this.#first = false;
    this.#offset = offset;
    this.#length = 0;
    return this.#emit(name);
  }

  setImmediate(record: number, value: number): void {
    this.#i32[(record + R.R_IMM) >> 2] = value;
  }

  setDisplacement(record: number, lo: number, hi: number): void {
    this.#i32[(record + R.R_DISP) >> 2] = lo;
    this.#i32[(record + R.R_DISP + 4) >> 2] = hi;
  }

  /** A record that calls TypeScript with `site`, for an instruction at `offset`. */
  helperRecord(site: HelperSite | CrossSite, offset: number, charge = true): void {
    this.#first = charge;
    this.#offset = offset;
    this.#length = "insn" in site ? site.insn.len : 0;
    this.setImmediate(this.#emit("helper"), this.#cache.addSite(site));
  }

  #helper(insn: Insn, name: string): Flow {
    const record = this.#emit("helper");
    this.setImmediate(record, this.#cache.addSite({ insn: cloneInsn(insn), name }));
    return ENDS.has(name) ? Flow.End : Flow.Through;
  }

  #row(insn: Insn, name: string, size: number): Flow {
    const legacy = insn.mode !== 64 && LEGACY.has(name);
    if (name === "nop" || name === "ud2") insn.nops = 0;
    if (name === "xchg" && insn.operands[1].kind === Kind.Mem) swap(insn.operands[0], insn.operands[1]);
    const memoryAt = insn.operands.findIndex((o, k) => k < insn.nops && o.kind === Kind.Mem);
    if (memoryAt >= 0 && name !== "lea") {
      if (insn.mode !== 64 && SSE.has(name)) this.#emit("sse");
      const bitString = BIT_STRINGS.has(name) && insn.operands[1].kind === Kind.Gpr;
      this.#address(insn, memoryAt === 0 && !READS.has(name), bitString ? size : 0);
    }
    let form = "";
    for (let k = 0; k < insn.nops; k++) {
      const letter = letterOf(insn.operands[k] as Operand, name, k);
      if (letter === "") return this.#helper(insn, insn.op);
      form += letter;
    }
    if (name === "ret" && form === "") form = "i";
    if (BRANCHES.has(name)) form = "";
    if (name === "lea") return this.#lea(insn, size);
    let number = handlerNumber(handlerKey(name, size, form, legacy));
    let writeBack = false;
    let temporary = -1;
    // Outside 64-bit code an operand and the stack have bounds of their own, with exceptions of their own.
    const pushes = insn.mode !== 64 && STACK.has(insn.op);
    if ((number === undefined || pushes) && memoryAt >= 0) {
      const operand = insn.operands[memoryAt] as Operand;
      const vector = handlerNumber(handlerKey(name, size, form.replace("m", "r"), legacy)) === undefined;
      const aligned = operand.size === 16 && !UNALIGNED.has(insn.op);
      const step =
        memoryAt === 0 && MODIFY.has(name)
          ? `rmw${size}`
          : `ld${vector ? "x" : ""}${aligned ? "a" : ""}${operand.size}`;
      this.#memoryRecord(step);
      writeBack = step.startsWith("rmw");
      temporary = vector ? S.XTMP : S.TMP;
      form = form.replace("m", vector ? "x" : "r");
      number = handlerNumber(handlerKey(name, size, form, legacy));
    }
    if (number === undefined) return this.#missing(insn);
    // INSERTPS takes the only element there is in memory.
    if (name === "insertps" && memoryAt === 1) insn.immLo &= 0x3f;
    if (pushes) this.#stack = true;
    const record = this.#emitNumber(number);
    this.#fill(record, insn, form, temporary === -1 ? -1 : memoryAt, temporary);
    if (writeBack) this.#memoryRecord(`wb${size}`);
    return this.#flow(insn, name, record);
  }

  #mmx(insn: Insn): Flow {
    const memoryAt = insn.operands.findIndex((o, k) => k < insn.nops && o.kind === Kind.Mem);
    if (memoryAt >= 0) {
      if (insn.mode !== 64) {
        this.#emit("mmx.check");
        if (memoryAt === 0) this.#emit("mmx.top");
      }
      this.#address(insn, memoryAt === 0, 0);
    }
    for (const { handler, dst = 0, src = 0, imm = 0, memory } of mmxRecords(insn, slotOf)) {
      const record = this.#emit(handler);
      this.#u16[(record + R.R_DST) >> 1] = dst;
      this.#u16[(record + R.R_SRC) >> 1] = src;
      this.setImmediate(record, imm);
      if (memory) this.#fillMemory(record);
    }
    return Flow.Through;
  }

  #missing(insn: Insn): never {
    throw new Error(
      `no handler for ${insn.op} ${insn.operands
        .slice(0, insn.nops)
        .map((o) => `${o.kind}:${o.size}`)
        .join()}`,
    );
  }

  #lea(insn: Insn, size: number): Flow {
    this.#plainAddress(insn, false);
    const short = insn.addrSize < size;
    const record = short
      ? this.#emit(insn.addrSize === 4 ? "lea32" : "lea16")
      : this.#emit(handlerKey("lea", size, "rm"));
    this.#fill(record, insn, "rm", -1);
    return Flow.Through;
  }

  /**
   * Sets the memory fields for the following records; other than 64-bit addresses are computed by a step, which outside 64-bit code also
   * checks the segment's bounds.
   * @param bits operand size of a bit string whose element a register selects, else 0
   */
  #address(insn: Insn, write: boolean, bits: number): void {
    this.#plainAddress(insn, true);
    const { seg } = this.#memory;
    if (bits !== 0) {
      // The address of the element is an offset like any other: it is selected before the address is truncated and checked.
      this.#memory.seg = S.ZERO;
      const step = this.#emit(handlerKey("bitaddr", bits, "mr"));
      this.#fill(step, insn, "mr", -1);
      this.#useEaTmp(seg);
    }
    if (insn.addrSize === 8) return;
    if (insn.mode === 64) this.#memoryRecord(`ea${8 * insn.addrSize}`);
    else {
      const { size } = insn.operands.find((o) => o.kind === Kind.Mem) as Operand;
      if (size === 16 && insn.seg === 2 && !UNALIGNED.has(insn.op)) {
        const memory = { ...this.#memory };
        this.#memoryRecord(`ea${8 * insn.addrSize}`);
        this.#useEaTmp(S.ZERO);
        this.#memoryRecord("aligned");
        Object.assign(this.#memory, memory);
      }
      const record = this.#emit(`ea${8 * insn.addrSize}L`);
      this.#fillMemory(record);
      this.#u16[(record + R.R_DST) >> 1] = S.SEG_RANGE + 16 * insn.seg + (write ? 8 : 0);
      this.#u8[record + R.R_AUX] = size;
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
    this.#fillMemory(this.#emit(step));
  }

  #fillMemory(record: number): void {
    const m = this.#memory;
    this.#u16[(record + R.R_BASE) >> 1] = m.base;
    this.#u16[(record + R.R_INDEX) >> 1] = m.index;
    this.#u8[record + R.R_SCALE] = m.scale;
    this.#u16[(record + R.R_SEG) >> 1] = m.seg;
    this.setDisplacement(record, m.dispLo, m.dispHi);
  }

  /** Fills register, memory and immediate fields. Operand `replaced` was fetched into slot `temporary`. */
  #fill(record: number, insn: Insn, form: string, replaced: number, temporary = 0): void {
    for (let k = 0; k < form.length; k++) {
      const slot = k === replaced ? temporary : slotOf(insn.operands[k] as Operand);
      if (form[k] === "r" || form[k] === "x") this.#u16[(record + (k === 0 ? R.R_DST : R.R_SRC)) >> 1] = slot;
      else if (form[k] === "m") this.#fillMemory(record);
      else if (form[k] === "i") this.setImmediate(record, insn.immLo);
      else if (form[k] === "I") this.setDisplacement(record, insn.immLo, insn.immHi);
    }
  }

  #flow(insn: Insn, name: string, record: number): Flow {
    if (!BRANCHES.has(name))
      return name === "callr" || name === "jmpr" || name === "ret" || name === "ud2" ? Flow.End : Flow.Through;
    const next = this.#offset + insn.len;
    this.targetLo = (insn.immLo + next) | 0;
    this.targetHi = (insn.immHi + (insn.immLo >>> 0 > this.targetLo >>> 0 ? 1 : 0)) | 0;
    this.branchRecord = record;
    if (insn.mode !== 64) {
      this.setDisplacement(record, this.targetLo, this.targetHi);
      this.#u8[record + R.R_AUX] = insn.opSize === 2 ? 16 : 0;
    }
    return name === "jmp" || name === "call" ? Flow.Jump : Flow.Branch;
  }

  #emit(name: string): number {
    const number = handlerNumber(name);
    if (number === undefined) throw new Error(`no interpreter step ${name}`);
    return this.#emitNumber(number);
  }

  #emitNumber(number: number): number {
    const record = this.#cache.append();
    this.#u16[record >> 1] = number;
    this.#u8[record + R.R_LEN] = this.#length;
    this.#u8[record + R.R_CHARGE] = this.#first ? 1 : 0;
    this.#u16[(record + R.R_OFF) >> 1] = this.#offset;
    this.#u16[(record + R.R_AUX2) >> 1] = this.#stack ? R.AUX2_STACK : 0;
    this.#first = false;
    return record;
  }
}

/** Helpers that never go on with the next record. */
const ENDS: ReadonlySet<string> = new Set(
  "iret callf jmpf retf syscall sysret sysenter sysexit int int1 hlt".split(" "),
);
/** Instructions without a memory operand that access the stack. */
const STACK: ReadonlySet<string> = new Set("push pop call ret leave enter pushf popf pusha popa".split(" "));
/** Instructions whose first operand, in memory, is only read. */
const READS: ReadonlySet<string> = new Set("cmp test bt push callr jmpr mul imul1 div idiv".split(" "));
const SSE: ReadonlySet<string> = new Set(ROWS.filter((row) => row.sse).map((row) => row.name));
const LEGACY: ReadonlySet<string> = new Set(ROWS.filter((row) => row.legacy).map((row) => row.name));
const BRANCHES: ReadonlySet<string> = new Set([
  "jmp",
  "call",
  "loop",
  "loope",
  "loopne",
  "jcxz",
  ...Array.from({ length: 16 }, (_, cc) => `j${cc}`),
]);
const BIT_STRINGS: ReadonlySet<string> = new Set(["bt", "bts", "btr", "btc"]);
/** Vector instructions whose 16-byte memory operand need not be aligned. */
export const UNALIGNED: ReadonlySet<string> = new Set(
  "movups movupd movdqu lddqu pcmpistri pcmpistrm pcmpestri pcmpestrm pcmpestri64 pcmpestrm64".split(" "),
);

function letterOf(operand: Operand, name: string, k: number): string {
  switch (operand.kind) {
    case Kind.Gpr:
    case Kind.Gpr8High:
      return k === 2 ? "c" : "r";
    case Kind.Mem:
      return "m";
    case Kind.Imm:
    case Kind.Const1:
      return name === "movabs" ? "I" : "i";
    case Kind.Xmm:
    case Kind.Mmx:
      return "x";
    case Kind.Rel:
      return "-";
    default:
      return "";
  }
}

function slotOf(operand: Operand): number {
  switch (operand.kind) {
    case Kind.Gpr:
      return S.GPR + 8 * operand.reg;
    case Kind.Gpr8High:
      return S.GPR + 8 * operand.reg + 1;
    case Kind.Xmm:
      return S.XMM + 16 * operand.reg;
    case Kind.Mmx:
      return S.FPR + 16 * operand.reg;
    default:
      return 0;
  }
}

/** A copy that stays when the original is reused. */
export function cloneInsn(insn: Insn): Insn {
  const copy = Object.assign(Object.create(Object.getPrototypeOf(insn)) as Insn, insn);
  return Object.assign(copy, { operands: insn.operands.map((o) => ({ ...o })) });
}

function swap(a: Operand, b: Operand): void {
  const { kind, reg, size } = a;
  Object.assign(a, b);
  Object.assign(b, { kind, reg, size });
}
