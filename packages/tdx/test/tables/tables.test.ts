// Our tables against those that were extracted from Intel's module. Later facts of ours are named here.
import { describe, expect, it } from "vitest";
import { TDCALLS } from "../../src/guest/leaves/table.js";
import { SEAMCALLS } from "../../src/module/leaves/table.js";
import { OperandId, Status } from "../../src/module/status.js";
import { CPUID_CONFIGURABLE, CPUID_ROWS, findCpuid } from "../../src/tables/cpuid.js";
import { type FieldRow, SYS_FIELDS, TD_FIELDS, VMCS_FIELDS, VP_FIELDS } from "../../src/tables/fields.js";
import { SEAMCALL_LEAVES, TDCALL_LEAVES } from "../../src/tables/leaves.js";
import { findMsr, MSR_RANGES } from "../../src/tables/msr.js";
import { dataText, HAS_DATA, WITHOUT_DATA } from "../data.js";

const json = (name: string) => JSON.parse(dataText(`tdx-module-tables/${name}.json`));
const REGISTERS = ["eax", "ebx", "ecx", "edx"] as const;
type Registers = Partial<Record<(typeof REGISTERS)[number], string>> | undefined;
const four = (registers: Registers) => REGISTERS.map((name) => Number(registers?.[name] ?? 0));
const subleaf = (text: string) => (text === "0xffffffff" ? undefined : Number(text));

describe.skipIf(!HAS_DATA)(`tables of Intel's module 1.5.01${WITHOUT_DATA}`, () => {
  it("MSRs: 134 ranges, with the bit and the action of each direction", () => {
    const action = { GP: "gp", VE: "ve", GP_OR_VE: "gp-or-ve", OTHER: "module" } as Record<string, string>;
    const access = (kind: string, what: string) => {
      if (kind === "FIXED_0") return { answer: "native" };
      const answer = action[what];
      return kind === "FIXED_1" ? { answer } : { answer, feature: kind.slice(4).toLowerCase().replace("_", "-") };
    };
    const theirs = json("msr").map((row: Record<string, string>) => ({
      name: row.name,
      first: Number(row.start),
      last: Number(row.end),
      read: access(row.rd ?? "", row.rdAction ?? ""),
      write: access(row.wr ?? "", row.wrAction ?? ""),
    }));
    expect(theirs).toHaveLength(134);
    expect(MSR_RANGES).toEqual(theirs);
  });

  it("CPUID: 64 rows in the module's order, with their fixed bits", () => {
    const rows = json("cpuid").lookup.toSorted((a: { index: number }, b: { index: number }) => a.index - b.index);
    expect(rows).toHaveLength(64);
    expect(
      CPUID_ROWS.map(({ index, leaf, subleaf, faulting, fixed1, fixed0, config }) => ({
        index,
        leaf,
        subleaf,
        faulting,
        fixed1,
        fixed0,
        config: config ?? null,
      })),
    ).toEqual(
      rows.map((row: Record<string, unknown>) => ({
        index: row.index,
        leaf: Number(row.leaf),
        subleaf: subleaf(String(row.subleaf)),
        faulting: row.faulting,
        fixed1: four(row.fixed1 as Registers),
        fixed0: four(row.fixed0_or_dynamic as Registers),
        config: row.config,
      })),
    );
  });

  it("CPUID_CONFIG: 12 entries, in the order that the rows of the leaves give", () => {
    const { lookup, configurable } = json("cpuid");
    const place = ({ leaf, subleaf }: Record<string, unknown>) =>
      lookup.find((row: Record<string, unknown>) => row.leaf === leaf && row.subleaf === subleaf).config;
    const theirs = configurable.toSorted(
      (a: Record<string, unknown>, b: Record<string, unknown>) => place(a) - place(b),
    );
    expect(CPUID_CONFIGURABLE).toEqual(
      theirs.map((row: Record<string, unknown>) => ({
        leaf: Number(row.leaf),
        subleaf: subleaf(String(row.subleaf)),
        direct: four(row.config_direct as Registers),
        allow: four(row.allow_direct as Registers),
      })),
    );
  });

  it("metadata fields: the same ids, but for two of later modules", () => {
    const ids = (name: string) =>
      Object.values<string>(json(name))
        .map(BigInt)
        .filter((id) => id !== (1n << 64n) - 1n);
    const own = (rows: readonly FieldRow[], later: readonly string[] = []) =>
      rows.filter(({ name }) => !later.includes(name)).map(({ id }) => id);
    const sorted = (list: readonly bigint[]) => list.toSorted((a, b) => (a < b ? -1 : 1));
    expect(sorted(own(TD_FIELDS, ["TOPOLOGY_ENUM_CONFIGURED"]))).toEqual(sorted(ids("md_td_ids")));
    expect(sorted(own(SYS_FIELDS, ["MAX_VCPUS_PER_TD"]))).toEqual(sorted(ids("md_sys_ids")));
    expect(sorted(own(VP_FIELDS))).toEqual(sorted(ids("md_vp_ids")));
  });

  it("leaves have Intel's numbers, and every number has a leaf, but for what this module does not do", () => {
    const { seamcall, tdcall } = json("leaves");
    expect([...SEAMCALL_LEAVES]).toEqual(Object.entries(seamcall).map(([name, number]) => [number, name]));
    expect([...TDCALL_LEAVES]).toEqual(Object.entries(tdcall).map(([name, number]) => [number, name]));
    const missing = [...TDCALL_LEAVES].filter(([number]) => !TDCALLS.has(number)).map(([, name]) => name);
    expect(missing).toEqual(["TDG_SERVTD_RD", "TDG_SERVTD_WR"]);
    for (const [number, { name }] of SEAMCALLS) expect(name.replaceAll(".", "_")).toBe(SEAMCALL_LEAVES.get(number));
  });

  it("statuses and operand ids have Intel's numbers", () => {
    const { status, operandId } = json("status");
    for (const [name, value] of Object.entries<string>(status))
      if (name.slice(4) in Status)
        expect([name, Status[name.slice(4) as keyof typeof Status]]).toEqual([name, BigInt(value)]);
    const numbers = new Set(Object.values<number>(operandId));
    const own = Object.values(OperandId).filter((id): id is OperandId => typeof id === "number");
    expect(own.filter((id) => !numbers.has(id))).toEqual([]);
  });
});

