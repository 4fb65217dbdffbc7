import { type Expr, type FunctionBuilder, i32, i64, type Label, ModuleBuilder } from "@vm/wasm";
import { HelperResult, RunExit } from "../calls.js";
import { workOutAny } from "../emit/lazy-flags.js";
import { tlbEntry } from "../emit/tlb-probe.js";
import * as R from "../record.js";
import { ROWS } from "../sem/index.js";
import * as S from "../state.js";
import { defineX87, X87_PARAMETERS } from "../x87/functions.js";
import type { Exits, Frame } from "./frame.js";
import { InterpreterCtx } from "./ictx.js";
import { MMX_STEPS } from "./mmx-steps.js";
import { STEPS } from "./steps.js";
import { X87_STEPS } from "./x87-steps.js";

interface Handler {
  readonly key: string;
  readonly emit: (frame: Frame) => void;
}

/** Every handler in jump-table order: the steps, then each instruction x size x form. */
const HANDLERS: readonly Handler[] = [
  ...[...STEPS, ...MMX_STEPS, ...X87_STEPS].map(({ name, emit }): Handler => ({ key: name, emit })),
  ...ROWS.flatMap((row) =>
    row.sizes.flatMap((size) =>
      row.forms.flatMap((form) =>
        (row.legacy ? [false, true] : [false]).map(
          (legacy): Handler => ({
            key: handlerKey(row.name, size, form, legacy),
            emit: (frame) => {
              const c = new InterpreterCtx(frame, row, size, form, legacy);
              if (row.sse) c.checkUnit(S.SSE_OFF);
              row.emit(c);
              c.finish();
            },
          }),
        ),
      ),
    ),
  ),
];

const NUMBERS: ReadonlyMap<string, number> = new Map(HANDLERS.map(({ key }, index) => [key, index]));

/** Name of a handler: `add.4.rm`, with `.L` for the variant outside 64-bit code. */
export function handlerKey(name: string, size: number, form: string, legacy = false): string {
  return `${name}.${size}.${form}${legacy ? ".L" : ""}`;
}

/** Jump-table index of a handler or step, or undefined if there is none. */
export function handlerNumber(key: string): number | undefined {
  return NUMBERS.get(key);
}

export const HANDLER_COUNT = HANDLERS.length;

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
  };
  const regions = m.importTable("vm", "regions", { min: 1 });
  const regionType = m.type(["i32", "i32"], "i32");
  const workOut = generateWorkOut(m);

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
  const before = f.local("i32");
  const head = f.local("i32");
  const begun = f.local("i32");

  const retired = (count: Expr<"i32">): void =>
    f.store("i64.store", cpu, i64.add(i64.load(cpu, S.REGION_RETIRED), i64.extend_i32_u(count)), S.REGION_RETIRED);
  /** Instructions of the slice so far; what ends a slice takes from both words. */
  const executed = (): Expr<"i32"> => i32.sub(i32.load(cpu, S.SLICE), i32.load(cpu, S.BUDGET));
  const save = (): void => f.store("i32.store", cpu, left, S.BUDGET);
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
    f.store("i32.store", cpu, rec, S.REC);
    const offset = i64.load16_u(rec, R.R_OFF);
    f.store("i64.store", cpu, i64.add(i64.load(cpu, S.PAGE_VA), offset), S.PC);
    f.return(i32.const(exit));
  };
  const nextRecord = (): void => f.set(rec, i32.add(rec, i32.const(R.RECORD)));
  /** `rec` for `target`, or 0 if TypeScript must find it. */
  const find = (): void => {
    f.store("i64.store", cpu, i64.and(target, i64.const(-4096)), S.PAGE_VA);
    f.set(entry, tlbEntry(i32.load(cpu, S.TLB_FETCH), target));
    const slot = i32.shl(i32.and(i32.wrap_i64(target), i32.const(0xfff)), i32.const(2));
    f.set(rec, i32.const(0));
    f.if(i64.eq(i64.load(entry), i64.load(cpu, S.PAGE_VA)), () =>
      f.set(rec, i32.load(i32.add(i32.load(entry, 8), slot))),
    );
  };
  const fetch = (): void =>
    f.set(rec, f.call(slow.fetch, i32.wrap_i64(target), i32.wrap_i64(i64.shr_u(target, i64.const(32)))));

  const workedOut = (): void => f.if(i32.load(cpu, S.FK), () => f.do(f.call(workOut, cpu)));
  /** Runs regions for as long as one leads to another; the budget is in the state block. */
  const runRegions = (): void => {
    const enters = (): Expr<"i32"> =>
      i32.eq(i32.load16_u(rec, R.R_HANDLER), i32.const(handlerNumber("enter") as number));
    f.loop((again) => {
      const count = f.tee(result, i32.load16_u(rec, R.R_COUNT));
      f.if(count, () => {
        f.set(result, i32.sub(result, i32.const(1)));
        f.store("i32.store16", rec, result, R.R_COUNT);
        f.if(i32.eqz(result), () => f.set(rec, f.call(slow.hot, rec)));
      });
      // Making a region may have cost another its place.
      f.if(enters(), () => {
        f.if(i32.load8_u(rec, R.R_AUX), workedOut);
        f.store("i32.store", cpu, i32.add(i32.load(cpu, S.REGION_ENTRIES), i32.const(1)), S.REGION_ENTRIES);
        f.set(head, rec);
        f.set(begun, i32.load(cpu, S.BUDGET));
        const slot = i32.load(rec, R.R_IMM);
        f.set(rec, f.callIndirect(regionType, regions, slot, cpu, i32.load16_u(rec, R.R_ENTRY)));
        // What runs for long is entered seldom.
        f.set(result, i32.shr_u(i32.sub(begun, i32.load(cpu, S.BUDGET)), i32.const(8)));
        f.if(result, () => {
          const rest = f.tee(result, i32.sub(i32.load16_u(head, R.R_COUNT), result));
          f.if(i32.gt_s(rest, i32.const(0)), () => f.store("i32.store16", head, result, R.R_COUNT));
        });
        f.block((known) => {
          f.if(
            rec,
            () => {
              // To another page: no way round through the interpreter.
              f.brIf(i32.ne(i32.load16_u(rec, R.R_HANDLER), i32.const(handlerNumber("goto") as number)), known);
              f.set(target, i64.add(i64.load(cpu, S.PAGE_VA), i64.load(rec, R.R_DISP)));
            },
            () => f.set(target, i64.load(cpu, S.PC)),
          );
          find();
          f.brIf(rec, known);
          workedOut();
          fetch();
        });
        f.brIf(enters(), again);
      });
    });
    workedOut();
  };

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
                          const exits: Exits = { miss, raise, fault, helper, x87, outside, link, hot, region };
                          f.loop((next) => {
                            f.block((lookup) => {
                              f.set(left, i32.sub(left, i32.load8_u(rec, R.R_CHARGE)));
                              f.brIf(i32.lt_s(left, i32.const(0)), spent);
                              emitDispatch({ f, cpu, rec, left, target, operand, next, lookup, exits });
                            });
                            find();
                            f.brIf(rec, next);
                            f.br(unknown);
                          });
                        });
                        // miss: the same record again, which it has paid for.
                        save();
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
                    f.set(before, executed());
                    runRegions();
                    load();
                    retired(i32.sub(executed(), before));
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
