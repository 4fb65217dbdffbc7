import { type Func, i32, i64, type Label, ModuleBuilder } from "@vm/wasm";
import * as R from "../record.js";
import { ROWS } from "../sem/index.js";
import * as S from "../state.js";
import { type Frame, InterpreterCtx } from "./ictx.js";
import { STEPS } from "./steps.js";

/** Why `run` returned. */
export const enum RunExit {
  /** The budget is used up. */
  Budget = 0,
  /** The record at `REC` could not be executed; an exception or an exit is pending. */
  Fault = 1,
  /** STI with an interrupt waiting: one more instruction, then the interrupt. */
  Sti = 2,
}

interface Handler {
  readonly key: string;
  readonly emit: (frame: Frame) => void;
}

/** Every handler in jump-table order: the steps, then each instruction x size x form. */
const HANDLERS: readonly Handler[] = [
  ...STEPS.map(({ name, emit }): Handler => ({ key: name, emit })),
  ...ROWS.flatMap((row) =>
    row.sizes.flatMap((size) =>
      row.forms.flatMap((form) =>
        (row.legacy ? [false, true] : [false]).map(
          (legacy): Handler => ({
            key: handlerKey(row.name, size, form, legacy),
            emit: (frame) => {
              const c = new InterpreterCtx(frame, row, size, form, legacy);
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
 * The interpreter: one function `run(cpu) -> RunExit`, a loop around one jump table. Bytes are a function of the sources only.
 * It starts at linear address `PC` and leaves there the address of the next instruction.
 */
export function generateInterpreter(): Uint8Array<ArrayBuffer> {
  const m = new ModuleBuilder();
  m.importMemory("vm", "memory", { min: 1, max: 65536 });
  const i32s = (count: number): "i32"[] => Array.from({ length: count }, () => "i32");
  const slow = {
    load: m.importFunction("vm", "load", i32s(3), "i32"),
    store: m.importFunction("vm", "store", i32s(3), "i32"),
    modify: m.importFunction("vm", "modify", i32s(3), "i32"),
    commit: m.importFunction("vm", "commit", i32s(1), null),
    raise: m.importFunction("vm", "raise", i32s(1), null),
    helper: m.importFunction("vm", "helper", i32s(1), "i32"),
    fetch: m.importFunction("vm", "fetch", i32s(2), "i32"),
    link: m.importFunction("vm", "link", i32s(1), "i32"),
  };
  const mulHigh = defineMulHigh(m);
  const divQuotient = defineDivQuotient(m);

  const f = m.function(["i32"], "i32");
  const cpu = f.param<"i32">(0);
  const rec = f.local("i32");
  const target = f.local("i64");
  const entry = f.local("i32");
  const left = f.local("i32");

  const leave = (exit: RunExit): void => {
    f.store("i32.store", cpu, rec, S.REC);
    const offset = i64.load16_u(rec, R.R_OFF);
    f.store("i64.store", cpu, i64.add(i64.load(cpu, S.PAGE_VA), offset), S.PC);
    f.return(i32.const(exit));
  };

  f.set(target, i64.load(cpu, S.PC));
  f.set(rec, i32.const(0));
  f.block((fault) => {
    f.block((stiYield) => {
      f.loop((next) => {
        f.block((lookup) => {
          // The first pass has no record yet.
          f.brIf(i32.eqz(rec), lookup);
          f.set(left, i32.sub(i32.load(cpu, S.BUDGET), i32.load8_u(rec, R.R_CHARGE)));
          f.if(i32.lt_s(left, i32.const(0)), () => leave(RunExit.Budget));
          f.store("i32.store", cpu, left, S.BUDGET);
          const frame: Frame = { f, cpu, rec, target, slow, mulHigh, divQuotient, next, lookup, fault, yield: stiYield };
          emitDispatch(frame);
        });
        f.store("i64.store", cpu, i64.and(target, i64.const(-4096)), S.PAGE_VA);
        const index = i32.and(i32.shr_u(i32.wrap_i64(target), i32.const(8)), i32.const((S.TLB_ENTRIES - 1) * S.TLB_ENTRY));
        f.set(entry, i32.add(i32.load(cpu, S.TLB_FETCH), index));
        const slot = i32.shl(i32.and(i32.wrap_i64(target), i32.const(0xfff)), i32.const(2));
        f.if(
          i64.eq(i64.load(entry), i64.load(cpu, S.PAGE_VA)),
          () => f.set(rec, i32.load(i32.add(i32.load(entry, 8), slot))),
          () => f.set(rec, i32.const(0)),
        );
        f.if(i32.eqz(rec), () => {
          const high = i32.wrap_i64(i64.shr_u(target, i64.const(32)));
          f.set(rec, f.call(slow.fetch, i32.wrap_i64(target), high));
        });
        f.br(next);
      });
    });
    leave(RunExit.Sti);
  });
  // The instruction was charged when its first record started.
  f.store("i32.store", cpu, i32.add(i32.load(cpu, S.BUDGET), i32.const(1)), S.BUDGET);
  leave(RunExit.Fault);
  f.unreachable();
  m.exportFunction("run", f);
  return m.bytes();
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

/** High 64 bits of a 64 x 64 bit product, from four 32 x 32 bit ones. */
function defineMulHigh(m: ModuleBuilder): Func {
  const f = m.function(["i64", "i64"], "i64");
  const [a, b] = [f.param<"i64">(0), f.param<"i64">(1)];
  const low = (x: typeof a) => i64.and(x, i64.const2(-1, 0));
  const high = (x: typeof a) => i64.shr_u(x, i64.const(32));
  const mid = f.local("i64");
  const cross = f.local("i64");
  f.set(mid, i64.add(i64.mul(high(a), low(b)), i64.shr_u(i64.mul(low(a), low(b)), i64.const(32))));
  f.set(cross, i64.add(i64.mul(low(a), high(b)), low(mid)));
  f.value(i64.add(i64.add(i64.mul(high(a), high(b)), high(mid)), high(cross)));
  return f;
}

/** Quotient of `hi:lo / divisor` with hi < divisor, bit by bit. */
function defineDivQuotient(m: ModuleBuilder): Func {
  const f = m.function(["i64", "i64", "i64"], "i64");
  const [hi, lo, divisor] = [f.param<"i64">(0), f.param<"i64">(1), f.param<"i64">(2)];
  const count = f.local("i32");
  const out = f.local("i64");
  f.set(count, i32.const(64));
  f.loop((again) => {
    f.set(out, i64.shr_u(hi, i64.const(63)));
    f.set(hi, i64.or(i64.shl(hi, i64.const(1)), i64.shr_u(lo, i64.const(63))));
    f.set(lo, i64.shl(lo, i64.const(1)));
    f.if(i32.or(i64.ne(out, i64.const(0)), i64.ge_u(hi, divisor)), () => {
      f.set(hi, i64.sub(hi, divisor));
      f.set(lo, i64.or(lo, i64.const(1)));
    });
    f.brIf(f.tee(count, i32.sub(count, i32.const(1))), again);
  });
  f.value(lo);
  return f;
}
