import { type FieldStore, type MetadataResult, readElement, writeElement } from "../../metadata/access.js";
import { nextElement } from "../../metadata/context.js";
import { isNoField, NO_FIELD, withContext } from "../../metadata/field-id.js";
import { dumpList } from "../../metadata/list.js";
import { sysFields } from "../../module/fields/sys-fields.js";
import { tdFields } from "../../module/fields/td-fields.js";
import { vpFields } from "../../module/fields/vp-fields.js";
import { Gpr } from "../../module/gpr.js";
import { OperandId, Status, withOperand } from "../../module/status.js";
import type { GuestContext } from "../context.js";
import { guestMemory, isGpa } from "../memory.js";
import type { Outcome } from "../outcome.js";
import { isOutcome, type TdcallLeaf } from "./leaf.js";

const PAGE = 4096;

/** A status with the value in R8, which is 0 if there is none. */
function ended({ cpu }: GuestContext, { status, value }: MetadataResult): bigint {
  cpu.gpr.set(Gpr.R8, value);
  return Status[status];
}

/** Reads the element that RDX names into R8. @param withNext RDX becomes the next element's id, and no id asks for the first */
function read(context: GuestContext, store: FieldStore, withNext: boolean): bigint {
  const { gpr } = context.cpu;
  const id = withContext(gpr.get(Gpr.Rdx), store.context);
  gpr.set(Gpr.R8, 0n);
  if (withNext) gpr.set(Gpr.Rdx, NO_FIELD);
  if (withNext && isNoField(id)) {
    gpr.set(Gpr.Rdx, nextElement(store.context, id, "guest"));
    return Status.METADATA_FIRST_FIELD_ID_IN_CONTEXT;
  }
  const result = readElement(store, id, "guest");
  if (withNext && result.status === "SUCCESS") gpr.set(Gpr.Rdx, nextElement(store.context, id, "guest"));
  return ended(context, result);
}

/** Writes R8 to the element that RDX names, as far as R9 says; R8 becomes the value before. */
function write(context: GuestContext, store: FieldStore): bigint {
  const { gpr } = context.cpu;
  const id = withContext(gpr.get(Gpr.Rdx), store.context);
  return ended(context, writeElement(store, id, "guest", gpr.get(Gpr.R8), gpr.get(Gpr.R9)));
}

/** RCX names a VM of the TD, and there is only the one that asks. */
function ofThisVm(context: GuestContext, withNext: boolean, run: () => bigint): bigint {
  const { gpr } = context.cpu;
  if (gpr.get(Gpr.Rcx) === 0n) return run();
  gpr.set(Gpr.R8, 0n);
  if (withNext) gpr.set(Gpr.Rdx, NO_FIELD);
  return withOperand(Status.OPERAND_INVALID, OperandId.Rcx);
}

/** Writes a list of all fields of the module, from the one that R8 names, to the page at RDX; R8 becomes the first that found no room. */
function sysRdAll(context: GuestContext): bigint | Outcome {
  const { gpr } = context.cpu;
  const address = gpr.get(Gpr.Rdx);
  const store = sysFields(context.module);
  const id = withContext(gpr.get(Gpr.R8), store.context);
  const isAddress = address % BigInt(PAGE) === 0n && isGpa(context, address, true);
  const memory = isAddress ? guestMemory(context, address, PAGE, "write") : undefined;
  if (memory !== undefined && isOutcome(memory)) return memory;
  gpr.set(Gpr.R8, NO_FIELD);
  if (memory === undefined) return withOperand(Status.OPERAND_INVALID, OperandId.Rdx);
  const { status, next } = dumpList(store, id, "guest", memory);
  gpr.set(Gpr.R8, next);
  return Status[status];
}

/** Leaves that read and write metadata. */
export const METADATA_LEAVES: readonly TdcallLeaf[] = [
  {
    number: 7,
    versions: 1,
    run: (context, version) => ofThisVm(context, version > 0, () => read(context, tdFields(context.td), version > 0)),
  },
  { number: 8, run: (context) => ofThisVm(context, false, () => write(context, tdFields(context.td))) },
  { number: 9, run: (context) => ofThisVm(context, true, () => read(context, vpFields(context.vcpu), true)) },
  { number: 10, run: (context) => ofThisVm(context, false, () => write(context, vpFields(context.vcpu))) },
  { number: 11, run: (context) => read(context, sysFields(context.module), true) },
  { number: 12, run: sysRdAll },
];
