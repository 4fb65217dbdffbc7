import { type FieldStore, readElement, writeElement } from "../../metadata/access.js";
import { nextElement } from "../../metadata/context.js";
import { isNoField, NO_FIELD } from "../../metadata/field-id.js";
import { dumpList } from "../../metadata/list.js";
import type { FieldAccess } from "../../tables/fields.js";
import { associate } from "../associate.js";
import { sysFields } from "../fields/sys-fields.js";
import { tdFields } from "../fields/td-fields.js";
import { vpFields } from "../fields/vp-fields.js";
import { Gpr } from "../gpr.js";
import type { SeamcallLeaf } from "../leaf.js";
import { PAGE_BYTES, PageSize } from "../page-type.js";
import type { Seamcall } from "../seamcall.js";
import { Status } from "../status.js";
import { BUILT } from "./states.js";

/** Who the host is to a TD: more may be seen of one that can be debugged. */
function accessOf({ td }: Seamcall): FieldAccess {
  return td.isDebug ? "debug" : "host";
}

/**
 * Reads the element that RDX names into R8.
 * @param withNext the id of the next one goes into RDX, and no id at all asks for the first
 */
function read(call: Seamcall, store: FieldStore, access: FieldAccess, withNext: boolean): bigint {
  const { regs, out } = call;
  const id = regs[Gpr.Rdx] as bigint;
  if (withNext) out[Gpr.Rdx] = NO_FIELD;
  if (withNext && isNoField(id)) {
    out[Gpr.Rdx] = nextElement(store.context, NO_FIELD, access);
    return Status.METADATA_FIRST_FIELD_ID_IN_CONTEXT;
  }
  const { status, value } = readElement(store, id, access);
  out[Gpr.R8] = value;
  if (withNext && status === "SUCCESS") out[Gpr.Rdx] = nextElement(store.context, id, access);
  return Status[status];
}

/** Writes R8, where R9 has ones, to the element that RDX names; R8 is then what was there. */
function write(call: Seamcall, store: FieldStore, access: FieldAccess): bigint {
  const { regs, out } = call;
  const [id, data, mask] = [Gpr.Rdx, Gpr.R8, Gpr.R9].map((gpr) => regs[gpr] as bigint) as [bigint, bigint, bigint];
  const { status, value } = writeElement(store, id, access, data, mask);
  out[Gpr.R8] = value;
  return Status[status];
}

function sysRead(call: Seamcall): bigint {
  const { module, lp, out } = call;
  out[Gpr.Rdx] = NO_FIELD;
  if (!module.lpInitialised[lp]) return Status.SYS_LP_INIT_NOT_DONE;
  return read(call, sysFields(module), "host", true);
}

function sysReadAll(call: Seamcall): bigint {
  const { module, lp, regs, out } = call;
  out[Gpr.R8] = NO_FIELD;
  if (!module.lpInitialised[lp]) return Status.SYS_LP_INIT_NOT_DONE;
  const list = call.sharedMemory(Gpr.Rdx, PAGE_BYTES[PageSize.Size4K]);
  if (typeof list === "bigint") return list;
  const { status, next } = dumpList(sysFields(module), regs[Gpr.R8] as bigint, "host", list);
  out[Gpr.R8] = next;
  return Status[status];
}

function vpAccess(call: Seamcall, isWrite: boolean): bigint {
  const { td, vcpu, lp, version } = call;
  const associated = associate(td, vcpu, lp, !isWrite);
  if (associated !== Status.SUCCESS) return associated;
  const store = vpFields(vcpu);
  return isWrite ? write(call, store, accessOf(call)) : read(call, store, accessOf(call), version > 0);
}

const td = { operand: Gpr.Rcx, lock: "shared", opState: "shared" } as const;
const vcpu = { operand: Gpr.Rcx, lock: "shared", tdrLock: "shared", opState: "shared" } as const;
const outputs = [Gpr.R8];

/** TDH.SYS.RD and RDALL, TDH.MNG.RD and WR, TDH.VP.RD and WR. */
export const METADATA_LEAVES: readonly SeamcallLeaf[] = [
  { number: 34, name: "TDH.SYS.RD", beforeReady: true, outputs, run: sysRead },
  { number: 37, name: "TDH.SYS.RDALL", beforeReady: true, run: sysReadAll },
  {
    number: 11,
    name: "TDH.MNG.RD",
    versions: 1,
    td,
    states: BUILT,
    outputs,
    run: (call) => read(call, tdFields(call.td), accessOf(call), call.version > 0),
  },
  {
    number: 13,
    name: "TDH.MNG.WR",
    td,
    states: BUILT,
    outputs,
    run: (call) => write(call, tdFields(call.td), accessOf(call)),
  },
  { number: 26, name: "TDH.VP.RD", versions: 1, vcpu, states: BUILT, outputs, run: (call) => vpAccess(call, false) },
  { number: 43, name: "TDH.VP.WR", vcpu, states: BUILT, outputs, run: (call) => vpAccess(call, true) },
];
