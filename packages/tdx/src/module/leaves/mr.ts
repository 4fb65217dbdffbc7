import { Gpr } from "../gpr.js";
import type { SeamcallLeaf } from "../leaf.js";
import type { Seamcall } from "../seamcall.js";
import { checkPrivate, septDetails } from "../sept-access.js";
import { SeptState } from "../sept-state.js";
import { OperandId, Status, withOperand } from "../status.js";
import { OpState } from "../td.js";
import { BUILDING } from "./states.js";

const CHUNK = 256;
const PAGE = 4096;

function extend(call: Seamcall): bigint {
  const { td, module } = call;
  const gpa = call.number(Gpr.Rcx);
  if (gpa % CHUNK !== 0) return withOperand(Status.OPERAND_INVALID, OperandId.Rcx);
  const isPrivate = checkPrivate(call, gpa);
  if (isPrivate !== Status.SUCCESS) return isPrivate;
  const entry = td.sept?.find(gpa, 0);
  if (entry === undefined || td.mrtdContext === undefined) return Status.OP_STATE_INCORRECT;
  if (!entry.isLeaf || entry.rights === 0)
    return septDetails(call, entry, withOperand(Status.EPT_ENTRY_NOT_PRESENT, OperandId.Rcx));
  if (entry.state !== SeptState.Mapped) return Status.EPT_ENTRY_NOT_PRESENT;
  const at = gpa % PAGE;
  const frame = module.frame(entry.hpa + (gpa % (PAGE * 512 ** entry.level)));
  td.mrtdContext.extend(gpa, frame.subarray(at, at + CHUNK));
  return Status.SUCCESS;
}

function finalize({ td }: Seamcall): bigint {
  if (td.numVcpus === 0) return Status.NO_VCPUS;
  if (td.mrtdContext === undefined) return Status.OP_STATE_INCORRECT;
  td.mrtd = td.mrtdContext.digest();
  td.mrtdContext = undefined;
  td.servTdHash.fill(0);
  td.opState = OpState.Runnable;
  return Status.SUCCESS;
}

const exclusive = (operand: Gpr) => ({ operand, lock: "exclusive", opState: "unlocked" }) as const;

/** TDH.MR.EXTEND and FINALIZE. */
export const MR_LEAVES: readonly SeamcallLeaf[] = [
  {
    number: 16,
    name: "TDH.MR.EXTEND",
    td: exclusive(Gpr.Rdx),
    states: BUILDING,
    outputs: [Gpr.Rcx, Gpr.Rdx],
    run: extend,
  },
  { number: 17, name: "TDH.MR.FINALIZE", td: exclusive(Gpr.Rcx), states: BUILDING, run: finalize },
];
