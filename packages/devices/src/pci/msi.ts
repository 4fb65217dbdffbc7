import { type ApicMessage, BROADCAST, DeliveryMode } from "../apic-bus.js";

/** A message-signalled interrupt: a write of `data` (32 bits) to a guest-physical address, given as two halves of 32 bits. */
export interface MsiMessage {
  readonly addressLow: number;
  readonly addressHigh: number;
  readonly data: number;
}

/** Bits 31:20 of the addresses that are interrupts. */
const APIC_RANGE = 0xfee;
const LOGICAL = 1 << 2;
const LEVEL = 1 << 15;

/**
 * The interrupt that a message is (SDM 3A 11.11): destination in address bits 19:12, its mode in bit 2; vector in data bits 7:0, delivery mode in bits
 * 10:8, trigger mode in bit 15.
 * @returns null for an address that is none of the local APICs', and for a start-up IPI, which a message cannot be
 */
export function decodeMsi({ addressLow, addressHigh, data }: MsiMessage): ApicMessage | null {
  const mode = (data >>> 8) & 7;
  if (addressHigh !== 0 || addressLow >>> 20 !== APIC_RANGE || mode === DeliveryMode.StartUp) return null;
  const eight = (addressLow >>> 12) & 0xff;
  return {
    destination: eight === 0xff ? BROADCAST : eight,
    logical: (addressLow & LOGICAL) !== 0,
    mode,
    vector: data & 0xff,
    level: (data & LEVEL) !== 0,
  };
}
