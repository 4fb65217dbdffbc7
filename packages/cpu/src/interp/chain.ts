import { type Expr, type Func, type FunctionBuilder, i32, i64, type Local, type ModuleBuilder } from "@vm/wasm";
import { tlbEntry } from "../emit/tlb-probe.js";
import * as R from "../record.js";
import * as S from "../state.js";

/** What the chain needs of the interpreter's module. */
export interface ChainParts {
  /** The table of regions. */
  readonly regions: number;
  /** Handlers that lead into a region, and to another page. */
  readonly enter: number;
  readonly goto: number;
  /** `(cpu)`: works out the flags in the state block. */
  readonly workOut: Func;
  /** `(record) -> record`: a head has become hot. */
  readonly hot: Func;
  /** `(low, high) -> record` at a linear address that none is known for. */
  readonly fetch: Func;
}

/** Locals for the search of a record. */
export interface Search {
  readonly cpu: Local<"i32">;
  /** The record found, or 0. */
  readonly rec: Local<"i32">;
  /** Linear address. */
  readonly target: Local<"i64">;
  readonly scratch: Local<"i32">;
}

/** Finds the record at a linear address, whose page becomes the one being executed. */
export function findRecord(f: FunctionBuilder, { cpu, rec, target, scratch }: Search): void {
  f.scope(() => {
    const page = f.let("i64", i64.and(target, i64.const(-4096)));
    f.store("i64.store", cpu, page, S.PAGE_VA);
    f.set(scratch, tlbEntry(i32.load(cpu, S.TLB_FETCH), target));
    const slot = i32.shl(i32.and(i32.wrap_i64(target), i32.const(0xfff)), i32.const(2));
    f.set(rec, i32.const(0));
    f.if(i64.eq(i64.load(scratch), page), () => f.set(rec, i32.load(i32.add(i32.load(scratch, 8), slot))));
  });
}

/** Has TypeScript find the record. */
export function fetchRecord(f: FunctionBuilder, fetch: Func, { rec, target }: Search): void {
  f.set(rec, f.call(fetch, i32.wrap_i64(target), i32.wrap_i64(i64.shr_u(target, i64.const(32)))));
}

/** Executes the region that a head leads to, which must want the flags as they are. */
export function enterRegion(
  f: FunctionBuilder,
  m: ModuleBuilder,
  regions: number,
  cpu: Local<"i32">,
  head: Local<"i32">,
): Expr<"i32"> {
  const type = m.type(["i32", "i32"], "i32");
  return f.callIndirect(type, regions, i32.load(head, R.R_IMM), cpu, i32.load16_u(head, R.R_ENTRY));
}

/**
 * A function `(cpu, record) -> record` that runs the region that a record leads to, and those that lead on from there. The budget is in the
 * state block. It is apart from the interpreter's loop, which is so large that V8 keeps its locals on the stack.
 */
export function defineChain(
  m: ModuleBuilder,
  { regions, enter, goto, workOut, hot, fetch }: ChainParts,
): FunctionBuilder {
  const f = m.function(["i32", "i32"], "i32");
  const cpu = f.param<"i32">(0);
  const rec = f.param<"i32">(1);
  /** The head that led into a region last; 0 once TypeScript may have dropped all records. */
  const head = f.local("i32");
  const begun = f.local("i32");
  const scratch = f.local("i32");
  const before = f.local("i32");
  const entries = f.local("i32");
  const search: Search = { cpu, rec, target: f.local("i64"), scratch };
  const workedOut = (): void => f.if(i32.load(cpu, S.FK), () => f.do(f.call(workOut, cpu)));
  /** Instructions of the slice so far; what ends a slice takes from both words. */
  const executed = (): Expr<"i32"> => i32.sub(i32.load(cpu, S.SLICE), i32.load(cpu, S.BUDGET));
  const leads = (handler: number): Expr<"i32"> => i32.eq(i32.load16_u(rec, R.R_HANDLER), i32.const(handler));

  f.set(before, executed());
  f.store("i32.store", cpu, i32.const(0), S.CALL_DEPTH);
  f.block((out) => {
    f.loop((again) => {
      f.if(f.tee(scratch, i32.load16_u(rec, R.R_COUNT)), () => {
        f.set(scratch, i32.sub(scratch, i32.const(1)));
        f.store("i32.store16", rec, scratch, R.R_COUNT);
        f.if(i32.eqz(scratch), () => {
          f.set(head, i32.const(0));
          f.set(rec, f.call(hot, rec));
          // Making a region may have cost another its place.
          f.brIf(i32.eqz(leads(enter)), out);
        });
      });
      f.if(i32.load8_u(rec, R.R_AUX), workedOut);
      f.set(entries, i32.add(entries, i32.const(1)));
      f.set(head, rec);
      f.set(begun, i32.load(cpu, S.BUDGET));
      f.store("i32.store", cpu, i32.const(0), S.ENDED_HEAD);
      f.set(rec, enterRegion(f, m, regions, cpu, rec));
      f.if(
        i32.gt_u(rec, i32.const(R.RETURNED)),
        () => {
          f.set(scratch, i32.load16_u(rec, R.R_HANDLER));
          f.brIf(i32.eq(scratch, i32.const(enter)), again);
          f.brIf(i32.ne(scratch, i32.const(goto)), out);
          // To another page: no way round through the interpreter.
          f.set(search.target, i64.add(i64.load(cpu, S.PAGE_VA), i64.load(rec, R.R_DISP)));
        },
        () => f.set(search.target, i64.load(cpu, S.PC)),
      );
      findRecord(f, search);
      f.if(i32.eqz(rec), () => {
        workedOut();
        f.set(head, i32.const(0));
        fetchRecord(f, fetch, search);
      });
      f.brIf(leads(enter), again);
    });
  });
  // What runs for long is entered seldom.
  f.if(head, () => {
    f.if(i32.load(cpu, S.ENDED_HEAD), () => {
      f.set(head, i32.load(cpu, S.ENDED_HEAD));
      f.set(begun, i32.load(cpu, S.ENDED_BEGUN));
    });
    f.set(scratch, i32.shr_u(i32.sub(begun, i32.load(cpu, S.BUDGET)), i32.const(8)));
    f.set(scratch, i32.sub(i32.load16_u(head, R.R_COUNT), scratch));
    f.if(i32.gt_s(scratch, i32.const(0)), () => f.store("i32.store16", head, scratch, R.R_COUNT));
  });
  workedOut();
  f.store("i32.store", cpu, i32.add(i32.load(cpu, S.REGION_ENTRIES), entries), S.REGION_ENTRIES);
  const retired = i64.extend_i32_u(i32.sub(executed(), before));
  f.store("i64.store", cpu, i64.add(i64.load(cpu, S.REGION_RETIRED), retired), S.REGION_RETIRED);
  f.return(rec);
  f.unreachable();
  return f;
}
