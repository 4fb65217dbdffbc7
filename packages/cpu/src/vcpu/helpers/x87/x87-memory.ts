import type { Insn } from "../../../decode/index.js";
import type { VcpuContext } from "../../context/context.js";
import { effectiveAddress, readOperand } from "../../memory/operands.js";
import { touch } from "../../memory/touch.js";
import { add64, type Halves } from "../../registers/halves.js";
import { unit } from "./x87-unit.js";

/** What was read last. */
const found: Halves = { lo: 0, hi: 0 };

/** Memory operands of x87 instructions. */

const value: Halves = { lo: 0, hi: 0 };
const address: Halves = { lo: 0, hi: 0 };

/** Reads operand 0 of 4 or 8 bytes, or an integer of 2 to 8 bytes sign-extended. */
function read(vcpu: VcpuContext, insn: Insn, integer: boolean): boolean {
  if (!readOperand(vcpu, insn, 0, value)) return false;
  const { size } = insn.operands[0];
  if (integer && size === 2) value.lo = (value.lo << 16) >> 16;
  if (integer && size < 8) value.hi = value.lo >> 31;
  return true;
}

/** The memory operand, m32, m64 or an integer, becomes the unit's first operand. False with an exception pending. */
export function loadA(vcpu: VcpuContext, insn: Insn, integer: boolean): boolean {
  if (!read(vcpu, insn, integer)) return false;
  if (integer) unit.setAInt(value.lo, value.hi);
  else if (insn.operands[0].size === 4) unit.setA32(value.lo);
  else unit.setA64(value.lo, value.hi);
  return true;
}

/** The same for the second operand. */
export function loadB(vcpu: VcpuContext, insn: Insn, integer: boolean): boolean {
  if (!read(vcpu, insn, integer)) return false;
  if (integer) unit.setBInt(value.lo, value.hi);
  else if (insn.operands[0].size === 4) unit.setB32(value.lo);
  else unit.setB64(value.lo, value.hi);
  return true;
}

/** Moves `address` on by `offset` bytes; outside 64-bit code it wraps at 4 GiB. */
function advance(vcpu: VcpuContext, offset: number): void {
  add64(address, address.lo, address.hi, offset, 0);
  if (vcpu.mode !== 64) address.hi = 0;
}

/** Ten bytes read by `read80`. */
export const extended = { lo: 0, hi: 0, se: 0 };

/** Reads an m80 into `extended`. */
export function read80(vcpu: VcpuContext, insn: Insn): boolean {
  const { linear } = vcpu;
  if (!effectiveAddress(vcpu, insn, address, 10, false)) return false;
  if (!linear.read(address.lo, address.hi, 8, extended)) return false;
  advance(vcpu, 8);
  if (!linear.read(address.lo, address.hi, 2, found)) return false;
  extended.se = found.lo;
  return true;
}

/** Writes an m80. The significand goes first, and stays if the other two bytes fault (recorded from hardware). */
export function write80(vcpu: VcpuContext, insn: Insn, lo: number, hi: number, se: number): boolean {
  const { linear } = vcpu;
  if (!effectiveAddress(vcpu, insn, address, 10, true)) return false;
  if (!linear.write(address.lo, address.hi, 8, lo, hi)) return false;
  advance(vcpu, 8);
  return linear.write(address.lo, address.hi, 2, se, 0);
}

/**
 * Checks an area of `size` bytes at `address` as the processor does: its first word, the control word, and if it ends on another page its
 * last byte (recorded from hardware). The first word of 4 bytes, of 2 in the 16-bit formats, may itself be on two pages.
 */
function probe(vcpu: VcpuContext, size: number, write: boolean): boolean {
  const word = size === 28 || size === 108 ? 4 : 2;
  if (!vcpu.linear.aligned(address.lo, address.hi, word) || !touch(vcpu, address, 0, write)) return false;
  const left = 4096 - (address.lo & 0xfff);
  if (left >= size) return true;
  return touch(vcpu, address, left < word ? left : size - 1, write);
}

/** Reads the memory operand, an environment or the whole state. */
export function readArea(vcpu: VcpuContext, insn: Insn, area: Uint8Array): boolean {
  if (!effectiveAddress(vcpu, insn, address, area.length, false)) return false;
  return probe(vcpu, area.length, false) && vcpu.linear.readBytes(address.lo, address.hi, area);
}

/** Writes the memory operand, an environment or the whole state, after making sure that all of it can be written. */
export function writeArea(vcpu: VcpuContext, insn: Insn, area: Uint8Array): boolean {
  if (!effectiveAddress(vcpu, insn, address, area.length, true)) return false;
  return probe(vcpu, area.length, true) && vcpu.linear.writeBytes(address.lo, address.hi, area);
}
