import type { FieldAccess } from "../tables/fields.js";
import type { FieldStore, MetadataStatus } from "./access.js";
import { findElement, nextElement } from "./context.js";
import { type FieldContext, isNoField, NO_FIELD, parseFieldId, withFieldCode } from "./field-id.js";

const WORD = 8;
const MAX_FIELDS = 512;
const LAST_ELEMENT = 34n;
const LAST_FIELD = 38n;

/** How far a list came. */
export interface ListResult {
  readonly status: MetadataStatus | "METADATA_LIST_OVERFLOW";
  /** The field that had no room any more; NO_FIELD if all are in the list. */
  readonly next: bigint;
}

/** A field to be listed. */
interface Field {
  readonly id: bigint;
  readonly elements: number;
  readonly first: number;
}

/** The field whose first element `id` names; undefined if there is none. */
function fieldAt(context: FieldContext, id: bigint): Field | undefined {
  const element = findElement(context, id);
  if (element === undefined) return undefined;
  const { row, index } = element;
  const sameSize = parseFieldId(id).elementSizeCode === parseFieldId(row.id).elementSizeCode;
  if (!sameSize || index % row.elements !== 0) return undefined;
  return { id: withFieldCode(row.id, parseFieldId(id).fieldCode), elements: row.elements, first: index };
}

function nextField(context: FieldContext, { id, elements }: Field, access: FieldAccess): Field | undefined {
  const last = withFieldCode(id, parseFieldId(id).fieldCode + elements - 1);
  const next = nextElement(context, last, access);
  return next === NO_FIELD ? undefined : fieldAt(context, next);
}

/** Whether `next` may go into the same sequence. */
function follows(field: Field, next: Field): boolean {
  return next.id === field.id + BigInt(field.elements) && next.elements === field.elements;
}

/**
 * Writes a list of all readable fields from `id` on, or from the first for NO_FIELD, as far as the buffer goes: a header (size u16, sequences u16, 4 zero bytes),
 * then sequences of a field id with their length and 8 bytes for every element. Source: Intel TDX module 1.5 ABI specification, "Metadata List". For contexts
 * whose field codes are one apart.
 * @param buffer at least 24 bytes
 */
export function dumpList(store: FieldStore, id: bigint, access: FieldAccess, buffer: Uint8Array): ListResult {
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  const start = isNoField(id) ? nextElement(store.context, NO_FIELD, access) : id;
  let field = fieldAt(store.context, start);
  if (field === undefined) return { status: "METADATA_FIELD_ID_INCORRECT", next: NO_FIELD };
  let at = WORD;
  let sequences = 0;
  while (field !== undefined && at + WORD * (1 + field.elements) <= buffer.length) {
    const sequence = dumpSequence(store, field, access, view, at);
    if (sequence.fields > 0) {
      at = sequence.at;
      sequences++;
    }
    field = sequence.next;
  }
  view.setBigUint64(0, BigInt(at) | (BigInt(sequences) << 16n), true);
  if (field === undefined) return { status: "SUCCESS", next: NO_FIELD };
  return { status: "METADATA_LIST_OVERFLOW", next: field.id };
}

function dumpSequence(store: FieldStore, first: Field, access: FieldAccess, view: DataView, at: number) {
  let to = at + WORD;
  let fields = 0;
  let field = first;
  for (;;) {
    if (to + WORD * field.elements > view.byteLength) return close(field);
    if (dumpField(store, field, access, view, to)) {
      to += WORD * field.elements;
      fields++;
    }
    const next = nextField(store.context, field, access);
    if (next === undefined || !follows(field, next) || fields === MAX_FIELDS) return close(next);
    field = next;
  }

  function close(next: Field | undefined) {
    const header = first.id | (BigInt(first.elements - 1) << LAST_ELEMENT) | (BigInt(fields - 1) << LAST_FIELD);
    if (fields > 0) view.setBigUint64(at, header, true);
    return { at: to, fields, next };
  }
}

/** Whether the field could be read. */
function dumpField(store: FieldStore, field: Field, access: FieldAccess, view: DataView, to: number): boolean {
  const element = findElement(store.context, field.id);
  if (element === undefined) return false;
  const { read } = element.row.masks[access];
  if (read === 0n) return false;
  for (let i = 0; i < field.elements; i++) {
    const value = store.read(element.row, field.first + i, field.id + BigInt(i));
    view.setBigUint64(to + WORD * i, typeof value === "string" ? 0n : value & read, true);
  }
  return true;
}
