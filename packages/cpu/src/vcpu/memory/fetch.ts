import { HelperResult } from "../../calls.js";
import type { CodeCache, CodePage, CrossSite } from "../../code/cache.js";
import { Heads } from "../../code/heads.js";
import { Flow } from "../../code/instance.js";
import { Lowering, MAX_RECORDS } from "../../code/lower.js";
import { RecordWriter } from "../../code/records.js";
import { numberOf } from "../../code/step.js";
import { cloneInsn, DecodeStatus, decode, Insn } from "../../decode/index.js";
import { Access } from "../../ports.js";
import * as R from "../../record.js";
import * as S from "../../state.js";
import type { VcpuContext } from "../context/context.js";
import { Vector } from "../registers/constants.js";
import type { Pages } from "./pages.js";

const MAX_INSN = 15;

const JOIN = numberOf("join");
const LINK = numberOf("link");
const GOTO = numberOf("goto");
const GOTO_LEGACY = numberOf("gotoL");

/** Who looks at instructions of some pages before they run. */
export interface FetchGuard {
  /** Whether instructions in the page of linear address `hi:lo` must be looked at one by one. */
  guards(lo: number, hi: number): boolean;
  /** Code of such a page was reached. */
  enterGuarded(): void;
}

/** Finds or makes the records for an address. */
export class Fetcher {
  readonly #vcpu: VcpuContext;
  readonly #guard: FetchGuard;
  readonly #cache: CodeCache;
  readonly #records: RecordWriter;
  readonly #lowering: Lowering;
  /** Null if nothing counts how often control comes somewhere. */
  readonly heads: Heads | null;
  readonly #pages: Pages;
  readonly #u8: Uint8Array;
  readonly #u16: Uint16Array;
  readonly #i32: Int32Array;
  readonly #insn = new Insn();
  /** Branches of a run whose targets are not wired yet: record and halves of the target, which is relative to the page. */
  readonly #branches: number[] = [];
  readonly #cross = new Uint8Array(2 * MAX_INSN);
  /** Record that stands for "the fetch faulted", in the vCPU's own memory. */
  readonly #refetch: number;

