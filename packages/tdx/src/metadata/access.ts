import type { FieldAccess, FieldRow } from "../tables/fields.js";
import { findElement } from "./context.js";
import { type FieldContext, namesOneElement } from "./field-id.js";

/** Names of completion statuses that an access to metadata ends with. */
export type MetadataStatus =
  | "SUCCESS"
  | "METADATA_FIELD_ID_INCORRECT"
  | "METADATA_FIELD_NOT_READABLE"
  | "METADATA_FIELD_NOT_WRITABLE"
  | "METADATA_FIELD_VALUE_NOT_VALID"
  | "METADATA_WR_MASK_NOT_VALID"
  | "TD_VMCS_FIELD_NOT_INITIALIZED";

/** The values behind the fields of one context: of a TD, of a vCPU, of the module. */
export interface FieldStore {
  readonly context: FieldContext;
  /** All bits of an element; or why there is none, where the id names more than the table knows (such as a CPUID leaf). */
  read(row: FieldRow, index: number, id: bigint): bigint | MetadataStatus;
  /** Changes an element to `value`, of which only writable bits differ from what was read. `mask` is what the caller wanted to write. */
  write(row: FieldRow, index: number, value: bigint, mask: bigint, access: FieldAccess): MetadataStatus;
}

/** How an access ended. `value` is 0 unless it ended well. */
export interface MetadataResult {
  readonly status: MetadataStatus;
  /** The element as it was before, those bits of it that may be read. */
  readonly value: bigint;
}

const fail = (status: MetadataStatus): MetadataResult => ({ status, value: 0n });

/** Reads the element that any 64-bit `id` names; its context code does not matter. Source: Intel TDX module 1.5 ABI specification, "Metadata Access". */
export function readElement(store: FieldStore, id: bigint, access: FieldAccess): MetadataResult {
  if (!namesOneElement(id)) return fail("METADATA_FIELD_ID_INCORRECT");
  const element = findElement(store.context, id);
  if (element === undefined) return fail("METADATA_FIELD_ID_INCORRECT");
  const value = store.read(element.row, element.index, id);
  if (typeof value === "string") return fail(value);
  const { read } = element.row.masks[access];
  if (read === 0n) return fail("METADATA_FIELD_NOT_READABLE");
  return { status: "SUCCESS", value: value & read };
}

/**
 * Writes the bits of `mask` of the element that `id` names. Bits that may not be written may be in the mask as long as they do not change.
 * @returns the value before
 */
export function writeElement(
  store: FieldStore,
  id: bigint,
  access: FieldAccess,
  value: bigint,
  mask: bigint,
): MetadataResult {
  if (!namesOneElement(id)) return fail("METADATA_FIELD_ID_INCORRECT");
  const element = findElement(store.context, id);
  if (element === undefined) return fail("METADATA_FIELD_ID_INCORRECT");
  const { row, index } = element;
  const old = store.read(row, index, id);
  if (typeof old === "string") return fail(old);
  const { read, write } = row.masks[access];
  const writable = write & mask;
  if (writable === 0n) return fail("METADATA_FIELD_NOT_WRITABLE");
  const forbidden = mask & ~write;
  if ((old & forbidden) !== (value & forbidden)) return fail("METADATA_FIELD_VALUE_NOT_VALID");
  const status = store.write(row, index, (old & ~writable) | (value & writable), mask, access);
  return status === "SUCCESS" ? { status, value: old & read } : fail(status);
}
