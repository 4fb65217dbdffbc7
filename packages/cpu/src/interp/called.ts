import { type FunctionBuilder, i32, i64, type ModuleBuilder } from "@vm/wasm";
import * as R from "../record.js";
import * as S from "../state.js";
import { type ChainParts, enterRegion, findRecord, type Search } from "./chain.js";

/** Regions that wait for a return at a time, at most: what they keep on the host's stack is up to some KiB each. */
const MAX_DEPTH = 40;

/**
 * A function `(cpu, record) -> record` that regions call for a call of the guest's, whose target is the record or, for `AT_PC`, at `PC`. It runs
 * regions until one returns, and answers `RETURNED`, or until something else than a region must go on: then every region that waits for a
 * return answers the same. Nothing here calls TypeScript, so that records and regions are what they were when control comes back.
 */
export function defineCalled(m: ModuleBuilder, { regions, enter, goto, workOut }: ChainParts): FunctionBuilder {
  const f = m.function(["i32", "i32"], "i32");
  const cpu = f.param<"i32">(0);
  const rec = f.param<"i32">(1);
  const head = f.local("i32");
  const begun = f.local("i32");
  const depth = f.local("i32");
  const count = f.local("i32");
  const handler = f.local("i32");
  const search: Search = { cpu, rec, target: f.local("i64"), scratch: count };

  f.if(i32.ge_u(f.tee(depth, i32.load(cpu, S.CALL_DEPTH)), i32.const(MAX_DEPTH)), () => f.return(rec));
  f.store("i32.store", cpu, i32.add(depth, i32.const(1)), S.CALL_DEPTH);
  f.block((out) => {
    f.loop((again) => {
      f.block((found) => {
        f.if(
          i32.eqz(rec),
          () => f.set(search.target, i64.load(cpu, S.PC)),
          () => {
            f.set(handler, i32.load16_u(rec, R.R_HANDLER));
            f.brIf(i32.eq(handler, i32.const(enter)), found);
            f.brIf(i32.ne(handler, i32.const(goto)), out);
            f.set(search.target, i64.add(i64.load(cpu, S.PAGE_VA), i64.load(rec, R.R_DISP)));
            f.store("i64.store", cpu, search.target, S.PC);
          },
        );
        findRecord(f, search);
        f.brIf(i32.eqz(rec), out);
        f.brIf(i32.ne(i32.load16_u(rec, R.R_HANDLER), i32.const(enter)), out);
      });
      f.if(f.tee(count, i32.load16_u(rec, R.R_COUNT)), () => {
        f.set(count, i32.sub(count, i32.const(1)));
        // It has become hot, which is TypeScript's.
        f.brIf(i32.eqz(count), out);
        f.store("i32.store16", rec, count, R.R_COUNT);
      });
      f.if(i32.load8_u(rec, R.R_AUX), () => f.if(i32.load(cpu, S.FK), () => f.do(f.call(workOut, cpu))));
      f.store("i32.store", cpu, i32.add(i32.load(cpu, S.REGION_ENTRIES), i32.const(1)), S.REGION_ENTRIES);
      f.set(head, rec);
      f.set(begun, i32.load(cpu, S.BUDGET));
      f.set(rec, enterRegion(f, m, regions, cpu, rec));
      f.brIf(i32.ne(rec, i32.const(R.RETURNED)), again);
    });
    f.store("i32.store", cpu, depth, S.CALL_DEPTH);
    f.return(rec);
  });
  f.store("i32.store", cpu, depth, S.CALL_DEPTH);
  f.if(i32.eqz(i32.load(cpu, S.ENDED_HEAD)), () => {
    f.store("i32.store", cpu, head, S.ENDED_HEAD);
    f.store("i32.store", cpu, begun, S.ENDED_BEGUN);
  });
  f.return(rec);
  f.unreachable();
  return f;
}
