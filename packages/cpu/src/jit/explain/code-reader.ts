import type { CodeCache, CodePage } from "../../code/cache.js";
import { Heads } from "../../code/heads.js";
import { Flow, instanceOf } from "../../code/instance.js";
import { RecordWriter } from "../../code/records.js";
import { DecodeStatus, decode, format, Insn } from "../../decode/index.js";
import { FIRST_REGION } from "../../record.js";
import { regular } from "../effects.js";
import type { Jit } from "../jit.js";
import type { ExplainedHead, ExplainedInstruction, Landing } from "./explanation.js";

const PAGE = 4096;
const MAX_INSN = 15;

/** Number of a region, from 1 on, as people are told it. */
export const ordinal = (region: number): number => region - FIRST_REGION + 1;

/** The address at `distance` from another one. */
export const addressAt = (va: bigint, distance: number): bigint => BigInt.asUintN(64, va + BigInt(distance));

/** Reads decoded code, and changes nothing. */
export class CodeReader {
  readonly heads: Heads;
  readonly #code: CodeCache;
  readonly #u8: Uint8Array;

  constructor({ memory, code, threshold }: Jit) {
    this.#code = code;
    this.#u8 = new Uint8Array(memory.buffer);
    this.heads = new Heads(memory, code, new RecordWriter(memory, code), threshold);
  }

  /** The instruction at `offset` of `page`, at linear address `va`; null if there is none, or it goes on in the next page. */
  instruction(page: CodePage, va: bigint, offset: number): ExplainedInstruction | null {
    const insn = this.#insn(page, offset);
    if (insn === null) return null;
    const address = addressAt(va, offset);
    const at = page.host + offset;
    return { address, bytes: this.#u8.slice(at, at + insn.len), text: format(insn, address) };
  }

  /** What is at `offset` of `page` now, which may be in the middle of an instruction. */
  landing(page: CodePage, va: bigint, offset: number): Landing {
    const start = this.#start(page, offset);
    if (start === null)
      return { address: addressAt(va, offset), decoded: false, text: null, regular: false, head: null };
    const insn = this.#insn(page, start);
    return {
      address: addressAt(va, start),
      decoded: true,
      text: this.instruction(page, va, start)?.text ?? null,
      regular: insn !== null && regular(insn, start, 0) !== null,
      head: this.#head(page, va, start),
    };
  }

  #insn(page: CodePage, offset: number): Insn | null {
    const insn = new Insn();
    const status = decode(this.#u8, page.host + offset, page.host + PAGE, page.mode, insn);
    return status === DecodeStatus.Ok ? insn : null;
  }

  #isDecoded(page: CodePage, offset: number): boolean {
    return page.alive && this.#code.recordAt(page, offset) !== 0;
  }

  /** Where the decoded instruction starts that has the byte at `offset`. */
  #start(page: CodePage, offset: number): number | null {
    for (let start = offset; start >= 0 && start > offset - MAX_INSN; start--) {
      if (!this.#isDecoded(page, start)) continue;
      const length = this.#insn(page, start)?.len ?? PAGE - start;
      if (start + length > offset) return start;
    }
    return null;
  }

  #head(page: CodePage, va: bigint, offset: number): ExplainedHead | null {
    for (let from = offset; from >= 0; from--) {
      const record = this.#isDecoded(page, from) ? this.#code.recordAt(page, from) : 0;
      if (record === 0 || !this.heads.isHead(record)) continue;
      if (!this.#leadsTo(page, from, offset)) return null;
      const region = this.heads.region(record);
      const wished = this.heads.isWished(record);
      const heat = region !== 0 ? 0 : wished ? this.heads.threshold : this.heads.heat(record);
      return {
        address: addressAt(va, from),
        heat,
        threshold: this.heads.threshold,
        wished: wished && region === 0,
        region: region === 0 ? null : ordinal(region),
      };
    }
    return null;
  }

  /** Whether control that comes to `from` goes on to `offset`, instruction by instruction. */
  #leadsTo(page: CodePage, from: number, offset: number): boolean {
    let at = from;
    while (at < offset) {
      const insn = this.#insn(page, at);
      if (insn === null) return false;
      const { len } = insn;
      const { flow } = instanceOf(insn);
      if (flow === Flow.Jump || flow === Flow.End) return false;
      at += len;
    }
    return at === offset;
  }
}
