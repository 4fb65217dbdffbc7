import { type FunctionBuilder, i32, i64, type Label, type Local } from "@vm/wasm";
import { loadSized } from "../emit/sized.js";
import * as R from "../record.js";
import type { Size } from "../sem/ctx.js";
import { truncate } from "../sem/widths.js";
import * as S from "../state.js";
import { checkRange } from "./checks.js";
import type { Frame } from "./frame.js";
import { InterpreterCtx } from "./ictx.js";

/**
 * Steps: records that are part of an instruction, or lead from one page's records to another's. Only the interpreter has them;
 * a JIT region computes in locals what they pass on in the state block.
 */
export interface Step {
  readonly name: string;
  readonly emit: (frame: Frame) => void;
}

/** Counts that control has come to the head `rec`, and goes on to what it is the head of. */
export function countHead(f: FunctionBuilder, rec: Local<"i32">, hot: Label): void {
  f.scope(() => {
    const left = f.let("i32", i32.sub(i32.load(rec, R.R_IMM), i32.const(1)));
    f.store("i32.store", rec, left, R.R_IMM);
    f.brIf(i32.eqz(left), hot);
  });
  f.set(rec, i32.load(rec, R.HEAD_PLAIN));
}

const ctx = (frame: Frame, size: Size, form = "m"): InterpreterCtx =>
  new InterpreterCtx(frame, { name: "step", sizes: [size], forms: [form], emit: () => undefined }, size, form, false);

const simple = (name: string, size: Size, form: string, body: (c: InterpreterCtx, frame: Frame) => void): Step => ({
  name,
  emit: (frame) => {
    const c = ctx(frame, size, form);
    body(c, frame);
    c.finish();
  },
});

const SIZES: readonly Size[] = [1, 2, 4, 8];

export const STEPS: readonly Step[] = [
  // Operand fetch into TMP, zero-extended.
  ...SIZES.map((size) =>
    simple(`ld${size}`, size, "m", (c, { f, cpu }) => f.store("i64.store", cpu, c.load(c.linear(), size), S.TMP)),
  ),
  ...SIZES.map((size) => simple(`st${size}`, size, "mr", (c) => c.store(c.linear(), c.get(1), size))),
  ...SIZES.map((size) => simple(`rmw${size}`, size, "m", (c) => c.modifyBegin())),
  ...SIZES.map((size) => simple(`wb${size}`, size, "m", (c) => c.modifyEnd())),
  // Vector operand fetch into XTMP. The short ones clear the rest; `ldxa` wants alignment.
  ...([2, 4, 8] as const).map((size) =>
    simple(`ldx${size}`, size, "m", (c, { f, cpu }) => {
      c.checkUnit(S.SSE_OFF);
      f.store("i64.store", cpu, c.load(c.linear(), size), S.XTMP);
      f.store("i64.store", cpu, i64.const(0), S.XTMP + 8);
    }),
  ),
  simple("ldx16", 8, "m", (c, { f, cpu }) => {
    c.checkUnit(S.SSE_OFF);
    f.store("v128.store", cpu, c.loadX(c.linear()), S.XTMP);
  }),
  simple("ldxa16", 8, "m", (c, { f, cpu }) => {
    c.checkUnit(S.SSE_OFF);
    c.aligned();
    f.store("v128.store", cpu, c.loadX(c.linear()), S.XTMP);
  }),
  // Effective addresses that wrap at 16 or 32 bits, with the segment base added.
  ...([2, 4] as const).map((size) =>
    simple(`ea${8 * size}`, size, "m", (c, { f, cpu, rec }) => {
      const base = loadSized(i32.add(cpu, i32.load16_u(rec, R.R_SEG)), 8);
      const linear = i64.add(truncate(c.offset(), size), base);
      f.store("i64.store", cpu, linear, S.EA_TMP);
    }),
  ),
  // The same outside 64-bit code, where the linear address wraps at 32 bits too and the segment has bounds: R_DST is the slot of the
  // lowest and highest offset, R_AUX the size of the access in bytes.
  ...([2, 4] as const).map((size) =>
    simple(`ea${8 * size}L`, size, "m", (c, frame) => {
      const { f, cpu, rec } = frame;
      const offset = f.let("i64", truncate(c.offset(), size));
      const base = f.let("i32", i32.add(cpu, i32.load16_u(rec, R.R_SEG)));
      checkRange(frame, offset, i64.load8_u(rec, R.R_AUX), i32.add(cpu, i32.load16_u(rec, R.R_DST)), base);
      f.store("i64.store", cpu, truncate(i64.add(offset, loadSized(base, 8)), 4), S.EA_TMP);
    }),
  ),
  // A misaligned operand is #GP even where it is beyond the stack segment too.
  simple("aligned", 8, "m", (c) => c.aligned()),
  // Whether SSE can be used at all comes before anything about the operand's address.
  simple("sse", 8, "", (c) => c.checkUnit(S.SSE_OFF)),
  {
    // LEA with an address shorter than the register.
    name: "lea32",
    emit: (frame) => {
      const c = ctx(frame, 4, "rm");
      c.set(0, truncate(c.offset(), 4));
      c.finish();
    },
  },
  {
    name: "lea16",
    emit: (frame) => {
      const c = ctx(frame, 4, "rm");
      c.set(0, truncate(c.offset(), 2));
      c.finish();
    },
  },
  {
    // On to another page: the target is relative to the executing page.
    name: "goto",
    emit: ({ f, cpu, rec, target, lookup }) => {
      f.set(target, i64.add(i64.load(cpu, S.PAGE_VA), i64.load(rec, R.R_DISP)));
      f.br(lookup);
    },
  },
  {
    // The same outside 64-bit code: addresses wrap at 4 GiB.
    name: "gotoL",
    emit: ({ f, cpu, rec, target, lookup }) => {
      f.set(target, truncate(i64.add(i64.load(cpu, S.PAGE_VA), i64.load(rec, R.R_DISP)), 4));
      f.br(lookup);
    },
  },
  {
    // The records at the end of a run of straight-line code continue elsewhere.
    name: "join",
    emit: ({ f, rec, next }) => {
      f.set(rec, i32.load(rec, R.R_IMM));
      f.br(next);
    },
  },
  {
    // A direct branch whose target is not decoded yet.
    name: "link",
    emit: ({ f, exits }) => f.br(exits.link),
  },
  {
    // A head: counts how often control comes here.
    name: "heat",
    emit: ({ f, rec, next, exits }) => {
      countHead(f, rec, exits.hot);
      f.br(next);
    },
  },
  {
    // A head that a region has been made for.
    name: "enter",
    emit: ({ f, exits }) => f.br(exits.region),
  },
  {
    name: "helper",
    emit: ({ f, exits }) => f.br(exits.helper),
  },
  {
    // Where the fetch of the next instruction faulted: raised only if that instruction is started.
    name: "refetch",
    emit: ({ f, exits }) => f.br(exits.fault),
  },
];
