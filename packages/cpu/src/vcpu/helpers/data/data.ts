import type { Insn } from "../../../decode/index.js";
import * as S from "../../../state.js";
import type { VcpuContext } from "../../context/context.js";
import type { Helper } from "../../context/helper.js";
import {
  checkedLinear,
  effectiveAddress,
  namedAddress,
  readOperand,
  truncateAddress,
  writeOperand,
} from "../../memory/operands.js";
import { ATTR_CODE, ATTR_S, Vector } from "../../registers/constants.js";
import type { Halves } from "../../registers/halves.js";
import { evenParity } from "../../registers/rflags.js";
import type { SegmentCache } from "../../registers/segment-cache.js";
import { done, FAULT, NEXT } from "../common.js";

/** What was read last. */
const found: Halves = { lo: 0, hi: 0 };

const value: Halves = { lo: 0, hi: 0 };
const address: Halves = { lo: 0, hi: 0 };

function setZf(vcpu: VcpuContext, on: boolean): void {
  vcpu.rflags = on ? vcpu.rflags | S.ZF : vcpu.rflags & ~S.ZF;
}

const cmpxchg8b: Helper = (vcpu, { insn }) => {
  if (!effectiveAddress(vcpu, insn, address, 8, true)) return FAULT;
  const { lo, hi } = address;
  const { linear } = vcpu;
  if (!linear.probeWriteRange(lo, hi, 8) || !linear.read(lo, hi, 8, found)) return FAULT;
  const [oldLo, oldHi] = [found.lo, found.hi];
  const equal = oldLo === vcpu.regLo(0) && oldHi === vcpu.regLo(2);
  // The destination is written in either case.
  if (!linear.write(lo, hi, 8, equal ? vcpu.regLo(3) : oldLo, equal ? vcpu.regLo(1) : oldHi)) return FAULT;
  if (!equal) {
    vcpu.setReg(0, oldLo, 0);
    vcpu.setReg(2, oldHi, 0);
  }
  setZf(vcpu, equal);
  return NEXT;
};

/** CMPXCHG16B of what is at word `at` of the shared memory. */
function exchange16(vcpu: VcpuContext, at: number): number {
  const { memoryWords: words } = vcpu;
  const aLo = words[at] as number;
  const aHi = words[at + 1] as number;
  const bLo = words[at + 2] as number;
  const bHi = words[at + 3] as number;
  const equal = aLo === vcpu.regLo(0) && aHi === vcpu.regHi(0) && bLo === vcpu.regLo(2) && bHi === vcpu.regHi(2);
  if (equal) {
    words[at] = vcpu.regLo(3);
    words[at + 1] = vcpu.regHi(3);
    words[at + 2] = vcpu.regLo(1);
    words[at + 3] = vcpu.regHi(1);
  } else {
    vcpu.setReg(0, aLo, aHi);
    vcpu.setReg(2, bLo, bHi);
  }
  setZf(vcpu, equal);
  return NEXT;
}

const cmpxchg16b: Helper = (vcpu, { insn }) => {
  if (!effectiveAddress(vcpu, insn, address, 16, true)) return FAULT;
  const { lo, hi } = address;
  if (lo & 15) return done(vcpu.raiseError(Vector.GP, 0));
  const { linear } = vcpu;
  const host = linear.hostForWrite(lo, hi, 16);
  if (host !== 0 && linear.hostForRead(lo, hi, 16) === host) return exchange16(vcpu, host >>> 2);
  if (!linear.probeWrite(lo, hi) || !linear.read(lo, hi, 8, found)) return FAULT;
  const [aLo, aHi] = [found.lo, found.hi];
  if (!linear.read(lo + 8, hi, 8, found)) return FAULT;
  const [bLo, bHi] = [found.lo, found.hi];
  const equal = aLo === vcpu.regLo(0) && aHi === vcpu.regHi(0) && bLo === vcpu.regLo(2) && bHi === vcpu.regHi(2);
  if (equal) {
    linear.write(lo, hi, 8, vcpu.regLo(3), vcpu.regHi(3));
    linear.write(lo + 8, hi, 8, vcpu.regLo(1), vcpu.regHi(1));
  } else {
    linear.write(lo, hi, 8, aLo, aHi);
    linear.write(lo + 8, hi, 8, bLo, bHi);
    vcpu.setReg(0, aLo, aHi);
    vcpu.setReg(2, bLo, bHi);
  }
  setZf(vcpu, equal);
  return NEXT;
};

