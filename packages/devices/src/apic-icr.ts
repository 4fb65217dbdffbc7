import { type ApicMessage, BROADCAST, DeliveryMode } from "./apic-bus.js";

/** An interprocessor interrupt as software asked for it; a shorthand overrides the destination. */
export interface Ipi {
  readonly message: ApicMessage;
  readonly shorthand: "none" | "self" | "all" | "others";
}

const LOGICAL = 1 << 11;
const ASSERT = 1 << 14;
const LEVEL = 1 << 15;
const SHORTHANDS = ["none", "self", "all", "others"] as const;

/** The IPI of a vector to the own CPU: the x2APIC's SELF IPI register (SDM 3A 11.12.11). */
export function selfIpi(vector: number): Ipi {
  const message = { destination: 0, logical: false, mode: DeliveryMode.Fixed, vector, level: false };
  return { message, shorthand: "self" };
}

/**
 * The IPI an ICR write asks for (SDM 3A 11.6.1, 11.12.9). Its trigger mode is edge, whatever bit 15 says.
 * @param high the high half: destination in bits 31:24 (xAPIC) or all of them (x2APIC)
 * @returns null for INIT level de-assert, which only synchronised arbitration IDs and does nothing since the Pentium 4
 */
export function decodeIcr(low: number, high: number, x2apic: boolean): Ipi | null {
  const mode = (low >> 8) & 7;
  if (mode === DeliveryMode.Init && (low & (LEVEL | ASSERT)) === LEVEL) return null;
  const eight = high >>> 24;
  const destination = x2apic ? high : eight === 0xff ? BROADCAST : eight;
  const message = { destination, logical: (low & LOGICAL) !== 0, mode, vector: low & 0xff, level: false };
  return { message, shorthand: SHORTHANDS[(low >> 18) & 3] ?? "none" };
}
