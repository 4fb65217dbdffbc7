/**
 * Registers that KVM answers a TD for; of all others it knows nothing, whatever it does for ordinary guests. x2APIC registers that the processor has in the
 * virtual-APIC page are not among them. Source: linux, tdx_has_emulated_msr and tdx_is_read_only_msr.
 */
const RANGES: readonly (readonly [first: number, last: number])[] = [
  [0x1b, 0x1b], // IA32_APIC_BASE
  [0x3a, 0x3a], // IA32_FEAT_CTL
  [0x8b, 0x8b], // IA32_UCODE_REV
  [0xce, 0xce], // MSR_PLATFORM_INFO
  [0xfe, 0xfe], // IA32_MTRRCAP
  [0x10a, 0x10a], // IA32_ARCH_CAPABILITIES
  [0x140, 0x140], // MSR_MISC_FEATURES_ENABLES
  [0x179, 0x17b], // IA32_MCG_CAP, MCG_STATUS, MCG_CTL
  [0x1a0, 0x1a0], // IA32_MISC_ENABLE
  [0x1fc, 0x1fc], // MSR_POWER_CTL
  [0x200, 0x26f], // IA32_MTRR_PHYSBASE0 to IA32_MTRR_FIX4K_F8000
  [0x277, 0x277], // IA32_PAT
  [0x280, 0x29f], // IA32_MC0_CTL2 to those of 32 banks
  [0x2ff, 0x2ff], // IA32_MTRR_DEF_TYPE
  [0x400, 0x47f], // IA32_MC0_CTL to those of 32 banks
  [0x4d0, 0x4d0], // IA32_MCG_EXT_CTL
  [0x6e0, 0x6e0], // IA32_TSC_DEADLINE
  [0x802, 0x803], // x2APIC ID, version
  [0x80d, 0x80d], // LDR
  [0x80f, 0x80f], // spurious interrupt vector
  [0x828, 0x828], // error status
  [0x82f, 0x830], // LVT CMCI, ICR
  [0x832, 0x839], // LVT timer to timer counts
  [0x83e, 0x83e], // timer divide
  [0xc000_0080, 0xc000_0080], // EFER
  [0x4b56_4d05, 0x4b56_4d05], // MSR_KVM_POLL_CONTROL
];

const READ_ONLY = new Set([0x1b, 0x3a, 0xc000_0080]);

/** Whether a TD can ask KVM for the register. */
export function isEmulatedMsr(index: number): boolean {
  return RANGES.some(([first, last]) => index >= first && index <= last);
}

/** The same, for a write. */
export function isWritableMsr(index: number): boolean {
  return isEmulatedMsr(index) && !READ_ONLY.has(index);
}
