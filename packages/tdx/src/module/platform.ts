import type { GuestCpu } from "./guest-cpu.js";
import type { TdVcpu } from "./td-vcpu.js";

/** Physical memory in frames of 4 KiB. */
export interface PhysicalMemory {
  /** The 4096 bytes of the frame at `hpa`, a live view; asked only for frames within a convertible memory range. */
  page(hpa: number): Uint8Array;
  /** Fills that frame with zeros, for whoever knows better than to touch one that is zero; default: it is written. */
  zero?(hpa: number): void;
}

/** A range of physical addresses: both in bytes and multiples of 4096, `size` not zero. */
export interface PhysicalRange {
  readonly base: number;
  readonly size: number;
}

/** What the TDX module finds when it is loaded: the machine below it. */
export interface PlatformDesc {
  readonly memory: PhysicalMemory;
  /** 1 to 32. */
  readonly packages: number;
  /** Logical processors, each with the number of its package. */
  readonly processors: readonly { readonly package: number }[];
  /** Convertible memory ranges, at most 32, ascending. */
  readonly cmrs: readonly PhysicalRange[];
  /** Private host key ids: `first` at least 1, as 0 is nobody's key. */
  readonly privateHkids: { readonly first: number; readonly count: number };
  /** CPUID 0x80000008 EAX[7:0] before the bits of the key id are taken off: 40 to 52. The key id is in the highest bits. */
  readonly maxPhysAddr: number;
  /** Fills `to` with random bytes. False: there is no entropy, and `to` is as it was. */
  random(to: Uint8Array): boolean;
  /** 32 bytes: the key of report MACs of this platform. */
  readonly secret: Uint8Array;
  /** IA32_TIME_STAMP_COUNTER of the host. */
  tsc(): bigint;
  /** Frequency of that counter, in Hz; at least 152,588. */
  readonly tscFrequency: number;
  /** IA32_ARCH_CAPABILITIES of the host; none if left out. */
  readonly archCapabilities?: bigint;
  /** Whether an interrupt waits on a logical processor, so that a long leaf has to give up the processor. Never, if left out. */
  interruptPending?(lp: number): boolean;
  /** CPUID as the host has it. */
  cpuid(leaf: number, subleaf: number): readonly [number, number, number, number];
  /** The processor for a vCPU that TDH.VP.INIT has made. */
  createGuestCpu(vcpu: TdVcpu): GuestCpu;
}
