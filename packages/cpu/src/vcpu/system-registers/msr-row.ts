import type { VcpuContext } from "../context/context.js";
import type { Halves } from "../registers/halves.js";

/** A bit of CPUID that says whether something is there. */
export interface CpuidBit {
  readonly leaf: number;
  readonly subleaf?: number;
  readonly register: "eax" | "ebx" | "ecx" | "edx";
  readonly bit: number;
}

/** 64 bits as halves, low one first. */
export type Pair = readonly [lo: number, hi: number];

/** A model-specific register. Without functions of its own it is a value in `Vcpu.msrs`. */
export interface MsrRow {
  readonly number: number;
  /** As in the SDM. */
  readonly name: string;
  /** Where the SDM describes it. */
  readonly source: string;
  /** There is such a register if one of these is set; without the list always. */
  readonly features?: readonly CpuidBit[];
  /** Default: both. */
  readonly access?: "read-only" | "write-only";
  /** Value after reset; default 0. */
  readonly reset?: Pair;
  /** Bits that may be written as one, given what CPUID offers; another one is #GP. Default: all. */
  readonly writable?: Pair | ((vcpu: VcpuContext) => Pair);
  /** Bits that keep their value: another one is #GP. */
  readonly constant?: Pair;
  /** The value must be a canonical address. */
  readonly address?: boolean;
  /** What else a value must be. */
  readonly valid?: (lo: number, hi: number) => boolean;
  /** Where the value is, if not in `Vcpu.msrs`. */
  readonly read?: (vcpu: VcpuContext, out: Halves) => void;
  /** What a write does, after all checks. False = #GP. */
  readonly write?: (vcpu: VcpuContext, lo: number, hi: number) => boolean;
}

export const offers = (vcpu: VcpuContext, { leaf, subleaf = 0, register, bit }: CpuidBit): boolean =>
  ((vcpu.ports.cpuid.query(leaf, subleaf)[register] >>> bit) & 1) !== 0;
