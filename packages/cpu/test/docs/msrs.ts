import { markdownTable } from "@vm/presets/docs";
import type { CpuidBit, MsrRow, Pair } from "../../src/vcpu/system-registers/msr-row.js";
import { MSR_TABLE } from "../../src/vcpu/system-registers/msr-table.js";

const hex = (value: number): string => `0x${value.toString(16)}`;
const wide = ([lo, hi]: Pair): string => `0x${((BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0)).toString(16)}`;

/** As the SDM writes it: CPUID.07H:EDX[26]. */
function place({ leaf, subleaf, register, bit }: CpuidBit): string {
  const number = leaf.toString(16).toUpperCase().padStart(2, "0");
  return `${number}H${subleaf === undefined ? "" : `.${subleaf}`}:${register.toUpperCase()}[${bit}]`;
}

function writing({ access, address, writable, valid }: MsrRow): string {
  if (access === "read-only") return "never";
  if (address) return "canonical addresses";
  if (typeof writable === "function") return "bits that CPUID offers";
  if (writable !== undefined) return wide(writable);
  return valid === undefined ? "all" : "valid types";
}

/** Of the machine-check banks, which are alike, the first stands for all. */
const LATER_BANK = /^IA32_MC[1-9]\d*_/;

/** The processor's own MSRs, in the order of their numbers. */
export function msrTable(): string {
  const banks = MSR_TABLE.filter(({ name }) => name.endsWith("_CTL") && name.startsWith("IA32_MC")).length;
  const rows = [...MSR_TABLE].sort((a, b) => a.number - b.number).filter(({ name }) => !LATER_BANK.test(name));
  return markdownTable([
    ["MSR", "name", "there with CPUID", "after reset", "bits that can be written", "SDM"],
    ...rows.map((row) => [
      row.name.startsWith("IA32_MC0_") ? `${hex(row.number)} + 4i` : hex(row.number),
      row.name.replace("IA32_MC0_", `IA32_MCi_`) + (row.name.startsWith("IA32_MC0_") ? `, i < ${banks}` : ""),
      (row.features ?? []).map(place).join(", "),
      row.read === undefined ? wide(row.reset ?? [0, 0]) : "",
      row.access === "write-only" ? `${writing(row)}; not readable` : writing(row),
      row.source,
    ]),
  ]);
}
