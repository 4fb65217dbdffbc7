import { type Expr, type Func, type FunctionBuilder, i32, i64, type Label, ModuleBuilder } from "@vm/wasm";
import { HelperResult, RunExit } from "../calls.js";
import { workOutAny } from "../emit/lazy-flags.js";
import * as R from "../record.js";
import * as S from "../state.js";
import { defineX87, X87_PARAMETERS } from "../x87/functions.js";
import { defineCalled } from "./called.js";
import { type ChainParts, defineChain, fetchRecord, findRecord, type Search } from "./chain.js";
import type { Exits, Frame } from "./frame.js";
import { HANDLERS, type Handler, handlerNumber } from "./handlers.js";
import { countHead } from "./steps.js";

/**
 * The interpreter: one function `run(cpu) -> RunExit`. An inner loop around one jump table, free of calls, and an outer loop that calls
 * TypeScript for what the handlers cannot do. Bytes are a function of the sources only.
 * It starts at linear address `PC` and leaves there the address of the next instruction.
 */
export function generateInterpreter(): Uint8Array<ArrayBuffer> {
  const m = new ModuleBuilder();
  m.importMemory("vm", "memory", { min: 1, max: 65536 });
  const slow = {
    miss: m.importFunction("vm", "miss", [], "i32"),
    raise: m.importFunction("vm", "raise", [], null),
    helper: m.importFunction("vm", "helper", ["i32"], "i32"),
    outside: m.importFunction("vm", "outside", ["i32"], "i32"),
    fetch: m.importFunction("vm", "fetch", ["i32", "i32"], "i32"),
    link: m.importFunction("vm", "link", ["i32"], "i32"),
    hot: m.importFunction("vm", "hot", ["i32"], "i32"),
    timestamp: m.importFunction("vm", "timestamp", ["i32"], "i32"),
  };
  const regions = m.importTable("vm", "regions", { min: 1 });
  const parts: ChainParts = {
    regions,
    enter: handlerNumber("enter") as number,
    goto: handlerNumber("goto") as number,
    workOut: generateWorkOut(m),
    hot: slow.hot,
    fetch: slow.fetch,
  };
  const chain = defineChain(m, parts);
  m.exportFunction("called", defineCalled(m, parts));
  m.exportFunction("timestamp", defineForward(m, slow.timestamp));

  const operations = defineX87(m);
  const x87 = m.table({ min: operations.length, max: operations.length });
  m.element(x87, 0, operations);
  m.exportTable("x87", x87);

  const f = m.function(["i32"], "i32");
  const cpu = f.param<"i32">(0);
  const rec = f.local("i32");
  const target = f.local("i64");
  const entry = f.local("i32");
  const operand = f.local("i32");
  const left = f.local("i32");
  const result = f.local("i32");
  const save = (): void => f.store("i32.store", cpu, left, S.BUDGET);
  /** TypeScript can tell which instruction it is asked about. */
  const note = (): void => f.store("i32.store", cpu, rec, S.REC);
  const load = (): void => f.set(left, i32.load(cpu, S.BUDGET));
  /** What TypeScript answered; it may have ended the slice. */
  const outcome = (answer: Expr<"i32">): void => {
    f.set(result, answer);
    load();
  };
  /** Gives back what starting the current record cost. */
  const refund = (charge: Expr<"i32">): void =>
    f.store("i32.store", cpu, i32.add(i32.load(cpu, S.BUDGET), charge), S.BUDGET);
  const leave = (exit: RunExit): void => {
    note();
    const offset = i64.load16_u(rec, R.R_OFF);
    f.store("i64.store", cpu, i64.add(i64.load(cpu, S.PAGE_VA), offset), S.PC);
    f.return(i32.const(exit));
  };
  const nextRecord = (): void => f.set(rec, i32.add(rec, i32.const(R.RECORD)));
  const search: Search = { cpu, rec, target, scratch: entry };
  const heat = i32.const(handlerNumber("heat") as number);
  const find = (): void => findRecord(f, search);
  const fetch = (): void => fetchRecord(f, slow.fetch, search);

  f.set(target, i64.load(cpu, S.PC));
  find();
  f.if(i32.eqz(rec), fetch);
  f.loop((outer) => {
    load();
    f.block((spent) => {
      f.block((fault) => {
        f.block((raise) => {
          f.block((outside) => {
            f.block((helper) => {
              f.block((x87) => {
                f.block((link) => {
                  f.block((hot) => {
                    f.block((region) => {
                      f.block((unknown) => {
                        f.block((miss) => {
                          const exits: Exits = { spent, miss, raise, fault, helper, x87, outside, link, hot, region };
                          f.loop((next) => {
                            f.block((taken) => {
                              f.block((lookup) => {
                                f.set(left, i32.sub(left, i32.load8_u(rec, R.R_CHARGE)));
                                f.brIf(i32.lt_s(left, i32.const(0)), spent);
                                emitDispatch({ f, cpu, rec, left, target, operand, next, taken, lookup, exits });
                              });
                              find();
                              f.brIf(i32.eqz(rec), unknown);
                            });
                            // Most heads lead on to their instruction: no need to go round for that.
                            f.if(i32.eq(i32.load16_u(rec, R.R_HANDLER), heat), () => countHead(f, rec, hot));
                            f.br(next);
                          });
                        });
                        // miss: the same record again, which it has paid for.
                        save();
                        note();
                        outcome(f.call(slow.miss));
                        f.brIf(i32.eqz(result), fault);
                        refund(i32.load8_u(rec, R.R_CHARGE));
                        f.br(outer);
                      });
                      // unknown
                      save();
                      fetch();
                      f.br(outer);
                    });
                    // region
                    save();
                    f.set(rec, f.call(chain, cpu, rec));
                    f.br(outer);
                  });
                  // hot
                  save();
                  f.set(rec, f.call(slow.hot, rec));
                  f.br(outer);
                });
                // link
                save();
                f.set(rec, f.call(slow.link, rec));
                f.br(outer);
              });
              // x87: a call, but not of TypeScript.
              const [number, i] = [i32.load8_u(rec, R.R_AUX), i32.load16_u(rec, R.R_DST)];
              f.brIf(i32.eqz(f.callIndirect(m.type(X87_PARAMETERS, "i32"), x87, number, cpu, i, operand)), helper);
              save();
              nextRecord();
              f.br(outer);
            });
            // helper
            save();
            note();
            outcome(f.call(slow.helper, rec));
            f.if(i32.eqz(result), () => {
              nextRecord();
              f.br(outer);
            });
            f.if(i32.eq(result, i32.const(HelperResult.Jump)), () => {
              f.set(target, i64.load(cpu, S.PC));
              find();
              f.if(i32.eqz(rec), fetch);
              f.br(outer);
            });
            f.brIf(i32.eq(result, i32.const(HelperResult.Fault)), fault);
            f.set(rec, result);
            f.br(outer);
          });
          // outside
          save();
          note();
          outcome(f.call(slow.outside, rec));
          f.brIf(i32.eqz(result), fault);
          nextRecord();
          f.br(outer);
        });
        // raise
        save();
        f.do(f.call(slow.raise));
        load();
      });
      // fault: the instruction was charged when its first record started.
      save();
      refund(i32.const(1));
      leave(RunExit.Fault);
    });
    // spent: the record that could not be paid for was not started.
    f.set(left, i32.add(left, i32.load8_u(rec, R.R_CHARGE)));
    save();
    leave(RunExit.Budget);
  });
  f.unreachable();
  m.exportFunction("run", f);
  return m.bytes();
}

