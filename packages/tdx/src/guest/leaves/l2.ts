import { Gpr } from "../../module/gpr.js";
import { OperandId, Status, withOperand } from "../../module/status.js";
import type { GuestContext } from "../context.js";
import { isGpa } from "../memory.js";
import type { TdcallLeaf } from "./leaf.js";

const STATE_LIST_ALIGNMENT = 256n;
const refused = (): bigint => withOperand(Status.OPERAND_INVALID, OperandId.Rcx);

/** No VM that RCX could name. */
function enter(context: GuestContext): bigint {
  const list = context.cpu.gpr.get(Gpr.Rdx);
  if (list % STATE_LIST_ALIGNMENT !== 0n || !isGpa(context, list, true))
    return withOperand(Status.OPERAND_INVALID, OperandId.Rdx);
  return refused();
}

/** Leaves of L2 VMs, as a TD without any has them. */
export const L2_LEAVES: readonly TdcallLeaf[] = [
  { number: 25, run: enter },
  // A mask of VMs: none is fine.
  { number: 26, run: ({ cpu }) => (cpu.gpr.get(Gpr.Rcx) === 0n ? Status.SUCCESS : refused()) },
  { number: 27, run: refused },
];
