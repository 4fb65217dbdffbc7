import { AluOp } from "../isa/opcodes.js";
import { fromNumber } from "./int64.js";
import { type Reg, scalar } from "./reg.js";
import { constant } from "./scalar.js";
import { alu } from "./scalar-alu.js";
import { Byte, byteKind, type State } from "./state.js";

/**
 * Numbers of the same id are equal, or differ by known distances: what a comparison teaches of one is known of all. The kernel follows at
 * most six of them; here all are followed, which only ever knows more.
 */

/** `known` with the distance between both added. */
const shifted = (reg: Reg, known: Reg): Reg => {
  const distance = (reg.shifted ? reg.off : 0) - (known.shifted ? known.off : 0);
  const to = scalar(distance === 0 ? known.v : alu(AluOp.Add, known.v, constant(fromNumber(distance)), 64), reg, known);
  to.linkAs(reg);
  return to;
};

/** Gives all numbers that are linked to `known` what is known of it. */
export const syncLinked = (state: State, known: Reg): void => {
  if (known.kind !== "scalar" || known.id === 0) return;
  const change = (reg: Reg): Reg | undefined =>
    reg !== known && reg.kind === "scalar" && reg.id === known.id ? shifted(reg, known) : undefined;
  for (const frame of state.frames) {
    for (let k = 0; k < 10; k++) {
      const to = change(frame.regs[k] as Reg);
      if (to !== undefined) frame.regs[k] = to;
    }
    for (let k = 0; k < frame.stack.length; k++) {
      const slot = frame.stack[k];
      if (slot?.reg === undefined || byteKind(slot, 7) !== Byte.Spill) continue;
      const to = change(slot.reg);
      if (to !== undefined) frame.stack[k] = { kinds: slot.kinds, reg: to };
    }
  }
};
