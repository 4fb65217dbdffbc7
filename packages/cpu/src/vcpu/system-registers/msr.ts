import type { VcpuContext } from "../context/context.js";
import { canonicalAtWidest } from "../registers/canonical.js";
import type { Halves } from "../registers/halves.js";
import { type MsrRow, offers, type Pair } from "./msr-row.js";
import { MSR_TABLE } from "./msr-table.js";

const ROWS: ReadonlyMap<number, MsrRow> = new Map(MSR_TABLE.map((row) => [row.number, row]));

const ZERO: Pair = [0, 0];

/** Whether an MSR is of the processor's model, be it that the CPUID in force offers it or not. */
export const isModelMsr = (msr: number): boolean => ROWS.has(msr >>> 0);

/** RDMSR. False = #GP(0). */
export function readMsr(vcpu: VcpuContext, msr: number, out: Halves): boolean {
  const row = ROWS.get(msr);
  if (row === undefined) {
    const { apic } = vcpu.ports;
    if (!apic.readMsr(msr)) return false;
    out.lo = apic.msrLo;
    out.hi = apic.msrHi;
    return true;
  }
  if (!isOffered(vcpu, row) || row.access === "write-only") return false;
  if (row.read !== undefined) row.read(vcpu, out);
  else {
    const now = current(vcpu, row);
    out.lo = now[0];
    out.hi = now[1];
  }
  return true;
}

/** WRMSR. False = #GP(0), with nothing changed. */
export function writeMsr(vcpu: VcpuContext, msr: number, lo: number, hi: number): boolean {
  const row = ROWS.get(msr);
  if (row === undefined) return vcpu.ports.apic.writeMsr(msr, lo, hi);
  if (!isOffered(vcpu, row) || row.access === "read-only" || !isAcceptable(vcpu, row, current(vcpu, row), lo, hi))
    return false;
  if (row.write !== undefined) return row.write(vcpu, lo, hi);
  if (row.access !== "write-only") vcpu.setMsr(msr, lo, hi);
  return true;
}

const isOffered = (vcpu: VcpuContext, { features }: MsrRow): boolean =>
  features === undefined || features.some((feature) => offers(vcpu, feature));

const current = (vcpu: VcpuContext, { number, reset = ZERO }: MsrRow): Pair => vcpu.msrs.get(number) ?? reset;

/** Keeps what is written, and nothing else has it. */
const isKept = ({ access, read, write }: MsrRow): boolean =>
  access === undefined && read === undefined && write === undefined;

/** MSRs that are there and keep what is written, with their values. */
export function keptMsrs(vcpu: VcpuContext): readonly (readonly [number: number, lo: number, hi: number])[] {
  return MSR_TABLE.filter((row) => isKept(row) && isOffered(vcpu, row)).map((row) => {
    const [lo, hi] = current(vcpu, row);
    return [row.number, lo, hi];
  });
}

/** Whether `msr` is one of {@link keptMsrs} and can be made this value from its reset value. */
export function acceptsMsr(vcpu: VcpuContext, msr: number, lo: number, hi: number): boolean {
  const row = ROWS.get(msr);
  return row !== undefined && isKept(row) && isOffered(vcpu, row) && isAcceptable(vcpu, row, row.reset ?? ZERO, lo, hi);
}

/** @param old the value that constant bits keep */
function isAcceptable(vcpu: VcpuContext, row: MsrRow, old: Pair, lo: number, hi: number): boolean {
  if (row.writable !== undefined) {
    const [low, high] = typeof row.writable === "function" ? row.writable(vcpu) : row.writable;
    if (lo & ~low || hi & ~high) return false;
  }
  if (row.constant !== undefined) {
    const [oldLo, oldHi] = old;
    if ((lo ^ oldLo) & row.constant[0] || (hi ^ oldHi) & row.constant[1]) return false;
  }
  if (row.address && !canonicalAtWidest(vcpu, hi)) return false;
  return row.valid?.(lo, hi) ?? true;
}
