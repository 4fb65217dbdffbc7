import type { CpuidResult, VcpuPorts } from "../../ports.js";
import type { VcpuContext } from "../context/context.js";
import {
  CR0_PE,
  CR0_PG,
  CR4_DE,
  CR4_FSGSBASE,
  CR4_LA57,
  CR4_MCE,
  CR4_OSFXSR,
  CR4_OSXMMEXCPT,
  CR4_OSXSAVE,
  CR4_PAE,
  CR4_PCE,
  CR4_PCIDE,
  CR4_PGE,
  CR4_PKE,
  CR4_PSE,
  CR4_PVI,
  CR4_SMAP,
  CR4_SMEP,
  CR4_TSD,
  CR4_UMIP,
  CR4_VME,
  EFER_LMA,
  EFER_LME,
  Vector,
} from "../registers/constants.js";

/** Bits of CR0 that exist. */
export const CR0_MASK = 0xe005003f | 0;

function writeCr0(vcpu: VcpuContext, lo: number, hi: number): boolean {
  const next = (lo & CR0_MASK) | 0x10;
  if (hi !== 0 || (next & CR0_PG && !(next & CR0_PE)) || ((next & 0x20000000) !== 0 && !(next & 0x40000000))) {
    return vcpu.raiseError(Vector.GP, 0);
  }
  const enabling = (next & CR0_PG) !== 0 && !(vcpu.cr0 & CR0_PG);
  if (enabling && vcpu.efer & EFER_LME && !(vcpu.cr4 & CR4_PAE)) return vcpu.raiseError(Vector.GP, 0);
  if (!(next & CR0_PG) && vcpu.cr0 & CR0_PG && (vcpu.mode === 64 || vcpu.cr4 & CR4_PCIDE))
    return vcpu.raiseError(Vector.GP, 0);
  vcpu.cr0 = next;
  if (vcpu.efer & EFER_LME) vcpu.efer = next & CR0_PG ? vcpu.efer | EFER_LMA : vcpu.efer & ~EFER_LMA;
  vcpu.updatePaging();
  vcpu.updateMode();
  return true;
}

/** Bits of CR4 and the CPUID bits that offer them: leaf, register, bit (SDM vol. 3, 2.5). */
const CR4_FEATURES: readonly (readonly [number, number, keyof CpuidResult, number])[] = [
  [CR4_VME | CR4_PVI, 1, "edx", 1],
  [CR4_DE, 1, "edx", 2],
  [CR4_PSE, 1, "edx", 3],
  [CR4_TSD, 1, "edx", 4],
  [CR4_PAE, 1, "edx", 6],
  [CR4_MCE, 1, "edx", 7],
  [CR4_PGE, 1, "edx", 13],
  [CR4_OSFXSR, 1, "edx", 24],
  [CR4_OSXMMEXCPT, 1, "edx", 25],
  [CR4_PCIDE, 1, "ecx", 17],
  [CR4_OSXSAVE, 1, "ecx", 26],
  [CR4_FSGSBASE, 7, "ebx", 0],
  [CR4_SMEP, 7, "ebx", 7],
  [CR4_SMAP, 7, "ebx", 20],
  [CR4_UMIP, 7, "ecx", 2],
  [CR4_PKE, 7, "ecx", 3],
  [CR4_LA57, 7, "ecx", 16],
];

/** Bits of CR4 that this processor has; what was set from outside besides may stay. */
export function cr4Offered({ ports }: { readonly ports: Pick<VcpuPorts, "cpuid"> }): number {
  let offered = CR4_PCE;
  for (const [bits, leaf, register, bit] of CR4_FEATURES) {
    if ((ports.cpuid.query(leaf, 0)[register] >>> bit) & 1) offered |= bits;
  }
  return offered;
}

function writeCr4(vcpu: VcpuContext, lo: number, hi: number): boolean {
  const pcideOn = lo & CR4_PCIDE && !(vcpu.cr4 & CR4_PCIDE);
  if (
    hi !== 0 ||
    lo & ~(cr4Offered(vcpu) | vcpu.cr4) ||
    (vcpu.efer & EFER_LMA && (!(lo & CR4_PAE) || (lo ^ vcpu.cr4) & CR4_LA57)) ||
    (pcideOn && (!(vcpu.efer & EFER_LMA) || (vcpu.paging.cr3Lo & 0xfff) !== 0))
  ) {
    return vcpu.raiseError(Vector.GP, 0);
  }
  vcpu.cr4 = lo;
  vcpu.updatePaging();
  vcpu.debugRegistersChanged();
  vcpu.updateAccess();
  return true;
}

function writeCr3(vcpu: VcpuContext, lo: number, hi: number): boolean {
  const pcid = (vcpu.cr4 & CR4_PCIDE) !== 0;
  const reserved = vcpu.efer & EFER_LMA ? hi & (pcid ? 0x7fffff00 : 0xffffff00) : 0;
  if (reserved !== 0) return vcpu.raiseError(Vector.GP, 0);
  vcpu.paging.cr3Lo = lo;
  vcpu.paging.cr3Hi = hi & 0x7fffffff;
  vcpu.tlb.flush(false);
  return true;
}

/** MOV to CR0, CR3 or CR4 with everything that follows from it. False with #GP(0) pending and nothing changed. */
export function writeControlRegister(vcpu: VcpuContext, register: 0 | 3 | 4, lo: number, hi: number): boolean {
  const write = register === 0 ? writeCr0 : register === 3 ? writeCr3 : writeCr4;
  if (!write(vcpu, lo, hi)) return false;
  // Translation, and with it the mapping of the code that runs, may have changed.
  vcpu.endSlice();
  return true;
}

/** CR0, CR2, CR3, CR4 or CR8 as halves. */
export function readControlRegister(vcpu: VcpuContext, r: number): readonly [number, number] {
  switch (r) {
    case 0:
      return [vcpu.cr0, 0];
    case 2:
      return [vcpu.cr2Lo, vcpu.cr2Hi];
    case 3:
      return [vcpu.paging.cr3Lo, vcpu.paging.cr3Hi];
    case 4:
      return [vcpu.cr4, 0];
    default:
      return [vcpu.ports.apic.cr8, 0];
  }
}