const xlat: Helper = (vcpu, { insn }) => {
  const al = vcpu.regLo(0) & 0xff;
  address.lo = (vcpu.regLo(3) + al) | 0;
  address.hi = ((vcpu.regLo(3) >>> 0) + al > 0xffffffff ? vcpu.regHi(3) + 1 : vcpu.regHi(3)) | 0;
  truncateAddress(address, insn.addrSize);
  if (!checkedLinear(vcpu, insn.seg, address, 1, false)) return FAULT;
  if (!vcpu.linear.read(address.lo, address.hi, 1, found)) return FAULT;
  vcpu.setU8(S.GPR, found.lo);
  return NEXT;
};

const swap32 = (x: number): number => (x >>> 24) | ((x >>> 8) & 0xff00) | ((x << 8) & 0xff0000) | (x << 24) | 0;

const movbe: Helper = (vcpu, { insn }) => {
  if (!readOperand(vcpu, insn, 1, value)) return FAULT;
  const { size } = insn.operands[0];
  const { lo, hi } = value;
  if (size === 8) return done(writeOperand(vcpu, insn, 0, swap32(hi), swap32(lo)));
  if (size === 4) return done(writeOperand(vcpu, insn, 0, swap32(lo), 0));
  return done(writeOperand(vcpu, insn, 0, ((lo & 0xff) << 8) | ((lo >>> 8) & 0xff), 0));
};

/** RDRAND and RDSEED always succeed: CF = 1, the other flags 0. */
const random: Helper = (vcpu, { insn }) => {
  const { entropy } = vcpu.ports;
  vcpu.rflags = (vcpu.rflags & ~S.ARITH) | S.CF;
  return done(writeOperand(vcpu, insn, 0, entropy.random(), entropy.random()));
};

/** SF ZF PF of a byte, with the given CF and AF. */
function byteFlags(vcpu: VcpuContext, al: number, cf: boolean, af: boolean): void {
  vcpu.rflags =
    (vcpu.rflags & ~S.ARITH) |
    (al & 0x80 ? S.SF : 0) |
    (al === 0 ? S.ZF : 0) |
    (evenParity(al) ? S.PF : 0) |
    (cf ? S.CF : 0) |
    (af ? S.AF : 0);
}

/** DAA and DAS (SDM vol. 2). */
const decimal =
  (sign: 1 | -1): Helper =>
  (vcpu) => {
    const old = vcpu.regLo(0) & 0xff;
    const flags = vcpu.rflags;
    let al = old;
    let cf = false;
    const af = (old & 0xf) > 9 || (flags & S.AF) !== 0;
    if (af) {
      cf = (flags & S.CF) !== 0 || (sign > 0 ? al + 6 > 0xff : al < 6);
      al = (al + sign * 6) & 0xff;
    }
    if (old > 0x99 || flags & S.CF) {
      al = (al + sign * 0x60) & 0xff;
      cf = true;
    } else if (sign > 0) cf = false;
    vcpu.setU8(S.GPR, al);
    byteFlags(vcpu, al, cf, af);
    return NEXT;
  };

/** AAA and AAS. */
const ascii =
  (sign: 1 | -1): Helper =>
  (vcpu) => {
    const ax = vcpu.regLo(0) & 0xffff;
    const adjust = (ax & 0xf) > 9 || (vcpu.rflags & S.AF) !== 0;
    const next = adjust ? (sign > 0 ? ax + 0x106 : ax - 0x106) : ax;
    vcpu.setU16(S.GPR, next & 0xff0f);
    byteFlags(vcpu, next & 0x0f, adjust, adjust);
    return NEXT;
  };

