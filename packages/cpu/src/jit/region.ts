import {
  type FunctionBuilder,
  i32,
  i64,
  type Label,
  type Local,
  type ModuleBuilder,
  type Structure,
  structure,
  type Ways,
  writeStructure,
} from "@vm/wasm";
import { tlbEntry } from "../emit/tlb-probe.js";
import * as R from "../record.js";
import type { I32, I64, Local64 } from "../sem/ctx.js";
import * as S from "../state.js";
import { type Block, type RegionPage, type Shape, successorsOf, type Target, wantFlags } from "./blocks.js";
import { PAIR, UNKNOWN } from "./flags.js";
import { type TightLoop, tightLoops } from "./loops.js";
import type { ExitKind, RegionTally } from "./observer.js";
import type { Piece } from "./piece.js";
import type { PieceWays } from "./piece-ways.js";
import { RegionCtx } from "./region-ctx.js";
import { type Callees, RegionLocals } from "./region-locals.js";

/** What is known of a region's function beside its code. */
export interface Region {
  readonly f: FunctionBuilder;
  /** For each entry, whether the flags must be worked out there. */
  readonly workedOut: readonly boolean[];
}

/** Imports what all regions use. */
export function importForRegions(m: ModuleBuilder): Callees {
  m.importMemory("vm", "memory", { min: 1, max: 65536 });
  return {
    called: m.importFunction("vm", "called", ["i32", "i32"], "i32"),
    timestamp: m.importFunction("vm", "timestamp", ["i32"], "i32"),
  };
}

/**
 * Writes the function `(cpu, entry) -> record` of region `number`.
 * @param callees what `importForRegions` answered for `m`
 * @param tally counts what happens in it
 */
export function writeRegion(
  m: ModuleBuilder,
  callees: Callees,
  shape: Shape,
  number: number,
  tally: RegionTally | null = null,
): Region {
  return new RegionWriter(m, callees, shape, number, tally).write();
}

class RegionWriter {
  readonly #f: FunctionBuilder;
  readonly #locals: RegionLocals;
  readonly #blocks: readonly Block[];
  readonly #structure: Structure;
  readonly #wants: readonly boolean[];
  /** Blocks that have one way in, on which what is known of the flags stays known. */
  readonly #inherits: boolean[];
  readonly #shape: Shape;
  readonly #number: number;
  readonly #tally: RegionTally | null;
  readonly #selector: Local<"i32">;
  #exit: Label = { depth: 0 };
  readonly #loops: ReadonlyMap<number, TightLoop>;
  readonly #loopExits = new Map<TightLoop, Label>();
  /** The loop that the block being written is part of. */
  #loop: TightLoop | null = null;

  constructor(m: ModuleBuilder, callees: Callees, shape: Shape, number: number, tally: RegionTally | null) {
    const { blocks } = shape;
    const entries = shape.entries.map(({ block }) => block);
    this.#f = m.function(["i32", "i32"], "i32");
    this.#selector = this.#f.param(1);
    this.#shape = shape;
    this.#number = number;
    this.#tally = tally;
    this.#locals = new RegionLocals(m, this.#f, callees);
    this.#blocks = blocks;
    const successors = blocks.map(successorsOf);
    this.#structure = structure({ successors, entries });
    this.#loops = tightLoops(this.#structure, blocks);
    this.#wants = wantFlags(shape);
    const ways = new Array<number>(blocks.length).fill(0);
    for (const entry of entries) ways[entry] = 2;
    for (const to of successors.flat()) ways[to] = (ways[to] as number) + 1;
    for (const { end } of blocks) if (end.kind === "call") ways[end.back] = 2;
    this.#inherits = ways.map((n, k) => n === 1 && !this.#structure.dispatched.includes(k));
  }

  write(): Region {
    const f = this.#f;
    const locals = this.#locals;
    f.block((exit) => {
      this.#exit = exit;
      writeStructure(f, this.#structure, this.#selector, {
        constant: i32.const,
        node: (node, ways) => this.#block(node, ways),
        loop: (header, write) => this.#around(header, write),
      });
    });
    locals.store();
    f.return(locals.record);
    f.unreachable();
    f.ahead(() => {
      locals.load();
      this.#tally?.entered(f, this.#selector);
    });
    return { f, workedOut: this.#shape.entries.map(({ block }) => this.#wants[block] as boolean) };
  }

