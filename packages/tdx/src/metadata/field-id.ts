/** Scope of a metadata field: bits 54:52 of its id. */
export enum FieldContext {
  Sys = 0,
  Td = 1,
  Vp = 2,
}

/** No field: all ones. TDG.VM.RD and its like answer the first field for it, and give it when there is no next one. */
export const NO_FIELD = (1n << 64n) - 1n;

/**
 * A metadata field id taken apart. Source: Intel TDX module 1.5 ABI specification, "MD_FIELD_ID": 23:0 field code, 33:32 element size, 37:34 last element in
 * field, 46:38 last field in sequence, 50 increment by two, 51 write mask valid, 54:52 context, 61:56 class; 31:24, 49:47, 55 and 62 are reserved.
 */
export interface FieldId {
  readonly fieldCode: number;
  readonly elementSizeCode: number;
  readonly lastElement: number;
  readonly lastField: number;
  readonly writeMaskValid: boolean;
  readonly context: number;
  readonly classCode: number;
  readonly reserved: boolean;
}

const RESERVED = (0xffn << 24n) | (7n << 47n) | (1n << 55n) | (1n << 62n);
const CONTEXT_MASK = 7n << 52n;

const bits = (id: bigint, from: bigint, width: bigint): number => Number((id >> from) & ((1n << width) - 1n));

/** Any 64-bit number as a field id. */
export function parseFieldId(id: bigint): FieldId {
  return {
    fieldCode: bits(id, 0n, 24n),
    elementSizeCode: bits(id, 32n, 2n),
    lastElement: bits(id, 34n, 4n),
    lastField: bits(id, 38n, 9n),
    writeMaskValid: bits(id, 51n, 1n) === 1,
    context: bits(id, 52n, 3n),
    classCode: bits(id, 56n, 6n),
    reserved: (id & RESERVED) !== 0n,
  };
}

/** `id` in another context. */
export function withContext(id: bigint, context: FieldContext): bigint {
  return (id & ~CONTEXT_MASK) | (BigInt(context) << 52n);
}

/** `id` with another field code. */
export function withFieldCode(id: bigint, fieldCode: number): bigint {
  return (id & ~0xff_ffffn) | BigInt(fieldCode);
}

/** Whether an id is {@link NO_FIELD}, whatever its context. */
export function isNoField(id: bigint): boolean {
  return (id | CONTEXT_MASK) === NO_FIELD;
}

/** Whether an id may name one element: nothing reserved, no sequence. Element size, write mask and context do not matter. */
export function namesOneElement(id: bigint): boolean {
  const { reserved, lastElement, lastField } = parseFieldId(id);
  return !reserved && lastElement === 0 && lastField === 0;
}
