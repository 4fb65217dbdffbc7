import { i32, i64 } from "@vm/wasm";
import * as S from "../state.js";
import type { Ctx, I64, Row, Size } from "./ctx.js";
import { truncate } from "./widths.js";

const NEAR: readonly Size[] = [2, 4, 8];
const k = (value: number): I64 => i64.const(value);
const UD = 6;
const GP = 13;

/** #GP(0) unless CPL <= IOPL. */
function needIopl(c: Ctx): void {
  const iopl = i32.and(i32.shr_u(c.systemFlags(), i32.const(12)), i32.const(3));
  c.faultIf(i32.gt_u(c.cpl(), iopl), GP);
}

/** #GP(0) in virtual-8086 mode with IOPL < 3 (SDM vol. 3, 20.2.7). */
function needIopl8086(c: Ctx): void {
  const both = i32.and(c.systemFlags(), i32.const(S.VM | S.IOPL));
  c.faultIf(i32.lt_u(i32.sub(both, i32.const(S.VM)), i32.const(S.IOPL)), GP);
}

/** Stack, branches and flag control. The `legacy` rows exist twice: for 64-bit code and for everything else. */
export const CONTROL: readonly Row[] = [
  {
    name: "push",
    sizes: NEAR,
    forms: ["r", "m", "i"],
    legacy: true,
    reads: true,
    stack: true,
    emit: (c) => c.push(c.get(0)),
  },
  {
    name: "pop",
    sizes: NEAR,
    forms: ["r"],
    legacy: true,
    stack: true,
    emit: (c) => {
      const { value, commit } = c.pop();
      // POP rSP: the popped value wins over the increment.
      commit();
      c.set(0, value);
    },
  },
  {
    name: "leave",
    sizes: NEAR,
    forms: [""],
    legacy: true,
    stack: true,
    emit: (c) => {
      const frame = c.f.let("i64", c.stackAddress(5));
      const value = c.loadStack(frame);
      c.setStackPointer(i64.add(frame, k(c.size)));
      c.setReg(5, value);
    },
  },
  {
    name: "call",
    sizes: NEAR,
    forms: [""],
    legacy: true,
    direct: true,
    stack: true,
    emit: (c) => {
      c.push(c.next(), () => c.checkDirect());
      c.branchAlways();
    },
  },
  {
    name: "callr",
    sizes: NEAR,
    forms: ["r", "m"],
    legacy: true,
    reads: true,
    stack: true,
    emit: (c) => {
      const target = c.get(0);
      // The return address is in memory even if the target then faults (recorded from hardware).
      c.push(c.next(), () => c.checkTarget(target));
      c.jump(target);
    },
  },
  {
    name: "jmpr",
    sizes: NEAR,
    forms: ["r", "m"],
    legacy: true,
    reads: true,
    emit: (c) => {
      const target = c.get(0);
      c.checkTarget(target);
      c.jump(target);
    },
  },
  {
    name: "ret",
    sizes: NEAR,
    forms: ["i"],
    legacy: true,
    stack: true,
    emit: (c) => {
      const { value, commit } = c.pop();
      c.checkTarget(value);
      commit(c.constant(0) === 0 ? undefined : c.get(0, 2));
      c.jump(value);
    },
  },
  { name: "jmp", sizes: [8], forms: [""], legacy: true, direct: true, emit: (c) => c.branchAlways() },
  ...Array.from(
    { length: 16 },
    (_, cc): Row => ({
      name: `j${cc}`,
      sizes: [8],
      forms: [""],
      legacy: true,
      direct: true,
      emit: (c) => c.branch(c.flags.condition(cc)),
    }),
  ),
  // LOOP, LOOPE, LOOPNE, JCXZ: the size is that of the counter (address size).
  ...(["loop", "loope", "loopne"] as const).map(
    (name): Row => ({
      name,
      sizes: NEAR,
      forms: [""],
      legacy: true,
      direct: true,
      emit: (c) => {
        const left = c.f.let("i64", i64.sub(c.reg(1), k(1)));
        const more = i64.ne(truncate(left, c.size), k(0));
        const commit = (): void => c.setReg(1, left);
        if (name === "loop") c.branch(more, commit);
        else c.branch(i32.and(more, c.flags.condition(name === "loope" ? 4 : 5)), commit);
      },
    }),
  ),
  { name: "jcxz", sizes: NEAR, forms: [""], legacy: true, direct: true, emit: (c) => c.branch(i64.eqz(c.reg(1))) },
  { name: "nop", sizes: [4], forms: [""], emit: () => undefined },
  { name: "ud2", sizes: [4], forms: [""], emit: (c) => c.faultIf(i32.const(1), UD) },
  { name: "cld", sizes: [4], forms: [""], emit: (c) => c.setSystemFlags(i32.and(c.systemFlags(), i32.const(~S.DF))) },
  { name: "std", sizes: [4], forms: [""], emit: (c) => c.setSystemFlags(i32.or(c.systemFlags(), i32.const(S.DF))) },
  {
    name: "cli",
    sizes: [4],
    forms: [""],
    emit: (c) => {
      needIopl(c);
      c.setSystemFlags(i32.and(c.systemFlags(), i32.const(~S.IF)));
    },
  },
  {
    name: "sti",
    sizes: [4],
    forms: [""],
    emit: (c) => {
      needIopl(c);
      const wasClear = c.f.let("i32", i32.eqz(i32.and(c.systemFlags(), i32.const(S.IF))));
      c.setSystemFlags(i32.or(c.systemFlags(), i32.const(S.IF)));
      c.yieldToInterrupt(wasClear);
    },
  },
  {
    name: "pushf",
    sizes: NEAR,
    forms: [""],
    legacy: true,
    stack: true,
    emit: (c) => {
      needIopl8086(c);
      const all = i32.or(c.flags.pack(), i32.and(c.systemFlags(), i32.const(~(S.RF | S.VM))));
      c.push(i64.extend_i32_u(all));
    },
  },
  {
    name: "lahf",
    sizes: [4],
    forms: [""],
    emit: (c) => {
      const ah = i32.or(i32.and(c.flags.pack(), i32.const(0xff)), i32.const(2));
      c.setReg(0, i64.or(c.reg(0, 1), i64.shl(i64.extend_i32_u(ah), k(8))), 2);
    },
  },
];
