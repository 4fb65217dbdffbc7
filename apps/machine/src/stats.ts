import type { JitCounts, Vcpu } from "@vm/cpu";
import type { Residency } from "@vm/mmu";
import type { HostUsage } from "./host-usage.js";

/** What a machine has done so far. */
export interface MachineStats extends HostUsage {
  /** Guest instructions retired, all processors. */
  readonly instructions: number;
  /** Million instructions a second of host time spent executing guest code; idle time does not count. */
  readonly mips: number;
  /** Generated code; null if everything is interpreted. */
  readonly jit: JitStats | null;
  /** How often the guest needed the machine, by reason, named as KVM's exits. */
  readonly exits: Readonly<Record<ExitName, number>>;
  /** Translations looked up in page tables. */
  readonly tlbMisses: number;
  /** Exceptions delivered. */
  readonly faults: number;
  /** Guest RAM that was ever touched, in bytes. */
  readonly touchedRamBytes: number;
  /** Memory that the machine started without; null if it had all of it. */
  readonly lateMemory: LateMemoryStats | null;
}

/** Chunks of 64 KiB that were not there when the machine started. */
export interface LateMemoryStats {
  readonly chunks: number;
  /** How many have come. */
  readonly arrived: number;
  /** How many of them the guest, a device or the host needed. */
  readonly demanded: number;
  /** How many of these nobody had to wait for: they were on a local disk, or had been read ahead. */
  readonly atOnce: number;
}

/** Code that was generated for what is hot. */
export interface JitStats extends JitCounts {
  /** Share of the retired instructions that regions executed, 0 to 1. */
  readonly share: number;
  /** How often a region was entered. */
  readonly entries: number;
}

const EXIT_NAMES = ["io", "mmio", "cpuid", "msr", "hlt", "hypercall"] as const;
export type ExitName = (typeof EXIT_NAMES)[number] | "interrupt" | "memory-fault";

/** @param executingMs host time spent executing guest code */
export function collectStats(
  vcpus: readonly Vcpu[],
  executingMs: number,
  memoryFaults: number,
  touchedRamBytes: number,
  usage: HostUsage,
  jit: JitCounts | null,
  residency: Residency | null,
): MachineStats {
  const sum = (of: (vcpu: Vcpu) => number): number => vcpus.reduce((total, vcpu) => total + of(vcpu), 0);
  const instructions = sum((vcpu) => vcpu.retired);
  const counted = Object.fromEntries(EXIT_NAMES.map((name) => [name, sum((vcpu) => vcpu.counts[name])]));
  return {
    instructions,
    ...usage,
    mips: executingMs === 0 ? 0 : Number((instructions / executingMs / 1000).toPrecision(4)),
    jit:
      jit === null
        ? null
        : {
            ...jit,
            share: instructions === 0 ? 0 : sum((vcpu) => vcpu.retiredInRegions) / instructions,
            entries: sum((vcpu) => vcpu.regionEntries),
          },
    exits: {
      ...(counted as Record<(typeof EXIT_NAMES)[number], number>),
      interrupt: sum((vcpu) => vcpu.counts.interrupts),
      "memory-fault": memoryFaults,
    },
    tlbMisses: sum((vcpu) => vcpu.tlb.misses),
    faults: sum((vcpu) => vcpu.counts.faults),
    touchedRamBytes,
    lateMemory: residency && {
      chunks: residency.total,
      arrived: residency.total - residency.left,
      demanded: residency.demanded.length,
      atOnce: residency.atOnce,
    },
  };
}
