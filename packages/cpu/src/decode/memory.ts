/**
 * Effective-address encodings: modrm, SIB and displacement (SDM vol. 2, 2.1.5, tables 2-1 to 2-3).
 *
 * A hot path, hence `!` on byte reads: a byte past the end reads as undefined, which the bit operations turn into 0, and
 * `decode()` then sees that the position is too far.
 */

import type { Insn } from "./insn.js";

const SS = 2;
const DS = 3;

/** Base and index registers of the 16-bit forms by modrm.rm: BX+SI, BX+DI, BP+SI, BP+DI, SI, DI, BP, BX. */
const BASE16 = [3, 3, 5, 5, 6, 7, 5, 3] as const;
const INDEX16 = [6, 7, 6, 7, -1, -1, -1, -1] as const;

/**
 * Decodes the memory operand of `modrm` (mod != 3) whose SIB or displacement is at `pos` into `out`, of which `mode`,
 * `addrSize` and `segOverride` are already set.
 * @returns the position after the displacement, possibly past the end of what may be read: the caller checks.
 */
export function decodeMemory(bytes: Uint8Array, pos: number, modrm: number, rex: number, out: Insn): number {
  return out.addrSize === 2 ? memory16(bytes, pos, modrm, out) : memory32(bytes, pos, modrm, rex, out);
}

function memory16(bytes: Uint8Array, pos: number, modrm: number, out: Insn): number {
  const mod = modrm >> 6;
  const rm = modrm & 7;
  out.scale = 0;
  if (mod === 0 && rm === 6) {
    out.base = -1;
    out.index = -1;
    out.seg = out.segOverride >= 0 ? out.segOverride : DS;
    return displacement(bytes, pos, 2, out);
  }
  const base = BASE16[rm] ?? -1;
  out.base = base;
  out.index = INDEX16[rm] ?? -1;
  out.seg = out.segOverride >= 0 ? out.segOverride : base === 5 ? SS : DS;
  return displacement(bytes, pos, mod, out);
}

function memory32(bytes: Uint8Array, pos: number, modrm: number, rex: number, out: Insn): number {
  const mod = modrm >> 6;
  const rm = modrm & 7;
  let at = pos;
  let dispSize = mod === 2 ? 4 : mod;
  let base = rm | ((rex & 1) << 3);
  let index = -1;
  let scale = 0;
  if (rm === 4) {
    const sib = bytes[at++]! | 0;
    scale = sib >> 6;
    index = ((sib >> 3) & 7) | ((rex & 2) << 2);
    base = (sib & 7) | ((rex & 1) << 3);
    if (index === 4) {
      index = -1;
      scale = 0;
    }
    if ((sib & 7) === 5 && mod === 0) {
      base = -1;
      dispSize = 4;
    }
  } else if (rm === 5 && mod === 0) {
    base = out.mode === 64 ? 16 : -1;
    dispSize = 4;
  }
  out.base = base;
  out.index = index;
  out.scale = scale;
  out.seg = out.segOverride >= 0 ? out.segOverride : base === 4 || base === 5 ? SS : DS;
  return displacement(bytes, at, dispSize, out);
}

function displacement(bytes: Uint8Array, pos: number, size: number, out: Insn): number {
  let low = 0;
  if (size === 1) low = (bytes[pos]! << 24) >> 24;
  else if (size === 2) low = ((bytes[pos]! << 16) | (bytes[pos + 1]! << 24)) >> 16;
  else if (size === 4) low = read32(bytes, pos);
  out.dispSize = size;
  out.dispLo = low;
  out.dispHi = low >> 31;
  return pos + size;
}

/** Little-endian i32; bytes past the end of the array read as 0. */
export function read32(bytes: Uint8Array, pos: number): number {
  return bytes[pos]! | (bytes[pos + 1]! << 8) | (bytes[pos + 2]! << 16) | (bytes[pos + 3]! << 24);
}