describe("tables", () => {
  it("an MSR is in one range or none; the first, the last, and those around them", () => {
    for (const range of MSR_RANGES) {
      expect(findMsr(range.first)).toBe(range);
      expect(findMsr(range.last)).toBe(range);
      expect(findMsr(range.last + 1)).not.toBe(range);
      expect(findMsr(range.first - 1)).not.toBe(range);
    }
    expect(findMsr(0x802)).toBeUndefined();
    expect(findMsr(0xffff_ffff)).toBeUndefined();
  });

  it("a CPUID row of a leaf without subleaves answers all of them", () => {
    expect(findCpuid(1, 77)).toBe(CPUID_ROWS[0]);
    expect(findCpuid(4, 2)?.index).toBe(3);
    expect(findCpuid(4, 5)).toBeUndefined();
    expect(findCpuid(2, 0)).toBeUndefined();
  });

  it("field ids ascend by class and field code within a table", () => {
    const order = ({ id }: FieldRow) => ((id >> 56n) & 0x3fn) * 2n ** 24n + (id & 0xff_ffffn);
    for (const rows of [SYS_FIELDS, TD_FIELDS, VP_FIELDS])
      for (const [k, row] of rows.slice(1).entries())
        expect(order(row), row.name).toBeGreaterThan(order(rows[k] as FieldRow));
    expect(VMCS_FIELDS.every(({ id }) => ((id >> 56n) & 0x3fn) === 0n)).toBe(true);
  });

  it("nobody may write what he may not read", () => {
    for (const row of [...SYS_FIELDS, ...TD_FIELDS, ...VP_FIELDS, ...VMCS_FIELDS])
      for (const access of ["debug", "guest"] as const)
        expect(row.masks[access].write & ~row.masks[access].read, `${row.name} ${access}`).toBe(0n);
  });
});
