import type { Gfn, Gpa } from "./units.js";

/**
 * What a vCPU asks of its surroundings, in its own words. `@vm/mmu` and `@vm/devices` fit these structurally; the machine connects them.
 * Addresses: linear as u32 halves, guest-physical as a number below 2^52.
 */

/** Kinds of access, combined. */
export enum Access {
  Write = 1,
  /** At CPL 3. */
  User = 2,
  Fetch = 4,
  /** EFLAGS.AC is set: explicit supervisor accesses may touch user pages under SMAP. */
  Ac = 8,
  /** Implicit supervisor access: descriptor tables, TSS. */
  Implicit = 16,
}

/** What may be done with a page without asking again. */
export enum Licence {
  Read = 1,
  Write = 2,
  Fetch = 4,
}

export enum Status {
  Ok = 0,
  /** Deliver #PF with `errorCode`. */
  Fault = 1,
  /** No memory there: `gfn` is that of a device or of nothing. */
  Mmio = 2,
  /** Someone watches this page: leave the guest. */
  Exit = 3,
}

/** Answer to `MmuPort.translate`; one object, overwritten by every call. */
export interface Translation {
  /** Byte offset in the shared memory of the 4 KiB frame. */
  readonly host: number;
  /** Guest frame number of the 4 KiB page. */
  readonly gfn: Gfn;
  /** `Licence` bits for this page at the privilege that was asked for. */
  readonly licence: number;
  /** The page survives a CR3 write (CR4.PGE and PTE.G). */
  readonly global: boolean;
  /** It is a piece of a larger page. */
  readonly large: boolean;
  /** #PF error code, or the attempted licence of an `Exit`. */
  readonly errorCode: number;
}

/** The registers that control paging (u32 each; CR3 in halves). */
export interface PagingControls {
  /** Number of the second-level view; 0 if absent. */
  view?: number;
  cr0: number;
  cr3Lo: number;
  cr3Hi: number;
  cr4: number;
  efer: number;
  /** PKRU: rights of user pages by protection key, in force under CR4.PKE. */
  pkru: number;
}

export interface MmuPort {
  readonly translation: Translation;
  translate(controls: PagingControls, lo: number, hi: number, access: number): Status;
}

/** Ports and memory that is not RAM. Sizes in bytes; 8-byte values travel as halves through `hi`. */
export interface BusPort {
  ioRead(port: number, size: number): number;
  ioWrite(port: number, size: number, value: number): void;
  /** Low 32 bits of the value; the high half of an 8-byte read is left in `mmioHigh`. */
  mmioRead(gpa: Gpa, size: number): number;
  mmioWrite(gpa: Gpa, size: number, lo: number, hi: number): void;
  readonly mmioHigh: number;
}

/** The local APIC as its CPU sees it. */
export interface ApicPort {
  /** An interrupt of sufficient priority waits. */
  hasInterrupt(): boolean;
  /** Takes the waiting interrupt: its vector, or -1. */
  acknowledge(): number;
  /** Task priority as CR8, 0 to 15. */
  cr8: number;
  /** IA32_APIC_BASE, the TSC deadline and the x2APIC registers. False = #GP. The value read is in `msrLo`, `msrHi`. */
  readMsr(msr: number): boolean;
  writeMsr(msr: number, lo: number, hi: number): boolean;
  readonly msrLo: number;
  readonly msrHi: number;
  /** The guest has moved its TSC: a TSC deadline comes at another time now. */
  readonly tscChanged?: () => void;
}

export interface ClockPort {
  /** Time-stamp counter before any adjustment by the guest, in ticks; below 2^53. */
  tsc(): number;
}

/** Who runs the vCPU, and has other things to do as well. */
export interface HostPort {
  /**
   * Called after every {@link CALLS_PER_LOOK} calls out of generated code, each of which may take as long as a thousand instructions: `kick`
   * the vCPU if it has run for long enough.
   */
  look(): void;
}

/** Calls out of generated code between two looks of the {@link HostPort}. */
export const CALLS_PER_LOOK = 64;

export interface EntropyPort {
  /** 32 random bits. */
  random(): number;
}

/** Registers of one CPUID leaf. */
export interface CpuidResult {
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

/** CPUID as data: replaceable as a whole. */
export interface CpuidPort {
  query(leaf: number, subleaf: number): CpuidResult;
}

export interface VcpuPorts {
  readonly mmu: MmuPort;
  readonly bus: BusPort;
  readonly apic: ApicPort;
  readonly clock: ClockPort;
  readonly entropy: EntropyPort;
  readonly cpuid: CpuidPort;
  readonly host?: HostPort;
}
