import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findElement, nextElement } from "../../src/metadata/context.js";
import { cpuidFieldCode, nextCpuidFieldCode, parseCpuidFieldCode } from "../../src/metadata/cpuid-field.js";
import { FieldContext, isNoField, NO_FIELD, namesOneElement, parseFieldId } from "../../src/metadata/field-id.js";
import { CPUID_ROWS } from "../../src/tables/cpuid.js";
import { SYS_FIELDS, TD_FIELDS, VMCS_FIELDS, VP_FIELDS } from "../../src/tables/fields.js";

describe("metadata field ids", () => {
  it("have their bits where the specification has them", () => {
    expect(parseFieldId(0x9110000300000010n)).toEqual({
      fieldCode: 0x10,
      elementSizeCode: 3,
      lastElement: 0,
      lastField: 0,
      writeMaskValid: false,
      context: FieldContext.Td,
      classCode: 0x11,
      reserved: false,
    });
  });

  it("name one element only without reserved bits and without a sequence", () => {
    const id = 0x1110000300000016n;
    expect(namesOneElement(id)).toBe(true);
    for (const bit of [24n, 31n, 34n, 37n, 38n, 46n, 47n, 49n, 55n, 62n])
      expect(namesOneElement(id | (1n << bit))).toBe(false);
    for (const bit of [32n, 50n, 51n, 63n]) expect(namesOneElement(id ^ (1n << bit))).toBe(true);
  });

  it("are none if all bits but the context's are one", () => {
    expect(isNoField(NO_FIELD)).toBe(true);
    expect(isNoField(NO_FIELD & ~(7n << 52n))).toBe(true);
    expect(isNoField(NO_FIELD - 1n)).toBe(false);
  });

  it("of CPUID values carry leaf and subleaf, both ways, for every leaf", () => {
    for (const row of CPUID_ROWS)
      for (const element of [0, 1])
        expect(parseCpuidFieldCode(cpuidFieldCode(row, element))).toEqual({ element, row, reserved: false });
    expect(parseCpuidFieldCode(1 << 17).reserved).toBe(true);
  });

  it("of CPUID values follow each other through the whole table", () => {
    let code: number | undefined = cpuidFieldCode(CPUID_ROWS[0] as never, 0);
    let count = 0;
    for (; code !== undefined; code = nextCpuidFieldCode(code)) count++;
    expect(count).toBe(2 * CPUID_ROWS.length);
  });

  it("find every field by its own id, first and last element", () => {
    const contexts = [
      [FieldContext.Sys, SYS_FIELDS],
      [FieldContext.Td, TD_FIELDS],
      [FieldContext.Vp, [...VMCS_FIELDS, ...VP_FIELDS]],
    ] as const;
    for (const [context, rows] of contexts)
      for (const row of rows.filter(({ name }) => !/L2_(SEPT|VMCS|MSR|SHADOW)/.test(name) && name !== "CPUID_VALUES")) {
        const last = row.fields * row.elements - 1;
        const stride = (row.id >> 50n) & 1n ? 2n : 1n;
        expect(findElement(context, row.id), row.name).toMatchObject({ row: { name: row.name }, index: 0 });
        expect(findElement(context, row.id + BigInt(last) * stride)).toMatchObject({
          row: { name: row.name },
          index: last,
        });
      }
  });

  it("do not find fields of L2 virtual machines", () => {
    expect(findElement(FieldContext.Td, 0x2510000300000000n)).toBeUndefined();
    expect(findElement(FieldContext.Vp, 0x2520000300000000n)).toBeUndefined();
  });

  it("iterate over what may be read, once each, and end", () => {
    const count = (context: FieldContext, access: "host" | "guest" | "debug") => {
      const seen = new Set<bigint>();
      for (let id = nextElement(context, NO_FIELD, access); id !== NO_FIELD; id = nextElement(context, id, access)) {
        expect(seen.has(id)).toBe(false);
        expect(findElement(context, id)?.row.masks[access].read).not.toBe(0n);
        seen.add(id);
      }
      return seen.size;
    };
    const elements = (rows: typeof SYS_FIELDS, access: "host" | "guest") =>
      rows
        .filter(({ name, masks }) => !/L2_(SEPT|VMCS|MSR|SHADOW)/.test(name) && masks[access].read !== 0n)
        .reduce(
          (sum, { name, fields, elements: each }) =>
            sum + (name === "CPUID_VALUES" ? 2 * CPUID_ROWS.length : fields * each),
          0,
        );
    expect(count(FieldContext.Sys, "host")).toBe(elements(SYS_FIELDS, "host"));
    expect(count(FieldContext.Sys, "guest")).toBe(elements(SYS_FIELDS, "guest"));
    expect(count(FieldContext.Td, "host")).toBe(elements(TD_FIELDS, "host"));
    expect(count(FieldContext.Td, "guest")).toBe(elements(TD_FIELDS, "guest"));
    expect(count(FieldContext.Vp, "guest")).toBe(elements([...VMCS_FIELDS, ...VP_FIELDS], "guest"));
  });

  it("any 64 bits are taken apart and looked for without an error", () => {
    fc.assert(
      fc.property(fc.bigInt(0n, NO_FIELD), fc.constantFrom(0, 1, 2), (id, context) => {
        parseFieldId(id);
        const next = nextElement(context, id, "debug");
        return findElement(context, id) === undefined ? next === NO_FIELD || isNoField(id) : next !== id;
      }),
      { numRuns: 300 },
    );
  });
});