const aam: Helper = (vcpu, { insn }) => {
  const base = insn.nops > 0 ? insn.immLo & 0xff : 10;
  if (base === 0) {
    vcpu.raise(Vector.DE);
    return FAULT;
  }
  const al = vcpu.regLo(0) & 0xff;
  vcpu.setU16(S.GPR, (Math.floor(al / base) << 8) | (al % base));
  byteFlags(vcpu, al % base, false, false);
  return NEXT;
};

/** The flags that the manual leaves undefined are those of the addition to AL (recorded from Intel's and AMD's processors, which agree). */
const aad: Helper = (vcpu, { insn }) => {
  const base = insn.nops > 0 ? insn.immLo & 0xff : 10;
  const ax = vcpu.regLo(0) & 0xffff;
  const old = ax & 0xff;
  const tens = ((ax >> 8) * base) & 0xff;
  const al = (old + tens) & 0xff;
  vcpu.setU16(S.GPR, al);
  byteFlags(vcpu, al, old + tens > 0xff, (old & 0xf) + (tens & 0xf) > 0xf);
  if (~(old ^ tens) & (old ^ al) & 0x80) vcpu.rflags |= S.OF;
  return NEXT;
};

const salc: Helper = (vcpu) => {
  vcpu.setU8(S.GPR, vcpu.rflags & S.CF ? 0xff : 0);
  return NEXT;
};

/** The upper bound is not looked at if the index is below the lower one (recorded from hardware). */
const bound: Helper = (vcpu, { insn }) => {
  const size = insn.opSize;
  const { linear } = vcpu;
  const signed = (value: number): number => (size === 2 ? (value << 16) >> 16 : value);
  const index = signed(vcpu.regLo(insn.operands[0].reg));
  if (!effectiveAddress(vcpu, insn, address, size, false)) return FAULT;
  if (!linear.read(address.lo, address.hi, size, found)) return FAULT;
  if (index >= signed(found.lo)) {
    if (!effectiveAddress(vcpu, insn, address, 2 * size, false)) return FAULT;
    if (!linear.read((address.lo + size) | 0, address.hi, size, found)) return FAULT;
    if (index <= signed(found.lo)) return NEXT;
  }
  vcpu.raise(Vector.BR);
  return FAULT;
};

/**
 * CLFLUSH, CLFLUSHOPT and CLWB: there is no cache, but the line's address is checked as that of a load of one byte (SDM vol. 2), except that
 * code which is not readable may be named (recorded from hardware). Lines come page by page, 64 of each: what is found out for the first is remembered.
 */
const flushLine: Helper = (vcpu, { insn }) => {
  if (!lineAddress(vcpu, insn, address)) return FAULT;
  const { lo, hi } = address;
  const host = vcpu.linear.hostForPlainRead(lo, hi, 1);
  return done(host === 0 ? vcpu.linear.probe(lo, hi, vcpu.accessMode) : host > 0);
};

function lineAddress(vcpu: VcpuContext, insn: Insn, out: Halves): boolean {
  const { attributes, baseLo, limit } = vcpu.segments[insn.seg] as SegmentCache;
  const code = (attributes & (ATTR_S | ATTR_CODE)) === (ATTR_S | ATTR_CODE);
  if (vcpu.mode === 64 || !code) return effectiveAddress(vcpu, insn, out, 1, false);
  namedAddress(vcpu, insn, out);
  return (out.lo - baseLo) >>> 0 <= limit || vcpu.raiseError(Vector.GP, 0);
}

export const DATA_HELPERS: Readonly<Record<string, Helper>> = {
  cmpxchg8b,
  cmpxchg16b,
  xlatb: xlat,
  movbe,
  rdrand: random,
  rdseed: random,
  daa: decimal(1),
  das: decimal(-1),
  aaa: ascii(1),
  aas: ascii(-1),
  aam,
  aad,
  salc,
  bound,
  clflush: flushLine,
  clflushopt: flushLine,
  clwb: flushLine,
};
