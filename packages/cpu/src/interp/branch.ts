import { i32, i64 } from "@vm/wasm";
import * as R from "../record.js";
import type { I32 } from "../sem/ctx.js";
import { truncate } from "../sem/widths.js";
import * as S from "../state.js";
import { directTarget } from "./checks.js";
import type { Frame } from "./frame.js";

/** On to the record that the branch is linked to, or to the next one. */
export function branchLinked(frame: Frame, condition: I32): void {
  const { f, rec, next } = frame;
  f.if(condition, () => jumpLinked(frame));
  f.set(rec, i32.add(rec, i32.const(R.RECORD)));
  f.br(next);
}

/** On to the record that the jump is linked to. */
export function jumpLinked({ f, rec, taken }: Frame): void {
  f.set(rec, i32.load(rec, R.R_IMM));
  f.br(taken);
}

/** The same outside 64-bit code, where the target is checked and looked up. `commit` does what a branch that does not fault has done. */
export function branchLegacy(frame: Frame, condition: I32, commit?: () => void): void {
  const { f, cpu, rec, next, target: linear, lookup } = frame;
  f.if(condition, () => {
    const target = directTarget(frame);
    commit?.();
    f.set(linear, truncate(i64.add(target, i64.load(cpu, S.SEG_BASE + 8)), 4));
    f.br(lookup);
  });
  commit?.();
  f.set(rec, i32.add(rec, i32.const(R.RECORD)));
  f.br(next);
}
