import { CPUID_ROWS } from "../tables/cpuid.js";
import { type FieldAccess, type FieldRow, SYS_FIELDS, TD_FIELDS, VMCS_FIELDS, VP_FIELDS } from "../tables/fields.js";
import { CPUID_CLASS, cpuidFieldCode, nextCpuidFieldCode } from "./cpuid-field.js";
import { FieldContext, isNoField, NO_FIELD, parseFieldId, withFieldCode } from "./field-id.js";

interface Entry extends FieldRow {
  readonly classCode: number;
  readonly fieldCode: number;
  /** Field codes from one element to the next: VMX's are two apart. */
  readonly stride: number;
}

/** An element that an id names: its row, and its number within the row, over all fields. */
export interface Element {
  readonly row: FieldRow;
  readonly index: number;
}

function entries(rows: readonly FieldRow[]): readonly Entry[] {
  return rows.map((row) => {
    const { classCode, fieldCode } = parseFieldId(row.id);
    return { ...row, classCode, fieldCode, stride: Number((row.id >> 50n) & 1n) + 1 };
  });
}

const ofL2 = /(^|_)L2_(SEPT|VMCS|MSR|SHADOW)/;

/** Fields of L2 virtual machines are not there: a TD of this module has none. The VMCS goes before the rest of a vCPU. */
const CONTEXTS: Readonly<Record<FieldContext, readonly Entry[]>> = {
  [FieldContext.Sys]: entries(SYS_FIELDS),
  [FieldContext.Td]: entries(TD_FIELDS.filter((row) => !ofL2.test(row.name))),
  [FieldContext.Vp]: entries([...VMCS_FIELDS, ...VP_FIELDS.filter((row) => !ofL2.test(row.name))]),
};

const isCpuid = (context: FieldContext, classCode: number): boolean =>
  context === FieldContext.Td && classCode === CPUID_CLASS;

function holds(entry: Entry, classCode: number, fieldCode: number): boolean {
  const count = entry.fields * entry.elements;
  return (
    entry.classCode === classCode && fieldCode >= entry.fieldCode && fieldCode < entry.fieldCode + count * entry.stride
  );
}

function find(context: FieldContext, id: bigint): { at: number; entry: Entry; fieldCode: number } | undefined {
  const { classCode, fieldCode: code } = parseFieldId(id);
  const fieldCode = isCpuid(context, classCode) ? code & 1 : code;
  const list = CONTEXTS[context];
  const at = list.findIndex((entry) => holds(entry, classCode, fieldCode));
  const entry = list[at];
  return entry === undefined ? undefined : { at, entry, fieldCode };
}

/** The element that an id names in a context, by class and field code alone; undefined if there is none. */
export function findElement(context: FieldContext, id: bigint): Element | undefined {
  const found = find(context, id);
  if (found === undefined) return undefined;
  return { row: found.entry, index: Math.floor((found.fieldCode - found.entry.fieldCode) / found.entry.stride) };
}

/** The id of the element after one, or of the first for {@link NO_FIELD}, among those that `access` may read; NO_FIELD if there is none. */
export function nextElement(context: FieldContext, id: bigint, access: FieldAccess): bigint {
  if (isNoField(id)) return firstReadable(context, 0, access);
  const found = find(context, id);
  if (found === undefined) return NO_FIELD;
  const { at, entry } = found;
  if (entry.masks[access].read !== 0n) {
    const next = withinEntry(context, id, entry);
    if (next !== undefined) return next;
  }
  return firstReadable(context, at + 1, access);
}

function firstReadable(context: FieldContext, from: number, access: FieldAccess): bigint {
  const entry = CONTEXTS[context].slice(from).find(({ masks }) => masks[access].read !== 0n);
  const [row] = CPUID_ROWS;
  if (entry === undefined) return NO_FIELD;
  if (!isCpuid(context, entry.classCode) || row === undefined) return entry.id;
  return withFieldCode(entry.id, cpuidFieldCode(row, 0));
}

/** The next element of the same row. */
function withinEntry(context: FieldContext, id: bigint, entry: Entry): bigint | undefined {
  const { classCode, fieldCode } = parseFieldId(id);
  const next = isCpuid(context, classCode) ? nextCpuidFieldCode(fieldCode) : fieldCode + entry.stride;
  if (next === undefined) return undefined;
  if (!isCpuid(context, classCode) && !holds(entry, classCode, next)) return undefined;
  return withFieldCode(entry.id, next);
}
