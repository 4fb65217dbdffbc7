import { storedField } from "../module/fields/vp-fields.js";
import { Gpr } from "../module/gpr.js";
import { type CpuidValues, cpuidKey, TdCtl } from "../module/td.js";
import type { TdVcpu } from "../module/td-vcpu.js";
import { findCpuid } from "../tables/cpuid.js";
import type { GuestContext } from "./context.js";
import type { Outcome } from "./outcome.js";
import { ExitReason, injectVe } from "./ve.js";

const LAST_BASE = 0x23;
const FIRST_EXTENDED = 0x8000_0000;
const LAST_EXTENDED = 0x8000_0008;
/** Leaves of hypervisors are never taken for others. */
const isHypervisorLeaf = (leaf: number) => leaf >= 0x4000_0000 && leaf <= 0x4fff_ffff;

const CR4_OSXSAVE = 1n << 18n;
const CR4_PKE = 1n << 22n;
const OSXSAVE = 1 << 27;
const OSPKE = 1 << 4;
const SYSCALL = 1 << 11;
/** Id of the first CPUID_CONTROL field; bit 0 of one is #VE for the supervisor, bit 1 for the user. */
const CPUID_CONTROL = 0xa120_0000_0000_0000n;
const SUPERVISOR_VE = 1n;
const USER_VE = 2n;

/** A leaf beyond the last of its range is the last basic one. */
function known(leaf: number): number {
  if (isHypervisorLeaf(leaf)) return leaf;
  return leaf > LAST_EXTENDED || (leaf > LAST_BASE && leaf < FIRST_EXTENDED) ? LAST_BASE : leaf;
}

/** Whether the guest asked for #VE at this leaf, at its privilege. */
function isVeWanted({ vcpu, cpu }: GuestContext, index: number): boolean {
  const control = vcpu.fields.get(storedField({ id: CPUID_CONTROL }, index)) ?? 0n;
  if (cpu.cpl === 0) return vcpu.cpuidSupervisorVe || (control & SUPERVISOR_VE) !== 0n;
  return vcpu.cpuidUserVe || (control & USER_VE) !== 0n;
}

/** Bytes of the XSAVE area for the components in `mask`: each at its own offset, or one after the other. Source: SDM vol. 1, 13.4. */
function xsaveArea({ module }: GuestContext, mask: bigint, compacted: boolean): number {
  let size = 576;
  for (let bit = 2; bit < 32; bit++) {
    if (((mask >> BigInt(bit)) & 1n) === 0n) continue;
    const [length, offset, flags] = module.platform.cpuid(0xd, bit);
    if (!compacted) size = Math.max(size, offset + length);
    else size = ((flags & 2) === 0 ? size : Math.ceil(size / 64) * 64) + length;
  }
  return size;
}

/** The id that the host gave the vCPU, or its index. */
export function x2ApicIdOf({ hasX2ApicId, x2ApicId, index }: TdVcpu): number {
  return hasX2ApicId ? x2ApicId : index;
}

/** x2APIC ids of a TD's vCPUs fit into so many bits. */
function coreShift({ td }: GuestContext): number {
  let highest = 0;
  for (const vcpu of td.vcpus.values()) highest = Math.max(highest, x2ApicIdOf(vcpu));
  return 32 - Math.clz32(highest);
}

/**
 * Leaves 0xB and 0x1F of a TD that has ENUM_TOPOLOGY on: every vCPU is a core of its own, of one package. Later modules of Intel let the host configure
 * the levels of leaf 0x1F.
 */
function topology(context: GuestContext, subleaf: number): CpuidValues {
  const id = x2ApicIdOf(context.vcpu);
  if (subleaf === 0) return [0, 1, 0x100, id];
  if (subleaf === 1) return [coreShift(context), context.td.numVcpus, 0x201, id];
  return [0, 0, subleaf & 0xff, id];
}

/** What depends on the state of the vCPU. */
function dynamic(context: GuestContext, leaf: number, subleaf: number, values: CpuidValues): CpuidValues {
  const { vcpu, cpu, td } = context;
  const [eax, ebx, ecx, edx] = values;
  switch (leaf) {
    case 1: {
      const id = (td.tdCtls & TdCtl.ENUM_TOPOLOGY) === 0n ? vcpu.index : x2ApicIdOf(vcpu);
      const osxsave = (cpu.cr4 & CR4_OSXSAVE) === 0n ? 0 : OSXSAVE;
      return [eax, (ebx & 0xff_ffff) | ((id & 0xff) << 24), (ecx & ~OSXSAVE) | osxsave, edx];
    }
    case 7:
      if (subleaf !== 0) return values;
      return [eax, ebx, (ecx & ~OSPKE) | ((cpu.cr4 & CR4_PKE) === 0n ? 0 : OSPKE), edx];
    case 0xd: {
      if (subleaf > 1) return values;
      const xcr0 = cpu.xcr0 ?? 1n;
      const mask = subleaf === 0 ? xcr0 : xcr0 | (cpu.xss ?? 0n);
      return [eax, xsaveArea(context, mask, subleaf === 1), ecx, edx];
    }
    case 0x8000_0001:
      return [eax, ebx, ecx, (edx & ~SYSCALL) | (context.is64Bit ? SYSCALL : 0)];
    default:
      return values;
  }
}

/**
 * CPUID of a guest. Leaves that the module does not know, and those it leaves to the host, are #VE. Source: Intel TDX module 1.5 base specification, "CPUID
 * Virtualization".
 * @param leaf EAX
 * @param subleaf ECX
 */
export function cpuid(context: GuestContext, leaf: number, subleaf: number): Outcome {
  const { td, cpu } = context;
  const wanted = known(leaf >>> 0);
  const isTopology = (wanted === 0xb || wanted === 0x1f) && (td.tdCtls & TdCtl.ENUM_TOPOLOGY) !== 0n;
  const row = findCpuid(wanted, subleaf >>> 0);
  const stored = row === undefined || row.faulting ? undefined : td.cpuid.get(cpuidKey(row.leaf, row.subleaf));
  if (row !== undefined && isVeWanted(context, row.index)) return injectVe(context, ExitReason.CPUID);
  if (!isTopology && stored === undefined) return injectVe(context, ExitReason.CPUID);
  const values = isTopology
    ? topology(context, subleaf >>> 0)
    : dynamic(context, wanted, subleaf, stored ?? [0, 0, 0, 0]);
  for (const [k, gpr] of [Gpr.Rax, Gpr.Rbx, Gpr.Rcx, Gpr.Rdx].entries())
    cpu.gpr.set(gpr, BigInt((values[k] ?? 0) >>> 0));
  return "done";
}