/** A function `(i32) -> i32` that calls another. Regions call TypeScript through it: every module that did so itself would have V8 compile the way there. */
function defineForward(m: ModuleBuilder, to: Func): FunctionBuilder {
  const f = m.function(["i32"], "i32");
  f.return(f.call(to, f.param<"i32">(0)));
  f.unreachable();
  return f;
}

/** A function that works out the flags that a region left; see `FK`. */
function generateWorkOut(m: ModuleBuilder): FunctionBuilder {
  const f = m.function(["i32"], null);
  const cpu = f.param<"i32">(0);
  const words = {
    fr: () => i64.load(cpu, S.FR),
    setFr: (value: Expr<"i64">) => f.store("i64.store", cpu, value, S.FR),
    fa: () => i64.load(cpu, S.FA),
    setFa: (value: Expr<"i64">) => f.store("i64.store", cpu, value, S.FA),
  };
  workOutAny(f, i32.load(cpu, S.FK), words, i64.load(cpu, S.FB));
  f.store("i32.store", cpu, i32.const(0), S.FK);
  return f;
}

/** One block per handler around the jump table; handler k starts where block k ends. */
function emitDispatch(frame: Frame): void {
  const { f, rec } = frame;
  const labels: Label[] = new Array(HANDLERS.length);
  const nest = (k: number): void => {
    if (k < 0) {
      f.brTable(i32.load16_u(rec, R.R_HANDLER), labels, labels[0] as Label);
      return;
    }
    f.block((label) => {
      labels[k] = label;
      nest(k - 1);
    });
    f.scope(() => (HANDLERS[k] as Handler).emit(frame));
  };
  nest(HANDLERS.length - 1);
}
