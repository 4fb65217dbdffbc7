import * as S from "../../state.js";

/** PF of a result: whether its low byte has an even number of ones. */
export function evenParity(result: number): boolean {
  let b = result & 0xff;
  b ^= b >> 4;
  b ^= b >> 2;
  b ^= b >> 1;
  return (b & 1) === 0;
}

/** RFLAGS (low 32 bits) from the state block; `sem/flags.ts` tells what the pair FR, FA means. */
export function readFlags(words: Int32Array): number {
  const frLo = words[S.FR >> 2] as number;
  const frHi = words[(S.FR + 4) >> 2] as number;
  const faLo = words[S.FA >> 2] as number;
  const faHi = words[(S.FA + 4) >> 2] as number;
  let flags = (words[S.FLAGS >> 2] as number) & ~S.ARITH;
  const cf = faHi >>> 31;
  if (cf) flags |= S.CF;
  if (cf ^ ((faHi >>> 30) & 1)) flags |= S.OF;
  if (faLo & 8) flags |= S.AF;
  if ((frLo | frHi) === 0) flags |= S.ZF;
  if ((frHi >>> 31) ^ ((faLo >>> 16) & 1)) flags |= S.SF;
  if (evenParity(frLo ^ (faLo >>> 8))) flags |= S.PF;
  return flags | 2;
}

/** Sets every flag. */
export function writeFlags(words: Int32Array, flags: number): void {
  const zf = (flags & S.ZF) !== 0;
  const sf = (flags & S.SF) !== 0;
  const pf = (flags & S.PF) !== 0;
  const cf = flags & S.CF;
  const of = flags & S.OF ? 1 : 0;
  // ZF = 0: a non-zero result of the wanted sign and parity. ZF = 1: zero, corrected by the deltas.
  words[S.FR >> 2] = zf ? 0 : pf ? 3 : 1;
  words[(S.FR + 4) >> 2] = !zf && sf ? 0x80000000 | 0 : 0;
  words[S.FA >> 2] = (flags & S.AF ? 8 : 0) | (zf && !pf ? 0x100 : 0) | (zf && sf ? 0x10000 : 0);
  words[(S.FA + 4) >> 2] = (cf << 31) | ((cf ^ of) << 30);
  words[S.FLAGS >> 2] = (flags & ~S.ARITH) | 2;
}
