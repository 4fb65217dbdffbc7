import { supportedXfeatures } from "../module/capabilities.js";
import { Gpr } from "../module/gpr.js";
import { TdCtl } from "../module/td.js";
import type { GuestContext } from "./context.js";
import { x2ApicIdOf } from "./cpuid.js";
import { msrAnswer } from "./msr-access.js";
import type { Outcome } from "./outcome.js";
import { ExitReason, injectVe } from "./ve.js";

const Msr = {
  XAPIC_DISABLE_STATUS: 0xbd,
  ARCH_CAPABILITIES: 0x10a,
  MISC_ENABLE: 0x1a0,
  DEBUGCTL: 0x1d9,
  X2APIC_APICID: 0x802,
  XSS: 0xda0,
  EFER: 0xc000_0080,
} as const;

/** LEGACY_XAPIC_DISABLED: there is no xAPIC. */
const XAPIC_DISABLED = 1n;
/** Fast strings, no BTS, no PEBS; performance monitoring is not available. */
const MISC_ENABLE = 0x1801n;
const EFER_SCE = 1n;
const EFER_LMA = 1n << 10n;
/** Bits of IA32_DEBUGCTL: LBR, BTF and bus lock detection, 6 (TR) to 15 without 13; 13 belongs to the platform and is ignored. */
const DEBUGCTL_KNOWN = 0xffc7n;
const DEBUGCTL_TR = 1n << 6n;
const DEBUGCTL_BTS = 1n << 7n;

function answer({ cpu }: GuestContext, value: bigint): Outcome {
  cpu.gpr.set(Gpr.Rax, value & 0xffff_ffffn);
  cpu.gpr.set(Gpr.Rdx, value >> 32n);
  return "done";
}

/** What the module itself answers. The VMX capabilities are those of a processor without VMX: zero, as there are no L2 VMs. */
function readOwn(context: GuestContext, index: number): Outcome {
  switch (index) {
    case Msr.XAPIC_DISABLE_STATUS:
      return answer(context, XAPIC_DISABLED);
    case Msr.ARCH_CAPABILITIES:
      return answer(context, context.td.archCapabilities);
    case Msr.MISC_ENABLE:
      return answer(context, MISC_ENABLE);
    case Msr.DEBUGCTL:
      return "native";
    default:
      return answer(context, 0n);
  }
}

function writeEfer(context: GuestContext, value: bigint): Outcome {
  const { efer } = context.cpu;
  const wanted = (value & ~EFER_LMA) | (efer & EFER_LMA);
  // Only SCE may change.
  return ((wanted ^ efer) & ~EFER_SCE) === 0n ? "native" : injectVe(context, ExitReason.MSR_WRITE);
}

function writeDebugCtl(context: GuestContext, value: bigint): Outcome {
  if ((value & ~DEBUGCTL_KNOWN) !== 0n) return context.generalProtection();
  if ((value & DEBUGCTL_TR) !== 0n && (value & DEBUGCTL_BTS) === 0n) return injectVe(context, ExitReason.MSR_WRITE);
  return "native";
}

function writeXss(context: GuestContext, value: bigint): Outcome {
  const { xss } = supportedXfeatures(context.module.platform.cpuid);
  return (value & ~(xss & context.td.xfam)) === 0n ? "native" : context.generalProtection();
}

/** RDMSR of a guest. Source: Intel TDX module 1.5 base specification, "MSR Handling". @param index ECX */
export function rdmsr(context: GuestContext, index: number): Outcome {
  const { td, vcpu } = context;
  if (index === Msr.X2APIC_APICID && (td.tdCtls & TdCtl.ENUM_TOPOLOGY) !== 0n)
    return answer(context, BigInt(x2ApicIdOf(vcpu)));
  const how = msrAnswer(td, index, false);
  if (how === "ve") return injectVe(context, ExitReason.MSR_READ);
  if (how === "gp") return context.generalProtection();
  return how === "native" ? "native" : readOwn(context, index);
}

/** WRMSR of a guest. Same source. @param value EDX and EAX */
export function wrmsr(context: GuestContext, index: number, value: bigint): Outcome {
  const how = msrAnswer(context.td, index, true);
  if (how === "ve") return injectVe(context, ExitReason.MSR_WRITE);
  if (how === "gp") return context.generalProtection();
  if (index === Msr.EFER) return writeEfer(context, value);
  if (index === Msr.DEBUGCTL) return writeDebugCtl(context, value);
  if (index === Msr.XSS) return writeXss(context, value);
  return "native";
}