  constructor(
    vcpu: VcpuContext,
    guard: FetchGuard,
    memory: WebAssembly.Memory,
    cache: CodeCache,
    pages: Pages,
    refetch: number,
    handler: number,
    threshold: number | null,
  ) {
    this.#vcpu = vcpu;
    this.#guard = guard;
    this.#cache = cache;
    this.#records = new RecordWriter(memory, cache);
    this.#lowering = new Lowering(this.#records);
    this.heads = threshold === null ? null : new Heads(memory, cache, this.#records, threshold);
    this.#pages = pages;
    this.#u8 = new Uint8Array(memory.buffer);
    this.#u16 = new Uint16Array(memory.buffer);
    this.#i32 = new Int32Array(memory.buffer);
    this.#refetch = refetch;
    this.#u16[refetch >> 1] = handler;
    this.#u8[refetch + R.R_CHARGE] = 1;
  }

  /** The record for linear address `hi:lo`; its page gets its TLB entry. */
  readonly fetch = (lo: number, hi: number): number => {
    const guarded = this.#guard.guards(lo, hi);
    if (guarded) this.#guard.enterGuarded();
    const host = this.#pages.resolve(lo, hi, this.#vcpu.accessMode | Access.Fetch, true);
    if (host <= 0) {
      // Raised again, and delivered, when the instruction is really started.
      this.#vcpu.forget();
      this.#u16[(this.#refetch + R.R_OFF) >> 1] = lo & 0xfff;
      return this.#refetch;
    }
    const { gfn } = this.#pages;
    const { global, large } = this.#vcpu.ports.mmu.translation;
    const record = this.#head(this.#cache.page(gfn, this.#vcpu.mode, host), lo & 0xfff, true);
    if (!guarded) {
      // Asked for again: decoding may have dropped everything.
      const { map, serial } = this.#cache.page(gfn, this.#vcpu.mode, host);
      this.#vcpu.tlb.fill(this.#vcpu.tlbBases.tlb[2], lo, hi, map, serial, global, large);
    }
    return record;
  };

  /** Raises what makes the instruction at `hi:lo` impossible to fetch; false if by now nothing does. */
  raiseFetchFault(lo: number, hi: number): boolean {
    const page = this.#pages.resolve(lo, hi, this.#vcpu.accessMode | Access.Fetch);
    // Nothing, or a device, answers with all ones: FF FF is no instruction.
    if (page === 0) this.#vcpu.raise(Vector.UD);
    return page <= 0;
  }

  /** Length in bytes of the instruction at linear address `lo` outside 64-bit code; 1 where it cannot be fetched, which running it will tell. */
  lengthAt(lo: number): number {
    const { mode, accessMode } = this.#vcpu;
    const room = 4096 - (lo & 0xfff);
    const bytes = this.#cross;
    let have = 0;
    for (const at of [lo, lo + room]) {
      const page = this.#pages.resolve(at | 0, 0, accessMode | Access.Fetch, true);
      if (page <= 0) {
        this.#vcpu.forget();
        break;
      }
      const from = page + (at & 0xfff);
      const length = have === 0 ? Math.min(room, MAX_INSN) : MAX_INSN - have;
      bytes.set(this.#u8.subarray(from, from + length), have);
      have += length;
      if (have === MAX_INSN) break;
    }
    const status = decode(bytes, 0, have, mode, this.#insn);
    if (status === DecodeStatus.Ok) return this.#insn.len;
    return status === DecodeStatus.Truncated && have > 0 ? MAX_INSN : 1;
  }

  /** Generated code reached a direct branch whose target, in its own page, is not decoded yet: the record there. */
  readonly link = (stub: number): number => {
    const from = this.#i32[(stub + R.R_DISP) >> 2] as number;
    const offset = this.#i32[(stub + R.R_IMM) >> 2] as number;
    const pageIndex = this.#i32[(stub + R.R_DISP + 4) >> 2] as number;
    const page = this.#cache.site(pageIndex) as CodePage;
    if (!page.alive) {
      // The page was rewritten by the very instruction that branches: look it up anew.
      const pva = (this.#vcpu.base + S.PAGE_VA) >> 2;
      return this.fetch((this.#i32[pva] as number) + offset, this.#i32[pva + 1] as number);
    }
    const { generation } = this.#cache;
    const record = this.#head(page, offset);
    if (generation === this.#cache.generation && page.alive) this.#records.setImmediate(from, record);
    return record;
  };

  /** The record for control that comes to `offset` of `page` from elsewhere. */
  #head(page: CodePage, offset: number, found = false): number {
    const record = this.#record(page, offset, found);
    if (this.heads === null || page.mode !== 64 || this.heads.isHead(record)) return record;
    // Decoding may have dropped everything and begun with a new page.
    const now = this.#cache.page(page.gfn, page.mode, page.host);
    if (!this.#cache.reserve(now, 1))
      return this.#head(this.#cache.page(page.gfn, page.mode, page.host), offset, found);
    return this.heads.of(now, offset, record, found);
  }

  /** The record at `offset` of `page`, decoding a run of instructions if there is none. */
  #record(page: CodePage, offset: number, found: boolean): number {
    const known = this.#cache.recordAt(page, offset);
    if (known !== 0) return known;
    const first = this.#decodeRun(page, offset, found);
    // A branch back to the first instruction has made a head of it.
    return page.alive ? this.#cache.recordAt(page, offset) : first;
  }

  #decodeRun(page: CodePage, start: number, found: boolean): number {
    const cache = this.#cache;
    if (!cache.reserve(page, page.run * (MAX_RECORDS + 2) + 3)) {
      // Everything was dropped: start over with a new page.
      return this.#decodeRun(cache.page(page.gfn, page.mode, page.host), start, found);
    }
    const first = cache.nextRecord;
    const branches = this.#branches;
    let wires = 0;
    const lowering = this.#lowering;
    const records = this.#records;
    const insn = this.#insn;
    let offset = start;
    const heads = page.mode === 64 ? this.heads : null;
    let flow = Flow.Through;
    for (let count = 0; flow === Flow.Through || flow === Flow.Branch; count++) {
      if (offset >= 4096) {
        records.setDisplacement(records.step(page.mode === 64 ? GOTO : GOTO_LEGACY, 4095), offset, 0);
        break;
      }
      const next = cache.recordAt(page, offset);
      if (next !== 0) {
        records.setImmediate(records.step(JOIN, offset), this.heads?.plain(next) ?? next);
        break;
      }
      // Straight-line code continues through a link.
      if (count === page.run) {
        wires = this.#later(wires, records.step(JOIN, offset), offset, 0);
        break;
      }
      // Beside what it leads to, so that both come to the host's caches together. A region ends at what TypeScript does; another can begin behind it.
      const begins = heads !== null && (count === 0 || lowering.helped);
      const head = begins ? heads.ahead(page, offset, found && count === 0) : 0;
      const record = cache.nextRecord;
      const status = decode(this.#u8, page.host + offset, page.host + 4096, page.mode, insn);
      // That there are too many bytes is found out by the sixteenth: a page fault there comes first (recorded from hardware).
      const cutOff = status === DecodeStatus.TooLong && offset + MAX_INSN === 4096;
      if (status === DecodeStatus.Truncated || cutOff) {
        const site: CrossSite = { page, offset, next: null, records: 0 };
        records.begin(offset, 0, true);
        records.call(site);
        cache.setRecord(page, offset, head || record);
        offset = 4096;
        break;
      }
      cache.setRecord(page, offset, head || record);
      if (status !== DecodeStatus.Ok) {
        insn.nops = 0;
        records.begin(offset, insn.len, true);
        records.call({ insn: cloneInsn(insn), name: status === DecodeStatus.Invalid ? "invalid" : "toolong" });
        offset += status === DecodeStatus.Invalid ? insn.len : MAX_INSN;
        break;
      }
      flow = lowering.lower(insn, offset);
      if (count > 0 && head === 0) records.fuse(record - R.RECORD);
      // Outside 64-bit code a branch finds its target each time: where that is depends on the base and limit of CS.
      if (page.mode === 64 && (flow === Flow.Branch || flow === Flow.Jump)) {
        wires = this.#later(wires, lowering.branchRecord, lowering.targetLo, lowering.targetHi);
      }
      offset += insn.len;
    }
    cache.mark(page, start, Math.min(offset, 4096) - start);
    for (let k = 0; k < wires; k += 3) {
      this.#target(page, branches[k] as number, branches[k + 1] as number, branches[k + 2] as number);
    }
    return first;
  }

  /** Puts a branch down, behind the `wires` numbers that there are. @returns how many there are now */
  #later(wires: number, from: number, lo: number, hi: number): number {
    const branches = this.#branches;
    branches[wires] = from;
    branches[wires + 1] = lo;
    branches[wires + 2] = hi;
    return wires + 3;
  }

  /** Leads a branch to its target: a known record, a stub that decodes it on demand, or a step to another page. */
  #target(page: CodePage, from: number, lo: number, hi: number): void {
    const records = this.#records;
    if (hi !== 0 || lo < 0 || lo >= 4096) {
      const step = records.step(page.mode === 64 ? GOTO : GOTO_LEGACY, 0);
      records.setDisplacement(step, lo, hi);
      records.setImmediate(from, step);
      return;
    }
    const known = this.#cache.recordAt(page, lo);
    if (known !== 0) {
      records.setImmediate(from, this.heads === null || page.mode !== 64 ? known : this.heads.of(page, lo, known));
      return;
    }
    const stub = records.aside(LINK, lo);
    records.setDisplacement(stub, from, this.#cache.addSite(page));
    records.setImmediate(stub, lo);
    records.setImmediate(from, stub);
  }

  /** Executes an instruction that spans two pages: the records to go on with, or `HelperResult.Fault`. */
  cross(site: CrossSite): number {
    const vcpu = this.#vcpu;
    const pva = (vcpu.base + S.PAGE_VA) >> 2;
    const lo = ((this.#i32[pva] as number) + 4096) | 0;
    const hi = lo === 0 ? ((this.#i32[pva + 1] as number) + 1) | 0 : (this.#i32[pva + 1] as number);
    // Nearly always the second page has been executed lately: a TLB entry says that it still is what it was.
    const { tlb, tlbBases } = vcpu;
    const known = site.next !== null && site.next.alive && site.page.alive ? site.next.map : 0;
    if (known !== 0 && tlb.entryValue(tlbBases.tlb[2], lo, hi) === known) return site.records;
    const host = this.#pages.resolve(lo, hi, vcpu.accessMode | Access.Fetch);
    if (host < 0) return HelperResult.Fault;
    if (host === 0) {
      vcpu.raise(Vector.UD);
      return HelperResult.Fault;
    }
    const cache = this.#cache;
    const { gfn } = this.#pages;
    if (site.next?.alive && site.next.gfn === gfn && site.page.alive) return site.records;
    const head = 4096 - site.offset;
    this.#cross.set(this.#u8.subarray(site.page.host + site.offset, site.page.host + 4096));
    this.#cross.set(this.#u8.subarray(host, host + MAX_INSN), head);
    if (!cache.reserve(site.page, MAX_RECORDS + 3)) {
      // Everything was dropped, this record too: start over from the address.
      const at = (this.#i32[pva] as number) + site.offset;
      return this.fetch(at, this.#i32[pva + 1] as number);
    }
    const next = cache.page(gfn, vcpu.mode, host);
    const insn = this.#insn;
    const status = decode(this.#cross, 0, head + MAX_INSN, vcpu.mode, insn);
    site.records = cache.nextRecord;
    site.next = next;
    if (status !== DecodeStatus.Ok) {
      insn.nops = 0;
      this.#records.begin(site.offset, insn.len, false);
      this.#records.call({ insn: cloneInsn(insn), name: status === DecodeStatus.Invalid ? "invalid" : "toolong" });
      cache.mark(next, 0, 1);
      return site.records;
    }
    cache.mark(next, 0, Math.max(1, insn.len - head));
    const flow = this.#lowering.lower(insn, site.offset, false);
    const branch = this.#lowering.branchRecord;
    const { targetLo, targetHi } = this.#lowering;
    const far = vcpu.mode === 64 ? GOTO : GOTO_LEGACY;
    if (flow === Flow.Through || flow === Flow.Branch) {
      this.#records.setDisplacement(this.#records.step(far, site.offset), site.offset + insn.len, 0);
    }
    if (vcpu.mode === 64 && (flow === Flow.Branch || flow === Flow.Jump)) {
      const step = this.#records.step(far, site.offset);
      this.#records.setDisplacement(step, targetLo, targetHi);
      this.#records.setImmediate(branch, step);
    }
    return site.records;
  }
}
