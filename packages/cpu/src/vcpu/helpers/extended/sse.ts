import { Kind } from "../../../decode/index.js";
import * as S from "../../../state.js";
import type { VcpuContext } from "../../context/context.js";
import type { Helper } from "../../context/helper.js";
import { checkedLinear, readOperand, truncateAddress, writeRegister } from "../../memory/operands.js";
import { Vector } from "../../registers/constants.js";
import type { Halves } from "../../registers/halves.js";
import { FAULT, NEXT } from "../common.js";

const value: Halves = { lo: 0, hi: 0 };
const address: Halves = { lo: 0, hi: 0 };

/** CRC-32C (polynomial 0x11edc6f41, bits reflected) of one byte. */
const CRC_TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

const crc32: Helper = (vcpu, { insn }) => {
  if (!readOperand(vcpu, insn, 1, value)) return FAULT;
  const { reg, size } = insn.operands[0];
  let crc = vcpu.regLo(reg);
  for (let k = 0; k < insn.operands[1].size; k++) {
    const byte = (k < 4 ? value.lo >>> (8 * k) : value.hi >>> (8 * (k - 4))) & 0xff;
    crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ byte) & 0xff] as number);
  }
  writeRegister(vcpu, reg, size, crc, 0);
  return NEXT;
};

/** Exception that keeps MMX or SSE from being used: the word at `slot` (`SSE_OFF`, `MMX_OFF`), or #MF for a pending x87 exception. */
function usable(vcpu: VcpuContext, mmx: boolean): boolean {
  const vector = vcpu.i32(mmx ? S.MMX_OFF : S.SSE_OFF) as Vector;
  if (vector !== 0) return vcpu.raise(vector);
  if (mmx && vcpu.u16(S.FSW) & ~vcpu.u16(S.FCW) & 0x3f) return vcpu.raise(Vector.MF);
  return true;
}

/** MASKMOVQ and MASKMOVDQU: bytes of operand 0 whose mask has bit 7 set go to DS:rDI. The whole operand is probed before any is written. */
const maskedMove: Helper = (vcpu, { insn }) => {
  const { kind, reg } = insn.operands[0];
  const mmx = kind === Kind.Mmx;
  if (!usable(vcpu, mmx)) return FAULT;
  if (mmx) enterMmx(vcpu);
  const base = mmx ? S.FPR : S.XMM;
  const length = mmx ? 8 : 16;
  const data = vcpu.bytes(base + 16 * reg, length);
  const mask = vcpu.bytes(base + 16 * insn.operands[1].reg, length);
  address.lo = vcpu.regLo(7);
  address.hi = vcpu.regHi(7);
  truncateAddress(address, insn.addrSize);
  if (!checkedLinear(vcpu, insn.seg, address, length, true)) return FAULT;
  const { lo, hi } = address;
  const at = (k: number): [number, number] => {
    const low = (lo + k) | 0;
    return [low, low >>> 0 < lo >>> 0 ? (hi + 1) | 0 : hi];
  };
  const chosen = [...mask.keys()].filter((k) => (mask[k] as number) & 0x80);
  if (!vcpu.linear.aligned(lo, hi, 8)) return FAULT;
  // The high half goes first; both are checked even if the mask selects none of their bytes (recorded from hardware).
  for (const half of length === 16 ? [8, 0] : [0]) if (!vcpu.linear.probeWriteRange(...at(half), 8)) return FAULT;
  for (const k of chosen) if (!vcpu.linear.write(...at(k), 1, data[k] as number, 0)) return FAULT;
  return NEXT;
};

/** What every MMX instruction does to the x87 state: all registers valid, top of stack 0 (SDM vol. 1, 9.5.1). */
function enterMmx(vcpu: VcpuContext): void {
  vcpu.setU16(S.FSW, vcpu.u16(S.FSW) & ~0x3800);
  vcpu.setU8(S.FTW, 0xff);
}

const emms: Helper = (vcpu) => {
  if (!usable(vcpu, true)) return FAULT;
  enterMmx(vcpu);
  vcpu.setU8(S.FTW, 0);
  return NEXT;
};

export const SSE_HELPERS: Readonly<Record<string, Helper>> = {
  crc32,
  maskmovq: maskedMove,
  maskmovdqu: maskedMove,
  emms,
};
