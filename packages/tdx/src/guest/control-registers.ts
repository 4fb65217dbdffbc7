import { isXcr0Valid } from "../module/capabilities.js";
import { Attribute } from "../module/td.js";
import type { GuestContext } from "./context.js";
import type { Outcome } from "./outcome.js";
import { ExitReason, injectVe } from "./ve.js";

const bit = (n: number) => 1n << BigInt(n);
const Cr0 = { PE: bit(0), NE: bit(5), WP: bit(16), NW: bit(29), CD: bit(30), PG: bit(31) } as const;
const Cr4 = {
  MCE: bit(6),
  VMXE: bit(13),
  SMXE: bit(14),
  KL: bit(19),
  PKE: bit(22),
  CET: bit(23),
  PKS: bit(24),
  UINTR: bit(25),
} as const;
/** CR0 bits 63:32 have no meaning. */
const CR0_KNOWN = 0xffff_ffffn;

const veOf = (context: GuestContext, register: number, gpr: number): Outcome =>
  injectVe(context, ExitReason.CR_ACCESS, { qualification: BigInt(register | (gpr << 8)) });

function writeCr0(context: GuestContext, value: bigint, gpr: number): Outcome {
  const has = (mask: bigint) => (value & mask) !== 0n;
  if (!has(Cr0.NE) || value > CR0_KNOWN || (has(Cr0.PG) && !has(Cr0.PE))) return context.generalProtection();
  if (!has(Cr0.WP) && (context.cpu.cr4 & Cr4.CET) !== 0n) return context.generalProtection();
  return has(Cr0.PE) && !has(Cr0.NW | Cr0.CD) ? "native" : veOf(context, 0, gpr);
}

/** Bits for features that the TD does not have by XFAM or ATTRIBUTES. */
function forbiddenCr4({ td }: GuestContext): bigint {
  const has = (n: number) => (td.xfam & bit(n)) !== 0n;
  let forbidden: bigint = Cr4.KL;
  if (!has(9)) forbidden |= Cr4.PKE;
  if (!has(11) || !has(12)) forbidden |= Cr4.CET;
  if (!has(14)) forbidden |= Cr4.UINTR;
  if ((td.attributes & Attribute.PKS) === 0n) forbidden |= Cr4.PKS;
  return forbidden;
}

function writeCr4(context: GuestContext, value: bigint, gpr: number): Outcome {
  const has = (mask: bigint) => (value & mask) !== 0n;
  if (has(forbiddenCr4(context))) return context.generalProtection();
  if (has(Cr4.CET) && (context.cpu.cr0 & Cr0.WP) === 0n) return context.generalProtection();
  return has(Cr4.MCE) && !has(Cr4.VMXE | Cr4.SMXE) ? "native" : veOf(context, 4, gpr);
}

/**
 * MOV to a control register: what a TD may not do is #GP(0) or #VE; the rest is the processor's, with its own checks.
 * Source: Intel TDX module 1.5 base specification, "Control Registers Handling".
 * @param register 0 or 4; others are native
 * @param gpr number of the register the value comes from
 */
export function writeControlRegister(context: GuestContext, register: number, value: bigint, gpr: number): Outcome {
  if (register === 0) return writeCr0(context, value, gpr);
  return register === 4 ? writeCr4(context, value, gpr) : "native";
}

/** XSETBV. @param index ECX @param value EDX and EAX */
export function xsetbv(context: GuestContext, index: number, value: bigint): Outcome {
  const isValid = index === 0 && isXcr0Valid(value, context.td.xfam, context.module.platform.cpuid);
  return isValid ? "native" : context.generalProtection();
}