  /** Writes a loop, and what its registers need before and after. */
  #around(header: number, write: () => void): void {
    const loop = this.#loops.get(header);
    if (loop === undefined) {
      write();
      return;
    }
    const f = this.#f;
    this.#locals.enterLoop(loop, this.#structure.merges.has(header));
    f.block((exit) => {
      this.#loopExits.set(loop, exit);
      write();
    });
    this.#locals.leaveLoop(loop);
    f.br(this.#exit);
  }

  #block(number: number, ways: Ways): void {
    const f = this.#f;
    const { left, flags } = this.#locals;
    const { page, pieces, effects } = this.#blocks[number] as Block;
    if (!this.#inherits[number]) {
      flags.state = this.#wants[number] ? PAIR : UNKNOWN;
      if (this.#wants[number]) flags.used = true;
    }
    const loop = this.#loops.get(number) ?? null;
    this.#loop = loop;
    this.#locals.begin(loop, !(this.#inherits[number] as boolean));
    const count = pieces.length;
    f.set(left, i32.sub(left, i32.const(count)));
    f.if(i32.lt_s(left, i32.const(0)), () => this.#leave(number, pieces[0] as Piece, count, "budget"));
    this.#tally?.block(f, number);
    const firstVector = pieces.findIndex(({ row }) => row.sse);
    pieces.forEach((piece, k) => {
      if (k === firstVector) f.if(this.#locals.word(S.SSE_OFF), () => this.#leave(number, piece, count - k));
      f.scope(() => {
        const pieceWays: PieceWays = {
          leave: () => this.#leave(number, piece, count - k),
          behind: count - k - 1,
          branch: (condition) => this.#branch(number, ways, condition),
          jump: (target) => this.#jump(number, ways, target),
        };
        const c = new RegionCtx(
          piece,
          effects[k] as NonNullable<(typeof effects)[number]>,
          this.#locals,
          this.#va(page),
          pieceWays,
        );
        piece.row.emit(c);
      });
    });
    const { end } = this.#blocks[number] as Block;
    if (end.kind === "next") this.#go(number, end.next, ways);
  }

  /** Linear address of a page of the region. */
  #va({ distance }: RegionPage): I64 {
    const first = this.#locals.page;
    return distance === 0 ? first : i64.add(first, i64.const2(distance, distance < 0 ? -1 : 0));
  }

  /** Leaves in front of `piece`, which with `refund - 1` others behind it was paid for. */
  #leave(number: number, piece: Piece, refund: number, kind: ExitKind = "instruction"): void {
    const { left } = this.#locals;
    this.#tally?.left(this.#f, kind, number, piece.offset);
    this.#f.set(left, i32.add(left, i32.const(refund)));
    this.#out(i32.const(piece.record));
  }

