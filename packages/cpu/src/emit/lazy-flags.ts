import { type FunctionBuilder, i32, i64, type Label } from "@vm/wasm";
import type { I32, I64, Size } from "../sem/ctx.js";
import { FlagPair, type FlagWords } from "../sem/flag-pair.js";

/**
 * Flags that are not worked out yet: the operation that set them, and its operands. A region keeps them so in locals, and may leave them so
 * in the state block (`FK`, `FA`, `FB`, `FR`) for the next one; the interpreter never sees them.
 */
export enum FlagOp {
  /** Worked out: `fa` and `fr` are what `FlagPair` says. */
  Pair = 0,
  /** a = fa, b = fb, r = fr; ADC too. */
  Add = 1,
  /** SBB too. */
  Sub = 2,
  /** r = fr. */
  Logic = 3,
  /** r = fr, CF = fa, OF = fb. */
  Result = 4,
  /** a = fa, r = fr, CF = fb. */
  Increment = 5,
  Decrement = 6,
  /** ZF = fa, CF = fb. */
  Compare = 7,
}

const SIZES: readonly Size[] = [1, 2, 4, 8];

/** One number for an operation and its operand size. */
export const flagKind = (op: FlagOp, size: Size): number => (op === FlagOp.Pair ? 0 : op * 4 + SIZES.indexOf(size));

export const FLAG_KINDS = 32;

/** Works out flags of `op` from the operands, which are in the places of the words. */
export function workOut(f: FunctionBuilder, op: FlagOp, size: Size, words: FlagWords, b: I64): void {
  const one = i64.const(1);
  const pair = new FlagPair(f, size, words);
  const a = words.fa();
  const r = words.fr();
  switch (op) {
    case FlagOp.Pair:
      break;
    case FlagOp.Add:
      pair.add(a, b, r);
      break;
    case FlagOp.Sub:
      pair.sub(a, b, r);
      break;
    case FlagOp.Logic:
      pair.logic(r);
      break;
    case FlagOp.Result:
      // `result` writes the result first, which is not read again.
      pair.result(r, a, b);
      break;
    case FlagOp.Increment:
      pair.add(a, one, r);
      pair.setCarry(b);
      break;
    case FlagOp.Decrement:
      pair.sub(a, one, r);
      pair.setCarry(b);
      break;
    case FlagOp.Compare:
      pair.compare(i32.wrap_i64(a), i32.wrap_i64(b));
      break;
  }
}

/** Writes code that works out the flags of kind `kind`, which only execution tells. */
export function workOutAny(f: FunctionBuilder, kind: I32, words: FlagWords, b: I64): void {
  const labels = new Array<Label>(FLAG_KINDS);
  f.block((done) => {
    const nest = (k: number): void => {
      if (k < 0) {
        f.brTable(kind, labels, labels[0] as Label);
        return;
      }
      f.block((label) => {
        labels[k] = label;
        nest(k - 1);
      });
      f.scope(() => workOut(f, k >> 2, SIZES[k & 3] as Size, words, b));
      f.br(done);
    };
    nest(FLAG_KINDS - 1);
  });
}
