/**
 * Numbers that host and guest agree on (Linux `arch/x86/include/uapi/asm/kvm_para.h`, `Documentation/virt/kvm/x86/msr.rst`).
 */

/** Where the guest's area is, and what it wants: {@link AsyncPfEnable} in bits 3:0, bits 5:4 reserved, bits 63:6 of the area's address. */
export const MSR_KVM_ASYNC_PF_EN = 0x4b564d02;
/** Bits 7:0: vector of the interrupt that says that a page is there; the others are reserved. */
export const MSR_KVM_ASYNC_PF_INT = 0x4b564d06;
/** Written with bit 0: the guest has taken the token out of its area. Reads as 0. */
export const MSR_KVM_ASYNC_PF_ACK = 0x4b564d07;

/** Bits of CPUID 0x40000001 EAX. */
export enum KvmFeature {
  /** `MSR_KVM_ASYNC_PF_EN` is there. */
  AsyncPf = 1 << 4,
  /** A nested hypervisor may have the #PF of its guests as an exit. */
  AsyncPfVmexit = 1 << 10,
  /** `MSR_KVM_ASYNC_PF_INT` and `MSR_KVM_ASYNC_PF_ACK` are there: a page that is there is told by an interrupt. */
  AsyncPfInt = 1 << 14,
}

/** Bits 3:0 of `MSR_KVM_ASYNC_PF_EN`. */
export enum AsyncPfEnable {
  Enabled = 1,
  /** At CPL 0 too. */
  SendAlways = 2,
  DeliveryAsPfVmexit = 4,
  /** Without it hosts from Linux 5.8 on deliver nothing. */
  DeliveryAsInt = 8,
}

/** Bytes from the start of the area, which is aligned to 64 (`struct kvm_vcpu_pv_apf_data`); each is a little-endian u32. */
export enum ApfArea {
  /** What the #PF that comes is: {@link ApfReason}. The guest sets it to 0. */
  Flags = 0,
  /** Whose page is there; the guest sets it to 0 and the host writes no other one before. */
  Token = 4,
  /** The guest's own. */
  Enabled = 64,
}

/** Values of the word at {@link ApfArea.Flags}. */
export enum ApfReason {
  /** From Linux 5.8 on a bit; before, the whole word. */
  PageNotPresent = 1,
  /** Before Linux 5.8 only. */
  PageReady = 2,
}

/** The token by which every task that waits on this CPU wakes. */
export const WAKE_ALL = 0xffff_ffff;

/** Frames a vCPU may wait for at a time, a pending wake-all included (`ASYNC_PF_PER_VCPU`). */
export const ASYNC_PF_PER_VCPU = 64;

/** Bits of a token that are the number of the vCPU. */
export const TOKEN_VCPU_BITS = 12;

/** Vector that Linux has these interrupts at (`HYPERVISOR_CALLBACK_VECTOR`). */
export const HYPERVISOR_CALLBACK_VECTOR = 0xf3;

/** What a machine has of what asynchronous page faults need. */
export interface Offer {
  /** Its vCPUs have local APICs. */
  readonly lapic: boolean;
  /** Some of its memory may be missing for a while. */
  readonly lazy: boolean;
  /** It runs hypervisors. */
  readonly nested?: boolean;
}

/** Bits of CPUID 0x40000001 EAX that such a machine offers: none unless it has both, as nothing could come of them. */
export function offeredFeatures({ lapic, lazy, nested = false }: Offer): number {
  if (!lapic || !lazy) return 0;
  return KvmFeature.AsyncPf | KvmFeature.AsyncPfInt | (nested ? KvmFeature.AsyncPfVmexit : 0);
}
