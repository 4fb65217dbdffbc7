import { i32 } from "@vm/wasm";
import * as R from "../record.js";
import type { Row, Size } from "../sem/ctx.js";
import { ROWS } from "../sem/index.js";
import * as S from "../state.js";
import type { Frame } from "./frame.js";
import { InterpreterCtx } from "./ictx.js";
import { MMX_STEPS } from "./mmx-steps.js";
import { PAIRS } from "./pairs.js";
import { STEPS } from "./steps.js";
import { X87_STEPS } from "./x87-steps.js";

/** What a record does that has its number. */
export interface Handler {
  readonly key: string;
  readonly emit: (frame: Frame) => void;
}

/** Writes what a record of a row does, without going on to the next one. */
function execute(frame: Frame, row: Row, size: Size, form: string, legacy: boolean): InterpreterCtx {
  const c = new InterpreterCtx(frame, row, size, form, legacy);
  if (row.sse) c.checkUnit(S.SSE_OFF);
  row.emit(c);
  return c;
}

/** Each instruction x size x form. */
const SINGLE = ROWS.flatMap((row) =>
  row.sizes.flatMap((size) =>
    row.forms.flatMap((form) =>
      (row.legacy ? [false, true] : [false]).map((legacy) => ({
        key: handlerKey(row.name, size, form, legacy),
        execute: (frame: Frame) => execute(frame, row, size, form, legacy),
      })),
    ),
  ),
);
const BY_KEY = new Map(SINGLE.map((handler) => [handler.key, handler]));

/** Executes a record and the one behind it, which is paid for and left as if it had been dispatched. */
function pair(first: string, second: string): Handler {
  const [a, b] = [BY_KEY.get(first), BY_KEY.get(second)];
  if (a === undefined || b === undefined) throw new Error(`no handlers for ${first} and ${second}`);
  return {
    key: pairKey(first, second),
    emit: (frame) => {
      const { f, rec, left, exits } = frame;
      f.scope(() => a.execute(frame));
      f.set(rec, i32.add(rec, i32.const(R.RECORD)));
      f.set(left, i32.sub(left, i32.const(1)));
      f.brIf(i32.lt_s(left, i32.const(0)), exits.spent);
      f.scope(() => b.execute(frame).finish());
    },
  };
}

const pairKey = (first: string, second: string): string => `${first}+${second}`;

/** Every handler in jump-table order: the steps, then each instruction, then pairs of them. */
export const HANDLERS: readonly Handler[] = [
  ...[...STEPS, ...MMX_STEPS, ...X87_STEPS].map(({ name, emit }): Handler => ({ key: name, emit })),
  ...SINGLE.map(({ key, execute: body }): Handler => ({ key, emit: (frame) => body(frame).finish() })),
  ...Object.entries(PAIRS).flatMap(([first, seconds]) => seconds.split(" ").map((second) => pair(first, second))),
];

export const HANDLER_COUNT = HANDLERS.length;

const NUMBERS: ReadonlyMap<string, number> = new Map(HANDLERS.map(({ key }, index) => [key, index]));

/** Handlers of pairs, by those of both. */
const PAIR_NUMBERS: ReadonlyMap<number, number> = new Map(
  Object.entries(PAIRS).flatMap(([first, seconds]) =>
    seconds
      .split(" ")
      .map((second): [number, number] => [
        pairIndex(NUMBERS.get(first) as number, NUMBERS.get(second) as number),
        NUMBERS.get(pairKey(first, second)) as number,
      ]),
  ),
);

function pairIndex(first: number, second: number): number {
  return first * HANDLER_COUNT + second;
}

/** Name of a handler: `add.4.rm`, with `.L` for the variant outside 64-bit code. */
export function handlerKey(name: string, size: number, form: string, legacy = false): string {
  return `${name}.${size}.${form}${legacy ? ".L" : ""}`;
}

/** Jump-table index of a handler or step, or undefined if there is none. */
export function handlerNumber(key: string): number | undefined {
  return NUMBERS.get(key);
}

/** The handler for a record with handler `first` and the instruction behind it, whose record has handler `second`; undefined if there is none. */
export function pairNumber(first: number, second: number): number | undefined {
  return PAIR_NUMBERS.get(pairIndex(first, second));
}