  #out(record: I32): void {
    this.#locals.flags.tell();
    this.#f.set(this.#locals.record, record);
    this.#f.br((this.#loop && this.#loopExits.get(this.#loop)) ?? this.#exit);
  }

  #outTo(address: I64, how: number = R.AT_PC): void {
    this.#f.store("i64.store", this.#locals.cpu, address, S.PC);
    this.#out(i32.const(how));
  }

  #branch(number: number, ways: Ways, condition: I32 | null): void {
    const { end } = this.#blocks[number] as Block;
    if (end.kind === "call" && end.to !== null) {
      this.#call(number, this.#recordOf(end.to), end.back, ways);
      return;
    }
    if (end.kind !== "branch") throw new Error("a branch in the middle of a block");
    if (condition === null || end.next === null) {
      this.#go(number, end.taken, ways);
      return;
    }
    const { flags } = this.#locals;
    const { next, taken } = end;
    const before = flags.state;
    this.#f.if(condition, () => this.#locals.aside(() => this.#go(number, taken, ways)));
    flags.state = before;
    this.#go(number, next, ways);
  }

  #jump(number: number, ways: Ways, target: Local64): void {
    const f = this.#f;
    const { end, page } = this.#blocks[number] as Block;
    const { flags } = this.#locals;
    if (end.kind === "call") {
      f.store("i64.store", this.#locals.cpu, target, S.PC);
      this.#call(number, i32.const(0), end.back, ways);
      return;
    }
    const before = flags.state;
    for (const block of end.kind === "return" ? end.candidates : []) {
      const candidate = this.#blocks[block] as Block;
      const address = i64.add(this.#va(candidate.page), i64.const(candidate.offset));
      f.if(i64.eq(target, address), () => this.#locals.aside(() => this.#toBlock(number, block, ways)));
      flags.state = before;
    }
    if (this.#shape.entries.length > 1 && page.distance === 0) this.#dispatch(page, target, ways);
    flags.state = before;
    this.#tally?.left(f, "indirect", number);
    this.#outTo(target, end.kind === "return" ? R.RETURNED : R.AT_PC);
  }

  /** Has what is called executed from a record on, and goes on behind the call if control comes back there: else it leaves. */
  #call(number: number, record: I32, back: number, ways: Ways): void {
    const f = this.#f;
    const locals = this.#locals;
    const { cpu, flags } = locals;
    if (this.#wants[back]) {
      // What is called is not asked for flags.
      this.#tally?.left(f, "call", number);
      this.#out(record);
      return;
    }
    flags.used = true;
    flags.tell();
    locals.store();
    f.set(locals.record, f.call(locals.callees.called, cpu, record));
    const { page, offset } = this.#blocks[back] as Block;
    const va = this.#va(page);
    const here = i64.eq(i64.load(cpu, S.PC), i64.add(va, i64.const(offset)));
    const returned = i32.and(i32.eq(locals.record, i32.const(R.RETURNED)), here);
    f.if(i32.eqz(returned), () => {
      this.#tally?.left(f, "call", number);
      f.return(locals.record);
    });
    f.store("i64.store", cpu, va, S.PAGE_VA);
    locals.reload();
    flags.state = UNKNOWN;
    ways.go(back);
  }

  /** To the entry that `target` is, if it is one: its head has the region's number. */
  #dispatch({ code }: RegionPage, target: Local64, ways: Ways): void {
    const f = this.#f;
    const { flags, page } = this.#locals;
    f.if(i64.eq(i64.and(target, i64.const(-4096)), page), () => {
      const slot = i32.shl(i32.and(i32.wrap_i64(target), i32.const(0xfff)), i32.const(2));
      const head = f.let("i32", i32.load(slot, code.map));
      f.if(i32.eq(i32.load(head, R.R_REGION), i32.const(this.#number)), () => {
        f.set(this.#selector, i32.load16_u(head, R.R_ENTRY));
        if (this.#shape.entries.some(({ block }) => this.#wants[block])) flags.toPair();
        flags.tell();
        if (this.#loop !== null) this.#locals.leaveLoop(this.#loop);
        ways.dispatch();
      });
    });
  }

  #go(from: number, target: Target, ways: Ways): void {
    const { page } = this.#blocks[from] as Block;
    if (target.to !== "block") this.#tally?.left(this.#f, target.to, from);
    switch (target.to) {
      case "block":
        this.#toBlock(from, target.block, ways);
        break;
      case "record":
      case "link":
        this.#out(this.#recordOf(target));
        break;
      case "address":
        this.#outTo(i64.add(this.#va(page), i64.const(target.offset)));
        break;
    }
  }

  #recordOf(target: Target): I32 {
    if (target.to === "record") return i32.const(target.record);
    if (target.to === "link") return i32.load(i32.const(target.branch + R.R_IMM));
    throw new Error(`a record of what is at a ${target.to}`);
  }

  #toBlock(from: number, to: number, ways: Ways): void {
    const source = this.#blocks[from] as Block;
    const target = this.#blocks[to] as Block;
    if (source.page !== target.page) this.#cross(from, target);
    const { flags } = this.#locals;
    if (!this.#inherits[to]) {
      if (this.#wants[to]) flags.toPair();
      else flags.tell();
    }
    const loop = this.#loop;
    if (loop !== null && (this.#structure.detour(from, to) || !loop.nodes.has(to))) this.#locals.leaveLoop(loop);
    ways.go(to);
    this.#loop = loop;
  }

  /** Into another page: it must be mapped still, to the same code. */
  #cross(from: number, { page, offset }: Block): void {
    const f = this.#f;
    const locals = this.#locals;
    f.scope(() => {
      const va = f.let("i64", this.#va(page));
      const entry = f.let("i32", tlbEntry(locals.word(S.TLB_FETCH), va));
      const same = i32.and(i64.eq(i64.load(entry), va), i32.eq(i32.load(entry, 12), i32.const(page.code.serial)));
      f.if(i32.eqz(same), () => {
        this.#tally?.left(f, "page", from);
        this.#outTo(i64.add(va, i64.const(offset)));
      });
      f.store("i64.store", locals.cpu, va, S.PAGE_VA);
    });
  }
}
