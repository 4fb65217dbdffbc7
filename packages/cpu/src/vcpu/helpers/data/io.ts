import * as S from "../../../state.js";
import type { VcpuContext } from "../../context/context.js";
import type { Helper } from "../../context/helper.js";
import { writeRegister } from "../../memory/operands.js";
import { Vector } from "../../registers/constants.js";
import type { Halves } from "../../registers/halves.js";
import { TSS_WIDE } from "../../segments/inner-stack.js";
import { done, FAULT, instead, NEXT } from "../common.js";

/** What was read last. */
const found: Halves = { lo: 0, hi: 0 };

const ALL_ONES = 0xffffffff;

/** Whether `size` ports from `port` may be used: CPL <= IOPL, or the TSS bitmap says so (SDM vol. 1, 19.5.2). */
export function portAllowed(vcpu: VcpuContext, port: number, size: number): boolean {
  if (!(vcpu.cr0 & 1) || (vcpu.cpl <= ((vcpu.flags >> 12) & 3) && !(vcpu.flags & S.VM))) return true;
  const { tr, linear } = vcpu;
  // A 16-bit TSS has no bitmap.
  if (!(tr.attributes & TSS_WIDE) || tr.limit < 0x67) return vcpu.raiseError(Vector.GP, 0);
  if (!linear.readSystem((tr.baseLo + 0x66) | 0, tr.baseHi, 2, found)) return false;
  const at = found.lo + (port >> 3);
  if (at + 1 > tr.limit) return vcpu.raiseError(Vector.GP, 0);
  if (!linear.readSystem((tr.baseLo + at) | 0, tr.baseHi, 2, found)) return false;
  const bits = (found.lo >> (port & 7)) & ((1 << size) - 1);
  return bits === 0 || vcpu.raiseError(Vector.GP, 0);
}

/** The value of `size` bytes at `port`; null, with nothing done, if an exception or exit is pending instead. */
export function portRead(vcpu: VcpuContext, port: number, size: number): number | null {
  const { hooks } = vcpu;
  const verdict = hooks.io?.(port, size, false, null);
  if (instead(vcpu)) return null;
  vcpu.counts.io++;
  vcpu.debugTrap(vcpu.breakpoints.io(port, size));
  if (verdict === false) return ALL_ONES >>> (32 - 8 * size);
  const value = vcpu.ports.bus.ioRead(port, size);
  hooks.ioRead?.(port, size, value);
  return value;
}

/** @returns false, with nothing done, if an exception or exit is pending instead */
export function portWrite(vcpu: VcpuContext, port: number, size: number, value: number): boolean {
  const verdict = vcpu.hooks.io?.(port, size, true, value);
  if (instead(vcpu)) return false;
  vcpu.counts.io++;
  vcpu.debugTrap(vcpu.breakpoints.io(port, size));
  if (verdict !== false) vcpu.ports.bus.ioWrite(port, size, value);
  return true;
}

const input: Helper = (vcpu, { insn }) => {
  const size = insn.operands[0].size;
  const port = insn.operands[1].reg === 2 && insn.operands[1].kind === 1 ? vcpu.regLo(2) & 0xffff : insn.immLo & 0xff;
  if (!portAllowed(vcpu, port, size)) return FAULT;
  const value = portRead(vcpu, port, size);
  if (value === null) return FAULT;
  writeRegister(vcpu, 0, size, value, 0);
  return NEXT;
};

const output: Helper = (vcpu, { insn }) => {
  const size = insn.operands[1].size;
  const port = insn.operands[0].kind === 1 ? vcpu.regLo(2) & 0xffff : insn.immLo & 0xff;
  if (!portAllowed(vcpu, port, size)) return FAULT;
  const value = vcpu.regLo(0);
  return done(portWrite(vcpu, port, size, size === 4 ? value >>> 0 : value & (size === 2 ? 0xffff : 0xff)));
};

export const IO_HELPERS: Readonly<Record<string, Helper>> = { in: input, out: output };
